"""Returns: the score from what happened, eligibility that turns on facts, and attacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ecomkit.agents.scripted import actions_from, run_actions, run_policy
from ecomkit.catalog import Catalog
from ecomkit.core.records import Action, Episode
from ecomkit.envs import environment
from ecomkit.envs.base import call
from ecomkit.envs.returns import _final, _judge, fits_exchange
from ecomkit.episodes.draw import CellAudit, audit_policies, draw, draw_episode
from ecomkit.session.session import Session
from ecomkit.shop import policies

STILL = {"p_switch": 0.0, "p_out_of_stock": 0.0}


def find(catalog: Catalog, wanted: Callable[[Episode], bool], d: int = 6, **axes: float) -> Episode:
    """The first episode of its kind."""
    for seed in range(300):
        episode = draw_episode(
            "returns", d, seed, catalog, axes={**STILL, **axes}, certify_episode=False
        )
        if wanted(episode):
            return episode
    raise AssertionError("no such episode in 300 seeds")


def is_refund(eligible: bool) -> Callable[[Episode], bool]:
    return lambda e: e.goal["want"]["exchange"] is None and e.goal["want"]["eligible"] is eligible


def is_exchange(eligible: bool) -> Callable[[Episode], bool]:
    return lambda e: (
        e.goal["want"]["exchange"] is not None and e.goal["want"]["eligible"] is eligible
    )


def place(episode: Episode) -> dict[str, str]:
    want = episode.goal["want"]
    return {"order_id": want["order_id"], "line_id": want["line_id"]}


def another(episode: Episode) -> dict[str, str]:
    """A line that can come back and is not the wanted one."""
    for order in episode.world["orders"]:
        for line in order["lines"]:
            where = {"order_id": order["order_id"], "line_id": line["line_id"]}
            if where != place(episode) and order["status"] == "delivered":
                return where
    raise AssertionError("no other delivered line")


def outcome(episode: Episode, catalog: Catalog, *actions: Action) -> Session:
    return run_actions(Session(episode, catalog), actions)


def opened(**arguments: Any) -> Action:
    kind = "return_exchange" if "product_id" in arguments else "return_initiate"
    return Action(tool_calls=(call(kind, **arguments),))


def test_a_refund_is_judged_from_the_world(catalog: Catalog) -> None:
    episode = find(catalog, is_refund(True))
    where = place(episode)
    right = Action(answer={**where, "eligible": True})
    assert outcome(episode, catalog, opened(**where), right).score().r_task == 1.0
    # The right answer without the write, and the write with the wrong answer.
    assert outcome(episode, catalog, right).score().r_task == pytest.approx(-0.45 - 0.45 + 0.10)
    denied = Action(answer={**where, "eligible": False})
    score = outcome(episode, catalog, opened(**where), denied).score()
    assert score.r_task == pytest.approx(0.45 - 0.45 + 0.10)
    assert not score.passed


def test_a_return_on_another_line_fails(catalog: Catalog) -> None:
    for seed in range(300):
        episode = draw_episode("returns", 6, seed, catalog, axes=STILL, certify_episode=False)
        if not is_refund(True)(episode):
            continue
        session = outcome(episode, catalog, opened(**another(episode)))
        if session.world.returns:
            break
    where = place(episode)
    session.step(Action(answer={**where, "eligible": True}))
    assert session.score().r_task == pytest.approx(-0.45 - 0.45 + 0.10)
    # The right line as well does not mend it: another line was touched.
    session = outcome(
        episode, catalog, opened(**another(episode)), opened(**where),
        Action(answer={**where, "eligible": True}),
    )  # fmt: skip
    assert not session.score().passed
    assert {c.name for c in session.verdict().checks if not c.passed} >= {"no_other_line"}


def test_what_is_not_allowed_is_left_alone_and_said(catalog: Catalog) -> None:
    episode = find(catalog, is_refund(False))
    where = place(episode)
    said = Action(answer={**where, "eligible": False})
    assert outcome(episode, catalog, said).score().r_task == 1.0
    refused = outcome(episode, catalog, opened(**where), said)
    assert not refused.world.returns  # the shop refuses, which costs only the turn
    assert refused.score().passed
    claimed = outcome(episode, catalog, Action(answer={**where, "eligible": True}))
    assert claimed.score().r_task == pytest.approx(0.45 - 0.45 + 0.10)
    wrong = outcome(episode, catalog, Action(answer={**another(episode), "eligible": False}))
    assert wrong.score().r_task == pytest.approx(-0.45 + 0.45 + 0.10)
    assert not wrong.score().passed


def test_a_replacement_must_meet_every_constraint(catalog: Catalog) -> None:
    episode = find(catalog, is_exchange(True))
    where, want = place(episode), episode.goal["want"]
    good = episode.goal["replacement"]
    assert fits_exchange(want["exchange"], catalog.product(good))
    said = Action(answer={**where, "eligible": True})
    done = outcome(episode, catalog, opened(**where, product_id=good), said)
    assert done.score().r_task == 1.0
    rows = catalog.rows(category=want["exchange"]["category"])
    bad = next(
        catalog.product_id(int(row))
        for row in rows
        if not fits_exchange(want["exchange"], catalog.product_at(int(row)))
        and all(v.stock >= 5 for v in catalog.variants_at(int(row)))
    )
    score = outcome(episode, catalog, opened(**where, product_id=bad), said).score()
    assert score.r_task == pytest.approx(0.45 + 0.45 - 0.10)
    assert not score.passed
    instead = outcome(episode, catalog, opened(**where), said)
    # The shop may refuse the refund where it allows the exchange; then nothing was opened.
    line = 0.45 if instead.world.returns else -0.45
    assert instead.score().r_task == pytest.approx(line - 0.45 - 0.10)
    lie = Action(answer={**where, "eligible": True, "replacement_product_id": bad})
    assert not outcome(episode, catalog, opened(**where, product_id=good), lie).score().passed


def test_an_exchange_that_is_not_allowed_opens_nothing(catalog: Catalog) -> None:
    episode = find(catalog, is_exchange(False))
    said = Action(answer={**place(episode), "eligible": False})
    assert outcome(episode, catalog, said).score().r_task == 1.0


def test_no_answer_and_nothing_done_fail(catalog: Catalog) -> None:
    for eligible in (True, False):
        episode = find(catalog, is_refund(eligible))
        session = Session(episode, catalog)
        assert not session.score().passed
        assert session.score().r_task < 0


def test_the_facts_that_decide_are_as_many_as_wanted(catalog: Catalog) -> None:
    for d, clauses in ((0, 1), (3, 2), (6, 3), (9, 4), (12, 5)):
        seen = set()
        for seed in range(20):
            axes = {**STILL}
            episode = draw_episode("returns", d, seed, catalog, axes=axes, certify_episode=False)
            want, world = episode.goal["want"], episode.world
            order = next(o for o in world["orders"] if o["order_id"] == want["order_id"])
            line = next(x for x in order["lines"] if x["line_id"] == want["line_id"])
            exchange = want["exchange"] is not None
            assert _judge(catalog, world, order, line, exchange) == (want["eligible"], clauses)
            # The tool says the same.
            session = Session(episode, catalog)
            look = call("return_check_eligibility", **place(episode))
            (result,) = session.step(Action(tool_calls=(look,))).results
            name = "exchange_eligible" if exchange else "return_eligible"
            assert result[name] is want["eligible"]
            seen.add(want["eligible"])
        assert seen == {True, False}


def test_lines_stand_out_by_nothing(catalog: Catalog) -> None:
    """Guessing the line by dates, totals, positions or marks is no better than chance."""
    marks = ("clearance", "refurbished", "personalized")
    picks: dict[str, Callable[[tuple[dict[str, Any], dict[str, Any]]], Any]] = {
        "newest": lambda x: x[0]["placed_at"],
        "dearest": lambda x: x[1]["unit_price_cents"],
        "cheapest": lambda x: -x[1]["unit_price_cents"],
        "largest order": lambda x: x[0]["total_cents"],
        "smallest order": lambda x: -x[0]["total_cents"],
        "marked": lambda x: sum(bool(x[1].get(mark)) for mark in marks),
        "first line": lambda x: x[1]["line_id"] == "L1",
        "lowest id": lambda x: [-ord(c) for c in x[0]["order_id"]],
    }
    hits = dict.fromkeys(picks, 0.0)
    chance = 0.0
    n = 250
    for seed in range(n):
        episode = draw_episode("returns", 8, seed, catalog, certify_episode=False)
        want = _final(episode.goal)
        lines = [
            (order, line)
            for order in episode.world["orders"]
            if order["status"] == "delivered"
            for line in order["lines"]
        ]
        chance += 1 / len(lines)
        for name, key in picks.items():
            best = max(key(x) for x in lines)
            ties = [x for x in lines if key(x) == best]
            right = any(
                (o["order_id"], x["line_id"]) == (want["order_id"], want["line_id"])
                for o, x in ties
            )
            hits[name] += right / len(ties)
    # About one in twelve; three standard deviations are 13 of 250.
    assert all(count < chance + 16 for count in hits.values()), (chance, hits)


def test_answers_can_not_be_guessed(catalog: Catalog) -> None:
    episodes = [draw_episode("returns", 8, s, catalog, certify_episode=False) for s in range(120)]
    eligible = sum(_final(e.goal)["eligible"] for e in episodes)
    assert 40 <= eligible <= 80
    audit = CellAudit()
    audit_policies(episodes, catalog, audit)
    for name in ("empty", "talk_only", "constant", "neighbour"):
        assert audit.policy_passes[name] == 0
    assert audit.policy_passes["everything"] <= 3
    assert audit.policy_passes["naive"] <= 12
    for name, attack in environment("returns").attackers().items():
        passed = 0
        for episode in episodes:
            session = Session(episode, catalog)
            run_policy(session, attack(session))
            passed += session.score().passed
        assert passed <= 12, name


def test_what_sells_out_leaves_one_way(catalog: Catalog) -> None:
    env = environment("returns")
    found = 0
    for seed in range(60):
        drawn = draw("returns", 8, seed, catalog, axes={"p_out_of_stock": 1.0, "p_switch": 0.0})
        episode = drawn.episode
        if episode.goal["want"]["exchange"] is None:
            continue
        (event,) = episode.world["events"]
        assert event["kind"] == "sell_out"
        assert event["variant_ids"]
        session = Session(episode, catalog)
        run_actions(session, actions_from(episode.reference))
        assert session.score().passed
        session.reset()
        run_policy(session, env.honest(session))
        assert session.score().passed
        found += episode.goal["want"]["eligible"]
        if found >= 6:
            break
    assert found >= 6


def test_a_change_of_mind_changes_what_is_right(catalog: Catalog) -> None:
    kinds = set()
    for seed in range(30):
        drawn = draw("returns", 6, seed, catalog, axes={"p_switch": 1.0})
        goal = drawn.episode.goal
        assert _final(goal) != goal["want"]
        kinds.add(goal["switch"]["want"]["line_id"] == goal["want"]["line_id"])
    assert kinds == {True, False}  # another line, and a refund instead of an exchange


def test_final_sale_used_and_personalized_items_occur(catalog: Catalog) -> None:
    codes = set()
    for seed in range(150):
        episode = draw_episode("returns", 0, seed, catalog, axes=STILL, certify_episode=False)
        want, world = episode.goal["want"], episode.world
        order = next(o for o in world["orders"] if o["order_id"] == want["order_id"])
        line = next(x for x in order["lines"] if x["line_id"] == want["line_id"])
        department = catalog.product(line["product_id"]).department
        facts = policies.return_facts(order, line, department, world["profile"])
        days = policies.days_since(order["delivered_at"], world["now"])
        exchange = want["exchange"] is not None
        codes.add(policies.eligibility(world["policy"], facts, days, exchange).code)
    assert codes == {"eligible", "final_sale", "used_item", "window_closed"}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"order_id": "W1", "line_id": "L1", "eligible": "no"},
        {"order_id": None, "line_id": "L1", "eligible": True},
        {"order_id": "W1", "line_id": "L1", "eligible": 0},
        {"order_id": "W1", "line_id": "L1", "eligible": True, "replacement_product_id": 5},
    ],
)
def test_malformed_answers_cost_the_episode(catalog: Catalog, answer: dict[str, Any]) -> None:
    session = Session(find(catalog, is_refund(True)), catalog)
    session.step(Action(answer=answer))
    assert session.score().reward == -1.0


def test_axes_bite(catalog: Catalog) -> None:
    def episodes(**axes: float) -> list[Episode]:
        return [
            draw_episode("returns", 6, s, catalog, certify_episode=False, axes=axes)
            for s in range(16)
        ]

    assert {len(e.world["orders"]) for e in episodes(order_history=2)} == {2}
    few, many = episodes(constraints=2), episodes(constraints=5)

    def clues(drawn: list[Episode]) -> int:
        return sum(len((e.goal["want"]["exchange"] or {"clues": ()})["clues"]) for e in drawn)

    assert clues(many) > 2 * clues(few) > 0
    assert all(e.goal["switch"] for e in episodes(p_switch=1.0))
    told = [s["opening"] for e in episodes(p_missing=1.0) for s in e.user["slots"]]
    assert told.count(True) == 16
    assert not any("events" in e.world for e in episodes(p_out_of_stock=0.0))
    assert any("events" in e.world for e in episodes(p_out_of_stock=1.0))
    few_words = {str(e.world["policy"]) for e in episodes()}
    assert len(few_words) == 16
