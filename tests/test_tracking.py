"""Tracking: its formula, its references to orders, and attacks on it."""

from __future__ import annotations

from typing import Any

import pytest

from ecomkit.agents.scripted import actions_from, run_actions
from ecomkit.catalog import Catalog
from ecomkit.core.records import Action, Episode
from ecomkit.core.seeds import rng
from ecomkit.envs import environment
from ecomkit.envs.history import draw_history, matching, pages, refer_indirectly, say_day
from ecomkit.envs.tracking import right_answer
from ecomkit.episodes.draw import draw_episode
from ecomkit.session.session import Session


def play(episode: Episode, catalog: Catalog, **changes: Any) -> Session:
    """The reference with its answer changed."""
    *looks, last = actions_from(episode.reference)
    assert last.answer is not None
    session = Session(episode, catalog)
    return run_actions(session, [*looks, Action(answer={**last.answer, **changes})])


def order_of(episode: Episode, order_id: str) -> dict[str, Any]:
    return next(o for o in episode.world["orders"] if o["order_id"] == order_id)


@pytest.fixture(scope="module")
def episode(plain_catalog: Catalog) -> Episode:
    return draw_episode("tracking", 6, 3, plain_catalog, axes={"p_switch": 0.0})


def test_each_half_counts_half(episode: Episode, plain_catalog: Catalog) -> None:
    right = right_answer(order_of(episode, episode.goal["order_id"]))
    other = next(
        o["order_id"] for o in episode.world["orders"] if o["order_id"] != right["order_id"]
    )
    wrong = "cancelled" if right["status"] != "cancelled" else "shipped"
    assert play(episode, plain_catalog).score().r_task == 1.0
    assert play(episode, plain_catalog, order_id=other).score().r_task == 0.0
    assert play(episode, plain_catalog, status=wrong).score().r_task == 0.0
    assert play(episode, plain_catalog, expected_date="2026-01-01").score().r_task == 0.0
    assert play(episode, plain_catalog, order_id=other, status=wrong).score().r_task == -1.0


def test_ids_are_read_as_the_shop_reads_them(episode: Episode, plain_catalog: Catalog) -> None:
    spelled = f" #{episode.goal['order_id'].lower()} "
    assert play(episode, plain_catalog, order_id=spelled).score().passed


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"order_id": None, "status": "shipped", "expected_date": "2026-01-01"},
        {"order_id": "W1", "status": "lost", "expected_date": "2026-01-01"},
        {"order_id": ["W1"], "status": "shipped", "expected_date": float("nan")},
        {"order_id": "W1", "status": "shipped", "expected_date": 10**400},
    ],
)
def test_malformed_answers_end_in_minus_one(
    episode: Episode, plain_catalog: Catalog, answer: dict[str, Any]
) -> None:
    session = Session(episode, plain_catalog)
    session.step(Action(answer=answer))
    assert session.score().termination == "illegal_tool"
    assert session.score().reward == -1.0


def test_a_change_of_mind_counts_from_the_step_after_it(plain_catalog: Catalog) -> None:
    episode = draw_episode("tracking", 8, 1, plain_catalog, axes={"p_switch": 1.0})
    goal = episode.goal
    assert goal["switch"]["order_id"] != goal["order_id"]
    first = right_answer(order_of(episode, goal["order_id"]))
    second = right_answer(order_of(episode, goal["switch"]["order_id"]))
    for answer, early in ((first, True), (second, False)):
        session = Session(episode, plain_catalog)
        session.step(Action(answer=answer))
        assert session.score().passed is early
    assert play(episode, plain_catalog).score().passed
    assert not play(episode, plain_catalog, **first).score().passed


def test_references_single_one_order_out(plain_catalog: Catalog) -> None:
    kinds: set[str] = set()
    found = 0
    for seed in range(120):
        draw = rng("references", seed)
        orders = draw_history(plain_catalog, draw, "2026-03-14T10:05:00", 7, "train", "chargers")
        shown = pages(plain_catalog, orders)
        details = {page["order_id"]: page for page in shown}
        target = draw.choice(orders)
        now = "2026-03-14T10:05:00"
        value = refer_indirectly(plain_catalog, orders, target, now, draw, seed % 4 > 0)
        if value is None:
            continue
        found += 1
        kinds.update(value["clues"])
        assert "order_id" not in value["clues"]
        assert target["order_id"] not in value["text"]
        assert matching(shown, value["clues"], details) == [target["order_id"]]
        if seed % 4 == 0:
            # Told from the list alone.
            assert matching(shown, value["clues"], {}) == [target["order_id"]]
    assert found > 110
    assert {"item", "placed", "total_cents"} <= kinds


def test_histories_have_lines_statuses_and_look_alikes(plain_catalog: Catalog) -> None:
    statuses: set[str] = set()
    lines: set[int] = set()
    twins = 0
    for seed in range(60):
        orders = draw_history(
            plain_catalog, rng("h", seed), "2026-01-06T09:00:00", 5, "test", "cookware"
        )
        assert len(orders) == 5
        assert len({o["order_id"] for o in orders}) == 5
        heads: list[str] = []
        for order in orders:
            statuses.add(order["status"])
            lines.add(len(order["lines"]))
            assert order["placed_at"] <= "2026-01-06T09:00:00"
            assert order.get("delivered_at", "") <= "2026-01-06T09:00:00"
            heads += {plain_catalog.product(x["product_id"]).category for x in order["lines"]}
        twins += len(heads) > len(set(heads))
    assert statuses == {
        "processing", "shipped", "out_for_delivery", "delivered", "delayed", "cancelled",
    }  # fmt: skip
    assert lines == {1, 2, 3, 4}
    assert twins > 30


def test_days_are_said_as_people_say_them() -> None:
    now = "2026-03-14T10:05:00"  # a Saturday
    assert say_day("2026-03-13", now, rng(1)) == "yesterday"
    assert say_day("2026-03-10", now, rng(1)) in ("last Tuesday", "on Tuesday")
    assert say_day("2026-03-10", now, rng(1), weekday=False).startswith("on March 10")
    assert say_day("2026-02-22", now, rng(3)) in ("on February 22", "on February 22nd")


def test_positions_and_ids_do_not_tell_the_order(plain_catalog: Catalog) -> None:
    env = environment("tracking")
    picks = {
        "newest": lambda orders: max(orders, key=lambda o: o["placed_at"]),
        "oldest": lambda orders: min(orders, key=lambda o: o["placed_at"]),
        "stored first": lambda orders: orders[0],
        "lowest id": lambda orders: min(orders, key=lambda o: o["order_id"]),
        "highest id": lambda orders: max(orders, key=lambda o: o["order_id"]),
        "largest": lambda orders: max(orders, key=lambda o: o["total_cents"]),
    }
    hits = dict.fromkeys(picks, 0)
    n = 350
    for seed in range(n):
        episode = draw_episode("tracking", 12, seed, plain_catalog, certify_episode=False)
        wanted = env.goal_identity(episode.goal)
        final = wanted[1] or wanted[0]
        for name, pick in picks.items():
            hits[name] += pick(episode.world["orders"])["order_id"] == final
    # One in seven by chance: 50 of 350, standard deviation 6.5.
    assert all(20 <= count <= 80 for count in hits.values()), hits


def test_few_calls_and_many_orders_can_still_be_met(plain_catalog: Catalog) -> None:
    for seed in range(12):
        draw_episode(
            "tracking", 6, seed, plain_catalog,
            axes={"tool_budget": 1, "order_history": 7, "max_turns": 4},
        )  # fmt: skip


def test_axes_bite(plain_catalog: Catalog) -> None:
    def episodes(**axes: float) -> list[Episode]:
        return [
            draw_episode("tracking", 6, s, plain_catalog, certify_episode=False, axes=axes)
            for s in range(20)
        ]

    assert {len(e.world["orders"]) for e in episodes(order_history=3)} == {3}
    assert all(e.goal["switch"] for e in episodes(p_switch=1.0))
    assert not any(e.goal["switch"] for e in episodes(p_switch=0.0))
    told = [slot["opening"] for e in episodes(p_missing=1.0) for slot in e.user["slots"]]
    assert told == [True, False] * 20
    quiet, noisy = episodes(p_noise=0.0), episodes(p_noise=0.125)
    assert [e.goal for e in quiet] == [e.goal for e in noisy]
    assert sum(a.prompt[1] != b.prompt[1] for a, b in zip(quiet, noisy, strict=True)) > 15
    assert {e.max_turns for e in episodes(max_turns=9)} == {9}
