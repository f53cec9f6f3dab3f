"""Every accepted log format gives the same trajectory, and bad rows say what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ecomkit as ek
from ecomkit.agents.scripted import play
from ecomkit.core.errors import EpisodeError, TrajectoryError
from ecomkit.core.records import Trajectory
from ecomkit.episodes.draw import draw_episode
from ecomkit.scores.episodeset import EpisodeSet
from ecomkit.scores.readers import BrokenRun, open_log, read_logs, to_trajectory
from ecomkit.scores.trajectories import write_trajectories


@pytest.fixture(scope="module")
def episode(catalog):
    return draw_episode("cart", 6, 2, catalog)


@pytest.fixture(scope="module")
def honest(episode, catalog):
    return play("honest", episode, catalog)


def objects(messages: Any) -> list[dict[str, Any]]:
    """The messages with the arguments of calls as objects."""
    out = json.loads(json.dumps([dict(m) for m in messages]))
    for message in out:
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return out


def actions(messages: Any) -> list[dict[str, Any]]:
    """The assistant messages in the single-object action format."""
    out = []
    for message in objects(messages):
        if message["role"] != "assistant":
            continue
        calls = [call["function"] for call in message.get("tool_calls", ())]
        action: dict[str, Any] = {
            "assistant_message": message["content"],
            "tool_calls": [
                {"name": c["name"], "args": c["arguments"]}
                for c in calls
                if c["name"] != "submit_answer"
            ],
        }
        for call in calls:
            if call["name"] == "submit_answer":
                action["answer"] = call["arguments"]
        out.append(action)
    return out


def between(messages: Any) -> list[list[Any]]:
    """What lies after each assistant message."""
    out: list[list[Any]] = []
    for message in messages:
        if message["role"] == "assistant":
            out.append([])
        elif out:
            out[-1].append(dict(message))
    return out


def chatml(messages: Any) -> str:
    """The messages as Qwen's template renders them."""
    text = ""
    for message in objects(messages):
        body = message["content"] or ""
        role = message["role"]
        if role == "assistant":
            body = f"<think>\nwell\n</think>\n\n{body}"
        for call in message.get("tool_calls", ()):
            body += f"\n<tool_call>\n{json.dumps(call['function'])}\n</tool_call>"
        if role == "tool":
            role, body = "user", f"<tool_response>\n{body}\n</tool_response>"
        text += f"<|im_start|>{role}\n{body}<|im_end|>\n"
    return text


def trace(trajectory: Trajectory, **columns: Any) -> dict[str, Any]:
    """A line of verifiers' traces.jsonl, with an abandoned branch."""
    nodes: list[dict[str, Any]] = []
    for message in trajectory.messages:
        kept = {k: v for k, v in message.items() if k in ("role", "content", "tool_call_id")}
        if message.get("tool_calls"):
            kept["tool_calls"] = [
                {"id": call["id"], **call["function"]} for call in message["tool_calls"]
            ]
        node: dict[str, Any] = {"message": kept, "sampled": message["role"] == "assistant"}
        if nodes:
            node["parent"] = len(nodes) - 1
        nodes.append(node)
    last = len(nodes) - 2
    nodes.insert(last + 1, {"message": {"role": "assistant", "content": "hm"}, "parent": last})
    nodes[-1]["parent"] = last
    return {"version": 1, "task": {"type": "Shop", "data": {}}, "nodes": nodes, **columns}


def formats(t: Trajectory) -> dict[str, dict[str, Any]]:
    """The trajectory in every format that a JSON row can have."""
    first = next(i for i, m in enumerate(t.messages) if m["role"] == "assistant")
    name = {"episode_id": t.episode_id}
    thoughtful = [
        {**m, "reasoning_content": "well", "refusal": None} if m["role"] == "assistant" else m
        for m in t.messages
    ]
    parts = [
        {**m, "content": [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "ok"}]}
        if m["role"] == "assistant" and m.get("tool_calls") and not m["content"]
        else m
        for m in objects(t.messages)
    ]
    for m in parts:
        if m["role"] == "assistant" and isinstance(m["content"], list):
            m["content"] = m["content"][:1]
    call = {"messages": list(t.messages[:-3])}
    return {
        "kit": t.to_row(),
        "text": {**name, "messages": json.dumps(list(map(dict, t.messages)))},
        "objects": {**name, "messages": objects(t.messages), "model": "m"},
        "reasoning": {**name, "messages": thoughtful},
        "content parts": {**name, "messages": parts},
        "id in metadata": {"metadata": name, "messages": list(t.messages)},
        "id elsewhere": {"id": t.episode_id, "messages": list(t.messages)},
        "actions": {**name, "actions": actions(t.messages)},
        "actions, observed": {
            **name, "actions": actions(t.messages), "observations": between(t.messages),
        },
        "trl": {
            **name, "step": 3, "prompt": list(t.messages[:first]),
            "completion": list(t.messages[first:]), "advantage": 0.1,
        },
        "trl text": {
            **name, "prompt": chatml(t.messages[:first]), "completion": chatml(t.messages[first:]),
        },
        "verifiers": trace(t, task={"type": "Shop", "data": {"info": name}}),
        "verifiers results": {
            "prompt": list(t.messages[:first]), "completion": list(t.messages[first:]),
            "info": json.dumps(name), "example_id": 4, "reward": 0.3,
        },
        "api call": {
            **name, "request": {"body": call},
            "response": {"choices": [{"message": dict(t.messages[-3])}]},
        },
    }  # fmt: skip


def test_every_format_passes_and_is_matched(episode, honest, catalog):
    assert honest.messages[-3]["role"] == "assistant"
    table = ek.score_many(list(formats(honest).values()), [episode], catalog)
    bad = [
        (name, row["verdict"], row["message"])
        for name, row in zip(formats(honest), table.iter_rows(named=True), strict=True)
        if not row["passed"]
    ]
    assert not bad
    assert set(table["reward"]) == {table["reward"][0]}
    assert table["agent"][2] == "m"


def test_a_forgery_is_found_in_every_format(episode, honest, catalog):
    place = next(i for i, m in enumerate(honest.messages) if m.get("name") == "cart_add")
    forged = [dict(m) for m in honest.messages]
    result = json.loads(forged[place]["content"])
    result["cart"]["units"] = 7
    forged[place]["content"] = json.dumps(result)
    rows = formats(Trajectory(honest.episode_id, forged))
    del rows["actions"]  # the agent's side only: nothing logged, nothing to forge
    table = ek.score_many(list(rows.values()), [episode], catalog)
    assert set(table["verdict"]) == {"tampered"}
    assert all("cart.units is '7'" in said and "step " in said for said in table["message"])


def test_parallel_results_in_any_order(catalog):
    """Results that name their calls may come back in another order; forged ids help no one."""
    for seed in range(30):
        drawn = draw_episode("cart", 9, seed, catalog)
        messages = [dict(m) for m in play("honest", drawn, catalog).messages]
        pairs = [
            i
            for i, m in enumerate(messages[:-1])
            if m["role"] == "tool" and messages[i + 1]["role"] == "tool"
            and m["content"] != messages[i + 1]["content"]
        ]  # fmt: skip
        if pairs:
            break
    i = pairs[0]
    messages[i], messages[i + 1] = messages[i + 1], messages[i]
    assert ek.score({"episode_id": drawn.episode_id, "messages": messages}, drawn, catalog).passed
    a, b = messages[i], messages[i + 1]
    a["tool_call_id"], b["tool_call_id"] = b["tool_call_id"], a["tool_call_id"]
    score = ek.score({"episode_id": drawn.episode_id, "messages": messages}, drawn, catalog)
    assert score.verdict == "tampered"


def test_matching_by_opening_and_seed(episode, honest, catalog):
    bare = {"messages": list(honest.messages)}
    other = draw_episode("cart", 6, 3, catalog)
    assert ek.score_many([bare], [episode, other], catalog)["passed"].to_list() == [True]
    from dataclasses import replace

    twin = replace(other, prompt=episode.prompt, seed=77)
    both = EpisodeSet([episode, twin])
    with pytest.raises(EpisodeError, match="ambiguous: 2 episodes open"):
        both.match(to_trajectory(bare))
    assert both.match(to_trajectory({**bare, "seed": 77})).episode_id == twin.episode_id
    row = {**bare, "metadata": {"seed": episode.seed}}
    assert both.match(to_trajectory(row)).episode_id == episode.episode_id
    with pytest.raises(EpisodeError, match="its seed"):
        both.match(to_trajectory({**bare, "seed": 5}))
    table = ek.score_many([bare, {**bare, "seed": 5}, honest.messages[2:]], both, catalog)
    assert table["verdict"].to_list() == ["unknown_episode"] * 3
    assert "ambiguous" in table["message"][0] and "no customer's opening" in table["message"][2]


def test_parquet_dataset_polars_and_folders(honest, episode, catalog, tmp_path):
    import datasets
    import polars as pl

    rows = [honest.to_row() | {"metadata": {"x": 1}}, {**honest.to_row(), "trial": 3}]
    for row in rows:
        row["messages"] = objects(row["messages"])
    (tmp_path / "b.jsonl").write_text("\n\n".join(map(json.dumps, rows)) + "\n")
    write_trajectories([honest, honest], tmp_path / "a.parquet")
    (tmp_path / "c.json").write_text(json.dumps(rows))
    # A Dataset gives every call all arguments of any call, most of them null.
    dataset = datasets.Dataset.from_list(
        [{k: v for k, v in row.items() if k != "metadata"} for row in rows]
    )
    frame = pl.DataFrame({"episode_id": [r["episode_id"] for r in rows],
                          "messages": [json.dumps(r["messages"]) for r in rows]})  # fmt: skip
    for logs, count in ((tmp_path, 6), (dataset, 2), (frame, 2), (tmp_path / "c.json", 2)):
        table = ek.score_many(logs, [episode], catalog)
        assert table.height == count and table["passed"].all(), table["message"].to_list()
    assert ek.score_many(dataset, [episode], catalog)["trial"].to_list() == [0, 3]


def test_reading_goes_on_from_any_place(honest, tmp_path):
    write_trajectories([honest] * 7, tmp_path / "a.jsonl")
    write_trajectories([honest] * 7, tmp_path / "b.parquet")
    (tmp_path / "a.jsonl").write_bytes(
        b"\n" + (tmp_path / "a.jsonl").read_bytes().replace(b"\n", b"\n \n\n")
    )
    log = open_log(tmp_path)
    batches = list(log.batches(rows=3))
    assert sum(batch.count for batch in batches) == 14
    total = 0
    for batch in batches:
        total += batch.count
        rest = list(log.batches(batch.next, rows=2))
        assert sum(len(b.rows()) for b in rest) == 14 - total
    assert all(isinstance(row, Trajectory) for b in batches for row in b.rows())


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (5, "not int"),
        ("x", "not str"),
        ({}, "'messages' is missing"),
        ({"messages": "["}, "not JSON"),
        ({"messages": [1]}, "not an object"),
        ({"messages": [{}], "trial": 10**30}, "'trial'"),
        ({"messages": [{}], "episode_id": 5}, "'episode_id'"),
        ({"prompt": "hello", "completion": "x"}, "no known chat template"),
        ({"prompt": "<|im_start|>a", "completion": "<tool_response>"}, "special tokens"),
        ({"nodes": [{"message": {}, "parent": 0}]}, "cycle"),
        ({"nodes": [{"message": {}, "parent": 7}]}, "no node"),
        ({"request": {"messages": []}, "response": {}}, "choices"),
        ({"actions": 5}, "'actions'"),
    ],
)
def test_bad_rows_are_named(row, says):
    with pytest.raises(TrajectoryError, match=says):
        to_trajectory(row)


def test_runs_that_broke(honest, episode, catalog):
    last = max(i for i, m in enumerate(honest.messages) if m["role"] == "assistant")
    cut = {**honest.to_row(), "messages": list(honest.messages[:last]), "error": "timeout"}
    rows = [
        cut,
        {**cut, "error": {"type": "APIError", "message": "overloaded"}},
        {"episode_id": honest.episode_id, "error": "no GPU", "messages": []},
        {**honest.to_row(), "error": "while saving"},
        {**cut, "error": None},
        trace(Trajectory("", tuple(cut["messages"])), errors=[{"type": "E", "message": "boom"}]),
    ]
    table = ek.score_many(rows, [episode], catalog)
    assert table["termination"].to_list() == [
        *["infra_error"] * 3, "answered", "unfinished", "infra_error",
    ]  # fmt: skip
    assert table["passed"].to_list() == [False, False, False, True, False, False]
    assert table["verdict"].to_list() == ["valid", "valid", "unreadable", *["valid"] * 3]
    assert "overloaded" in table["message"][1] and table["difficulty"][2] == 6
    with pytest.raises(BrokenRun):
        to_trajectory(rows[2])


def test_inspect_logs(honest, episode, catalog, tmp_path: Path):
    pytest.importorskip("inspect_ai", reason="pip install 'ecomkit[inspect]' to test .eval logs")
    from inspect_ai.log import (
        EvalConfig,
        EvalDataset,
        EvalLog,
        EvalSample,
        EvalSpec,
        write_eval_log,
    )
    from inspect_ai.model import (
        ChatMessageAssistant,
        ChatMessageSystem,
        ChatMessageTool,
        ChatMessageUser,
        ModelOutput,
    )
    from inspect_ai.tool import ToolCall

    def of(message: Any) -> Any:
        role, text = message["role"], message["content"]
        if role == "system":
            return ChatMessageSystem(content=text)
        if role == "user":
            return ChatMessageUser(content=text)
        if role == "tool":
            return ChatMessageTool(
                content=text, tool_call_id=message["tool_call_id"], function=message["name"]
            )
        calls = [
            ToolCall(
                id=call["id"],
                function=call["function"]["name"],
                arguments=json.loads(call["function"]["arguments"]),
            )
            for call in message.get("tool_calls", ())
        ]
        return ChatMessageAssistant(content=text, tool_calls=calls or None)

    def sample(name: str, epoch: int) -> EvalSample:
        return EvalSample(
            id=name, epoch=epoch, input="x", target="", output=ModelOutput(),
            messages=[of(m) for m in honest.messages],
        )  # fmt: skip

    spec = EvalSpec(
        created="2026-03-14T10:05:00+00:00", task="shop", dataset=EvalDataset(),
        model="mockllm/model", config=EvalConfig(),
    )  # fmt: skip
    log = EvalLog(
        eval=spec, status="success", samples=[sample(honest.episode_id, 1), sample("other", 2)]
    )
    write_eval_log(log, str(tmp_path / "run.eval"))
    table = ek.score_many(tmp_path / "run.eval", [episode], catalog)
    assert table["passed"].to_list() == [True, True], table["message"].to_list()
    assert table["trial"].to_list() == [0, 1] and table["agent"][0] == "mockllm/model"
    (tmp_path / "bad.eval").write_bytes(b"no log")
    with pytest.raises(TrajectoryError, match="no readable inspect_ai log"):
        list(read_logs(tmp_path / "bad.eval"))


def test_without_inspect_the_error_says_what_to_install(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    (tmp_path / "run.eval").write_bytes(b"x")
    with pytest.raises(TrajectoryError, match=r"ecomkit\[inspect\]"):
        list(read_logs(tmp_path / "run.eval"))
