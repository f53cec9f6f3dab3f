"""Agents of known weakness: the honest agent with one faculty taken away.

What such an agent gets wrong is known beforehand, so that its failures have a known truth: one of
:func:`marks` should be among the labels that :mod:`ecomkit.scores.failures` finds. A weakness only
shows where the episode asks for what is missing; elsewhere the agent passes as the honest one. A
journey is played with the same fault in every request whose environment knows it. None of them
reads the goal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ecomkit.agents.attackers import answer_from, smallest
from ecomkit.agents.scripted import run_policy
from ecomkit.core.errors import UnknownName
from ecomkit.core.records import (
    Action,
    Constraint,
    Episode,
    Observation,
    Slot,
    ToolCall,
    Trajectory,
)
from ecomkit.core.seeds import rng
from ecomkit.envs.base import holds_on_card
from ecomkit.session.session import Part, Session

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog
    from ecomkit.envs.base import Policy

Change = Callable[[ToolCall], "ToolCall | Mapping[str, Any]"]
"""What becomes of a call: another call, or a made-up result in place of it."""

_SORRY = "Sorry, I could not find everything that you asked for."
_LOOK = "This is in your cart now. Is that right?"
_EMPTY_ROUNDS = 30
_PLENTY = 9


View = Session | Part
"""What a policy plays: a session, or one request of a journey."""


@dataclass(frozen=True, slots=True)
class Weakness:
    """An agent's one fault, and the labels that mark it."""

    name: str
    says: str
    """What the agent does wrong, as a sentence."""
    labels: Mapping[str, str]
    """Environment → the failure label of a session there in which the weakness was decisive.
    Journeys are not among them: theirs are those of their requests."""
    policy: Callable[[Any], Policy]
    """From a :data:`View` of one of these environments to what the agent does in it."""
    in_journeys: bool = True
    """Whether it has a chance to show in a journey."""

    @property
    def environments(self) -> tuple[str, ...]:
        """Where it can be played."""
        return tuple(sorted([*self.labels, *(["journey"] if self.in_journeys else [])]))


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


def _honest(session: View) -> Policy:
    return session.environment.honest(session)


def _left_out(tool: str, result: Mapping[str, Any]) -> Change:
    return lambda made: result if made.name == tool else made


def _finished(session: View, policy: Policy) -> Policy:
    """``policy``, and an answer where it ends without one."""
    yield from policy
    yield Action(answer=_plain_answer(session, "All done."))


def _plain_answer(view: View, message: str) -> dict[str, Any]:
    parameters = view.environment.answer_parameters

    def fill(name: str, schema: Mapping[str, Any]) -> Any:
        if name == "message":
            return message
        if name not in parameters["required"]:
            return None
        return False if schema.get("type") == "boolean" else smallest(name, schema)

    return answer_from(parameters, fill)


def _never_asks(session: View) -> Policy:
    return _finished(session, _without(_honest(session), _left_out("ask_user", {"reply": ""})))


def _forgets_variants(session: View) -> Policy:
    def change(made: ToolCall) -> ToolCall:
        rest = {name: value for name, value in made.arguments.items() if name != "variant_id"}
        return ToolCall(made.name, rest) if made.name == "cart_add" else made

    return _without(_honest(session), change)


class _Seen:
    """A view that is seen in part only; all else is the view's."""

    def __init__(self, view: View) -> None:
        self._view = view

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)


class _Deaf(_Seen):
    """The customer never takes anything back: each slot keeps what was said first."""

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self._first: dict[str, Slot] = {}

    @property
    def disclosed(self) -> Sequence[Slot]:
        return [self._first.setdefault(slot.key, slot) for slot in self._view.disclosed]


class _Careless(_Seen):
    """The customer never speaks of money: neither of a budget nor of a price."""

    @property
    def disclosed(self) -> Sequence[Slot]:
        return [
            slot
            for slot in self._view.disclosed
            if slot.kind != "budget" and slot.value.get("attribute") != "price_cents"
        ]


def _ignores_changes(session: View) -> Policy:
    deaf = _Deaf(session)
    policy = session.environment.honest(deaf)
    action = next(policy)
    while True:
        _ = deaf.disclosed  # what was said so far is what stays
        try:
            action = policy.send((yield action))
        except StopIteration:
            return


def _one_unit_more(session: View) -> Policy:
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


def _another_line(view: View) -> Policy:
    """Opens the return on the line before or after the right one, where the order has another."""
    lines: dict[str, list[str]] = {}
    policy = _honest(view)
    action = next(policy)
    while True:
        wrong = [_moved(made, lines) for made in action.tool_calls]
        if tuple(wrong) != action.tool_calls:
            # A look at what was opened comes before the answer, if there is a turn for it.
            answer = None if view.max_turns - view.turn > 1 else action.answer
            action = Action("I opened that for you. Is that right?", tuple(wrong), answer)
            yield action
            where = {name: wrong[-1].arguments[name] for name in ("order_id", "line_id")}
            yield Action(answer={**_plain_answer(view, ""), **where, "eligible": True})
            return
        seen = yield action
        for page in seen.results:
            if "lines" in page:
                lines[str(page["order_id"])] = [str(line["line_id"]) for line in page["lines"]]
        try:
            action = policy.send(seen)
        except StopIteration:
            return


def _moved(made: ToolCall, lines: Mapping[str, Sequence[str]]) -> ToolCall:
    """A return of another line of the same order; any other call as it is."""
    if made.name not in ("return_initiate", "return_exchange"):
        return made
    others = [
        line
        for line in lines.get(made.arguments["order_id"], ())
        if line != made.arguments["line_id"]
    ]
    return ToolCall(made.name, {**made.arguments, "line_id": others[0]}) if others else made


def _ignores_corrections(view: View) -> Policy:
    return _one_unit_more(view) if view.environment.name == "cart" else _another_line(view)


def _in_stock(value: Any) -> Any:
    """A tool result as one reads it who takes everything to be in stock."""
    if isinstance(value, Mapping):
        read = {name: _in_stock(inner) for name, inner in value.items()}
        for name in ("stock", "available"):
            if isinstance(read.get(name), int):
                read[name] = _PLENTY
        return read | {"in_stock": True} if "in_stock" in read else read
    return [_in_stock(inner) for inner in value] if isinstance(value, list) else value


def _trusts_stale_stock(session: View) -> Policy:
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


def _overspends(view: View) -> Policy:
    name = view.environment.name
    if name == "cart":
        return _without(_honest(view), _left_out("cart_apply_discount", {"error": "forgotten"}))
    careless = view.environment.honest(_Careless(view))
    return _dearest(view, careless) if name == "bundle" else careless


def _dearest(view: View, policy: Policy) -> Policy:
    """``policy``, of a search shown what fits and costs most, and nothing else."""
    gone: set[str] = set()
    action = next(policy)
    while True:
        seen = yield action
        gone.update(page["product_id"] for page in seen.results if page.get("in_stock") is False)
        results = []
        for result in seen.results:
            fits = [
                card
                for card in result.get("results", ())
                if card["product_id"] not in gone and _fits(view, card)
            ]
            if fits:
                result = {**result, "results": [max(fits, key=lambda card: card["price_cents"])]}
            results.append(result)
        try:
            action = policy.send(replace(seen, results=tuple(results)))
        except StopIteration:
            return


def _fits(view: View, card: Mapping[str, Any]) -> bool:
    """Whether a card is as the customer wants one of the things, whatever it costs."""
    slots = _Careless(view).disclosed
    for wanted in slots:
        if wanted.kind == "category" and wanted.value["value"] == card["category"]:
            return all(
                holds_on_card(Constraint.from_dict(slot.value), card)
                for slot in slots
                if slot.subject == wanted.subject and slot.kind != "category"
            )
    return False


def _remembered(view: View, category: str, count: int) -> list[str]:
    """Some products of a category, none of which was looked up."""
    rows = view.catalog.rows(category=category)
    picked = rng("memory", category).sample(range(len(rows)), min(count, len(rows)))
    return [view.catalog.product_id(int(rows[place])) for place in picked]


def _answers_from_memory(view: View) -> Policy:
    """Names what could be meant, and has looked up none of it."""
    wanted = [slot.value["value"] for slot in view.disclosed if slot.kind == "category"]
    orders = [slot.value["clues"] for slot in view.disclosed if slot.kind == "order"]
    memory: dict[str, Any] = {
        "message": "All done.",
        "order_id": next((o["order_id"] for o in orders if "order_id" in o), ""),
        "line_id": "L1",
        "eligible": True,
        "status": "shipped",
        "expected_date": "2026-06-30",
        "value": 30,
    }
    name = view.environment.name
    if name == "cart":
        adds = [
            ToolCall("cart_add", {"product_id": one})
            for category in wanted
            for one in _remembered(view, category, 1)
        ]
        for start in range(0, len(adds), view.tool_budget):
            yield Action(tool_calls=tuple(adds[start : start + view.tool_budget]))
    elif name in _LISTS:
        counts = [slot.value["count"] for slot in view.disclosed if slot.kind == "count"]
        number = counts[0] if counts else 1
        memory["product_ids"] = [
            one for category in wanted for one in _remembered(view, category, number)
        ]
    parameters = view.environment.answer_parameters
    yield Action(answer=answer_from(parameters, lambda field, schema: memory.get(field)))


def _gives_up_early(view: View) -> Policy:
    """Stops after the first look at the shelves, or without one at the orders or the rules, and
    says that nothing was found."""
    policy = _honest(view)
    action = next(policy)
    policy.close()
    if view.environment.name not in ("cart", *_LISTS):
        asked = tuple(made for made in action.tool_calls if made.name == "ask_user")
        action = replace(action, tool_calls=asked)
    if action.tool_calls:
        yield action
    yield Action(answer=_plain_answer(view, _SORRY))


_LISTS = ("bundle", "discovery", "substitution")
_SINGLE = ("bundle", "cart", "discovery", "policy", "returns", "substitution", "tracking")

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
            dict.fromkeys(_SINGLE, "never_asked_omitted_slot"),
            _never_asks,
        ),
        Weakness(
            "ignores_corrections",
            "Adds one unit too many, or returns another line of the order, is told so, and leaves "
            "it.",
            dict.fromkeys(("cart", "returns"), "ignored_correction"),
            _ignores_corrections,
        ),
        Weakness(
            "ignores_changes",
            "Keeps to what was said first when the customer changes their mind.",
            dict.fromkeys(_SINGLE, "ignored_change_of_mind"),
            _ignores_changes,
            in_journeys=False,
        ),
        Weakness(
            "trusts_stale_stock",
            "Takes everything to be in stock, whatever the shop says of it.",
            {
                **dict.fromkeys(_LISTS, "stale_after_sellout"),
                "cart": "missing_item",
                "returns": "replacement_missing",
            },
            _trusts_stale_stock,
        ),
        Weakness(
            "overspends",
            "Pays more than the customer wants to: applies no discount code, keeps to no budget "
            "and to no price limit.",
            {
                "bundle": "budget_exceeded",
                "cart": "wrong_discount",
                "discovery": "constraint_violated",
                "substitution": "constraint_violated",
            },
            _overspends,
        ),
        Weakness(
            "answers_from_memory",
            "Names products, orders or rules that nothing has shown it in the session.",
            {
                **dict.fromkeys(("cart", *_LISTS), "hallucinated_id"),
                **dict.fromkeys(("policy", "returns", "tracking"), "premature_answer"),
            },
            _answers_from_memory,
        ),
        Weakness(
            "gives_up_early",
            "Says that nothing was found after one look at the shelves, or without one at the "
            "orders or the rules.",
            {
                **dict.fromkeys(_LISTS, "missing_item"),
                **dict.fromkeys(("cart", "policy", "returns", "tracking"), "premature_answer"),
            },
            _gives_up_early,
        ),
    )
}
"""Weaknesses by name."""


def marks(weakness: str, episode: Episode) -> tuple[str, ...]:
    """The labels of which a session of ``episode`` has one at least if the weakness sank it.

    Raises:
        UnknownName: for a weakness that does not exist.
    """
    if weakness not in WEAKNESSES:
        raise UnknownName("weakness", weakness, WEAKNESSES)
    labels = WEAKNESSES[weakness].labels
    names = [episode.environment]
    if episode.environment == "journey":
        names = [intent["environment"] for intent in episode.goal["intents"]]
    return tuple(sorted({labels[name] for name in names if name in labels}))


def _in_turn(session: Session, weak: Weakness) -> Policy:
    """The weakness in each request of a journey that knows it; one that is broken off goes on
    where it was."""
    running: dict[int, Policy] = {}
    seen: dict[int, Observation] = {}
    while session.part is not None:
        part = session.part
        number = part.number
        try:
            if number in running:
                action = running[number].send(seen[number])
            else:
                known_there = part.environment.name in weak.labels
                running[number] = weak.policy(part) if known_there else _honest(part)
                action = next(running[number])
        except StopIteration:
            return
        seen[number] = yield action


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
    run_policy(session, _in_turn(session, weak) if session.parts else weak.policy(session))
    while not session.done:
        session.step(Action(answer=_plain_answer(session, "All done.")))
    return session


def play_weak(
    weakness: str, episode: Episode | Mapping[str, Any], catalog: Catalog, trial: int = 0
) -> Trajectory:
    """The trajectory of an agent of a known weakness; see :func:`weak_session`."""
    return weak_session(weakness, episode, catalog).trajectory(weakness, trial)
