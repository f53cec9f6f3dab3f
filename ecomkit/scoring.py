"""Scoring a trajectory by replaying it (SPEC §11).

Every write and every reply of the customer is recomputed. A logged tool result or reply that
replay does not reproduce makes the verdict ``tampered``, which never passes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from ecomkit import failures
from ecomkit.errors import EpisodeError, TrajectoryError, UnknownProduct
from ecomkit.records import Episode, Score, Trajectory
from ecomkit.replay import SEARCH_TOOLS, Session
from ecomkit.tools import resolve
from ecomkit.trajectories import trajectory_from

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

Verify = Literal["writes", "full"]


class Tampered(Exception):
    """A logged message is not what the replay gives."""


def score(
    trajectory: Trajectory | Mapping[str, Any],
    episode: Episode | Mapping[str, Any],
    catalog: Catalog,
    *,
    verify: Verify = "writes",
    diagnose: bool = False,
) -> Score:
    """Replay a trajectory and score it.

    Args:
        trajectory: a :class:`Trajectory` or a row with ``episode_id`` and ``messages``.
        episode: the episode it was played on.
        catalog: the episode's catalog.
        verify: ``writes`` takes the search results from the log, after checking each card
            against the catalog, and needs no index; ``full`` recomputes them too.
        diagnose: fill in ``labels`` and ``first_decisive_step`` too (:mod:`ecomkit.failures`).

    Returns:
        A :class:`Score`. Its ``verdict`` is ``valid``, ``tampered`` (message says where),
        ``unreadable`` (the trajectory is malformed) or ``unknown_episode`` (it belongs to another
        episode). Only a valid one can have passed.

    Raises:
        EpisodeError: if the episode row is damaged.
        CatalogError: if the catalog is not the episode's.
        ValueError: if ``verify`` is neither of the two.
    """
    if verify not in ("writes", "full"):
        raise ValueError(f"verify must be 'writes' or 'full', got {verify!r}")
    if not isinstance(episode, Episode):
        if not isinstance(episode, Mapping):
            raise EpisodeError(f"an episode is a row or an Episode, not {type(episode).__name__}")
        episode = Episode.from_row(episode)
    try:
        trajectory = trajectory_from(trajectory)
    except TrajectoryError as error:
        return rejected("unreadable", str(error), episode)
    if trajectory.episode_id != episode.episode_id:
        return rejected(
            "unknown_episode",
            f"the trajectory is of episode {trajectory.episode_id!r}",
            episode,
            trajectory,
        )
    session = Session(episode, catalog, trace=diagnose)
    try:
        _replay(session, trajectory.messages, verify)
    except Tampered as problem:
        return rejected("tampered", str(problem), episode, trajectory, session.steps)
    except TrajectoryError as error:
        return rejected("unreadable", str(error), episode, trajectory, session.steps)
    found = failures.diagnose(session) if diagnose else failures.Diagnosis()
    return replace(
        session.score(),
        agent=trajectory.agent,
        trial=trajectory.trial,
        labels=found.labels,
        first_decisive_step=found.first_decisive_step,
    )


def rejected(
    verdict: str,
    message: str,
    episode: Episode,
    trajectory: Trajectory | None = None,
    steps: int = 0,
) -> Score:
    """The score of a trajectory that can't be judged: reward -1, not passed."""
    return Score(
        reward=-1.0,
        r_task=-1.0,
        r_eff=0.0,
        r_hall=0.0,
        passed=False,
        termination="unfinished",
        steps=steps,
        effective_steps=steps,
        par_turns=episode.par_turns,
        verdict=verdict,
        episode_id=episode.episode_id,
        agent=trajectory.agent if trajectory else "",
        trial=trajectory.trial if trajectory else 0,
        message=message,
    )


def _replay(session: Session, messages: Sequence[Mapping[str, Any]], verify: Verify) -> None:
    """Step the session through the assistant messages and compare what lies between them."""
    start = next(
        (i for i, message in enumerate(messages) if message.get("role") == "assistant"),
        len(messages),
    )
    _check_prompt(session, messages[:start])
    position = start
    while position < len(messages):
        message = messages[position]
        if session.done:
            raise Tampered(f"message {position}: the session had ended ({session.termination})")
        end = position + 1
        while end < len(messages) and messages[end].get("role") != "assistant":
            end += 1
        logged = messages[position + 1 : end]
        if verify == "writes":
            session.logged_searches = _logged_searches(session, message, logged, position)
        before = len(session.messages) + 1
        session.step(message)
        complete = end < len(messages) or session.done
        _compare(session, logged, session.messages[before:], position + 1, complete)
        position = end


def _check_prompt(session: Session, prompt: Sequence[Mapping[str, Any]]) -> None:
    """The customer's opening must be the episode's; the system prompt may be the agent's own."""
    said = [message.get("content") for message in prompt if message.get("role") == "user"]
    opening = session.episode.prompt[-1]["content"]
    if said and said[-1] != opening:
        raise Tampered("the customer's opening is not the episode's")


def _compare(
    session: Session,
    logged: Sequence[Mapping[str, Any]],
    recomputed: Sequence[Mapping[str, Any]],
    position: int,
    complete: bool,
) -> None:
    """Hold logged tool results and replies against the recomputed ones.

    A log may leave out what the session said at the very end.
    """
    for offset, (have, want) in enumerate(zip(logged, recomputed, strict=False)):
        where = f"message {position + offset}"
        if have.get("role") != want["role"]:
            raise Tampered(f"{where}: role is {have.get('role')!r}, replay gives {want['role']!r}")
        if want["role"] == "tool":
            if _parsed(have.get("content")) != _parsed(want["content"]):
                raise Tampered(f"{where}: the result of {want['name']} is not what replay gives")
        elif have.get("content") != want["content"]:
            raise Tampered(f"{where}: the customer did not say that")
    if len(logged) > len(recomputed):
        raise Tampered(f"message {position + len(recomputed)}: replay gives no such message")
    if len(logged) < len(recomputed) and not (session.done or not complete):
        missing = recomputed[len(logged)]["role"]
        raise TrajectoryError(f"message {position + len(logged)}: a {missing} message is missing")


def _parsed(content: Any) -> Any:
    if isinstance(content, str):
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            return content
    return content


def _logged_searches(
    session: Session,
    message: Mapping[str, Any],
    logged: Sequence[Mapping[str, Any]],
    position: int,
) -> list[dict[str, Any]]:
    """Results of search tools that the log gives for a step, each card checked."""
    calls = message.get("tool_calls")
    if not isinstance(calls, (list, tuple)):
        return []
    results: list[dict[str, Any]] = []
    tools = [item for item in logged if item.get("role") == "tool"]
    place = 0
    for made in calls:
        function = made.get("function") if isinstance(made, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        found = resolve(name)
        tool = found.name if found else ""
        if tool == "submit_answer":
            continue
        if tool in SEARCH_TOOLS:
            if place >= len(tools):
                raise TrajectoryError(f"message {position + 1}: the result of {tool} is missing")
            result = _parsed(tools[place].get("content"))
            if not isinstance(result, dict):
                raise TrajectoryError(f"the result of {tool} after message {position} is no object")
            _check_cards(session, result, tool, position)
            results.append(result)
        place += 1
    return results


def _check_cards(session: Session, result: Mapping[str, Any], tool: str, position: int) -> None:
    cards = result.get("results", [])
    if not isinstance(cards, list):
        raise TrajectoryError(f"the results of {tool} after message {position} are no list")
    for card in cards:
        if not isinstance(card, Mapping) or not isinstance(card.get("product_id"), str):
            raise TrajectoryError(f"a result of {tool} after message {position} is no card")
        try:
            row = session.catalog.row(card["product_id"])
        except UnknownProduct:
            raise Tampered(
                f"message {position + 1}: {tool} shows a product that the catalog lacks"
            ) from None
        true_card = session.catalog.card_at(row)
        if any(true_card.get(key, value) != value for key, value in card.items()):
            raise Tampered(f"message {position + 1}: a card of {tool} differs from the catalog")
