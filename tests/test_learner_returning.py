"""The desk of returns: right decisions pass, whatever the case; decisions are repeatable."""

from __future__ import annotations

import pytest

from ecomkit.agents.learner import MOVES, play, policy
from ecomkit.agents.learner.moves import Move
from ecomkit.agents.learner.returning import ReturnsDesk
from ecomkit.agents.scripted import run_policy
from ecomkit.catalog import Catalog
from ecomkit.core.records import Episode
from ecomkit.core.seeds import rng
from ecomkit.episodes.draw import draw_episode
from ecomkit.session.session import Session
from ecomkit.study.learner.weights import Weights

WISE = {
    "ask.1": 100, "ask.again": -200,
    "list.1": 40, "list.found": -80,
    "open.meets": 50, "open.sure": -100,
    "open.product": -50, "open.all": 50, "open.found": -100,
    "order.meets": 50, "order.newest": 5,
    "search.1": 40, "search.found": -80, "more.1": 45, "more.found": -80,
    "check.sure": 20, "check.unread": 20, "check.again": -100,
    "take.1": -150, "take.sure": 100, "take.found": 100, "take.unread": -60, "take.late": 70,
    "take.sold_out": -60, "take.last": 60, "take.refused": -300, "take.again": -300,
    "line.meets": 50, "line.alone": 50, "kind.told": 50,
    "product.all": 50, "product.meets": 20, "product.unread": -20, "product.sold_out": -100,
    "product.refused": -30, "product.first": 5,
    "variant.sold_out": -50, "variant.most": 5,
    "submit.1": -50, "submit.complete": 300, "submit.refused": 300, "submit.last": 60,
    "send.1": 30, "send.last": -1000, "eligible.yes": -50,
}  # fmt: skip
"""Weights by hand: ask once, read what may be meant, write when all is known, then say so."""


def episode(d: int, seed: int, catalog: Catalog) -> Episode:
    return draw_episode("returns", d, seed, catalog, certify_episode=False)


def wise(one: Episode, catalog: Catalog, **changes: float) -> Session:
    return play(one, catalog, Weights({**WISE, **changes}).chooser("returns", None))


@pytest.mark.parametrize("d", [0, 3, 6, 12])
def test_right_decisions_pass(catalog: Catalog, d: int) -> None:
    episodes = [episode(d, seed, catalog) for seed in range(12)]
    passed = [wise(one, catalog).score().passed for one in episodes]
    assert sum(passed) >= 11, f"failed: {[seed for seed, ok in enumerate(passed) if not ok]}"


def test_wrong_decisions_fail(catalog: Catalog) -> None:
    episodes = [episode(6, seed, catalog) for seed in range(12)]
    right = sum(wise(one, catalog).score().passed for one in episodes)
    for change in ({"line.alone": -200.0}, {"kind.told": -200.0}, {"submit.sure": 500.0}):
        assert sum(wise(one, catalog, **change).score().passed for one in episodes) < right, change


@pytest.mark.parametrize("draws", [True, False])
def test_decisions_are_repeatable(catalog: Catalog, draws: bool) -> None:
    def played(one: Episode) -> tuple[object, ...]:
        chooser = Weights({"submit.1": -2.0}).chooser("returns", rng("again") if draws else None)
        session = play(one, catalog, chooser)
        return session.answer, session.steps, session.score().reward, chooser.gradient

    for seed in range(4):
        one = episode(5, seed, catalog)
        assert played(one) == played(one)


def test_what_is_offered_is_known_and_affordable(catalog: Catalog) -> None:
    """Random decisions never make an illegal call, and no feature leaves [0, 1]."""
    offered: list[Move] = []

    class Watched(ReturnsDesk):
        def moves(self) -> list[Move]:
            moves = super().moves()
            offered.extend(moves)
            return moves

    for seed in range(12):
        session = Session(episode(4, seed, catalog), catalog)
        chooser = Weights({"submit.1": -4.0}).chooser("returns", rng("offer", seed))
        run_policy(session, Watched(session).run(chooser))
        assert session.score().termination in ("answered", "turn_limit", "user_quit")
    assert {move.name for move in offered} <= set(MOVES)
    assert all(0 <= value <= 1 for move in offered for value in move.features.values())


def test_the_desk_is_found_by_its_environment(catalog: Catalog) -> None:
    session = Session(episode(0, 1, catalog), catalog)
    chooser = Weights(WISE).chooser("returns", None)
    assert next(policy(session, "returns", chooser)).tool_calls[0].name == "ask_user"
