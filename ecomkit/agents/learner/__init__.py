"""A small learner: an agent whose macro-decisions are trained through replay (issue of SPEC §13).

from ecomkit.agents.learner import Weights, play
session = play(episode, catalog, Weights().chooser(rng("demo", 1)))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ecomkit.agents.learner.baskets import BundleDesk, CartDesk
from ecomkit.agents.learner.moves import MOVES, Chooser, Desk, Move, Option
from ecomkit.agents.learner.questions import PolicyDesk, TrackingDesk
from ecomkit.agents.learner.returning import ReturnsDesk
from ecomkit.agents.learner.shelves import DiscoveryDesk, SubstitutionDesk
from ecomkit.agents.scripted import run_policy
from ecomkit.session.session import Session

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog
    from ecomkit.core.records import Episode, Observation
    from ecomkit.envs.base import AgentView, Policy

DESKS: dict[str, type[Desk]] = {
    "discovery": DiscoveryDesk,
    "substitution": SubstitutionDesk,
    "returns": ReturnsDesk,
    "tracking": TrackingDesk,
    "policy": PolicyDesk,
    "cart": CartDesk,
    "bundle": BundleDesk,
}
"""Environment → its desk; a journey uses the desk of each of its parts."""


def policy(view: AgentView, environment: str, chooser: Chooser) -> Policy:
    """The agent of an environment whose decisions ``chooser`` takes."""
    if environment != "journey":
        return DESKS[environment](view).run(chooser)
    return _one_by_one(view, chooser)


def _one_by_one(view: AgentView, chooser: Chooser) -> Policy:
    """A desk for each part of a journey; one that is broken off goes on where it was."""
    running: dict[int, Policy] = {}
    results: dict[int, Observation] = {}
    while True:
        part = view.part  # type: ignore[attr-defined]
        try:
            if part.number in running:
                action = running[part.number].send(results[part.number])
            else:
                running[part.number] = policy(part, part.environment.name, chooser)
                action = next(running[part.number])
        except StopIteration:
            return
        results[part.number] = yield action


def play(episode: Episode, catalog: Catalog, chooser: Chooser, *, record: bool = False) -> Session:
    """A session of ``episode`` played to its end with the decisions of ``chooser``.

    ``record`` keeps its messages and steps, to look at.
    """
    session = Session(episode, catalog, record=record, trace=record)
    return run_policy(session, policy(session, session.environment.name, chooser))


__all__ = ["DESKS", "MOVES", "Chooser", "Desk", "Move", "Option", "play", "policy"]
