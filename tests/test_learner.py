"""The learner: its gradients are right, it learns, and a run is the same wherever it is made."""

from __future__ import annotations

import ast
import csv
import importlib.util
import json
import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ecomkit.agents.learner import DESKS, MOVES, play, policy
from ecomkit.agents.learner.moves import Option
from ecomkit.agents.scripted import run_policy
from ecomkit.core.seeds import rng
from ecomkit.episodes.draw import draw_episode
from ecomkit.session.session import Session
from ecomkit.study.curriculum import COLLECTIONS
from ecomkit.study.learner.train import Group, Plan, advantages, rollouts, train
from ecomkit.study.learner.weights import Adam, SoftmaxChooser, Weights, exp, softmax

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = [
    Option("ask", {"1": 1.0, "told": 1.0}),
    Option("open", {"1": 1.0, "meets": 0.5}),
    Option("submit", {"1": 1.0, "meets": 1.0, "told": 1.0}),
]
START = {"ask.1": 0.4, "open.meets": -0.8, "cart/submit.told": 0.6, "submit.meets": 0.3}
ENVIRONMENTS = COLLECTIONS["C8"]


# --- the arithmetic ---------------------------------------------------------------------------


def test_exp_is_near_e_to_the_x_and_rises() -> None:
    points = [-(n / 8) for n in range(200)]
    values = [exp(x) for x in points]
    assert values == sorted(values, reverse=True) and values[0] == 1.0
    assert all(abs(exp(-n / 100) / math.exp(-n / 100) - 1) < 1e-3 for n in range(280))
    assert exp(-1e9) > 0  # so that every option can be drawn


def test_softmax_gives_chances_whatever_is_added_to_all_scores() -> None:
    chances = softmax([1.0, 3.0, 2.0])
    assert sum(chances) == pytest.approx(1.0) and chances[1] > chances[2] > chances[0]
    assert softmax([101.0, 103.0, 102.0]) == chances


def log_chance(values: dict[str, float], place: int) -> float:
    weights = Weights(values)
    return math.log(softmax([weights.score("cart", option) for option in OPTIONS])[place])


def entropy(values: dict[str, float]) -> float:
    weights = Weights(values)
    chances = softmax([weights.score("cart", option) for option in OPTIONS])
    return -sum(p * math.log(p) for p in chances)


def test_gradients_are_those_of_the_log_chance_and_of_the_entropy() -> None:
    chooser = Weights(dict(START)).chooser("cart", rng("test", 4))
    place = chooser.one(OPTIONS)
    step = 1e-5
    assert {"ask.1", "open.meets", "submit.told"} <= set(chooser.gradient)
    for key in chooser.gradient:
        up, down = dict(START), dict(START)
        up[key] = up.get(key, 0.0) + step
        down[key] = down.get(key, 0.0) - step
        slope = (log_chance(up, place) - log_chance(down, place)) / (2 * step)
        assert chooser.gradient[key] == pytest.approx(slope, abs=2e-3), key
        slope = (entropy(up) - entropy(down)) / (2 * step)
        assert chooser.spread[key] == pytest.approx(slope, abs=2e-3), key


def test_options_are_drawn_as_often_as_their_chance_says() -> None:
    weights = Weights(dict(START))
    chances = softmax([weights.score("cart", option) for option in OPTIONS])
    counts = [0, 0, 0]
    for n in range(4000):
        counts[weights.chooser("cart", rng("draw", n)).one(OPTIONS)] += 1
    for count, chance in zip(counts, chances, strict=True):
        assert abs(count / 4000 - chance) < 0.03


def test_several_are_different_and_without_chance_the_best_come_first() -> None:
    weights = Weights(dict(START))
    assert weights.chooser("cart", None).several(OPTIONS, 3) == [2, 0, 1]
    for n in range(50):
        drawn = weights.chooser("cart", rng("several", n)).several(OPTIONS, 9)
        assert sorted(drawn) == [0, 1, 2]


def test_an_environments_own_weights_serve_it_alone() -> None:
    weights = Weights({"cart/ask.1": 5.0})
    assert weights.score("cart", OPTIONS[0]) == 5.0 and weights.score("bundle", OPTIONS[0]) == 0.0


def test_adams_first_step_is_the_rate_along_the_sign_of_the_gradient() -> None:
    weights = Weights()
    Adam(weights, 0.2).step({"a": 3.0, "b": -0.001})
    assert weights.values == pytest.approx({"a": 0.2, "b": -0.2}, rel=1e-4)


def test_what_nothing_speaks_for_fades() -> None:
    weights = Weights({"a": 1.0})
    adam = Adam(weights, 0.5, decay=0.1)
    adam.step({"a": 0.0})
    assert weights.values["a"] == pytest.approx(0.95)


def test_advantages_have_mean_zero_and_spread_one_and_are_nothing_without_a_difference() -> None:
    found = advantages([1.0, 0.0, 0.0, 0.0])
    assert sum(found) == pytest.approx(0.0)
    assert sum(a * a for a in found) / 4 == pytest.approx(1.0)
    assert found[0] > 0 > found[1]
    assert advantages([0.3, 0.3, 0.3]) == [0.0, 0.0, 0.0]


def test_the_arithmetic_is_of_operations_that_every_machine_rounds_alike() -> None:
    """IEEE 754 fixes + - * / and the square root, and fsum rounds once; powers and libm's exp and
    log may differ by machine, and so does the order in which numpy adds up."""
    for name in ("weights", "train"):
        tree = ast.parse((ROOT / f"ecomkit/study/learner/{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            assert not isinstance(node, ast.Pow), name
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "math":
                assert node.attr in ("sqrt", "fsum"), (name, node.attr)
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                assert "numpy" not in ast.unparse(node)


# --- the agent --------------------------------------------------------------------------------


class Blind:
    """A session of which only what an agent may see can be reached."""

    SEEN = frozenset({"max_turns", "tool_budget", "disclosed", "turn"})

    def __init__(self, session: Any) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        if name not in self.SEEN:
            raise AssertionError(f"the learner looked at {name}")
        return getattr(self._session, name)


@pytest.mark.parametrize("name", sorted(DESKS))
def test_every_move_is_known_and_nothing_but_the_view_is_looked_at(
    name: str, catalog: Catalog
) -> None:
    for seed in range(4):
        episode = draw_episode(name, 3 * seed, seed, catalog, certify_episode=False)
        chooser = Weights().chooser(name, rng("blind", seed))
        session = Session(episode, catalog, record=False)
        seen: set[str] = set()
        several = chooser.several

        def noted(options: Any, count: int, several: Any = several, seen: Any = seen) -> list[int]:
            seen.update(option.name for option in options)
            return several(options, count)  # type: ignore[no-any-return]

        chooser.several = noted  # type: ignore[method-assign]
        run_policy(session, policy(Blind(session), name, chooser))  # type: ignore[arg-type]
        assert session.done
        assert session.score().termination in ("answered", "quit", "turn_limit")
        picks = {
            "product",
            "fill",
            "stop",
            "order",
            "line",
            "kind",
            "variant",
            "passage",
            "eligible",
        }
        assert seen - picks <= set(MOVES)


def test_every_environment_has_a_desk_and_a_journey_uses_those_of_its_parts(
    catalog: Catalog,
) -> None:
    assert set(DESKS) | {"journey"} == set(ENVIRONMENTS)
    episode = draw_episode("journey", 2, 1, catalog, certify_episode=False)
    chooser = SoftmaxChooser(Weights(), "journey", rng("journey", 1))
    session = play(episode, catalog, chooser)
    assert session.done and chooser.decisions > 4


# --- training ---------------------------------------------------------------------------------

SMALL = Plan(environments=("tracking",), groups=40, group_size=8, tests=4, looks=1, seed=3)


def test_it_learns(catalog: Catalog) -> None:
    run = train(SMALL, catalog)
    first, last = run.groups[:10], run.groups[-10:]
    assert sum(g.passes for g in last) > 1.15 * sum(g.passes for g in first)
    before = sum(look.passes for look in run.looks if look.groups == 0)
    after = sum(look.passes for look in run.looks if look.groups == SMALL.groups)
    assert after > before + 13


def test_a_run_says_what_was_played(catalog: Catalog) -> None:
    plan = Plan(
        environments=("tracking", "policy"), groups=12, group_size=4, tests=0, schedule="hard"
    )
    run = train(plan, catalog)
    assert len(run.groups) == 12 and not run.looks
    assert {group.environment for group in run.groups} == {"tracking", "policy"}
    assert (
        {group.difficulty for group in run.groups} == {group.high for group in run.groups} == {12}
    )
    assert all(0 <= group.passes <= group.rollouts == 4 for group in run.groups)


def test_a_group_that_all_passed_or_all_failed_teaches_nothing_but_to_stay_open(
    catalog: Catalog,
) -> None:
    episode = draw_episode("substitution", 12, 1, catalog, certify_episode=False)
    plan = Plan(environments=("substitution",), group_size=4)
    passed, _, gradient = rollouts(episode, catalog, Weights(), plan, 0)
    assert not any(passed) and not any(gradient.values())
    assert not Group("substitution", 12, 12, 0, 4, -0.3).signal
    plan = Plan(environments=("substitution",), group_size=4, reward="task")
    _, _, gradient = rollouts(episode, catalog, Weights(), plan, 0)
    assert any(gradient.values())  # a part of the task earns a part of the reward


@pytest.mark.slow
def test_the_same_plan_gives_the_same_weights_under_another_hash_seed(shop_folder: Path) -> None:
    code = (
        "import sys, json, ecomkit as ek\n"
        "from ecomkit.study.learner.train import Plan, train\n"
        "plan = Plan(environments=('tracking', 'discovery'), groups=12, group_size=4, tests=1)\n"
        "print(json.dumps(train(plan, ek.load_catalog(sys.argv[1])).to_dict()))\n"
    )
    made = [
        subprocess.run(
            [sys.executable, "-c", code, str(shop_folder / "catalog")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert made[0] == made[1] and json.loads(made[0])["weights"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"reward": "tips"}, "reward must be one of"),
        ({"group_size": 1}, "at least two"),
        ({"groups": 0}, "at least 1"),
        ({"rate": 0.0}, "above 0"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Plan(**wrong)


# --- the study --------------------------------------------------------------------------------


def study() -> Any:
    spec = importlib.util.spec_from_file_location(
        "curriculum_study", ROOT / "scripts/curriculum_study.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_blocks_add_up() -> None:
    module = study()
    groups = [["discovery", n % 5, n // 50, n % 17, 16, 0.0] for n in range(100)]
    rows = list(module.blocks({"groups": groups}))
    assert [row["groups_done"] for row in rows] == [40, 80, 100]
    assert sum(row["groups"] for row in rows) == 100
    assert sum(row["passes"] for row in rows) == sum(n % 17 for n in range(100))
    assert sum(row["all_failed"] for row in rows) == sum(n % 17 == 0 for n in range(100))
    assert sum(row["all_passed"] for row in rows) == sum(n % 17 == 16 for n in range(100))
    assert [row["highest"] for row in rows] == [0, 1, 1]


def test_every_run_of_the_study_has_a_file_of_its_own() -> None:
    module = study()
    plans = {plan for plans in module.experiments(Plan()).values() for plan in plans}
    names = {module.name_of(plan) for plan in plans}
    alike = {(p.schedule, p.environments, p.reward, p.groups) for p in plans}
    assert len(names) == len(alike) == len(plans)


@pytest.mark.slow
def test_the_study_runs_goes_on_and_writes_its_tables(shop_folder: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, str(ROOT / "scripts/curriculum_study.py"), "--catalog",
        str(shop_folder / "catalog"), "--runs", str(tmp_path / "runs"), "--tables",
        str(tmp_path / "tables"), "--seeds", "1", "--groups", "16", "--tests", "1", "--only",
        "verdict", "--workers", "2",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "4 runs" in done.stdout
    tables = {path.name: path.read_bytes() for path in (tmp_path / "tables").iterdir()}
    rows = list(csv.DictReader(tables["curriculum_held_out.csv"].decode().splitlines()))
    assert {row["schedule"] for row in rows} == {"adaptive", "easy", "hard", "uniform"}
    for path in (tmp_path / "runs").glob("easy*"):
        path.unlink()
    subprocess.run(command, capture_output=True, text=True, check=True)
    again = {path.name: path.read_bytes() for path in (tmp_path / "tables").iterdir()}
    assert again == tables
    changed = ["2" if before == "--tests" else word for before, word in pairwise(["", *command])]
    refused = subprocess.run(changed, capture_output=True, text=True)
    assert refused.returncode == 2 and "other settings" in refused.stderr


def test_the_notebook_says_what_its_tables_say() -> None:
    pl = pytest.importorskip("polars")
    cells = json.loads((ROOT / "notebooks/04_curriculum.ipynb").read_text(encoding="utf-8"))[
        "cells"
    ]
    prose = " ".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    prose = " ".join(prose.split())
    tested = pl.read_csv(ROOT / "notebooks/results/curriculum_held_out.csv")
    last = tested.filter(
        pl.col("groups_done") == pl.col("groups_done").max().over("experiment", "collection")
    )
    training = pl.read_csv(ROOT / "notebooks/results/curriculum_training.csv")

    def passed(
        experiment: str, schedule: str = "adaptive", group: str = "C1", d: Any = None
    ) -> float:
        part = last.filter(
            (pl.col("experiment") == experiment)
            & (pl.col("schedule") == schedule)
            & (pl.col("collection") == group)
            & pl.col("difficulty").is_in(list(range(13)) if d is None else d)
        )
        return 100 * float(part["passes"].sum()) / float(part["episodes"].sum())

    def signal(schedule: str) -> float:
        part = training.filter(pl.col("experiment") == "verdict", pl.col("schedule") == schedule)
        dull = part["all_failed"].sum() + part["all_passed"].sum()
        return 100 * (1 - float(dull) / float(part["groups"].sum()))

    by_d = [passed("verdict", d=[d]) for d in range(13)]
    hard = passed("verdict", "hard", d=[0, 1])
    assert f"passes {min(by_d):.0f} to {max(by_d):.0f} % at every d" in prose
    assert f"passes only {hard:.0f} % at d = 0 and 1" in prose
    assert f"from {passed('verdict', 'easy', d=[0]):.0f} % at d = 0" in prose
    assert f"({signal('hard'):.0f} % of its groups, against {signal('adaptive'):.0f} %" in prose
    alone, eight = passed("same_total"), passed("same_total", group="C8")
    assert f"from {alone:.0f} % alone to {eight:.0f} % among eight" in prose
    alone, eight = passed("ample"), passed("ample", group="C8")
    assert (
        f"{alone:.0f} % alone and {eight:.0f} % among eight (+{eight - alone:.0f} points" in prose
    )
    # The README's advice: who is paid the whole reward from the start passes far less.
    assert passed("whole") < 0.7 * min(passed("verdict"), passed("partial"))
