"""The macro-decisions of a session: what may be done next, and what speaks for each of it.

A :class:`Desk` holds what an agent has been told and shown in one session and offers
:class:`Move` s: ask, search, open, take, submit … It knows how each is carried out, never which
is wise. A :class:`Chooser` decides, from the features of what is on offer alone. Neither reads the
goal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ecomkit.core.records import Action, ToolCall

if TYPE_CHECKING:
    from ecomkit.envs.base import AgentView, Policy

Features = Mapping[str, float]
"""Feature name → value, usually in [0, 1]; a feature left out is 0."""

MOVES: tuple[str, ...] = (
    "ask",  # a question to the customer
    "list",  # an overview: the orders of the account, what was viewed lately
    "search",  # the catalog or the policies, first page
    "more",  # another page or wording of a search
    "open",  # one thing in full: product, variants, order, profile
    "compare",  # candidates by their likeness to something
    "check",  # again: is it in stock, is it eligible
    "take",  # a write: into the cart, a return, an exchange
    "drop",  # a write undone
    "code",  # a discount code
    "order",  # check out
    "show",  # look at the cart
    "send",  # carry out what was chosen for this step
    "submit",  # answer, which ends the session
)
"""Every kind of move, of whichever environment; what one learns of a kind serves all."""


class Option(NamedTuple):
    """One of the things a chooser picks from."""

    name: str
    """What it is: a move, or what is picked (``product``, ``order``, ``line``, ``variant`` …)."""
    features: Features


class Chooser(Protocol):
    """Takes the decisions."""

    def one(self, options: Sequence[Option]) -> int:
        """The place of the option taken; there is at least one."""

    def several(self, options: Sequence[Option], count: int) -> list[int]:
        """The places of up to ``count`` different options, best first."""


@dataclass(frozen=True, slots=True)
class Move:
    """Something to do next.

    ``key`` tells moves apart: of two with the same key only one is made in a step. ``make`` gives
    the call; it may ask the chooser which thing the call is about.
    """

    name: str
    key: str
    make: Callable[[Chooser], ToolCall]
    features: Features = field(default_factory=dict)


class Desk:
    """What is known in a session of one environment, and the moves that are open."""

    def __init__(self, view: AgentView) -> None:
        self.view = view
        self.pending: list[ToolCall] = []
        """Calls chosen for this step that have not been carried out."""

    def to_come(self, tool: str, argument: str) -> set[Any]:
        """What the calls of a tool that are chosen for this step are about."""
        return {made.arguments[argument] for made in self.pending if made.name == tool}

    def moves(self) -> list[Move]:
        """What can be done now, ``send`` and ``submit`` apart."""
        raise NotImplementedError

    def state(self) -> Features:
        """Features of how far things are; they speak for or against ``submit``."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether there is anything to answer with; without it ``submit`` waits for the end."""
        return True

    def note(self, move: Move, made: ToolCall, result: Mapping[str, Any]) -> None:
        """Take in the result of a call."""
        raise NotImplementedError

    def answer(self, chooser: Chooser) -> dict[str, Any]:
        """The arguments of ``submit_answer``, from what is known."""
        raise NotImplementedError

    def run(self, chooser: Chooser) -> Policy:
        """Plays the session: one decision after the other until the answer."""
        view = self.view
        while True:
            chosen: list[tuple[Move, ToolCall]] = []
            self.pending = []
            submitted = False
            while True:
                paid = sum(made.name != "ask_user" for _, made in chosen)
                taken = {move.key for move, _ in chosen}
                moves = [
                    move
                    for move in self.moves()
                    if move.key not in taken and (paid < view.tool_budget or move.name == "ask")
                ]
                now = self._now(len(chosen))
                options = [Option(move.name, {**move.features, **now}) for move in moves]
                if self.ready() or not options or now["last"]:
                    options.append(Option("submit", {**self.state(), **now}))
                if chosen and not now["last"]:  # past the last step there is no answer
                    full = float(paid >= view.tool_budget)
                    options.append(Option("send", {"full": full, **now}))
                place = chooser.one(options)
                if place < len(moves):
                    made = moves[place].make(chooser)
                    chosen.append((moves[place], made))
                    self.pending.append(made)
                    continue
                submitted = options[place].name == "submit"
                break
            calls = tuple(made for _, made in chosen)
            if submitted:
                yield Action(tool_calls=calls, answer=self.answer(chooser))
                return
            seen = yield Action(tool_calls=calls)
            for (move, made), result in zip(chosen, seen.results, strict=True):
                self.note(move, made, result)

    def _now(self, chosen: int) -> Features:
        """Features of the moment that every option has."""
        view = self.view
        return {
            "1": 1.0,
            "first": float(view.turn == 0),
            "last": float(view.turn >= view.max_turns - 1),
            "begun": float(chosen > 0),
        }
