"""Why a session failed: a closed list of labels, each decided by a rule (SPEC §12).

A label says what is true of a session; several may be. Labels of what was delivered (a wrong
variant, a sold-out recommendation) are decided by the environment whose checks look at it
(:meth:`Environment.labels`); the rest are decided here, the same way for all. Every failed session
has at least one label, and one that passed has none but those of :data:`HABITS`.

``first_decisive_step`` is the earliest step after which no one could have passed any more, not
even an agent that reads the goal: the session is taken up at each step and played on by
:meth:`Environment.recover`, with the turns that were left then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ecomkit.agents.scripted import actions_from
from ecomkit.core.records import Action, Verdict
from ecomkit.core.seeds import canonical_json
from ecomkit.envs.shopping import standing
from ecomkit.session.session import SEARCH_TOOLS, Session, Step
from ecomkit.shop.tools import TOOLS

if TYPE_CHECKING:
    from ecomkit.envs.base import Environment, State

LISTS = ("bundle", "discovery", "substitution")
SHOPPING = ("cart", *LISTS, "returns")


@dataclass(frozen=True, slots=True)
class Label:
    """A failure label: its name, the rule that decides it, and where it can occur."""

    name: str
    rule: str
    environments: tuple[str, ...] = ()
    """Environments that it applies to; empty for all. What applies to one applies to journeys."""


_ALL = (
    Label("format_error", "An output of the agent was no action, which ended the session."),
    Label(
        "illegal_tool",
        "A call of an unknown tool, with arguments that fail its schema, or over the step's tool "
        "budget ended the session.",
    ),
    Label(
        "hallucinated_id",
        "The answer or a write call named a product id that neither a tool result nor the "
        "customer had shown before that step. A habit: it may come with a pass.",
    ),
    Label(
        "wrong_product",
        "Another product stands in the place of a wanted one: in the cart or the order one of the "
        "same category, in a list one of another category, one that does not exist or the very "
        "one to be replaced; or anything from a denied category.",
        SHOPPING,
    ),
    Label(
        "wrong_variant",
        "A wanted product is in the cart or the order in a version not wanted.",
        ("cart",),
    ),
    Label(
        "wrong_quantity",
        "A wanted product is in the cart or the order, but not in the number of units wanted.",
        ("cart",),
    ),
    Label(
        "missing_item",
        "A wanted item is not in the cart or the order and nothing of its category is there in "
        "its place; or a list has fewer products than are wanted.",
        ("cart", *LISTS),
    ),
    Label(
        "extra_item",
        "There is more than was asked for: a further product in cart, order or list, a second "
        "order, an order, a return or something in the cart although none was asked for, or a "
        "replacement for a refund.",
    ),
    Label(
        "constraint_violated",
        "A product of the right category was recommended, or taken in exchange, that misses a "
        "requirement of the customer.",
        (*LISTS, "returns"),
    ),
    Label(
        "out_of_stock_recommended",
        "A recommended product was sold out when the answer was given.",
        LISTS,
    ),
    Label(
        "poor_ranking",
        "The list has the right length, all of it meets the requirements and is in stock, but its "
        "order or choice misses the mark.",
        ("discovery", "substitution"),
    ),
    Label(
        "budget_exceeded",
        "What was recommended costs more than the customer's budget.",
        ("bundle",),
    ),
    Label(
        "wrong_discount",
        "The order was placed at another total than the best of the customer's codes gives.",
        ("cart",),
    ),
    Label(
        "not_checked_out",
        "The customer asked for the order to be placed, and the answer came without one.",
        ("cart",),
    ),
    Label(
        "wrong_order",
        "The answer names, or a return or exchange was opened on, another order than the one the "
        "customer means.",
        ("returns", "tracking"),
    ),
    Label(
        "wrong_order_line",
        "The answer names, or a return or exchange was opened on, another line of the order that "
        "the customer means.",
        ("returns",),
    ),
    Label(
        "ineligible_return_initiated",
        "The shop's rules do not allow the return, and the answer says that they do.",
        ("returns",),
    ),
    Label(
        "eligible_return_refused",
        "The line could go back; nothing was opened, and the answer says that it cannot.",
        ("returns",),
    ),
    Label(
        "replacement_missing",
        "An exchange was asked for and possible, and the line was taken back for a refund, or "
        "said to be exchanged and was not.",
        ("returns",),
    ),
    Label(
        "wrong_status",
        "The status or the date in the answer is not that of the order it names.",
        ("tracking",),
    ),
    Label(
        "wrong_policy_value",
        "The answer to the question about the shop's rules is not the right one.",
        ("policy",),
    ),
    Label(
        "never_asked_omitted_slot",
        "The opening left something out, the agent never drew it out, and the outcome is wrong "
        "where it matters.",
    ),
    Label(
        "ignored_correction",
        "The customer pointed out a mistake, and in the steps that followed no write was made, or "
        "the same mistake was still there at the end.",
    ),
    Label(
        "ignored_change_of_mind",
        "The customer changed their mind, and the outcome is wrong, but less so by what they had "
        "wanted before.",
    ),
    Label(
        "claimed_unavailable_but_seen",
        "The agent told the customer that something cannot be had or found, although a product "
        "that the perfect agent delivers had been shown to it, is in stock and was not delivered.",
        SHOPPING,
    ),
    Label(
        "stale_after_sellout",
        "Something that sold out during the conversation is still in the cart or in the answer.",
        SHOPPING,
    ),
    Label(
        "answer_contradicts_world",
        "The answer says what the shop's own pages, shown to the agent, or its records contradict: "
        "a return or an order that was not made, another status than that of the page.",
        ("cart", "returns", "tracking"),
    ),
    Label(
        "looped_calls",
        "The same call with the same arguments and the same result, or the same message, three "
        "times or more. A habit: it may come with a pass.",
    ),
    Label(
        "premature_answer",
        "The answer came with turns left before any look-up or write that it needs had succeeded; "
        "of a failure with no other label it says that the answer came before the goal was met.",
    ),
    Label("turn_limit", "The turns ran out before an answer."),
    Label("user_quit", "The customer gave up after two bad turns in a row."),
    Label(
        "intent_dropped",
        "One of the things asked for in a journey was never answered.",
        ("journey",),
    ),
    Label(
        "infra_error",
        "The session was broken off from outside: the log stops before the session had ended.",
    ),
)

LABELS: Mapping[str, Label] = {label.name: label for label in _ALL}
"""Every label by name, in the order of SPEC §12."""

HABITS = frozenset({"hallucinated_id", "looped_calls"})
"""Labels that tell how the agent works and may come with a pass."""

_TERMINATION = {
    "format_error": "format_error",
    "illegal_tool": "illegal_tool",
    "turn_limit": "turn_limit",
    "quit": "user_quit",
    "unfinished": "infra_error",
    "infra_error": "infra_error",
    "denied_category": "wrong_product",
}
_BROKEN_OFF = frozenset({"format_error", "illegal_tool", "unfinished", "infra_error"})
"""Ends after which nothing is said of the outcome, since the agent was not done."""

_IDLE = frozenset({"ask_user", "datetime_now"})
_NO_WRITES = frozenset({"order_checkout", "cart_apply_discount"})
"""Writes that mend no mistake of a cart."""
_LOOP = 3

_UNAVAILABLE = re.compile(
    r"out of stock|sold out|unavailable|not available|isn.t available|no longer (?:available|sold)"
    r"|(?:could ?n.t|could not|can.t|cannot|can not|unable to|was not able to) (?:find|locate|get)"
    r"|(?:don.t|do not|doesn.t) (?:have|carry|stock|sell)|nothing (?:fits|matches)|no match",
    re.IGNORECASE,
)
_ORDER_PLACED = re.compile(
    r"\border (?:is|was|has been|have been)?\s*placed|placed (?:the|your|an) order", re.IGNORECASE
)


_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
_NO_CLAIM = re.compile(
    r"\?\s*$|\b(?:if|in case|unless|whether|once|when|until|before|not yet|will be)\b"
    r"|(?:not|n.t|never)\b[^.]{0,60}\bplaced",
    re.IGNORECASE,
)
"""Sentences that ask or suppose and so claim nothing."""


def _claims(pattern: re.Pattern[str], text: str) -> bool:
    """Whether a text states, in a sentence that neither asks nor supposes, what is looked for."""
    if not pattern.search(text):
        return False
    return any(
        pattern.search(sentence) and not _NO_CLAIM.search(sentence)
        for sentence in _SENTENCES.split(text[:20_000])
    )


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Labels in the order of :data:`LABELS`, and the first decisive step (from 1).

    ``first_decisive_step`` is None for a pass, and where a perfect agent could still have passed
    when the log ended.
    """

    labels: tuple[str, ...] = ()
    first_decisive_step: int | None = None


def diagnose(session: Session) -> Diagnosis:
    """What went wrong in a session, and from which step on it could not be saved.

    Args:
        session: a session that was made with ``trace=True``, at its end (or where its log ends).

    Raises:
        ValueError: if the session was not traced.
    """
    if not session.traced:
        raise ValueError("only a traced session can be diagnosed: Session(..., trace=True)")
    passed = session.score().passed
    labels = label(session)
    return Diagnosis(labels, None if passed else first_decisive_step(session))


# --- labels ----------------------------------------------------------------------------------


class _View:
    """A state with some attributes replaced; all else is the state's."""

    def __init__(self, state: Any, **other: Any) -> None:
        self.__dict__.update(other)
        self._state = state

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)


@dataclass(frozen=True, slots=True)
class _Task:
    """What is judged: the session, or one request of a journey at the moment of its answer."""

    environment: Environment
    goal: Mapping[str, Any]
    state: Any
    verdict: Verdict
    trace: Sequence[Step]
    """The steps in which it was the one talked about."""
    seen: Set[str]
    """Product ids shown by then."""

    @property
    def events(self) -> Iterator[Mapping[str, Any]]:
        """The shop's events that belong to it."""
        number = getattr(self.state, "number", None)
        for event in self.state.world.initial.get("events") or ():
            if event.get("intent") == number:
                yield event


def _tasks(session: Session) -> Iterator[_Task]:
    """What was begun, in order."""
    if not session.parts:
        yield _Task(
            session.environment,
            session.episode.goal,
            session,
            session.verdict(),
            session.trace,
            session._seen | session.context.shown,
        )
        return
    for number, part in enumerate(session.parts):
        if not part.begun:
            continue
        then = session
        if part.answered_in is not None and part.answered_in < len(session.trace):
            then = session.trace[part.answered_in].before
        trace = [
            step
            for step in session.trace[: part.answered_in]
            if step.before.part is not None and step.before.part.number == number
        ]
        verdict, state = part.verdict(), then.parts[number]
        if verdict.passed and not (later := standing(part)).passed:
            verdict, state = later, part  # right when it was answered, spoiled since
        yield _Task(
            part.environment,
            part.intent.goal,
            _View(state, trace=trace),
            verdict,
            trace,
            then._seen | then.context.shown,
        )


def label(session: Session) -> tuple[str, ...]:
    """The labels of a traced session, in the order of :data:`LABELS`."""
    score = session.score()
    found: set[str] = set()
    if session._unseen:
        found.add("hallucinated_id")
    if _looped(session):
        found.add("looped_calls")
    if not score.passed:
        found.update(_failure_labels(session, score.termination))
    return tuple(name for name in LABELS if name in found)


def _failure_labels(session: Session, termination: str) -> set[str]:
    found: set[str] = set()
    if termination in _TERMINATION:
        found.add(_TERMINATION[termination])
    broken_off = termination in _BROKEN_OFF
    for task in _tasks(session):
        if task.verdict.passed:
            continue
        if not broken_off or (session.parts and task.state.answer is not None):
            found.update(_task_labels(task))
    if session.parts and not broken_off and any(part.answer is None for part in session.parts):
        found.add("intent_dropped")
    # An answer that failed for no reason named above still came before the goal was met.
    return found or {"premature_answer"}


def _task_labels(task: _Task) -> Iterator[str]:
    yield from task.environment.labels(task.goal, task.state, task.verdict)
    for name, holds in _RULES.items():
        if holds(task):
            yield name


def _looped(session: Session) -> bool:
    texts: dict[str, int] = {}
    calls: dict[str, int] = {}
    for step in session.trace:
        if step.action is not None and step.action.text:
            texts[step.action.text] = texts.get(step.action.text, 0) + 1
        for name, arguments in step.calls:
            key = f"{name}{sorted(arguments.items(), key=_first)!r}"
            calls[key] = calls.get(key, 0) + 1
    if any(count >= _LOOP and text.strip() for text, count in texts.items()):
        return True
    often = {key for key, count in calls.items() if count >= _LOOP}
    if not often:
        return False
    results: dict[tuple[str, str], int] = {}
    for step in session.trace:
        for (name, arguments), result in zip(step.calls, step.results, strict=False):
            key = f"{name}{sorted(arguments.items(), key=_first)!r}"
            if key in often:
                both = key, canonical_json(result)
                results[both] = results.get(both, 0) + 1
    return max(results.values()) >= _LOOP


def _first(pair: tuple[str, Any]) -> str:
    return pair[0]


def _answered_at_once(task: _Task) -> bool:
    if task.state.answer is None or task.state.steps >= task.state.max_turns:
        return False
    return not any(
        name not in _IDLE and "error" not in result
        for step in task.trace
        for (name, _), result in zip(step.calls, step.results, strict=False)
    )


def _never_asked(task: _Task) -> bool:
    if task.state.answer is None:
        return False
    results = {check.name: check.passed for check in task.verdict.checks}
    for slot in task.state.user.left_out():
        if slot.kind == "fallback":
            if "sell_out" not in task.state.fired:
                continue
            names = [f"{slot.subject}.product", f"{slot.subject}.variant", "no_extra_items"]
        elif slot.kind in _JUDGED_BY:
            names = [_JUDGED_BY[slot.kind]]
        else:
            names = [f"{slot.subject}.{slot.kind}", f"requirement.{slot.kind}", slot.kind]
            if not any(name in results for name in names):
                names = [f"{slot.subject}.product", f"{slot.subject}.requirements"]
        known = [results[name] for name in names if name in results]
        if not all(known) or not known:
            return True
    return False


def _ignored_correction(task: _Task) -> bool:
    for number, step in enumerate(task.trace[:-1]):
        if not step.mistakes:
            continue
        mended = any(
            TOOLS[name].writes and name not in _NO_WRITES and "error" not in result
            for after in task.trace[number + 1 :]
            for (name, _), result in zip(after.calls, after.results, strict=False)
        )
        if not mended:
            return True
        told = {(mistake.kind, mistake.slot_key, mistake.text) for mistake in step.mistakes}
        review = task.environment.review(task.goal, task.state)
        if any((m.kind, m.slot_key, m.text) in told for m in review.mistakes):
            return True
    return False


def _ignored_change(task: _Task) -> bool:
    """Judges the outcome by what was wanted before the change of mind: it would have passed, or
    at least what changed would have been right."""
    state = task.state
    if "switch" not in state.fired or state.answer is None:
        return False
    fired = {event: step for event, step in state.fired.items() if event != "switch"}
    by_then = task.environment.verify(task.goal, cast("State", _View(state, fired=fired)))
    now = {check.name for check in task.verdict.checks if not check.passed}
    then = {check.name for check in by_then.checks if not check.passed}
    if by_then.passed:
        return True
    changed = state.user.changed or ""
    subject, _, kind = changed.rpartition(".")
    about = {changed, f"requirement.{kind}", f"{subject}.requirements", _JUDGED_BY.get(kind, kind)}
    return then < now and bool((now - then) & about)


def _stale(task: _Task) -> bool:
    """Whether something that sold out during the conversation is in the cart or the answer."""
    state = task.state
    if "sell_out" not in state.fired:
        return False
    gone = {
        variant_id
        for event in task.events
        if event["kind"] == "sell_out"
        for variant_id in event["variant_ids"]
    }
    in_cart = {line.product_id for line in state.world.cart}
    if any(line.variant_id in gone for line in state.world.cart):
        return True
    for product_id in sorted(_named(state.answer) - in_cart):
        try:
            variants = state.catalog.variants(product_id)
        except (KeyError, UnicodeError):
            continue
        if any(v.variant_id in gone for v in variants) and all(
            state.world.live(v) <= 0 for v in variants
        ):
            return True
    return False


def _named(answer: Mapping[str, Any] | None) -> set[str]:
    """Product ids that an answer names."""
    given = (answer or {}).get("product_ids", ())
    found = {str(one).strip() for one in given} if isinstance(given, (list, tuple)) else set()
    replacement = (answer or {}).get("replacement_product_id")
    return found | {str(replacement).strip()} if replacement else found


def _claimed_unavailable(task: _Task) -> bool:
    state = task.state
    said = [step.action.text for step in task.trace if step.action is not None]
    said.append(str((state.answer or {}).get("message") or ""))
    if not any(text and _claims(_UNAVAILABLE, text) for text in said):
        return False
    delivered = _named(state.answer) | {line.product_id for line in state.world.cart}
    for order_id in state.order_steps:
        lines = state.world.placed_order(order_id)["lines"]
        delivered |= {line["product_id"] for line in lines}
    delivered |= {str(record.get("replacement_product_id")) for record in state.world.returns}
    right = task.environment.right_products(task.goal, state)
    return any(state.world.product_stock(one) > 0 for one in right & task.seen - delivered)


def _claims_an_order(task: _Task) -> bool:
    message = (task.state.answer or {}).get("message")
    if not isinstance(message, str) or task.state.order_steps:
        return False
    return _claims(_ORDER_PLACED, message)


_JUDGED_BY = {
    "priority": "ranking",
    "budget": "within_budget",
    "discount_code": "total",
    "fact": "value",
}
"""Slot kind → the check that it decides, where they are not called the same."""

_RULES: Mapping[str, Callable[[_Task], bool]] = {
    "premature_answer": _answered_at_once,
    "never_asked_omitted_slot": _never_asked,
    "ignored_correction": _ignored_correction,
    "ignored_change_of_mind": _ignored_change,
    "stale_after_sellout": _stale,
    "claimed_unavailable_but_seen": _claimed_unavailable,
    "answer_contradicts_world": _claims_an_order,
}
"""The rules that all environments share."""


# --- the decisive step ---------------------------------------------------------------------------


def first_decisive_step(session: Session) -> int | None:
    """The earliest step after which a perfect agent can no longer pass, counted from 1.

    None if it still can after the last step of the log. Once lost stays lost, so that it is found
    by bisection, beginning at the end, where most are lost.
    """
    trace = session.trace
    if not session.done and can_pass(session.fork()):
        return None
    low, high = 0, len(trace)  # after `low` steps it can pass, after `high` it cannot
    middle = high - 1
    while low < middle:
        if can_pass(trace[middle].before.fork()):
            low = middle
        else:
            high = middle
        middle = (low + high) // 2
    return high


def can_pass(session: Session) -> bool:
    """Whether a perfect agent that takes the session over would pass. Plays it to its end."""
    environment, goal = session.environment, session.episode.goal
    if session.steps == 0:
        return True  # the episode was certified
    pending = max(
        [event["after_step"] for event in session.episode.world.get("events") or ()], default=0
    )
    while not session.done:
        plan = environment.recover(goal, session)
        if plan is None:
            return _plays_reference(session)
        left = session.max_turns - session.steps
        if not plan or (len(plan) > left and session.steps > pending):
            return False
        session.step(plan[0])
    return session.score().passed


def _plays_reference(session: Session) -> bool:
    """The stored reference from here on; its last steps, where there are too few turns for all."""
    actions = actions_from(session.episode.reference)
    for action in actions[-(session.max_turns - session.steps) :]:
        if session.done:
            break
        # It knows what to find; searching is for show, and an index may not be at hand.
        kept = tuple(made for made in action.tool_calls if made.name not in SEARCH_TOOLS)
        if kept or action.text or action.answer is not None:
            session.step(Action(action.text, kept, action.answer))
    return session.score().passed


def explain(name: str) -> Iterator[str]:
    """Lines that say what a label means."""
    found = LABELS[name]
    yield f"{found.name}: {found.rule}"
    where = ", ".join(found.environments) if found.environments else "all environments"
    yield f"applies to {where}"
