"""The report: right figures, one file that loads nothing, hostile content shown as text."""

from __future__ import annotations

import math
import re

import polars as pl
import pytest
from test_html import HOSTILE, read

import ecomkit as ek
from ecomkit import cli
from ecomkit.agents.scripted import AGENTS, play
from ecomkit.core.errors import TrajectoryError
from ecomkit.scores.scoring import score_many
from ecomkit.scores.trajectories import write_trajectories
from ecomkit.study.analysis import SCALE, Scores, sections, worst
from ecomkit.study.stats import wilson
from ecomkit.views.report import accounted, find_trajectories, read_axes, read_scores, report


def page(text):
    """The page as a parser sees it; nothing in it loads or runs."""
    assert "default-src 'none'" in text
    assert not re.search(r"(?:https?:)?//\w|url\(|@import|<script|javascript:", text)
    return read(text.split("<body>", 1)[1].rsplit("</body>", 1)[0])


@pytest.fixture(scope="module")
def played(episodes_folder, catalog):
    """Trajectories: two mixed agents with two trials, and the scale's ends."""
    made = []
    for d in (0, 3, 6):
        rows = ek.load_episodes(episodes_folder, "cart", split=f"d{d:02d}")
        episodes = [ek.Episode.from_row(row) for row in rows]
        for i, episode in enumerate(episodes):
            for agent in ("empty", "naive", "honest", "reference"):
                made.append(play(agent, episode, catalog))
            for name, kinds in (("good", ("honest", "reference")), ("bad", ("neighbour", "naive"))):
                for trial, kind in enumerate(kinds):
                    log = play(kind, episode, catalog, neighbour=episodes[i - 1], trial=trial)
                    made.append(ek.Trajectory(log.episode_id, log.messages, name, trial))
    return made


@pytest.fixture(scope="module")
def frame(played, episodes_folder, catalog):
    return score_many(played, str(episodes_folder), catalog, diagnose=True)


def table(name="cart", agents=("a", "b"), episodes=6, d=(0,), **columns):
    """Plain scores: every agent on every episode once, passing as ``columns`` say."""
    rows = []
    for agent in agents:
        for level in d:
            for i in range(episodes):
                rows.append({
                    "episode_id": f"{name}-d{level:02d}-train-{i:06d}", "agent": agent, "trial": 0,
                    "environment": name, "difficulty": level, "reward": 0.5, "passed": True,
                    "labels": [], "failed_checks": [], "termination": "answered",
                })  # fmt: skip
    made = pl.DataFrame(rows)
    return made.with_columns(**columns)


def grid(made, key, title):
    section = next(section for section in made if section.key == key)
    return next(g for g in section.grids if g.title.startswith(title))


def cells(found):
    return {row[0].text: [cell.text for cell in row[1:]] for row in found.rows}


def test_the_page_and_the_summary(played, frame, episodes_folder, tmp_path):
    log = tmp_path / "log.jsonl"
    write_trajectories(played, log)
    markdown = report(
        frame, trajectories=log, episodes=str(episodes_folder),
        out=tmp_path / "r.html", markdown=tmp_path / "r.md", title="Trial <b>run</b>",
    )  # fmt: skip
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert (tmp_path / "r.md").read_text(encoding="utf-8") == markdown
    reader = page(text)
    for words in ("Trial <b>run</b>", "What the customer wants", "decisive step", "Along p_missing",
                  "pass^k", "The worst", "cart: pass rate by difficulty"):  # fmt: skip
        assert words in reader.text, words
    assert "not given or not found" not in reader.text
    assert "missing. Play" not in reader.text  # all ends of the scale are there
    assert text.count("<details class='case'") == len(worst(Scores(frame)))
    for heading in ("## Pass rate by environment", "## Reliability: pass^k", "## The worst"):
        assert heading in markdown
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=3)
    again = report(
        shuffled, trajectories=log, episodes=str(episodes_folder), out=tmp_path / "s.html",
        title="Trial <b>run</b>",
    )  # fmt: skip
    assert again == markdown and (tmp_path / "s.html").read_text(encoding="utf-8") == text


def test_figures_are_those_of_the_statistics_module(frame):
    made = sections(Scores(frame))
    rates = cells(grid(made, "overview", "Pass rate"))
    low = 100 * wilson(9, 9).low
    assert rates["honest"][0] == rates["reference"][0] == f"100% ({low:.0f}–100) n 9"
    assert rates["empty"][0].startswith("0% ")
    assert rates["good"][0] == f"100% ({low:.0f}–100) n 18 on 9 ep."
    passk = cells(grid(made, "passk", "pass^k: all"))
    assert set(passk) == {"good", "bad"} and passk["good"][1].startswith("100% ")
    steps = cells(grid(made, "efficiency", "Steps against par"))
    assert steps["reference"][0].startswith("1.00 ") and steps["empty"][0] == "–"
    labels = grid(made, "labels", "Failure labels by agent")
    assert labels.heads[1:] == ("bad, n\xa018", "good, n\xa018")
    for row in labels.rows:
        name = row[0].text.replace(" ", "_")
        bad = frame.filter(pl.col("agent") == "bad", pl.col("labels").list.contains(name))
        assert f"({len(bad)})" in row[1].text or not len(bad)
        assert row[2].text == "·"
    compared = cells(grid(made, "compared", "All environments"))
    assert list(compared) == ["bad − good"] and compared["bad − good"][0].startswith("-")


def test_every_scripted_agent_has_its_place_on_the_scale():
    assert set(AGENTS) <= set(SCALE)


def test_holm_corrects_over_the_rows_of_a_table():
    both = []
    for name in ("cart", "tracking", "policy"):
        number = pl.col("episode_id").str.slice(-6).cast(pl.Int32)
        made = table(name, episodes=8, passed=(pl.col("agent") == "a") | (number == 0))
        both.append(made)
    rows = cells(grid(sections(Scores(pl.concat(both))), "compared", "By environment"))
    assert len(rows) == 3
    for row in rows.values():
        assert row[1:] == ["7 / 0", "8", "0 / 0", f"{2 / 2**7:.4f}", f"{3 * 2 / 2**7:.4f} *"]


def test_a_comparison_says_how_many_episodes_only_one_agent_played():
    number = pl.col("episode_id").str.slice(-6).cast(pl.Int32)
    made = table("cart", episodes=8, passed=pl.col("agent") == "a")
    made = made.filter((pl.col("agent") == "a") | (number < 5))
    row = cells(grid(sections(Scores(made)), "compared", "All environments"))["a − b"]
    assert row[1:4] == ["5 / 0", "5", "3 / 0"]


def test_rows_that_cannot_be_judged_are_failures_and_those_of_no_episode_are_named():
    made = table(agents=("a",), episodes=4)
    bad = made.head(2).with_columns(verdict=pl.Series(["tampered", "unreadable"]), passed=False)
    lost = made.head(1).with_columns(
        verdict=pl.lit("unknown_episode"), episode_id=pl.lit("?"),
        environment=pl.lit(None, dtype=pl.String), difficulty=pl.lit(None, dtype=pl.Int64),
    )  # fmt: skip
    scores = Scores(pl.concat([made, bad, lost], how="diagonal"))
    assert scores.unplaced == 1 and scores.pass_rate("a").n == 6
    assert scores.pass_rate("a").value == pytest.approx(4 / 6)
    made_sections = sections(scores)
    assert "Rows of no known episode, in no rate: 1." in made_sections[0].lead
    assert set(cells(grid(made_sections, "endings", "Verdicts"))) == {
        "valid", "tampered", "unreadable", "unknown episode",
    }  # fmt: skip


def test_every_row_is_accounted_for_in_or_out_of_the_rates():
    made = table(agents=("a",), episodes=6)
    bad = made.head(3).with_columns(
        verdict=pl.Series(["tampered", "valid", "unreadable"]), passed=False,
        termination=pl.Series(["unfinished", "infra_error", "infra_error"]),
    )  # fmt: skip
    no_place = {"environment": pl.lit(None, pl.String), "difficulty": pl.lit(None, pl.Int64)}
    lost = made.head(3).with_columns(
        verdict=pl.Series(["unknown_episode", "unreadable", "valid"]), episode_id=pl.lit("?"),
        agent=pl.Series(["a", "a", "nowhere"]), **no_place,
    )  # fmt: skip
    scores = Scores(pl.concat([made, bad, lost], how="diagonal"))
    said = accounted(scores)
    found = cells(said.grids[0])
    assert found["a"][:4] == [
        "11", "9", "infra error 2, tampered 1",
        "unknown episode 1, unreadable without an episode 1",
    ]  # fmt: skip
    assert found["a"][4].startswith("100% ") and found["a"][4].endswith("n 6")
    assert scores.pass_rate("a").value == pytest.approx(6 / 9)  # not judged is not passed
    # An agent of whom nothing is in a rate is not forgotten.
    assert found["nowhere"] == ["1", "0", "–", "no environment or difficulty known 1", "–"]
    for words in ("9 of 12 rows", "3 of them could not be judged", "3 are of no known episode"):
        assert words in said.lead, words
    for agent, (rows, counted, *_) in found.items():
        assert int(rows) == scores.every.filter(pl.col("agent") == agent).height
        assert int(counted) == sum(n for _, n in scores.trials(agent))
    text = report(scores.every.drop("row"))
    assert "## Rows that the rates count" in text and "unknown episode 1" in text
    assert "All of them could be judged." in accounted(Scores(made)).lead


def test_part_of_the_columns_is_enough_and_what_is_missing_is_said():
    bare = table(episodes=3, d=(0, 6)).select("episode_id", "passed", "reward")
    scores = Scores(bare)
    assert scores.environments == ["cart"] and scores.levels == [0, 6]
    text = report(bare)
    assert "lack the column(s) environment, difficulty, agent" in text.replace("\\", "")
    assert "labels" in text and "unnamed" in text
    with pytest.raises(TrajectoryError, match="lack the column.s. passed, reward"):
        report(bare.select("episode_id"))
    with pytest.raises(TrajectoryError, match="no row"):
        report(bare.clear())
    with pytest.raises(TrajectoryError, match="another type"):
        report(bare.with_columns(reward=pl.lit("much")))
    nan = report(bare.with_columns(reward=pl.lit(math.nan)))
    assert "nan" not in nan.lower()


def test_rows_of_no_known_episode_alone_make_a_report(tmp_path):
    lost = pl.DataFrame(
        {"episode_id": ["x", None], "passed": [False, None], "reward": [-1.0, None]}
    )
    text = report(lost, out=tmp_path / "r.html")
    assert "Rows of no known episode, in no rate: 2." in text
    page((tmp_path / "r.html").read_text(encoding="utf-8"))


def test_hostile_scores_and_logs(tmp_path, episodes_folder):
    evil = HOSTILE.replace("\ud800", "")
    made = table(agents=(evil, "b|`<i>*x*"), episodes=2, passed=False).with_columns(
        labels=pl.Series([[evil]] * 4), failed_checks=pl.Series([[evil]] * 4),
        message=pl.lit(evil), termination=pl.lit(evil), verdict=pl.lit(evil),
        environment=pl.lit(evil), first_decisive_step=pl.lit(1), episode_id=pl.lit(evil),
    )  # fmt: skip
    log = [
        {"episode_id": evil, "agent": evil, "messages": [
            {"role": "user", "content": evil}, {"role": "assistant", "content": evil}]},
        {"episode_id": 7}, "no row", None,
    ]  # fmt: skip
    markdown = report(
        made, trajectories=log, episodes=str(episodes_folder), out=tmp_path / "r.html", title=evil
    )
    reader = page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert reader.text.count("alert(1)") > 20
    assert "<script" not in markdown and "\n<" not in markdown
    pipes = [line for line in markdown.splitlines() if line.startswith("| b")]
    assert all(re.sub(r"\\\|", "", line).count("|") >= 3 for line in pipes) and pipes


def test_several_files_of_scores_and_kinds(frame, tmp_path):
    half = len(frame) // 2
    frame.head(half).write_parquet(tmp_path / "a.parquet")
    frame.tail(-half).with_columns(
        pl.col("labels").list.join(","), pl.col("failed_checks").list.join(",")
    ).write_csv(tmp_path / "b.csv")
    frame.tail(-half).write_ndjson(tmp_path / "b.jsonl")
    whole = cells(grid(sections(Scores(frame)), "labels", "Failure labels by agent"))
    both = read_scores([tmp_path / "a.parquet", tmp_path / "b.jsonl"])
    assert cells(grid(sections(Scores(both)), "labels", "Failure labels by agent")) == whole
    alone = Scores(read_scores(tmp_path / "b.csv"))
    same = Scores(frame.tail(-half))
    assert alone.frame["labels"].to_list() == same.frame["labels"].to_list()
    for name, said in (("none.csv", "does not exist"), ("c.txt", "are .parquet")):
        (tmp_path / "c.txt").write_text("x")
        with pytest.raises(TrajectoryError, match=said):
            read_scores(tmp_path / name)
    (tmp_path / "d.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(TrajectoryError, match="no readable table"):
        read_scores(tmp_path / "d.parquet")


def test_the_right_trajectory_is_found(played, frame):
    rows = worst(Scores(frame))
    assert rows and [r["reward"] for r in rows] == sorted(r["reward"] for r in rows)
    assert {row["agent"] for row in rows} == {"bad"}
    assert len({(r["episode_id"], r["agent"]) for r in rows}) == len(rows)
    for log in (played, [played[0], *played]):  # one row each; other places
        found = find_trajectories(log, rows)
        assert set(found) == {row["row"] for row in rows}
        for row in rows:
            log_row = found[row["row"]]
            assert (log_row.episode_id, log_row.agent, log_row.trial) == (
                row["episode_id"], row["agent"], row["trial"],
            )  # fmt: skip
    twice = [*played, *played]
    row = {**rows[0], "row": rows[0]["row"] + len(played)}
    assert find_trajectories(twice, [row])[row["row"]] == twice[row["row"]]
    assert find_trajectories(played[:1], rows) == {}


def test_axes_are_the_episodes_own(episodes_folder, frame):
    from ecomkit.scores.episodeset import EpisodeSet

    ids = frame["episode_id"].unique().to_list()
    known = EpisodeSet(str(episodes_folder))
    axes = read_axes(known, [*ids, "cart-d00-train-999999"])
    assert sorted(axes["episode_id"]) == sorted(ids)
    episode = known[ids[0]]
    row = axes.filter(pl.col("episode_id") == ids[0]).to_dicts()[0]
    assert {k: v for k, v in row.items() if k != "episode_id"} == episode.axes.to_dict()
    loose = read_axes(EpisodeSet([known[name] for name in ids]), ids)
    assert loose.sort("episode_id").equals(axes.sort("episode_id"))
    held = Scores(frame, axes.with_columns(p_noise=pl.lit(0.5)))
    lead = next(s for s in sections(held) if s.key == "axes").lead
    assert "The same in all episodes:" in lead and "p_noise" in lead


def test_axis_bins_hold_every_episode():
    many = table(agents=("a",), episodes=2, d=tuple(range(13)))
    scores = Scores(many)
    section = next(s for s in sections(scores) if s.key == "axes")
    for found in section.grids:
        counted = [re.search(r" n (\d+)", cell.text) for cell in found.rows[0][1:]]
        assert sum(int(match[1]) for match in counted if match) == 26, found.title
        assert 2 <= len(counted) <= 6


def test_the_command(played, frame, episodes_folder, tmp_path, capsys):
    frame.write_parquet(tmp_path / "s.parquet")
    write_trajectories(played, tmp_path / "log.jsonl")
    out = tmp_path / "deep" / "r.html"
    status = cli.main(
        ["report", str(tmp_path / "s.parquet"), "--trajectories", str(tmp_path / "log.jsonl"),
         "--episodes", str(episodes_folder), "--out", str(out)]
    )  # fmt: skip
    assert status == 0 and out.exists() and out.with_suffix(".md").exists()
    assert str(out) in capsys.readouterr().out
    assert cli.main(["report", str(tmp_path / "no.parquet"), "--out", str(out)]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert cli.main(["report", str(tmp_path / "s.parquet"), "--out", str(tmp_path / "r.md")]) == 2
    assert "two names" in capsys.readouterr().err
