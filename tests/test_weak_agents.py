"""Agents of known weakness: each shows its own, with the label that marks it, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import ecomkit as ek
from ecomkit.agents import play_session
from ecomkit.errors import UnknownName
from ecomkit.failures import LABELS, diagnose
from ecomkit.weak_agents import WEAKNESSES, play_weak, weak_session

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

CELLS = [(name, env) for name, weak in WEAKNESSES.items() for env in weak.environments]
SHARP = {
    "forgets_variants": {},
    "never_asks": {"p_missing": 1.0},
    "ignores_corrections": {"p_out_of_stock": 0.0, "p_switch": 0.0},
    "ignores_changes": {"p_switch": 1.0},
    "trusts_stale_stock": {"p_out_of_stock": 1.0},
    "overspends": {},
    "answers_from_memory": {},
    "gives_up_early": {},
}
"""Axes that make a weakness show."""

_kept: dict[tuple[str, str], list[ek.Episode]] = {}


def episodes(weakness: str, environment: str, catalog: Catalog) -> list[ek.Episode]:
    """A few episodes in which the weakness has a chance to show."""
    key = str(SHARP[weakness]), environment
    if key not in _kept:

        def drawn() -> Iterator[ek.Episode]:
            rare = weakness == "overspends" or environment in ("bundle", "returns")
            for seed in range(12 if rare else 4):
                d = 12 if weakness == "overspends" else 6
                yield ek.draw_episode(environment, d, seed, catalog, axes=SHARP[weakness])

        _kept[key] = list(drawn())
    return _kept[key]


@pytest.mark.parametrize("name, environment", CELLS)
def test_a_weakness_shows_and_has_its_label(name: str, environment: str, catalog: Catalog) -> None:
    failed = 0
    mark = WEAKNESSES[name].labels[environment]
    assert mark in LABELS
    for episode in episodes(name, environment, catalog):
        session = weak_session(name, episode, catalog, trace=True, record=False)
        assert session.done
        found = diagnose(session).labels
        if session.score().passed:
            continue
        failed += 1
        heard = name != "ignores_corrections" or any(step.mistakes for step in session.trace)
        if heard:
            assert mark in found, (episode.episode_id, found)
    assert failed


@pytest.mark.parametrize("environment", sorted({env for _, env in CELLS}))
def test_the_honest_agent_has_none_of_them(environment: str, catalog: Catalog) -> None:
    """What fails is the weakness, not the episode."""
    for episode in episodes("ignores_changes", environment, catalog):
        session = play_session("honest", episode, catalog, record=False)
        assert session.score().passed


@pytest.mark.parametrize("name", WEAKNESSES)
def test_its_trajectory_is_scored_like_any_other(name: str, catalog: Catalog) -> None:
    episode = episodes("ignores_changes", "cart", catalog)[0]
    trajectory = play_weak(name, episode, catalog, trial=3)
    assert (trajectory.agent, trajectory.trial) == (name, 3)
    score = ek.score(trajectory, episode, catalog, verify="full")
    session = weak_session(name, episode, catalog, record=False)
    assert (score.verdict, score.reward) == ("valid", session.score().reward)


def test_what_does_not_exist_is_named(catalog: Catalog) -> None:
    episode = episodes("ignores_changes", "policy", catalog)[0]
    with pytest.raises(UnknownName, match="never_asks"):
        play_weak("sleepy", episode, catalog)
    with pytest.raises(UnknownName, match="cart"):
        play_weak("overspends", episode, catalog)
