"""Substitution: similarity as frozen, what may not be recommended, lists wrong in one way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pytest

from ecomkit.agents.scripted import run_actions, run_policy
from ecomkit.core.errors import SearchUnavailable
from ecomkit.core.ranking import ndcg
from ecomkit.core.records import Constraint, Episode, Score
from ecomkit.envs import environment
from ecomkit.envs.recommending import (
    CEILING,
    LARGEST_POOL,
    feasible_rows,
    listing_plan,
    met_share,
)
from ecomkit.envs.substitution import (
    NEAR_KEPT,
    final_gains,
    last_event,
    name_of,
    original_sentences,
    requirements_of,
    similarity_weight,
)
from ecomkit.episodes.draw import draw
from ecomkit.session.session import Session
from ecomkit.user.mentions import mentions

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog


@lru_cache(maxsize=256)
def _episode(catalog: Catalog, d: int, seed: int, axes: tuple[tuple[str, float], ...]) -> Episode:
    return draw("substitution", d, seed, catalog, axes=dict(axes)).episode


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


def failed(score: Score) -> set[str]:
    return {check.name for check in score.checks if not check.passed}


@pytest.mark.parametrize("d", [0, 4, 8, 12])
def test_reference_and_honest_agent_pass(catalog: Catalog, d: int) -> None:
    for seed in range(3):
        task = episode(catalog, d, seed)
        score = answer(catalog, task, ideal(catalog, task))
        assert score.r_task == 1.0 and score.passed
        session = Session(task, catalog)
        run_policy(session, environment("substitution").honest(session))
        assert session.score().passed


def test_similarity_is_what_rerank_reports(catalog: Catalog) -> None:
    task = where(catalog, 4, lambda e: len(e.goal["similarity"]) > 1)
    frozen = task.goal["similarity"]
    session = Session(task, catalog)
    made = {
        "name": "catalog_rerank",
        "args": {"product_ids": sorted(frozen), "reference_product_id": task.goal["original"]},
    }
    seen = session.step({"tool_calls": [made]})
    reported = {one["product_id"]: one["similarity"] for one in seen.results[0]["results"]}
    assert reported == frozen
    assert all(isinstance(score, int) for score in frozen.values())


def test_only_what_can_be_needed_is_frozen(catalog: Catalog) -> None:
    for d in (0, 6, 12):
        for seed in range(4):
            goal = episode(catalog, d, seed).goal
            pools: set[str] = set()
            for switched in (False, True):
                rows = feasible_rows(catalog, goal["category"], requirements_of(goal, switched))
                pools |= {catalog.product_id(row) for row in rows}
            kept = set(goal["similarity"])
            assert pools - {goal["original"]} <= kept and goal["original"] not in kept
            assert len(kept) <= 2 * (LARGEST_POOL + NEAR_KEPT)


def test_original_meets_its_own_requirements_and_is_gone(catalog: Catalog) -> None:
    for seed in range(6):
        task = episode(catalog, 5, seed)
        original = catalog.product(task.goal["original"])
        requirements = requirements_of(task.goal, False)
        assert all(constraint.holds(original) for constraint in requirements)
        about = task.goal["compatibility"]
        assert about == "category" or about in {c.attribute for c in requirements}
        assert Session(task, catalog).world.product_stock(original.product_id) == 0


def test_original_itself_never_passes(catalog: Catalog) -> None:
    for seed in range(6):
        task = episode(catalog, 3, seed)
        best = ideal(catalog, task)
        original = task.goal["original"]
        alone = answer(catalog, task, [original])
        assert not alone.passed and "not_the_original" in failed(alone)
        assert not answer(catalog, task, [original, *best[1:]]).passed
        assert not answer(catalog, task, [*best, original]).passed


def test_formula_by_hand(catalog: Catalog) -> None:
    env = environment("substitution")

    def misses(task: Episode) -> dict[str, Any]:
        return {m.kind: m for m in env.near_misses(task.goal, task.world, task.axes, catalog)}

    def suits(task: Episode) -> bool:
        return "constraint_violated" in misses(task) and len(ideal(catalog, task)) > 1

    task = where(catalog, 6, suits, p_out_of_stock=0.0)
    goal, best, gains = task.goal, ideal(catalog, task), final_gains(catalog, task.goal)
    actions = misses(task)["constraint_violated"].actions
    outsider = actions[-1].answer["product_ids"][-1]
    score = run_actions(Session(task, catalog), actions).score()
    requirements = requirements_of(goal, True)
    share = met_share(catalog, catalog.product(outsider), goal["category"], requirements)
    assert share == pytest.approx(1 - 1 / len(requirements))

    def raw(product_id: str, met: float) -> float:
        weight = similarity_weight(6)
        alike = goal["similarity"].get(product_id, 0) / goal["similarity_to_itself"]
        return weight * alike + (1 - weight) * met

    worth = [raw(one, 1.0) for one in gains]
    low, high = min(worth), max(worth)
    assert gains == pytest.approx({one: (raw(one, 1.0) - low) / (high - low) for one in gains})
    part = min(1.0, max(0.0, (raw(outsider, share) - low) / (high - low)))
    rank = ndcg([*(gains[one] for one in best[:-1]), part], gains.values(), len(best))
    assert score.details["ndcg"] == pytest.approx(rank)
    assert score.r_task == pytest.approx(min(CEILING, 0.8 * (2 * rank - 1) + 0.2), abs=1e-9)
    assert not score.passed


def test_incompatible_earns_nothing(catalog: Catalog) -> None:
    env = environment("substitution")
    found = 0
    for seed in range(20):
        task = episode(catalog, 3, seed)
        best, gains = ideal(catalog, task), final_gains(catalog, task.goal)
        for miss in env.near_misses(task.goal, task.world, task.axes, catalog):
            if miss.kind == "incompatible":
                score = run_actions(Session(task, catalog), miss.actions).score()
                rank = ndcg([gains[one] for one in best[:-1]], gains.values(), len(best))
                assert score.details["ndcg"] == rank and not score.passed
                found += 1
    assert found


def test_sold_out_share_costs(catalog: Catalog) -> None:
    task = where(catalog, 8, lambda e: e.goal["sell_out"], p_out_of_stock=1.0)
    best, gone = ideal(catalog, task), task.goal["sell_out"]["product_id"]
    assert gone not in best
    score = answer(catalog, task, [gone, *best][: len(best)])
    assert not score.passed and "in_stock" in failed(score)


def test_weight_of_similarity() -> None:
    assert [similarity_weight(d) for d in (0, 1, 8, 12)] == [0.4, 0.45, 0.8, 0.8]


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
        return [(t.prompt, t.goal, t.user, t.max_turns, t.tool_budget) for t in tasks]

    assert content(low) != content(high)


def test_drawing_needs_embeddings(plain_catalog: Catalog) -> None:
    with pytest.raises(SearchUnavailable, match="load_catalog"):
        draw("substitution", 0, 0, plain_catalog)


def test_scoring_needs_none(catalog: Catalog, plain_catalog: Catalog) -> None:
    task = episode(catalog, 2)
    assert plain_catalog.hash == catalog.hash and plain_catalog.search_engine is None
    assert answer(plain_catalog, task, ideal(catalog, task)).passed


def test_the_name_singles_the_original_out(catalog: Catalog) -> None:
    for seed in range(8):
        goal = episode(catalog, 4, seed).goal
        row = catalog.row(goal["original"])
        named = name_of(catalog, row)
        assert named is not None
        rows = catalog.rows(category=goal["category"])
        clues = [
            Constraint("title", "contains", named["title"]),
            Constraint("brand", "eq", named["brand"]),
        ]
        assert rows[catalog.mask(rows, clues)].tolist() == [row]


def test_visits_hold_one_of_the_category(catalog: Catalog) -> None:
    task = where(catalog, 6, lambda e: "viewed" in e.goal["named"])
    shown = [catalog.product(v["product_id"]) for v in task.world["visit_history"]]
    same = [p.product_id for p in shown if p.category == task.goal["category"]]
    assert same == [task.goal["original"]] and len(shown) > 1


def test_words() -> None:
    for named in ({"viewed": True}, {"title": "Luna Pro", "brand": "Norvik"}):
        sentences = original_sentences(named, "ice cream maker")
        assert len(set(sentences)) >= 8
        for text in sentences:
            assert "a ice" not in text and "{" not in text
            for group in mentions("original", named):
                assert any(word.casefold() in text.casefold() for word in group), text
