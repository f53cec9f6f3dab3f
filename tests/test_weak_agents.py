"""Agents of known weakness: each shows its own, with the label that marks it, and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ecomkit as ek
from ecomkit.agents.scripted import play_session
from ecomkit.agents.weak import WEAKNESSES, marks, play_weak, weak_session
from ecomkit.core.errors import UnknownName
from ecomkit.envs import REGISTRY
from ecomkit.scores.failures import LABELS, diagnose

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

CELLS = [(name, env) for name, weak in WEAKNESSES.items() for env in weak.environments]
SHARP: dict[str, dict[str, float]] = {
    "never_asks": {"p_missing": 1.0},
    "ignores_corrections": {"p_out_of_stock": 0.0, "p_switch": 0.0},
    "ignores_changes": {"p_switch": 1.0},
    "trusts_stale_stock": {"p_out_of_stock": 1.0},
}
"""Axes that make a weakness show."""

NOWHERE = {
    # Only a cart is wanted in a certain version; a replacement may come in any.
    "forgets_variants": "bundle discovery policy returns substitution tracking",
    "never_asks": "",
    # The customer sees a cart and what was opened on an order; of the rest they are only told.
    "ignores_corrections": "bundle discovery policy substitution tracking",
    # In a journey the customer changes the subject instead of their mind.
    "ignores_changes": "journey",
    # Orders and rules are never sold out.
    "trusts_stale_stock": "policy tracking",
    # A replacement is described down to one product, and its price tells no other apart.
    "overspends": "policy returns tracking",
    "answers_from_memory": "",
    "gives_up_early": "",
}
"""Where a weakness has no meaning, and why."""

_kept: dict[tuple[str, int, str], list[ek.Episode]] = {}


def episodes(weakness: str, environment: str, catalog: Catalog) -> list[ek.Episode]:
    """A few episodes in which the weakness has a chance to show."""
    axes = SHARP.get(weakness, {})
    d = 12 if weakness == "overspends" else 6
    key = str(axes), d, environment
    if key not in _kept:
        # A discount or a return in exchange is not wanted in every one of them.
        seeds = 12 if weakness == "overspends" or environment in ("bundle", "returns") else 4
        _kept[key] = [
            ek.draw_episode(environment, d, seed, catalog, axes=axes) for seed in range(seeds)
        ]
    return _kept[key]


def test_each_weakness_is_wherever_it_has_a_meaning() -> None:
    assert set(NOWHERE) == set(WEAKNESSES)
    for name, weak in WEAKNESSES.items():
        assert sorted([*weak.environments, *NOWHERE[name].split()]) == sorted(REGISTRY)
        assert set(weak.labels.values()) <= set(LABELS)
        for environment, label in weak.labels.items():
            there = LABELS[label].environments
            assert not there or environment in there, (name, environment, label)


@pytest.mark.parametrize("name, environment", CELLS)
def test_a_weakness_shows_and_has_its_label(name: str, environment: str, catalog: Catalog) -> None:
    failed = 0
    for episode in episodes(name, environment, catalog):
        session = weak_session(name, episode, catalog, trace=True, record=False)
        assert session.done
        found = diagnose(session).labels
        if session.score().passed:
            continue
        failed += 1
        heard = name != "ignores_corrections" or any(step.mistakes for step in session.trace)
        if heard:
            assert set(marks(name, episode)) & set(found), (episode.episode_id, found)
    assert failed


@pytest.mark.parametrize("environment", sorted(WEAKNESSES["overspends"].labels))
def test_who_overspends_does_all_else_right(environment: str, catalog: Catalog) -> None:
    others = {"never_asked_omitted_slot", "hallucinated_id", "premature_answer", "missing_item"}
    for episode in episodes("overspends", environment, catalog):
        session = weak_session("overspends", episode, catalog, trace=True, record=False)
        assert not others.intersection(diagnose(session).labels)


def test_a_journey_has_the_marks_of_its_requests(catalog: Catalog) -> None:
    for episode in episodes("answers_from_memory", "journey", catalog):
        names = {intent["environment"] for intent in episode.goal["intents"]}
        labels = WEAKNESSES["answers_from_memory"].labels
        assert set(marks("answers_from_memory", episode)) == {labels[name] for name in names}
        session = weak_session("answers_from_memory", episode, catalog, record=False)
        assert [part.answer is not None for part in session.parts] == [True] * len(session.parts)


@pytest.mark.parametrize("environment", sorted(REGISTRY))
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
    with pytest.raises(UnknownName, match="never_asks"):
        marks("sleepy", episode)
    with pytest.raises(UnknownName, match="cart"):
        play_weak("overspends", episode, catalog)
