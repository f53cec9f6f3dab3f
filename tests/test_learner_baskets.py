"""The desks of cart and bundle: right decisions pass, and nothing but the view is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from ecomkit.agents.learner import DESKS, MOVES, play
from ecomkit.agents.learner.moves import Chooser, Move, Option
from ecomkit.agents.scripted import run_policy
from ecomkit.core.seeds import rng
from ecomkit.episodes.draw import draw
from ecomkit.session.session import Session
from ecomkit.study.learner.weights import Weights

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog
    from ecomkit.core.records import Episode

ENVIRONMENTS = ("cart", "bundle")
BY_HAND: dict[str, dict[str, dict[str, int]]] = {
    "cart": {
        "ask": {"1": 300},
        "drop": {"changed": 400, "sold_out": 400, "1": -200},
        "list": {"1": 150},
        "search": {"1": 140, "viewed": -100, "found": -1000, "instead": -200, "due": 200},
        "more": {"1": 60, "viewed": -100, "found": -1000, "instead": -200, "due": 200},
        "open": {"told": 150, "found": 100, "1": -120, "instead": -300},
        "take": {
            "asked": 100,
            "found": 160,
            "1": -60,
            "unread": -200,
            "sold_out": -500,
            "instead": -500,
            "due": 500,
        },
        "code": {"complete": 180, "1": -60, "again": -500, "best": 400, "applied": -600},
        "order": {"told_complete": 170, "1": -360, "unread": -300, "best": 300},
        "show": {"complete": 90, "1": -60, "again": -100, "last": -300},
        "send": {"1": 20},
        "submit": {"1": -100, "done": 110, "last": 130, "looked": 20},
        "product": {"all": 50, "alone": 20, "meets": 30, "first": 1, "sold_out": -40},
        "variant": {"meets": 50, "in_stock": 20, "first": 1},
    },
    "bundle": {
        "ask": {"1": 300},
        "search": {"1": 140},
        "more": {"1": 60, "found": -160, "over_budget": 150, "floor": -500, "tries": -20},
        "check": {"1": 45, "over_budget": -20},
        "send": {"1": 20},
        "submit": {"1": -100, "last": 200, "complete": 120, "unread": -60, "over_budget": -60},
        "product": {"all": 50, "meets": 30, "cheap": 20, "sold_out": -100},
    },
}
"""Decisions that are right nearly always, for want of training."""


class Narrow:
    """What an agent may see of a session, and nothing else."""

    def __init__(self, session: Session) -> None:
        self._see = {
            name: lambda name=name: getattr(session, name)
            for name in ("max_turns", "tool_budget", "disclosed", "turn")
        }

    def __getattr__(self, name: str) -> Any:
        return self._see[name]()


class Listening:
    """A chooser that keeps what it was offered."""

    def __init__(self, chooser: Chooser) -> None:
        self.chooser = chooser
        self.offered: list[Option] = []

    def one(self, options: Sequence[Option]) -> int:
        self.offered.extend(options)
        return self.chooser.one(options)

    def several(self, options: Sequence[Option], count: int) -> list[int]:
        self.offered.extend(options)
        return self.chooser.several(options, count)


def by_hand(environment: str) -> Weights:
    """The weights as a policy has them."""
    groups = BY_HAND[environment].items()
    return Weights(
        {f"{name}.{one}": value for name, group in groups for one, value in group.items()}
    )


def drawn(environment: str, difficulty: int, seed: int, catalog: Catalog) -> Episode:
    return draw(environment, difficulty, seed, catalog, certify_episode=False).episode


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_right_decisions_pass(environment: str, catalog: Catalog) -> None:
    weights = by_hand(environment)
    for difficulty, least in ((0, 11), (3, 11), (6, 10), (12, 10)):
        passed = 0
        for seed in range(12):
            session = play(
                drawn(environment, difficulty, seed, catalog),
                catalog,
                weights.chooser(environment, None),
            )
            passed += session.score().passed
        assert passed >= least, (difficulty, passed)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_random_decisions_are_legal_and_repeatable(environment: str, catalog: Catalog) -> None:
    for difficulty in (0, 6, 12):
        for seed in range(4):
            episode = drawn(environment, difficulty, seed, catalog)
            first, again = (
                Listening(Weights().chooser(environment, rng("test", seed))) for _ in range(2)
            )
            one, other = play(episode, catalog, first), play(episode, catalog, again)
            assert first.offered == again.offered
            assert one.termination == other.termination
            assert one.score().reward == other.score().reward
            assert one.termination in ("answered", "turn_limit", "quit")
            for option in first.offered:
                assert option.name in (*MOVES, "product", "variant")
                assert all(0.0 <= value <= 1.0 for value in option.features.values())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_only_the_view_is_looked_at(environment: str, catalog: Catalog) -> None:
    episode = drawn(environment, 6, 1, catalog)
    weights = by_hand(environment)
    session = Session(episode, catalog)
    desk = DESKS[environment](Narrow(session))
    run_policy(session, desk.run(weights.chooser(environment, None)))
    assert session.score() == play(episode, catalog, weights.chooser(environment, None)).score()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_keys_tell_the_moves_of_a_step_apart(
    environment: str, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Move]] = []
    session = Session(drawn(environment, 9, 2, catalog), catalog, record=False)
    desk = DESKS[environment](session)
    offer = desk.moves

    def noting() -> list[Move]:
        seen.append(offer())
        return seen[-1]

    monkeypatch.setattr(desk, "moves", noting)
    run_policy(session, desk.run(by_hand(environment).chooser(environment, None)))
    assert seen
    for moves in seen:
        keys = [move.key for move in moves]
        assert len(keys) == len(set(keys))
