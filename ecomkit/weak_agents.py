"""Agents of known weakness: the honest agent with one faculty taken away.

What such an agent gets wrong is known beforehand, so that its failures have a known truth: the
label in :attr:`Weakness.label` should be among those that :mod:`ecomkit.failures` finds. A weakness
only shows where the episode asks for what is missing; elsewhere the agent passes as the honest one.
None of them reads the goal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ecomkit.agents import run_policy
from ecomkit.attackers import answer_from, smallest
from ecomkit.errors import UnknownName
from ecomkit.records import Action, Episode, Observation, Slot, ToolCall, Trajectory
from ecomkit.replay import Session
from ecomkit.seeds import rng

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog
    from ecomkit.envs.base import Policy

Change = Callable[[ToolCall], "ToolCall | Mapping[str, Any]"]
"""What becomes of a call: another call, or a made-up result in place of it."""

_SORRY = "Sorry, I could not find everything that you asked for."
_LOOK = "This is in your cart now. Is that right?"
_EMPTY_ROUNDS = 30
_PLENTY = 9


@dataclass(frozen=True, slots=True)
class Weakness:
    """An agent's one fault, and the label that marks it."""

    name: str
    says: str
    """What the agent does wrong, as a sentence."""
    labels: Mapping[str, str]
    """Environment → the failure label of a session there in which the weakness was decisive."""
    policy: Callable[[Session], Policy]

    @property
    def environments(self) -> tuple[str, ...]:
        """Where it can be played."""
        return tuple(sorted(self.labels))


def _without(policy: Policy, change: Change) -> Policy:
    """``policy`` with its calls changed or left out on the way to the shop.

    The policy is told a made-up result for a call left out; a step of which nothing is left is
    not taken at all.
    """
    empty = 0
    action = next(policy)
    while True:
        asked = list(action.tool_calls)
        sent = [change(made) for made in asked]
        kept = tuple(made for made in sent if isinstance(made, ToolCall))
        if kept or action.text or action.answer is not None:
            seen = yield replace(action, tool_calls=kept)
            empty = 0
        else:
            seen = Observation((), (), 0, False)
            empty += 1
            if empty > _EMPTY_ROUNDS:
                return  # it waits for what will never come
        heard = iter(seen.results)
        results = tuple(next(heard) if isinstance(made, ToolCall) else made for made in sent)
        try:
            action = policy.send(replace(seen, results=results))
        except StopIteration:
            return


def _honest(session: Session) -> Policy:
    return session.environment.honest(session)


def _left_out(tool: str, result: Mapping[str, Any]) -> Change:
    return lambda made: result if made.name == tool else made


def _finished(session: Session, policy: Policy) -> Policy:
    """``policy``, and an answer where it ends without one."""
    yield from policy
    yield Action(answer=_plain_answer(session, "All done."))


def _plain_answer(session: Session, message: str) -> dict[str, Any]:
    def fill(name: str, schema: Mapping[str, Any]) -> Any:
        return message if name == "message" else smallest(name, schema)

    return answer_from(session.answer_parameters, fill)


def _never_asks(session: Session) -> Policy:
    return _finished(session, _without(_honest(session), _left_out("ask_user", {"reply": ""})))


def _forgets_variants(session: Session) -> Policy:
    def change(made: ToolCall) -> ToolCall:
        rest = {name: value for name, value in made.arguments.items() if name != "variant_id"}
        return ToolCall(made.name, rest) if made.name == "cart_add" else made

    return _without(_honest(session), change)


class _Deaf:
    """A session whose customer never takes anything back: each slot keeps what was said first."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._first: dict[str, Slot] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    @property
    def disclosed(self) -> Sequence[Slot]:
        return [self._first.setdefault(slot.key, slot) for slot in self._session.disclosed]


def _ignores_changes(session: Session) -> Policy:
    deaf = _Deaf(session)
    policy = session.environment.honest(deaf)
    action = next(policy)
    while True:
        _ = deaf.disclosed  # what was said so far is what stays
        try:
            action = policy.send((yield action))
        except StopIteration:
            return


def _ignores_corrections(session: Session) -> Policy:
    added = 0

    def change(made: ToolCall) -> ToolCall:
        if made.name != "cart_add":
            return made
        return ToolCall(
            made.name, {**made.arguments, "quantity": made.arguments.get("quantity", 1) + 1}
        )

    policy = _without(_honest(session), change)
    subjects = {slot.subject for slot in session.disclosed if slot.kind == "category"}
    action = next(policy)
    while True:
        calls = action.tool_calls
        later: tuple[ToolCall, ...] = ()
        adds = sum(made.name == "cart_add" for made in calls)
        if adds and added < len(subjects) <= added + adds and action.answer is None:
            if session.max_turns - session.turn > 2:
                # The order waits, so that there is a cart to look at.
                later = tuple(made for made in calls if made.name == "order_checkout")
                calls = tuple(made for made in calls if made not in later)
            action = replace(action, text=_LOOK, tool_calls=calls)
        added += adds
        seen = yield action
        if later:
            last = yield Action(tool_calls=later)
            seen = replace(last, results=(*seen.results, *last.results))
        try:
            action = policy.send(seen)
        except StopIteration:
            return


def _in_stock(value: Any) -> Any:
    """A tool result as one reads it who takes everything to be in stock."""
    if isinstance(value, Mapping):
        read = {name: _in_stock(inner) for name, inner in value.items()}
        for name in ("stock", "available"):
            if isinstance(read.get(name), int):
                read[name] = max(read[name], _PLENTY)
        return read | {"in_stock": True} if "in_stock" in read else read
    return [_in_stock(inner) for inner in value] if isinstance(value, list) else value


def _trusts_stale_stock(session: Session) -> Policy:
    """Reads every stock as plenty, and takes a refused purchase for one that went through."""
    policy = _honest(session)
    action = next(policy)
    while True:
        seen = yield action
        results = []
        for made, result in zip(action.tool_calls, seen.results, strict=False):
            if result.get("error") in ("out_of_stock", "insufficient_stock"):
                result = {"line_id": f"not there: {made.arguments.get('product_id')}"}
            elif made.name == "order_checkout":
                result = {}
            results.append(_in_stock(result))
        try:
            action = policy.send(replace(seen, results=tuple(results)))
        except StopIteration:
            return


def _overspends(session: Session) -> Policy:
    return _without(_honest(session), _left_out("cart_apply_discount", {"error": "forgotten"}))


def _answers_from_memory(session: Session) -> Policy:
    """Names products of the right category that it has not looked up in this session."""
    catalog = session.catalog
    wanted = [slot for slot in session.disclosed if slot.kind == "category"]
    writes = []
    for slot in wanted:
        rows = catalog.rows(category=slot.value["value"])
        row = int(rows[rng("memory", slot.value["value"]).below(len(rows))])
        product_id = catalog.product_at(row).product_id
        writes.append(ToolCall("cart_add", {"product_id": product_id}))
    budget = session.tool_budget
    for start in range(0, len(writes), budget):
        yield Action(tool_calls=tuple(writes[start : start + budget]))
    yield Action(answer=_plain_answer(session, "All done."))


def _gives_up_early(session: Session) -> Policy:
    """Stops after the first look at the shop, and says that nothing was found."""
    policy = _honest(session)
    action = next(policy)
    yield action
    policy.close()
    yield Action(answer=_plain_answer(session, _SORRY))


_LISTS = ("bundle", "discovery", "substitution")
_LISTENING = ("bundle", "cart", "discovery", "policy", "returns", "substitution", "tracking")

WEAKNESSES: dict[str, Weakness] = {
    weakness.name: weakness
    for weakness in (
        Weakness(
            "forgets_variants",
            "Adds the product without naming the variant: the shop takes the first it lists.",
            {"cart": "wrong_variant"},
            _forgets_variants,
        ),
        Weakness(
            "never_asks",
            "Works with what the opening says and asks for nothing that it leaves out.",
            {"cart": "never_asked_omitted_slot"},
            _never_asks,
        ),
        Weakness(
            "ignores_corrections",
            "Adds one unit too many, is told so, and leaves it.",
            {"cart": "ignored_correction"},
            _ignores_corrections,
        ),
        Weakness(
            "ignores_changes",
            "Keeps to what was said first when the customer changes their mind.",
            dict.fromkeys(_LISTENING, "ignored_change_of_mind"),
            _ignores_changes,
        ),
        Weakness(
            "trusts_stale_stock",
            "Takes everything to be in stock, whatever the shop says of it.",
            {**dict.fromkeys(_LISTS, "stale_after_sellout"), "cart": "missing_item"},
            _trusts_stale_stock,
        ),
        Weakness(
            "overspends",
            "Never applies the customer's discount code, and pays the full price.",
            {"cart": "wrong_discount"},
            _overspends,
        ),
        Weakness(
            "answers_from_memory",
            "Names products that nothing has shown it in the session.",
            {"cart": "hallucinated_id"},
            _answers_from_memory,
        ),
        Weakness(
            "gives_up_early",
            "Says that nothing was found after one look at the shop.",
            {"cart": "premature_answer"},
            _gives_up_early,
        ),
    )
}
"""Weaknesses by name."""


def weak_session(
    weakness: str, episode: Episode | Mapping[str, Any], catalog: Catalog, **options: Any
) -> Session:
    """A session of ``episode`` played to its end by an agent of a known weakness.

    Args:
        weakness: one of :data:`WEAKNESSES`.
        episode: what to play.
        catalog: the episode's catalog, with its search engine.
        options: of the :class:`Session`, such as ``trace=True`` for a diagnosis.

    Raises:
        UnknownName: for a weakness that does not exist, or none in that environment.
    """
    if weakness not in WEAKNESSES:
        raise UnknownName("weakness", weakness, WEAKNESSES)
    weak = WEAKNESSES[weakness]
    session = Session(episode, catalog, **options)
    if session.environment.name not in weak.environments:
        raise UnknownName(
            f"environment of the weakness {weakness!r}",
            session.environment.name,
            weak.environments,
        )
    run_policy(session, weak.policy(session))
    while not session.done:
        session.step(Action(answer=_plain_answer(session, "All done.")))
    return session


def play_weak(
    weakness: str, episode: Episode | Mapping[str, Any], catalog: Catalog, trial: int = 0
) -> Trajectory:
    """The trajectory of an agent of a known weakness; see :func:`weak_session`."""
    return weak_session(weakness, episode, catalog).trajectory(weakness, trial)
