"""Discovery: the formula, the axes that must bite, and lists that are wrong in one way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ecomkit.agents.scripted import run_actions, run_policy
from ecomkit.core.difficulty import difficulty
from ecomkit.core.ranking import ndcg, power
from ecomkit.core.records import Action, Check, Constraint, Episode, Score
from ecomkit.core.seeds import digest, rng
from ecomkit.envs import environment
from ecomkit.envs.base import in_split
from ecomkit.envs.discovery import (
    count_sentences,
    final_gains,
    last_event,
    price_slack,
    priority_sentences,
    wish,
)
from ecomkit.envs.recommending import (
    CEILING,
    MARK,
    feasible_rows,
    from_dicts,
    judged,
    listing_plan,
    pool_limit,
    price_bounds,
    requirement_candidates,
    violators,
)
from ecomkit.episodes.draw import draw
from ecomkit.session.session import Session

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog


@lru_cache(maxsize=256)
def _episode(catalog: Catalog, d: int, seed: int, axes: tuple[tuple[str, float], ...]) -> Episode:
    return draw("discovery", d, seed, catalog, axes=dict(axes)).episode


def episode(catalog: Catalog, d: int, seed: int = 0, **axes: float) -> Episode:
    return _episode(catalog, d, seed, tuple(sorted(axes.items())))


def where(catalog: Catalog, d: int, condition: Any, **axes: float) -> Episode:
    """The first of 60 episodes that a condition holds for."""
    for seed in range(60):
        found = episode(catalog, d, seed, **axes)
        if condition(found):
            return found
    raise AssertionError("no such episode in 60 seeds")


def answer(catalog: Catalog, task: Episode, ids: Sequence[str]) -> Score:
    session = Session(task, catalog)
    run_actions(session, listing_plan(ids, task.axes, last_event(task.goal)))
    return session.score()


def ideal(catalog: Catalog, task: Episode) -> list[str]:
    return list(final_gains(catalog, task.goal))[: task.goal["outputs"]]


@pytest.mark.parametrize("d", [0, 4, 8, 12])
def test_reference_and_honest_agent_pass(catalog: Catalog, d: int) -> None:
    for seed in range(3):
        task = episode(catalog, d, seed)
        score = answer(catalog, task, ideal(catalog, task))
        assert score.r_task == 1.0 and score.passed
        session = Session(task, catalog)
        run_policy(session, environment("discovery").honest(session))
        assert session.score().passed


def test_formula_by_hand(catalog: Catalog) -> None:
    task = where(catalog, 4, lambda e: len(ideal(catalog, e)) >= 2 and not e.goal["sell_out"])
    goal = task.goal
    gains = final_gains(catalog, goal)
    best = ideal(catalog, task)
    requirements = from_dicts(wish(goal, True)["requirements"])
    found = list(violators(catalog, goal["category"], requirements))
    assert found
    outsider = found[0][1]
    score = answer(catalog, task, [*best[:-1], outsider])
    places, m = len(best), len(requirements)
    rank = ndcg([gains[one] for one in best[:-1]], gains.values(), places)
    share = (places - 1 + (m - 1) / m) / places
    worked = 0.55 * (2 * rank - 1) + 0.35 * (2 * power(share, goal["alpha"]) - 1) + 0.10
    assert score.r_task == pytest.approx(min(CEILING, worked), abs=1e-9)
    assert not score.passed
    failed = {check.name for check in score.checks if not check.passed}
    assert f"requirement.{found[0][0].attribute}" in failed


def test_sold_out_share_costs(catalog: Catalog) -> None:
    task = where(catalog, 8, lambda e: e.goal["sell_out"], p_out_of_stock=1.0)
    gone = task.goal["sell_out"]["product_id"]
    best = ideal(catalog, task)
    assert gone not in best
    score = answer(catalog, task, [gone, *best][: len(best)])
    assert not score.passed and score.details["sold_out_share"] == pytest.approx(1 / len(best))
    assert "in_stock" in {check.name for check in score.checks if not check.passed}


def test_empty_unknown_and_duplicate_lists(catalog: Catalog) -> None:
    task = where(catalog, 4, lambda e: len(ideal(catalog, e)) >= 2)
    best = ideal(catalog, task)
    assert answer(catalog, task, []).r_task == pytest.approx(-0.8)
    assert not answer(catalog, task, ["NOSUCHTHIN", *best[1:]]).passed
    assert not answer(catalog, task, [best[0], *best[:-1]]).passed
    assert not answer(catalog, task, [*best, "NOSUCHTHIN"]).passed
    # Duplicates count once: the same list said twice is the same list.
    assert answer(catalog, task, [*best, best[0]]).r_task == 1.0


def test_past_the_places_nothing_is_earned(catalog: Catalog) -> None:
    task = where(catalog, 4, lambda e: len(final_gains(catalog, e.goal)) > e.goal["outputs"])
    pool = list(final_gains(catalog, task.goal))
    score = answer(catalog, task, pool[: task.goal["outputs"] + 1])
    assert score.details["past_places"] == 1 and not score.passed and score.r_task < 0.95
    moved = [pool[-1], *pool[: task.goal["outputs"]]]
    assert answer(catalog, task, moved).r_task < score.r_task


def test_stale_after_change_of_mind(catalog: Catalog) -> None:
    task = where(catalog, 6, lambda e: e.goal["switch"], p_switch=1.0, p_out_of_stock=0.0)
    early = Session(task, catalog)
    rows = feasible_rows(catalog, task.goal["category"], from_dicts(task.goal["requirements"]))
    assert 1 <= len(rows)
    run_actions(early, [Action(answer={"product_ids": [catalog.product_id(r) for r in rows]})])
    assert "switch" not in early.fired
    for miss in environment("discovery").near_misses(task.goal, task.world, task.axes, catalog):
        if miss.kind == "ignored_change_of_mind":
            session = run_actions(Session(task, catalog), miss.actions)
            assert session.fired["switch"] == task.goal["switch"]["after_step"]
            assert not session.score().passed
            break
    else:
        raise AssertionError("no such near miss")


def test_pool_lies_between_one_and_a_quarter(catalog: Catalog) -> None:
    for d in (0, 3, 6, 9, 12):
        for seed in range(4):
            goal = episode(catalog, d, seed).goal
            shelf = len(catalog.rows(category=goal["category"]))
            for switched in (False, True):
                wanted = from_dicts(wish(goal, switched)["requirements"])
                rows = feasible_rows(catalog, goal["category"], wanted)
                assert 1 <= len(rows) <= max(1, shelf // 4) or switched
            price = next(
                c for c in from_dicts(goal["requirements"]) if c.attribute == "price_cents"
            )
            own = catalog.product(goal["target"]).price_cents
            bounds = price.value if isinstance(price.value, tuple) else (price.value,)
            assert price.holds(catalog.product(goal["target"]))
            assert all(abs(b - own) <= own * price_slack(d) + 1 for b in bounds)  # type: ignore[operator]


def test_no_price_stands_on_a_bound() -> None:
    prices = np.array([900, 1000, 1100, 1500, 2000, 2400])
    for seed in range(200):
        found = price_bounds(prices, 1100, 1, 3, 0.5, rng("bound", seed))
        if found is None:
            continue
        bounds = found.value if isinstance(found.value, tuple) else (found.value,)
        assert not set(bounds) & set(prices.tolist())
        held = [p for p in prices.tolist() if _within(found, p)]
        assert 1100 in held and 1 <= len(held) <= 3


def _within(constraint: Constraint, price: int) -> bool:
    if isinstance(constraint.value, tuple):
        return bool(constraint.value[0] <= price <= constraint.value[1])
    return bool(price <= constraint.value)  # type: ignore[operator]


def test_candidates_hold_and_are_on_the_card(catalog: Catalog) -> None:
    for row in range(0, 300, 17):
        product, card = catalog.product_at(row), catalog.card_at(row)
        for constraint, weight in requirement_candidates(catalog, row):
            assert constraint.holds(product) and weight > 0
            assert constraint.attribute in card or constraint.attribute in card["attributes"]


@pytest.mark.parametrize(
    ("axis", "low", "high"),
    [
        ("constraints", 2, 4),
        ("outputs", 1, 6),
        ("max_turns", 5, 12),
        ("p_missing", 0.0, 1.0),
        ("p_noise", 0.0, 0.125),
        ("p_switch", 0.0, 1.0),
        ("p_out_of_stock", 0.0, 1.0),
        ("tool_budget", 1, 7),
    ],
)
def test_axes_change_the_episodes(catalog: Catalog, axis: str, low: float, high: float) -> None:
    def content(value: float) -> list[Any]:
        tasks = [episode(catalog, 4, seed, **{axis: value}) for seed in range(4)]
        return [
            (task.prompt, task.goal, task.user, task.max_turns, task.tool_budget) for task in tasks
        ]

    assert content(low) != content(high)


def test_axes_change_what_a_search_shows(catalog: Catalog) -> None:
    task = episode(catalog, 4)

    def shown(**axes: float) -> str:
        changed = replace(task, axes=replace(task.axes, **axes))
        session = Session(changed, catalog)
        session.step({"tool_calls": [{"name": "catalog_search", "args": {"query": "gift"}}]})
        return str(session.messages[-1]["content"])

    assert shown(p_distractor=0.0) != shown(p_distractor=0.4)
    assert shown(search_depth=20) != shown(search_depth=60)


def test_what_is_asked_can_be_paged_through() -> None:
    sizes = [pool_limit(difficulty(d), d // 3 + 3) for d in range(13)]
    assert min(sizes) >= 8 and sizes[12] > sizes[0] and max(sizes) <= 30
    assert pool_limit(difficulty(6, search_depth=5), 0) == 5


def test_what_passes_is_what_reaches_the_mark() -> None:
    right, wrong = Check("count", True), Check("in_stock", False)
    for r_task, checks, passed in (
        (1.0, [right], True),
        (MARK, [right], True),
        (MARK - 1e-9, [right], False),
        (1.0, [right, wrong], False),
        (-0.2, [wrong], False),
    ):
        verdict = judged(r_task, checks, {"ndcg": 1.0})
        assert verdict.passed == passed == (verdict.r_task >= MARK)
        assert verdict.r_task == (min(r_task, CEILING) if wrong in checks else r_task)


def test_words() -> None:
    for count in (1, 3, 10, 12):
        assert len(set(count_sentences(count))) >= 8
    order = ["price", "brand", "rating", "shipping"]
    sentences = priority_sentences(order, "Norvik", must=False)
    assert len(set(sentences)) >= 8
    for text in sentences:
        spoken = [
            text.casefold().find(word) for word in ("price", "norvik", "rating", "ing deliver")
        ]
        assert spoken[0] < spoken[1] < spoken[2] and "{" not in text


def test_test_and_train_share_neither_target_nor_wish(catalog: Catalog) -> None:
    def drawn(split: str) -> list[Any]:
        return [
            draw("discovery", 2, seed, catalog, split=split, certify_episode=False).episode.goal
            for seed in range(40)
        ]

    train, test = drawn("train"), drawn("test")
    for part in ("target", "requirements"):
        assert not {str(goal[part]) for goal in train} & {str(goal[part]) for goal in test}
    for goal in test:
        assert in_split(goal["target"], "test")
        assert in_split(digest([goal["category"], goal["requirements"]]), "test")
