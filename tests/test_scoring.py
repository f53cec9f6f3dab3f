"""Scoring by replay: exact, tamper-proof, and never stopped by bad input."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ecomkit as ek
from ecomkit.agents.scripted import AGENTS, play
from ecomkit.core.errors import TrajectoryError
from ecomkit.episodes.draw import draw_episode
from ecomkit.scores.trajectories import read_rows, read_trajectories, write_trajectories


@pytest.fixture(scope="module")
def episode(catalog):
    return draw_episode("cart", 6, 2, catalog)


@pytest.fixture(scope="module")
def honest(episode, catalog):
    return play("honest", episode, catalog)


def changed(trajectory, position, **values):
    row = copy.deepcopy(trajectory.to_row())
    row["messages"][position].update(values)
    return row


def test_every_agent_is_rescored_as_it_was_played(catalog):
    for d in (0, 5, 9):
        episode = draw_episode("cart", d, 1, catalog)
        neighbour = draw_episode("cart", d, 2, catalog)
        for agent in AGENTS:
            from ecomkit.agents.scripted import play_session

            session = play_session(agent, episode, catalog, neighbour=neighbour)
            played = session.score()
            for verify in ("writes", "full"):
                score = ek.score(session.trajectory(agent), episode, catalog, verify=verify)
                assert score.verdict == "valid", (agent, score.message)
                assert score.reward == played.reward and score.passed == played.passed
                assert score.agent == agent


def test_scoring_needs_no_search(episode, honest, shop_folder):
    bare = ek.load_catalog(shop_folder / "catalog", search=False)
    assert bare.search_engine is None
    assert ek.score(honest, episode, bare).passed


def test_files_round_trip(honest, episode, catalog, tmp_path):
    for name in ("t.jsonl", "t.parquet"):
        assert write_trajectories([honest, honest], tmp_path / name) == 2
        rows = list(read_trajectories(tmp_path / name))
        assert len(rows) == 2
        assert ek.score(rows[0], episode, catalog).passed
        assert not list(tmp_path.glob("*.tmp"))


def test_a_forged_write_result_is_tampered(episode, honest, catalog):
    position = next(
        i for i, m in enumerate(honest.messages) if m["role"] == "tool" and m["name"] == "cart_add"
    )
    forged = json.loads(honest.messages[position]["content"])
    forged["cart"]["units"] = 99
    score = ek.score(changed(honest, position, content=json.dumps(forged)), episode, catalog)
    assert score.verdict == "tampered" and not score.passed and score.reward == -1.0
    assert f"message {position}" in score.message and "cart_add" in score.message


def test_a_forged_reply_and_a_forged_opening_are_tampered(episode, honest, catalog):
    position = next(
        i for i, m in enumerate(honest.messages) if m["role"] == "tool" and m["name"] == "ask_user"
    )
    for row in (
        changed(honest, position, content='{"reply": "Anything will do."}'),
        changed(honest, 1, content="Anything will do."),
    ):
        assert ek.score(row, episode, catalog).verdict == "tampered"


def test_an_invented_card_is_tampered(episode, honest, catalog):
    position = next(
        i
        for i, m in enumerate(honest.messages)
        if m["role"] == "tool"
        and m["name"] == "catalog_search"
        and '"total": 0' not in m["content"]
    )
    for edit in ({"price_cents": 1}, {"product_id": "AAAAAAAAAA"}):
        result = json.loads(honest.messages[position]["content"])
        result["results"][0].update(edit)
        row = changed(honest, position, content=json.dumps(result))
        assert ek.score(row, episode, catalog).verdict == "tampered"


def test_swapped_true_cards_are_drift_in_full_and_never_a_pass(episode, honest, catalog):
    position, result = next(
        (i, json.loads(m["content"]))
        for i, m in enumerate(honest.messages)
        if m.get("name") == "catalog_search" and len(json.loads(m["content"])["results"]) > 1
    )
    result["results"].reverse()
    row = changed(honest, position, content=json.dumps(result))
    score = ek.score(row, episode, catalog, verify="full")
    assert score.verdict == "search_drift" and not score.passed
    assert "results[0].product_id" in score.message and "step " in score.message
    result["results"][0]["price_cents"] += 1
    row = changed(honest, position, content=json.dumps(result))
    assert ek.score(row, episode, catalog, verify="full").verdict == "tampered"


def test_a_failure_with_the_answer_of_a_success_still_fails(episode, honest, catalog):
    """Words in the log buy nothing: only what the replayed calls did counts."""
    row = honest.to_row()
    kept = [
        m
        for m in row["messages"]
        if not (m["role"] == "tool" and m["name"] == "cart_add")
        and not any(c["function"]["name"] == "cart_add" for c in m.get("tool_calls", ()))
    ]
    score = ek.score({**row, "messages": kept}, episode, catalog)
    assert not score.passed


def test_messages_after_the_end_and_a_cut_log(episode, honest, catalog):
    row = honest.to_row()
    more = [*row["messages"], {"role": "assistant", "content": "one more"}]
    assert ek.score({**row, "messages": more}, episode, catalog).verdict == "tampered"
    last = max(i for i, m in enumerate(row["messages"]) if m["role"] == "assistant")
    cut = ek.score({**row, "messages": row["messages"][:last]}, episode, catalog)
    assert cut.verdict == "valid" and cut.termination == "unfinished" and not cut.passed


@pytest.mark.parametrize(
    "row",
    [
        None,
        5,
        {},
        {"episode_id": 5, "messages": []},
        {"episode_id": "x"},
        {"episode_id": "x", "messages": "["},
        {"episode_id": "x", "messages": [1]},
        {"episode_id": "x", "messages": [{"role": "assistant", "content": "a"}], "trial": "one"},
    ],
)
def test_a_malformed_row_gets_a_row_that_says_so(row, episode, catalog):
    score = ek.score(row, episode, catalog)
    assert score.verdict == "unreadable" and score.message and not score.passed


def test_a_trajectory_of_another_episode_is_named(episode, honest, catalog):
    score = ek.score({**honest.to_row(), "episode_id": "other"}, episode, catalog)
    assert score.verdict == "unknown_episode" and "other" in score.message


def test_bad_files_are_named(tmp_path):
    with pytest.raises(TrajectoryError, match="does not exist"):
        list(read_rows(tmp_path / "none.jsonl"))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(TrajectoryError, match="no readable parquet"):
        list(read_rows(tmp_path / "bad.parquet"))
    (tmp_path / "x.jsonl").write_text('{"episode_id": "a"\n\n{"a": 1}\n')
    rows = list(read_rows(tmp_path / "x.jsonl"))
    assert isinstance(rows[0], TrajectoryError) and rows[1] == {"a": 1}
    with pytest.raises(TrajectoryError, match="line 1"):
        list(read_trajectories(tmp_path / "x.jsonl"))


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_logs_never_crash_and_never_turn_into_a_pass(data, episode, catalog, naive_failure):
    row = copy.deepcopy(naive_failure)
    messages = row["messages"]
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(messages) - 1))
        kind = data.draw(st.sampled_from(["drop", "double", "swap", "retype", "field", "cut"]))
        if kind == "drop" and len(messages) > 1:
            del messages[position]
        elif kind == "double":
            messages.insert(position, copy.deepcopy(messages[position]))
        elif kind == "swap":
            other = data.draw(st.integers(0, len(messages) - 1))
            messages[position], messages[other] = messages[other], messages[position]
        elif kind == "retype":
            messages[position] = data.draw(junk)
        elif kind == "field" and isinstance(messages[position], dict):
            names = ["role", "content", "tool_calls", "name", "tool_call_id"]
            messages[position][data.draw(st.sampled_from(names))] = data.draw(junk)
        elif kind == "cut":
            del messages[position + 1 :]
    score = ek.score(row, episode, catalog)
    assert not score.passed
    assert score.verdict in ("valid", "tampered", "unreadable", "unknown_episode")


@pytest.fixture(scope="module")
def naive_failure(episode, catalog):
    trajectory = play("naive", episode, catalog)
    assert not ek.score(trajectory, episode, catalog).passed
    return trajectory.to_row()


def test_results_are_written_as_json_writes_them(episode, catalog):
    """Texts that are put together from remembered pieces are what the encoder gives."""
    from ecomkit.core.records import Action, ToolCall
    from ecomkit.scores.verification import _Between
    from ecomkit.session.session import Session

    session = Session(episode, catalog)
    log = _Between(session, "writes")
    ids = [catalog.product_id(row) for row in range(6)]
    calls = [ToolCall("cart_add", {"product_id": name, "quantity": 1}) for name in ids]
    calls += [
        ToolCall("cart_set_quantity", {"line_id": "C2", "quantity": 2}),
        ToolCall("cart_remove", {"line_id": "C1"}),
        ToolCall("cart_add", {"product_id": ids[0], "quantity": 3}),
        ToolCall("cart_add", {"product_id": "none"}),
        ToolCall("cart_view", {}),
    ]
    seen = 0
    for made in calls:
        for result in session.step(Action(tool_calls=(made,))).results:
            assert log._text(result) == json.dumps(result, ensure_ascii=False)
            seen += "cart" in result and len(result["cart"]["lines"]) > 2
        if session.done:
            break
    assert seen > 3
    for name in ids:
        card = catalog.card_at(catalog.row(name))
        assert catalog.card_text(name) == json.dumps(card, ensure_ascii=False)


def test_the_collector_is_left_as_it_was_found(episode, honest, catalog):
    import gc

    assert gc.isenabled()
    ek.score_many([honest], [episode], catalog)
    assert gc.isenabled()
    gc.disable()
    try:
        ek.score_many([honest], [episode], catalog)
        assert not gc.isenabled()
    finally:
        gc.enable()
