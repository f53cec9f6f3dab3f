"""Scoring in bulk: one row for each row, the same however it is run, resumable, never stopped."""

from __future__ import annotations

import copy
import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import ecomkit as ek
from ecomkit.agents.scripted import play
from ecomkit.core.errors import CatalogError, EpisodeError, SearchUnavailable, TrajectoryError
from ecomkit.core.records import Episode
from ecomkit.core.seeds import rng
from ecomkit.envs import REGISTRY
from ecomkit.episodes.draw import draw_episode
from ecomkit.scores import scoring
from ecomkit.scores.trajectories import write_trajectories

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def episodes(catalog) -> list[Episode]:
    return [draw_episode(name, d, 3, catalog) for name in sorted(REGISTRY) for d in (0, 6)]


@pytest.fixture(scope="module")
def trajectories(episodes, catalog) -> list[Any]:
    agents = ("reference", "honest", "naive", "everything")
    return [play(agent, e, catalog, trial=n) for n, agent in enumerate(agents) for e in episodes]


@pytest.fixture(scope="module")
def log(trajectories, tmp_path_factory) -> Path:
    """The trajectories as JSON lines, with two bad rows among them."""
    path = tmp_path_factory.mktemp("log") / "t.jsonl"
    write_trajectories(trajectories, path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([b'{"broken\n', *lines[:5], b'{"episode_id": "no"}\n', *lines[5:]]))
    return path


def test_a_row_for_every_row_in_order(log, trajectories, episodes, catalog):
    table = ek.score_many(log, episodes, catalog)
    assert table.schema == pl.Schema(scoring.score_schema())
    assert table.height == len(trajectories) + 2
    assert table["verdict"][0] == "unreadable" and "line 1" in table["message"][0]
    assert table["verdict"][6] == "unreadable" and table["episode_id"][6] == "no"
    good = table.with_row_index().filter(~pl.col("index").is_in([0, 6]))
    assert good["episode_id"].to_list() == [t.episode_id for t in trajectories]
    assert good["agent"].to_list() == [t.agent for t in trajectories]
    assert good["verdict"].unique().to_list() == ["valid"], good["message"].to_list()
    one_by_one = [
        ek.score(t, next(e for e in episodes if e.episode_id == t.episode_id), catalog)
        for t in trajectories
    ]
    for name in ("reward", "r_task", "r_eff", "r_hall", "passed", "termination", "steps"):
        assert good[name].to_list() == [getattr(score, name) for score in one_by_one], name
    passed = good.filter(pl.col("passed"))
    assert passed.filter(pl.col("agent").is_in(["honest", "reference"])).height == 2 * len(episodes)
    assert passed["failed_checks"].list.len().sum() == 0
    assert (good["par_turns"] > 0).all() and set(good["difficulty"]) == {0, 6}


def test_full_recomputes_searches_and_gives_the_same_rows(log, episodes, catalog):
    assert ek.score_many(log, episodes, catalog, verify="full").equals(
        ek.score_many(log, episodes, catalog)
    )


@pytest.mark.slow
def test_the_same_rows_with_several_processes(log, episodes, catalog, tmp_path):
    table = ek.score_many(log, episodes, catalog, diagnose=True)
    assert ek.score_many(log, episodes, catalog, workers=2, diagnose=True).equals(table)
    full = ek.score_many(log, episodes, catalog, workers=2, verify="full", diagnose=True)
    assert full.equals(table)
    assert (table.filter(~pl.col("passed") & (pl.col("verdict") == "valid"))["labels"]
            .list.len() > 0).all()  # fmt: skip


def test_files_in_every_form_and_a_run_that_is_cut(log, episodes, catalog, tmp_path, monkeypatch):
    whole = ek.score_many(log, episodes, catalog)
    out = tmp_path / "scores.parquet"
    told: list[tuple[int, float]] = []

    class Stop(Exception):
        pass

    def progress(done: int, share: float) -> None:
        told.append((done, share))
        if len(told) == 3:
            raise Stop

    monkeypatch.setattr("ecomkit.scores.readers.BATCH_ROWS", 8)
    from ecomkit.scores.readers import Log

    small = Log.batches
    monkeypatch.setattr(Log, "batches", lambda self, start=None: small(self, start, 8))
    with pytest.raises(Stop):
        ek.score_file(log, episodes, catalog, out, progress=progress, part_rows=8)
    assert not out.exists() and (tmp_path / "scores.parquet.parts" / "manifest.json").exists()
    with pytest.raises(TrajectoryError, match="another run"):
        ek.score_file(log, episodes, catalog, out, diagnose=True)
    seen: list[int] = []
    count = ek.score_file(
        log, episodes, catalog, out, progress=lambda done, share: seen.append(done), part_rows=8
    )
    assert count == whole.height and seen[0] > 8, "it began at the start again"
    assert pl.read_parquet(out).equals(whole)
    for name in ("s.csv", "s.jsonl"):
        assert ek.score_file(log, episodes, catalog, tmp_path / name) == whole.height
    assert pl.read_csv(tmp_path / "s.csv")["reward"].equals(whole["reward"])
    again = pl.read_ndjson(tmp_path / "s.jsonl", schema=scoring.score_schema())
    assert again.equals(whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.csv", "s.jsonl", "scores.parquet"]


def test_episodes_from_anywhere(shop_folder, episodes_folder, catalog):
    rows = ek.load_episodes(episodes_folder, "cart", split="d03+d06")
    played = [play("honest", row, catalog) for row in rows]
    frame = pl.DataFrame([{**row, "axes": row["axes"]} for row in rows.to_list()])
    for source in (episodes_folder, str(episodes_folder), rows, rows.to_list(), frame):
        table = ek.score_many(played, source, catalog)
        assert table["passed"].all(), (type(source), table["message"].to_list())
    assert ek.score_many(played[:1], rows[0], catalog)["passed"].all()
    found = ek.score_many([{**played[0].to_row(), "episode_id": "x"}], rows, catalog)
    assert found["verdict"].to_list() == ["unknown_episode"]
    with pytest.raises(EpisodeError):
        ek.score_many(played, [5], catalog)
    with pytest.raises(EpisodeError, match="no episodes|does not exist"):
        ek.score_many(played, shop_folder / "nothing", catalog)
    with pytest.raises(TrajectoryError, match="does not exist"):
        ek.score_many(shop_folder / "no.jsonl", rows, catalog)


def test_another_version_or_catalog_is_refused_with_what_to_load(episodes, catalog):
    episode = episodes[0]
    row = play("honest", episode, catalog).to_row()
    cases = [
        ({**row, "metadata": {"generator_version": "0.9"}}, episode, "generator_version 0.9"),
        ({**row, "metadata": {"catalog_hash": "ab" * 32}}, episode, "catalog_hash abab"),
        ({**row, "metadata": None, "generator_version": "0.9"}, episode, "generator_version 0.9"),
        (row, replace(episode, generator_version="0.9"), "generator version 0.9"),
        (row, replace(episode, catalog_hash="0" * 64), "was made on the catalog 000000"),
    ]
    for logged, of, says in cases:
        table = ek.score_many([logged], [of], catalog)
        assert table["verdict"][0] == "unknown_episode" and says in table["message"][0]
        assert not table["passed"][0]
    kept = {"generator_version": episode.generator_version, "catalog_hash": catalog.hash}
    assert ek.score_many([{**row, "metadata": kept}], [episode], catalog)["passed"][0]


def test_a_whole_set_on_another_catalog_is_said_at_once(
    log, episodes_folder, plain_catalog, tmp_path, monkeypatch
):
    monkeypatch.setattr(plain_catalog, "hash", "f" * 64)
    with pytest.raises(CatalogError, match="were made on the catalog"):
        ek.score_file(log, episodes_folder, plain_catalog, tmp_path / "s.parquet")


def test_full_without_search_says_so(log, episodes, plain_catalog):
    with pytest.raises(SearchUnavailable, match="verify='full'"):
        ek.score_many(log, episodes, plain_catalog, verify="full")
    with pytest.raises(ValueError, match="'writes' or 'full'"):
        ek.score_many(log, episodes, plain_catalog, verify="half")  # type: ignore[arg-type]


def test_drift_is_no_forgery_and_hides_none(episodes, catalog):
    """Another order of true cards is drift; with a forged write after it, it is forgery."""
    episode = next(e for e in episodes if e.episode_id.startswith("cart-d06"))
    row = copy.deepcopy(play("honest", episode, catalog).to_row())
    place, result = next(
        (i, json.loads(m["content"]))
        for i, m in enumerate(row["messages"])
        if m.get("name") == "catalog_search" and len(json.loads(m["content"])["results"]) > 1
    )
    result["results"].reverse()
    row["messages"][place]["content"] = json.dumps(result)
    table = ek.score_many([row], [episode], catalog, verify="full")
    assert table["verdict"].to_list() == ["search_drift"] and not table["passed"][0]
    assert "results[0].product_id" in table["message"][0] and "index" in table["message"][0]
    assert ek.score_many([row], [episode], catalog)["passed"].all()
    add = next(i for i, m in enumerate(row["messages"]) if m.get("name") == "cart_add")
    forged = json.loads(row["messages"][add]["content"])
    forged["cart"]["total_cents"] = 1
    row["messages"][add]["content"] = json.dumps(forged)
    table = ek.score_many([row], [episode], catalog, verify="full")
    assert table["verdict"].to_list() == ["tampered"]
    assert "cart.total_cents is '1'" in table["message"][0]
    for extra in ({"hint": "buy this"}, {"results": result["results"] * 20}):
        row["messages"][place]["content"] = json.dumps({**result, **extra})
        for verify in ("writes", "full"):
            found = ek.score_many([row], [episode], catalog, verify=verify)  # type: ignore[arg-type]
            assert found["verdict"].to_list() == ["tampered"]


def test_a_defect_of_the_kit_is_a_row_that_says_so(log, episodes, catalog, monkeypatch):
    from ecomkit.envs.cart import Cart

    def broken(self: Any, goal: Any, state: Any) -> Any:
        raise KeyError("oops")

    monkeypatch.setattr(Cart, "verify", broken)
    table = ek.score_many(log, episodes, catalog)
    wrong = table.filter(pl.col("environment") == "cart")
    assert wrong["verdict"].unique().to_list() == ["error"] and not wrong["passed"].any()
    assert "KeyError" in wrong["message"][0]
    rest = table.filter(~pl.col("environment").is_in(["cart", "journey"]))
    assert rest.filter(pl.col("agent") == "honest")["passed"].all()


def bench() -> Any:
    """The benchmark's own damage, so that the test and the figure speak of the same."""
    spec = importlib.util.spec_from_file_location("bench", ROOT / "scripts" / "bench_scoring.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_hostile_logs(log, trajectories, episodes, catalog, tmp_path):
    damage = bench()
    scores = ek.score_many(trajectories, episodes, catalog)
    failed = [t.to_row() for t, ok in zip(trajectories, scores["passed"], strict=True) if not ok]
    draws = rng("hostile", 1)
    path = tmp_path / "hostile.jsonl"
    lines = [damage.encode(damage.mutate(failed[n % len(failed)], draws)[1]) for n in range(900)]
    lines = [line if line.strip() else b"{\n" for line in lines]
    path.write_bytes(b"".join(lines))
    table = ek.score_many(path, episodes, catalog, diagnose=True)
    assert table.height == len(lines)
    assert not table["passed"].any()
    assert "error" not in table["verdict"], table.filter(pl.col("verdict") == "error")["message"][0]
    assert len(set(table["verdict"])) >= 3
    objects = [damage.mutate(failed[n % len(failed)], draws)[1] for n in range(300)]
    found = ek.score_many(objects, episodes, catalog, verify="full")
    assert found.height == 300 and not found["passed"].any() and "error" not in found["verdict"]
