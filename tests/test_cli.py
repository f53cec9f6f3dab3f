"""The command line: a person plays, looks and scores; errors are one line and never a traceback."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ecomkit as ek
from ecomkit import cli
from ecomkit.agents.scripted import actions_from, play
from ecomkit.catalog import Catalog
from ecomkit.core.records import Action, Episode, ToolCall
from ecomkit.views import terminal
from ecomkit.views.terminal import Memory, Misread, parse_line


@pytest.fixture()
def memory() -> Memory:
    seen = Memory()
    seen.take({"results": [{"product_id": "A1"}, {"product_id": "B2"}]})
    variants = [
        {"variant_id": "A1-v1", "attributes": {"color": "Sky Blue"}},
        {"variant_id": "A1-v2", "attributes": {"color": "Red"}},
    ]
    seen.take({"product_id": "A1", "variants": variants})
    return seen


def one(line: str, memory: Memory) -> tuple[str, dict]:
    """The only tool call of a line."""
    action = parse_line(line, memory)
    assert (action.text, action.answer, len(action.tool_calls)) == ("", None, 1)
    return action.tool_calls[0].name, dict(action.tool_calls[0].arguments)


@pytest.mark.parametrize(
    ("line", "name", "arguments"),
    [
        ("search wall charger", "catalog_search", {"query": "wall charger"}),
        (
            'search charger brand="Nor Vik" price<=35 page=2 rating>=4.5',
            "catalog_search",
            {
                "query": "charger",
                "page": 2,
                "filters": {"brand": "Nor Vik", "price_cents_max": 3500, "rating_min": 4.5},
            },
        ),
        (
            "search usb price_cents<=3500 wattage=65 connector=USB-C",
            "catalog_search",
            {
                "query": "usb",
                "filters": {
                    "price_cents_max": 3500,
                    "wattage_min": 65,
                    "wattage_max": 65,
                    "connector_type": "USB-C",
                },
            },
        ),
        ("open #2", "catalog_get_product", {"product_id": "B2"}),
        ("variants X9", "catalog_get_variants", {"product_id": "X9"}),
        ("add #2", "cart_add", {"product_id": "B2"}),
        ("add #1 3", "cart_add", {"product_id": "A1", "quantity": 3}),
        (
            "add #1 sky blue 2",
            "cart_add",
            {"product_id": "A1", "variant_id": "A1-v1", "quantity": 2},
        ),
        ("add #1 v2", "cart_add", {"product_id": "A1", "variant_id": "A1-v2"}),
        ("add B2 1234567890", "cart_add", {"product_id": "B2", "variant_id": "1234567890"}),
        ("quantity C1 4", "cart_set_quantity", {"line_id": "C1", "quantity": 4}),
        ("ask Which one; the red?", "ask_user", {"question": "Which one; the red?"}),
        ("rank #1 #2 big one", "catalog_rerank", {"product_ids": ["A1", "B2"], "query": "big one"}),
        (
            "rank #1 like #2",
            "catalog_rerank",
            {"product_ids": ["A1"], "reference_product_id": "B2"},
        ),
        ("return W1 L2", "return_initiate", {"order_id": "W1", "line_id": "L2"}),
        (
            "exchange W1 L2 #1 red",
            "return_exchange",
            {"order_id": "W1", "line_id": "L2", "product_id": "A1", "variant_id": "A1-v2"},
        ),
        ('call cart.add {"product_id": "A1"}', "cart.add", {"product_id": "A1"}),
        ("CART", "cart_view", {}),
    ],
)
def test_commands(memory: Memory, line: str, name: str, arguments: dict) -> None:
    assert one(line, memory) == (name, arguments)


def test_several_calls_make_one_step(memory: Memory) -> None:
    assert parse_line("say Sure; one moment; visits; add #1 red; submit x=1", memory) == Action(
        "Sure; one moment",
        (
            ToolCall("user_get_visit_history", {}),
            ToolCall("cart_add", {"product_id": "A1", "variant_id": "A1-v2"}),
        ),
        {"x": 1},
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("frobnicate", "no command 'frobnicate'"),
        ("open #3", "numbers shown so far: #1 to #2"),
        ("open #x", "no product #x"),
        ("open", "it goes"),
        ("search price<=3", "it goes"),
        ("search x price<=cheap", "needs a number"),
        ("search x price<=1e400", "cannot be"),
        ("search x color<=3", "no filter color<="),
        ("search x nonsense=3", "no filter nonsense="),
        ("quantity C1 two", "no whole number"),
        ("call cart_add {bad", "not JSON"),
        ('submit {"a": ' + "[" * 100_000, "not JSON"),
        ("submit nothing", "it goes"),
        (";;", "say what"),
        ("say", "say what"),
    ],
)
def test_a_line_that_is_no_command_says_so(memory: Memory, line: str, says: str) -> None:
    with pytest.raises(Misread) as error:
        parse_line(line, memory)
    assert says in str(error.value)


def test_every_tool_has_a_command(memory: Memory) -> None:
    from ecomkit.shop.tools import TOOLS, resolve, validate

    words = "#1 #2 #1 red"
    named = {"submit_answer"}
    for verb in terminal._COMMANDS:
        if verb == "call":
            continue
        line = f"{verb} C1 1" if verb == "quantity" else f"{verb} {words}"
        line = f"{verb} #1" if verb in ("open", "variants") else line
        line = f"{verb} W1 L1 #1 red" if verb == "exchange" else line
        name, arguments = one(line, memory)
        assert resolve(name) is not None
        assert validate(name, arguments) == []
        named.add(name)
    assert named == set(TOOLS)


def lines_of(episode: Episode) -> Iterator[str]:
    """The reference as a person would type it."""
    for action in actions_from(episode.reference):
        parts = [f"say {action.text}"] if action.text else []
        parts += [
            f"call {call.name} {json.dumps(dict(call.arguments))}" for call in action.tool_calls
        ]
        if action.answer is not None:
            parts.append(f"submit {json.dumps(dict(action.answer))}")
        yield "; ".join(parts)


def played(episode: Episode, catalog: Catalog, lines: list[str]) -> tuple[ek.Score | None, str]:
    out = io.StringIO()
    score = terminal.Player(episode, catalog, io.StringIO("\n".join(lines) + "\n"), out).run()
    return score, out.getvalue()


@pytest.mark.parametrize("level", ["d00", "d03", "d06"])
def test_a_person_can_pass(catalog: Catalog, episodes_folder: Path, level: str) -> None:
    for row in ek.load_episodes(episodes_folder, "cart", split=level):
        episode = Episode.from_row(row)
        score, said = played(episode, catalog, ["help", *lines_of(episode), "goal", "messages"])
        assert score is not None and score.passed
        assert "PASSED: reward" in said
        assert "hidden from the agent" in said.split("PASSED")[1]
        assert "hidden from the agent" not in said.split("PASSED")[0]


def test_slips_of_the_keyboard_cost_nothing(catalog: Catalog, episodes_folder: Path) -> None:
    episode = Episode.from_row(ek.load_episodes(episodes_folder, "cart", split="d00")[0])
    slips = [
        "call no_such_tool {}",
        "call cart_add {}",
        'call cart_add {"product_id": "A", "quantity": "two"}',
        "cart; cart",
        "goal",
        "tools no_such_tool",
        'submit {"nonsense": 1}',
        "",
        "quantity C1 0",
    ]
    score, said = played(episode, catalog, slips)
    assert score is None
    assert said.count("(nothing was sent)") == 7
    assert "The goal is hidden until the session is over." in said
    assert "step 2" not in said
    assert "there is no score" in said
    score, said = played(episode, catalog, [*slips, *lines_of(episode)])
    assert score is not None and score.passed


def test_play_without_search_says_how_to_get_it(
    catalog: Catalog, plain_catalog: Catalog, episodes_folder: Path
) -> None:
    episode = Episode.from_row(ek.load_episodes(episodes_folder, "cart", split="d00")[0])
    assert plain_catalog.hash == catalog.hash
    lines = ["search anything", "say " + "x" * 300_000, *lines_of(episode)]
    score, said = played(episode, plain_catalog, lines)
    assert "build_embeddings.py" in said
    assert "300,000 characters are too many" in said
    assert score is not None and score.passed


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    status = cli.main([str(word) for word in words])
    done = capsys.readouterr()
    return status, done.out, done.err


def test_show_episode(
    capsys: pytest.CaptureFixture[str], shop_folder: Path, episodes_folder: Path
) -> None:
    row = ek.load_episodes(episodes_folder, "cart", split="d03")[1]
    episode = Episode.from_row(row)
    wanted = episode.goal["items"][0]["product_id"]
    place = ["--difficulty", 3, "--index", 1]
    status, plain, _ = run(capsys, "show", episodes_folder, *place)
    assert status == 0
    assert episode.episode_id in plain and "customer: " in plain
    assert wanted not in plain
    status, full, _ = run(
        capsys, "show", episodes_folder, *place, "--reveal", "--catalog", shop_folder / "catalog"
    )
    assert status == 0
    assert wanted in full and "reference, step 1" in full
    assert run(capsys, "show", episodes_folder, "--id", episode.episode_id)[1] == plain


@pytest.fixture()
def trajectories(tmp_path: Path, catalog: Catalog, episodes_folder: Path) -> Path:
    """Trajectories of two agents on three episodes, and three rows that are none."""
    rows = ek.load_episodes(episodes_folder, "cart", split="d03")
    path = tmp_path / "played.jsonl"
    count = ek.write_trajectories(
        (play(agent, row, catalog) for agent in ("honest", "empty") for row in rows), path
    )
    assert count == 6
    with path.open("a") as out:
        out.write('{"episode_id": "cart-d03-tr\n')
        out.write('{"episode_id": "cart-d03-train-999999", "messages": [{"role": "user"}]}\n')
        out.write("[1, 2]\n")
    return path


def test_show_trajectory(
    capsys: pytest.CaptureFixture[str], trajectories: Path, episodes_folder: Path
) -> None:
    status, text, _ = run(capsys, "show", trajectories, "--row", 1, "--episodes", episodes_folder)
    assert status == 0
    assert "trajectory of honest" in text and "-- step 1 --" in text and "par " in text
    for row, says in ((6, "not JSON"), (9, "no row 9"), (-1, "no row -1")):
        status, _, error = run(capsys, "show", trajectories, "--row", row)
        assert status == 2 and says in error


def test_score(
    capsys: pytest.CaptureFixture[str],
    trajectories: Path,
    shop_folder: Path,
    episodes_folder: Path,
    tmp_path: Path,
) -> None:
    import polars as pl

    out = tmp_path / "scores.parquet"
    status, text, error = run(
        capsys, "score", trajectories, "--episodes", episodes_folder,
        "--catalog", shop_folder / "catalog", "--out", out,
    )  # fmt: skip
    assert (status, error) == (0, "")
    table = pl.read_parquet(out)
    assert table.height == 9
    assert table["passed"].to_list() == [True] * 3 + [False] * 6
    verdicts = ["valid"] * 6 + ["unreadable", "unknown_episode", "unreadable"]
    assert table["verdict"].to_list() == verdicts
    assert "row 6: unreadable" in text
    assert not list(tmp_path.glob("*.tmp"))


def test_errors_are_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, episodes_folder: Path, shop_folder: Path
) -> None:
    (tmp_path / "some.jsonl").write_text("")
    catalog = shop_folder / "catalog"
    for words in (
        ["show", tmp_path / "nothing.jsonl"],
        ["show", tmp_path / "some.jsonl"],
        ["show", episodes_folder, "--environment", "carts"],
        ["show", episodes_folder, "--difficulty", 12],
        ["show", episodes_folder, "--index", 99],
        ["show", episodes_folder, "--index", -1],
        ["show", episodes_folder, "--id", "cart-d03-train-999999"],
        ["show", episodes_folder, "--id", "nonsense"],
        ["play", "--episodes", episodes_folder, "--catalog", tmp_path],
        ["play", "--episodes", tmp_path, "--catalog", catalog],
        ["score", tmp_path / "some.jsonl", "--episodes", episodes_folder, "--catalog", catalog],
        ["score", tmp_path / "no.jsonl", "--episodes", episodes_folder, "--catalog", catalog],
    ):
        status, out, error = run(capsys, *words)
        assert status == 2, words
        assert error.startswith("error: ") and error.count("\n") == 1, words
        assert out == ""


@pytest.mark.slow
def test_bytes_that_are_no_text_and_a_narrow_terminal(
    shop_folder: Path, episodes_folder: Path
) -> None:
    command = [sys.executable, "-m", "ecomkit.cli", "play", "--episodes", episodes_folder]
    done = subprocess.run(
        [*command, "--catalog", shop_folder / "catalog"],
        input=b"say \xff\xfe\nvisits\nquit\n",
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "COLUMNS": "20"},
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"step 2 of" in done.stdout


@pytest.mark.slow
def test_pipe_that_closes_and_ctrl_c(shop_folder: Path, episodes_folder: Path) -> None:
    command = [sys.executable, "-m", "ecomkit.cli"]
    shown = subprocess.Popen(
        [*command, "show", episodes_folder, "--reveal"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert shown.stdout is not None
    shown.stdout.close()
    assert shown.stderr is not None
    assert shown.stderr.read() == ""
    assert shown.wait(30) == 0
    playing = subprocess.Popen(
        [*command, "play", "--episodes", episodes_folder, "--catalog", shop_folder / "catalog"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert playing.stdin is not None and playing.stdout is not None
    playing.stdin.write("visits\n")
    playing.stdin.flush()
    while "step 1 of" not in playing.stdout.readline():
        pass
    playing.send_signal(signal.SIGINT)
    _, error = playing.communicate(timeout=30)
    assert playing.returncode == 130
    assert error.strip() == "interrupted"
