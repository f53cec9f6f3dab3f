"""The curriculum: the rule of the window, schedules, state, and sampling from a published set."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecomkit.core.errors import EcomkitError, EpisodeError, UnknownName
from ecomkit.core.seeds import rng
from ecomkit.envs import REGISTRY
from ecomkit.study.curriculum import (
    COLLECTIONS,
    CellDry,
    Curriculum,
    Rule,
    Sampler,
    Window,
    advance,
    collection,
    spelled,
)

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog


def fed(window: Window, passes: int, fails: int, **rule: int) -> Window:
    """The window after outcomes at its upper end."""
    high = window.high
    for number in range(passes + fails):
        window = advance(window, high, number < passes, Rule(**rule))
    return window


# --- the rule ------------------------------------------------------------------------------------


def test_a_window_starts_at_zero_and_rises_after_32_rollouts_of_which_90_percent_passed() -> None:
    assert Window() == Window(0, 0, 0, 0)
    assert fed(Window(), 31, 0) == Window(0, 0, 31, 31)
    assert fed(Window(), 32, 0) == Window(0, 1)
    assert fed(Window(), 29, 3) == Window(0, 1)  # 90.6 %
    assert fed(Window(), 28, 4) == Window(0, 0)  # 87.5 %: the counts start over all the same


def test_the_share_is_compared_in_whole_numbers() -> None:
    assert fed(Window(), 9, 1, rollouts=10).high == 1  # exactly 90 %
    assert fed(Window(), 7, 3, rollouts=10, percent=70).high == 1


def test_the_lower_end_follows_so_that_the_window_stays_within_four() -> None:
    window, seen = Window(), []
    while window.high < 12:
        window = fed(window, 32, 0)
        seen.append((window.low, window.high))
    assert seen[:5] == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 5)]
    assert seen[-1] == (8, 12)
    assert fed(window, 32, 0) == Window(8, 12)  # nothing above the top


def test_only_the_upper_end_counts() -> None:
    window = Window(0, 3, 5, 5)
    for d in (0, 1, 2, 4, 12):
        assert advance(window, d, False) == window
    assert advance(window, 3, False) == Window(0, 3, 6, 5)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=300))
def test_whatever_comes_in_the_window_keeps_its_promises(outcomes: list[tuple[int, bool]]) -> None:
    rule, window = Rule(rollouts=3), Window()
    for d, passed in outcomes:
        after = advance(window, d, passed, rule)
        assert 0 <= after.low <= after.high <= 12 and after.high - after.low <= 4
        assert after.high - window.high in (0, 1) and after.low >= window.low
        assert 0 <= after.passes <= after.rollouts < 3
        window = after


@pytest.mark.parametrize(
    "wrong", [{"rollouts": 0}, {"percent": 101}, {"width": -1}, {"top": 13}, {"top": -1}]
)
def test_a_rule_out_of_range_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        Rule(**wrong)


# --- collections and schedules -------------------------------------------------------------------


def test_collections_lie_within_each_other() -> None:
    sizes = []
    for name in ("C1", "C2", "C4", "C8"):
        cells = collection(name)
        assert len(set(cells)) == len(cells)
        sizes.append(len(cells))
    assert sizes == [1, 2, 4, 8]
    for small, large in (("C1", "C2"), ("C2", "C4"), ("C4", "C8")):
        assert set(COLLECTIONS[small]) < set(COLLECTIONS[large])
    assert set(collection("C8")) <= set(REGISTRY)


def test_c400_is_every_environment_in_every_department(plain_catalog: Catalog) -> None:
    cells = collection("C400", plain_catalog.departments)
    assert len(cells) == 8 * len(plain_catalog.departments) >= 400
    assert all(cell.partition("@")[0] in collection("C8") for cell in cells)
    assert Curriculum(cells).window(cells[-1]) == Window()


def test_what_does_not_exist_is_named() -> None:
    with pytest.raises(UnknownName, match="C1, C2"):
        collection("C3")
    with pytest.raises(ValueError, match="departments"):
        collection("C400")
    with pytest.raises(UnknownName, match="carts"):
        Curriculum(["carts"])
    with pytest.raises(UnknownName, match="adaptive"):
        Curriculum(["cart"], "medium")
    with pytest.raises(ValueError, match="at least one"):
        Curriculum([])
    with pytest.raises(ValueError, match="0 to 12"):
        Curriculum(["cart"], (3, 13))
    curriculum = Curriculum(["cart"])
    with pytest.raises(UnknownName, match="cell"):
        curriculum.record("returns", 0, True)
    with pytest.raises(ValueError, match="difficulty"):
        curriculum.record("cart", 13, True)
    with pytest.raises(ValueError, match="True or False"):
        curriculum.record("cart", 0, 0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "schedule, levels",
    [("easy", {0}), ("hard", {12}), ("uniform", set(range(13))), ((2, 4), {2, 3, 4})],
)
def test_static_schedules_never_move(schedule: Any, levels: set[int]) -> None:
    curriculum = Curriculum(["cart"], schedule, seed=3)
    drawn = set()
    for _ in range(300):
        task = curriculum.next()
        drawn.add(task.difficulty)
        curriculum.record(task.cell, task.difficulty, True)
    assert drawn == levels
    assert curriculum.history == []
    assert Curriculum.from_dict(curriculum.to_dict()).to_dict() == curriculum.to_dict()


def test_difficulties_are_uniform_on_the_window_and_cells_come_in_rounds() -> None:
    curriculum = Curriculum(["cart", "policy", "returns"], (1, 5), seed=9)
    tasks = [curriculum.next() for _ in range(3000)]
    for start in range(0, 3000, 3):
        assert {task.cell for task in tasks[start : start + 3]} == set(curriculum.cells)
    assert len({tuple(t.cell for t in tasks[i : i + 3]) for i in range(0, 300, 3)}) == 6
    for d in range(1, 6):
        share = sum(task.difficulty == d for task in tasks) / 3000
        assert 0.17 < share < 0.23
    assert [t.number for t in tasks if t.cell == "cart"] == list(range(1000))


# --- history and state ---------------------------------------------------------------------------


def learn(curriculum: Curriculum, steps: int) -> list[tuple[str, int, bool]]:
    """Outcomes of a made-up learner who passes less often the harder it gets."""
    log = []
    for number in range(steps):
        task = curriculum.next()
        chance = 0.99 if task.difficulty < 4 else 0.5
        passed = rng("learner", task.cell, number).chance(chance)
        curriculum.record(task.cell, task.difficulty, passed)
        log.append((task.cell, task.difficulty, passed))
    return log


def test_history_tells_every_time_that_an_upper_end_was_judged() -> None:
    curriculum = Curriculum(["cart", "policy"], seed=1)
    log = learn(curriculum, 1500)
    assert curriculum.history
    for judged in curriculum.history:
        assert judged.rollouts == 32
        assert (judged.high_after == judged.high + 1) == (judged.passes * 10 >= 9 * 32)
        at_high = [p for c, d, p in log[: judged.outcome] if (c, d) == (judged.cell, judged.high)]
        assert sum(at_high[-32:]) == judged.passes
    ends = {cell: curriculum.window(cell).high for cell in curriculum.cells}
    assert set(ends.values()) == {4}  # where the learner passes half of the time
    table = curriculum.progress()
    assert table["outcome"].max() == 1500
    assert len(table) == len(curriculum.history) + 4
    total = sum(n for cell in curriculum.cells for n, _ in curriculum.counts(cell).values())
    assert total == 1500


def test_a_state_saved_and_loaded_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = Curriculum(["cart", "policy"], seed=1)
    learn(whole, 700)
    halved = Curriculum(["cart", "policy"], seed=1)
    learn(halved, 700)
    halved.save(tmp_path / "state.json")
    loaded = Curriculum.load(tmp_path / "state.json")
    assert loaded.to_dict() == halved.to_dict()
    assert [loaded.next() for _ in range(50)] == [whole.next() for _ in range(50)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state.json"]


def test_a_state_can_be_rebuilt_from_its_log() -> None:
    curriculum = Curriculum(["cart", "policy"], seed=1)
    log = learn(curriculum, 900)
    rebuilt = Curriculum(["cart", "policy"], seed=1).replay(log)
    assert rebuilt.to_dict() == curriculum.to_dict()


def test_a_state_can_be_rebuilt_from_a_table_of_scores() -> None:
    import polars as pl

    curriculum = Curriculum(["cart", "policy"], seed=1)
    log = learn(curriculum, 200)
    rows = [
        {
            "episode_id": f"{cell}-d{d:02d}-train-{number:06d}",
            "environment": cell,
            "difficulty": d,
            "passed": passed,
            "verdict": "valid",
            "termination": "answered",
        }
        for number, (cell, d, passed) in enumerate(log)
    ]
    good = rows[0]
    extra = [
        good | {"verdict": "unreadable", "environment": None, "difficulty": None},
        good | {"termination": "infra_error", "passed": False},
    ]
    table = pl.DataFrame([*rows[:100], *extra, *rows[100:]], infer_schema_length=None)
    rebuilt = Curriculum(["cart", "policy"], seed=1).replay(table)
    assert rebuilt.to_dict() == curriculum.to_dict()
    tampered = Curriculum(["cart", "policy"]).replay([good | {"verdict": "tampered"}])
    assert tampered.counts(good["environment"]) == {0: (1, 0)}


def test_groups_of_rollouts_count_as_one_task_when_rebuilt() -> None:
    curriculum = Curriculum(["cart"], seed=5)
    rows = []
    for number in range(40):
        task = curriculum.next()
        for _ in range(8):
            curriculum.record(task.cell, task.difficulty, True)
            rows.append(
                {
                    "episode_id": str(number),
                    "environment": "cart",
                    "difficulty": task.difficulty,
                    "passed": True,
                }
            )
    assert Curriculum(["cart"], seed=5).replay(rows).to_dict() == curriculum.to_dict()


def test_rows_of_scenarios_find_their_cell() -> None:
    curriculum = Curriculum(["cart@power banks", "cart@chargers"])
    row = {"environment": "cart", "department": "chargers"}
    assert curriculum.cell_of(row) == "cart@chargers"
    only_id = {"environment": "cart", "episode_id": "cart-d00-train-000001-power_banks"}
    assert spelled("Power banks") == "power_banks"
    assert curriculum.cell_of(only_id) == "cart@power banks"
    with pytest.raises(UnknownName, match="cell"):
        curriculum.cell_of({"environment": "cart", "department": "kites"})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "cells": 3}'])
def test_a_file_that_is_no_state_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(EcomkitError):
        Curriculum.load(tmp_path / "state.json")
    with pytest.raises(EcomkitError):
        Sampler.load(tmp_path / "state.json", [])


def test_draws_are_the_same_in_another_process() -> None:
    code = (
        "from ecomkit.study.curriculum import Curriculum\n"
        "c = Curriculum(['cart', 'policy', 'returns'], 'uniform', seed=4)\n"
        "print([(t.cell, t.difficulty) for t in (c.next() for _ in range(30))])"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1] != ""


# --- over a published set ------------------------------------------------------------------------


def rows_of(*cells: tuple[str, int, int]) -> list[dict[str, Any]]:
    """Rows of ``(environment, difficulty, how many)``."""
    return [
        {
            "episode_id": f"{name}-d{d:02d}-train-{seed:06d}",
            "environment": name,
            "department": "chargers",
            "difficulty": d,
            "seed": seed,
        }
        for name, d, count in cells
        for seed in range(count)
    ]


def test_the_sampler_gives_each_episode_once_in_a_shuffled_order() -> None:
    rows = rows_of(("cart", 0, 30), ("policy", 0, 30), ("returns", 0, 5))
    sampler = Sampler(rows, Curriculum(["cart", "policy"], "easy", seed=1))
    assert sampler.left() == {"cart": {0: 30}, "policy": {0: 30}}
    given_out = [sampler.next() for _ in range(60)]
    ids = [task.episode_id for task in given_out]
    assert len(set(ids)) == 60 and ids != sorted(ids)
    assert all(task.episode_id.startswith(task.cell) for task in given_out)
    assert sampler.left() == {"cart": {0: 0}, "policy": {0: 0}}
    again = Sampler(rows, Curriculum(["cart", "policy"], "easy", seed=1))
    assert [again.next().episode_id for _ in range(60)] == ids


def test_a_dry_cell_says_so_and_loses_no_choice() -> None:
    sampler = Sampler(rows_of(("cart", 0, 2)), Curriculum(["cart"], "easy"))
    sampler.next(), sampler.next()
    before = sampler.curriculum.to_dict()
    with pytest.raises(CellDry, match=r"'cart' at d = 0 .*2 given out.*draw") as caught:
        sampler.next()
    assert (caught.value.cell, caught.value.difficulty, caught.value.used) == ("cart", 0, 2)
    assert sampler.curriculum.to_dict() == before
    with pytest.raises(EpisodeError, match="no episodes of policy"):
        Sampler(rows_of(("cart", 0, 2)), Curriculum(["policy"]))


def test_repeat_starts_a_dry_cell_over_in_another_order() -> None:
    sampler = Sampler(rows_of(("cart", 0, 20)), Curriculum(["cart"], "easy"), repeat=True)
    first, second = ([sampler.next().episode_id for _ in range(20)] for _ in range(2))
    assert sorted(first) == sorted(second) and first != second


def test_new_seeds_are_drawn_on_request(catalog: Catalog, episodes_folder: Path) -> None:
    import ecomkit as ek

    curriculum = Curriculum(["cart"], (3, 3))
    sampler = Sampler(episodes_folder, curriculum)
    published = {sampler.next().episode_id for _ in range(3)}
    with pytest.raises(CellDry):
        sampler.next()
    made = sampler.draw("cart", 3, 2, catalog)
    assert [episode.seed for episode in made] == [3, 4]
    assert made[0] == ek.draw_episode("cart", 3, 3, catalog)
    later = [sampler.next().episode_id for _ in range(2)]
    assert later == [episode.episode_id for episode in made]
    assert not published & set(later)


def test_a_sampler_with_a_catalog_draws_by_itself_and_survives_a_restart(
    catalog: Catalog, episodes_folder: Path, tmp_path: Path
) -> None:
    sampler = Sampler(episodes_folder, Curriculum(["cart"], (0, 0), seed=2), catalog=catalog)
    for _ in range(5):
        sampler.next()
    assert len(sampler.drawn) == 2
    sampler.save(tmp_path / "sampler.json")
    with pytest.raises(EcomkitError, match="give the catalog"):
        Sampler.load(tmp_path / "sampler.json", episodes_folder)
    loaded = Sampler.load(tmp_path / "sampler.json", episodes_folder, catalog=catalog)
    assert loaded.to_dict() == sampler.to_dict()
    assert loaded.drawn == sampler.drawn
    assert loaded.next() == sampler.next()


def test_scenarios_are_drawn_in_their_department(catalog: Catalog) -> None:
    cell = f"policy@{catalog.departments[0]}"
    sampler = Sampler([], Curriculum([cell]), catalog=catalog)
    task = sampler.next()
    assert spelled(catalog.departments[0]) in task.episode_id
    assert sampler.curriculum.cell_of(sampler.drawn[task.episode_id]) == cell
