"""Scripted agents: the scale's ends, and the cheap policies that must not pass (SPEC §9).

``reference`` reads the goal. ``honest`` sees what the user said and what the tools returned.
``naive`` takes the first of everything and asks nothing. The cheap policies ignore the user or
the shop: ``empty``, ``talk_only``, ``constant``, ``everything`` and ``neighbour``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ecomkit.core.errors import UnknownName
from ecomkit.core.records import Action, Episode, ToolCall, Trajectory
from ecomkit.session.actions import to_message
from ecomkit.session.session import Session

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog
    from ecomkit.envs.base import Policy

AGENTS: tuple[str, ...] = (
    "reference",
    "honest",
    "naive",
    "empty",
    "talk_only",
    "constant",
    "everything",
    "neighbour",
)
CHEAP_POLICIES: tuple[str, ...] = ("empty", "talk_only", "constant", "everything", "neighbour")

_SMALL_TALK = (
    "Thanks for reaching out, I will take care of that for you.",
    "I am looking into it now.",
    "Everything you asked for is ready.",
)


def actions_from(reference: Mapping[str, Any]) -> list[Action]:
    """The actions stored in an episode's ``reference`` column."""
    return [
        Action(
            text=item.get("assistant_message", ""),
            tool_calls=tuple(
                ToolCall(made["name"], made["args"]) for made in item.get("tool_calls", ())
            ),
            answer=item.get("answer"),
        )
        for item in reference["actions"]
    ]


def actions_to_json(actions: Iterable[Action]) -> dict[str, Any]:
    """The inverse of :func:`actions_from`, in the single-object action format."""
    out = []
    for action in actions:
        item: dict[str, Any] = {}
        if action.text:
            item["assistant_message"] = action.text
        if action.tool_calls:
            item["tool_calls"] = [
                {"name": made.name, "args": dict(made.arguments)} for made in action.tool_calls
            ]
        if action.answer is not None:
            item["answer"] = dict(action.answer)
        out.append(item)
    return {"actions": out}


def run_actions(session: Session, actions: Iterable[Action]) -> Session:
    """Play fixed actions until they or the session end."""
    for action in actions:
        if session.done:
            break
        session.step(action)
    return session


def run_policy(session: Session, policy: Policy) -> Session:
    """Play a policy (a generator of actions that is sent observations) to its end."""
    try:
        action = next(policy)
        while not session.done:
            action = policy.send(session.step(action))
    except StopIteration:
        pass
    finally:
        policy.close()
    return session


def _talk_on(session: Session) -> Session:
    """Plays small talk to the end of a session that an agent has left unfinished, as one that
    gives a single answer leaves a journey."""
    while not session.done:
        session.step(Action(text=_SMALL_TALK[session.steps % len(_SMALL_TALK)]))
    return session


def play_session(
    agent: str,
    episode: Episode | Mapping[str, Any],
    catalog: Catalog,
    neighbour: Episode | Mapping[str, Any] | None = None,
    record: bool = True,
) -> Session:
    """A session of ``episode`` played to its end by a scripted agent.

    Args:
        agent: one of :data:`AGENTS`.
        episode: what to play.
        catalog: the episode's catalog.
        neighbour: the episode whose solution the ``neighbour`` policy copies.
        record: keep the chat messages; see :class:`Session`.

    Raises:
        UnknownName: for an agent that does not exist.
        ValueError: if ``neighbour`` is needed and missing.
    """
    session = Session(episode, catalog, record=record)
    env = session.environment
    if agent == "reference":
        return run_actions(session, actions_from(session.episode.reference))
    if agent == "honest":
        return run_policy(session, env.honest(session))
    if agent == "naive":
        return _talk_on(run_policy(session, env.naive(session)))
    if agent == "everything":
        return _talk_on(run_policy(session, env.flood(session)))
    if agent == "constant":
        return _talk_on(run_actions(session, env.constant(catalog)))
    if agent == "empty":
        return _talk_on(run_actions(session, [Action(answer={})]))
    if agent == "talk_only":
        turns = range(session.max_turns)
        talk = [Action(text=_SMALL_TALK[turn % len(_SMALL_TALK)]) for turn in turns]
        return run_actions(session, talk)
    if agent == "neighbour":
        if neighbour is None:
            raise ValueError("the neighbour policy needs the neighbouring episode")
        if not isinstance(neighbour, Episode):
            neighbour = Episode.from_row(neighbour)
        return _talk_on(run_actions(session, actions_from(neighbour.reference)))
    raise UnknownName("agent", agent, AGENTS)


def play(
    agent: str,
    episode: Episode | Mapping[str, Any],
    catalog: Catalog,
    neighbour: Episode | Mapping[str, Any] | None = None,
    trial: int = 0,
) -> Trajectory:
    """The trajectory of a scripted agent on an episode; see :func:`play_session`."""
    return play_session(agent, episode, catalog, neighbour).trajectory(agent, trial)


__all__ = [
    "AGENTS",
    "CHEAP_POLICIES",
    "actions_from",
    "actions_to_json",
    "play",
    "play_session",
    "run_actions",
    "run_policy",
    "to_message",
]
