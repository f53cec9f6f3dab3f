#!/usr/bin/env python3
"""Measures failure labels: precision and recall on planted faults, and their cost.

    scripts/bench_labels.py --catalog data/bench/catalog --faults 20000
    scripts/bench_labels.py --catalog data/bench/catalog --environments cart,policy --faults 2000

A passing session is taken, one fault of a known kind is planted in its actions, and the labels of
what comes of it are held against those that the fault must have. Consequences that a fault may or
may not have (such as a budget exceeded by a wrong product) count neither way. The passing sessions
are of the reference with the honest agent's questions, or of the honest agent itself.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ecomkit.agents.scripted import actions_from, run_policy
from ecomkit.catalog import Catalog
from ecomkit.core.errors import EcomkitError
from ecomkit.core.records import Action, Episode, ToolCall
from ecomkit.core.seeds import Rng, rng
from ecomkit.data.loading import load_catalog
from ecomkit.envs import REGISTRY, environment
from ecomkit.envs.base import NearMiss
from ecomkit.episodes.draw import draw
from ecomkit.scores.failures import HABITS, LABELS, diagnose
from ecomkit.session.session import Session
from ecomkit.shop.tools import TOOLS

CHECKOUT = "order_checkout"
LISTS = ("discovery", "substitution", "bundle")
GARBLED = ('{"tool_calls": [', '{"answer": 5}', "", '{"thought": "hm"}', '```json\n{"a": }\n```')
ILLEGAL = (
    ToolCall("warehouse_teleport", {}),
    ToolCall("order_get_status", {}),
    ToolCall("catalog_search", {"query": 7}),
    ToolCall("cart_add", {"product_id": "A", "quantity": 0}),
    ToolCall("cart_view", {"now": True}),
)
FILLERS = ("order_list", "user_get_profile", "user_get_visit_history", "cart_view")
TALK = ("I am looking into it now.", "Just a moment longer, thanks for waiting.")


@dataclass(slots=True)
class Base:
    """A passing session: its actions, and what was left out of the opening."""

    episode: Episode
    catalog: Catalog
    actions: list[Action]
    asks: tuple[ToolCall, ...]
    session: Session
    omitted: set[str] = field(default_factory=set)
    """Keys of the slots that the opening leaves out."""


@dataclass(slots=True)
class Fault:
    """Actions with one fault in them. ``must`` are the labels it has; ``may`` those that can
    follow from it. ``step`` is the decisive one where that is known, 0 for none, -1 unknown."""

    kind: str
    actions: Sequence[Any]
    must: frozenset[str]
    may: frozenset[str] = frozenset()
    step: int = -1
    refusal_undoes: bool = False
    """Whether it is another fault if the shop refuses a write."""


def labels(text: str) -> frozenset[str]:
    """Labels written next to each other; each must exist."""
    found = frozenset(text.split())
    assert found <= set(LABELS), found - set(LABELS)
    return found


# --- what near misses are faults of: kind -> (must, may) -------------------------------------

_RETURN_MAY = (
    "answer_contradicts_world replacement_missing eligible_return_refused "
    "ineligible_return_initiated"
)
NEAR_MISSES: dict[str, dict[str, tuple[str, str]]] = {
    "cart": {
        "wrong_variant": ("wrong_variant", ""),
        "quantity_plus_one": ("wrong_quantity", ""),
        "quantity_minus_one": ("wrong_quantity", ""),
        "missing_item": ("missing_item", "premature_answer not_checked_out"),
        "constraint_violated": ("wrong_product", ""),
        "extra_item": ("extra_item", ""),
        "ignored_change_of_mind": ("ignored_change_of_mind", "wrong_variant wrong_quantity"),
        "nothing_written": ("premature_answer missing_item", "not_checked_out"),
        "not_checked_out": ("not_checked_out", ""),
        "wrong_discount": ("wrong_discount", ""),
        "ordered_unasked": ("extra_item", ""),
    },
    "discovery": {
        "constraint_violated": ("constraint_violated", "missing_item"),
        "ill_ranked": ("poor_ranking", ""),
        "one_short": ("missing_item", "premature_answer"),
        "duplicate": ("missing_item", ""),
        "sold_out_item": (
            "out_of_stock_recommended stale_after_sellout",
            "missing_item extra_item poor_ranking",
        ),
        "ignored_change_of_mind": (
            "ignored_change_of_mind",
            "constraint_violated poor_ranking missing_item extra_item out_of_stock_recommended",
        ),
    },
    "tracking": {
        "another_order": ("wrong_order", ""),
        "another_order_id": ("wrong_order", "wrong_status answer_contradicts_world"),
        "ignored_change_of_mind": ("wrong_order ignored_change_of_mind", ""),
        "wrong_status": ("wrong_status answer_contradicts_world", ""),
        "wrong_date": ("wrong_status answer_contradicts_world", ""),
        "no_date": ("wrong_status answer_contradicts_world", ""),
        "unknown_order": ("wrong_order", ""),
    },
    "policy": {
        "ignored_change_of_mind": ("wrong_policy_value ignored_change_of_mind", ""),
        "*": ("wrong_policy_value", ""),
    },
    "returns": {
        "another_line": ("wrong_order_line", _RETURN_MAY),
        "another_order": ("wrong_order", _RETURN_MAY),
        "eligible_refused": ("eligible_return_refused", ""),
        "not_written": ("answer_contradicts_world", "replacement_missing"),
        "written_but_denied": ("answer_contradicts_world", ""),
        "ineligible_initiated": ("ineligible_return_initiated", ""),
        "claimed_eligible": ("ineligible_return_initiated", ""),
        "replacement_missing": ("replacement_missing", "answer_contradicts_world"),
        "constraint_violated": ("constraint_violated", "wrong_variant"),
        "wrong_category": ("wrong_product", ""),
        "exchange_for_refund": ("extra_item", "answer_contradicts_world"),
        "sold_out_replacement": ("replacement_missing answer_contradicts_world", ""),
        "ignored_change_of_mind": (
            "ignored_change_of_mind",
            f"{_RETURN_MAY} wrong_order wrong_order_line extra_item constraint_violated "
            "wrong_product",
        ),
    },
    "bundle": {
        "missing_item": ("missing_item", "premature_answer"),
        "duplicate_category": ("extra_item", "budget_exceeded"),
        "constraint_violated": ("constraint_violated", "budget_exceeded"),
        "over_budget": ("budget_exceeded", ""),
        "extra_product": ("extra_item", "budget_exceeded"),
        "wrong_category": ("wrong_product", "budget_exceeded missing_item"),
        "unknown_product": ("extra_item hallucinated_id", ""),
        "sold_out_item": ("out_of_stock_recommended stale_after_sellout", "budget_exceeded"),
        "ignored_change_of_mind": (
            "ignored_change_of_mind",
            "constraint_violated budget_exceeded out_of_stock_recommended",
        ),
    },
}
NEAR_MISSES["substitution"] = {
    **NEAR_MISSES["discovery"],
    "incompatible": ("constraint_violated", "missing_item"),
    "original_itself": ("wrong_product out_of_stock_recommended", "constraint_violated"),
    "original_too": (
        "wrong_product out_of_stock_recommended",
        "constraint_violated missing_item extra_item",
    ),
}
for _known in NEAR_MISSES.values():
    # What is bought along need not have been shown.
    for _kind in ("ordered_unasked", "left_in_cart", "returned_unasked"):
        _known.setdefault(_kind, ("extra_item", "hallucinated_id premature_answer"))


REFUSAL_UNDOES = frozenset(
    "wrong_variant quantity_plus_one quantity_minus_one constraint_violated extra_item "
    "exchange_for_refund wrong_category".split()
)
"""Near misses that are another fault if the shop refuses the write, as for too few in stock."""
UNFIT = frozenset("constraint_violated incompatible one_extra original_itself original_too".split())
"""Near misses that recommend what misses a requirement."""
SINGLE_WRITES = frozenset({"constraint_violated", "wrong_category"})
"""Near misses of returns whose only write is the decisive step."""


def near_misses(base: Base) -> Iterator[Fault]:
    """The environment's own wrong attempts, with the honest agent's questions put in front."""
    episode = base.episode
    env = environment(episode.environment)
    goal = episode.goal
    if episode.environment == "journey":
        yield from journey_misses(base)
        return
    misses = list(env.near_misses(goal, episode.world, episode.axes, base.catalog))
    stubborn = [m.actions for m in misses if m.kind == "ignored_change_of_mind"]
    for miss in misses:
        must, may = expected(base, miss)
        if miss.actions in stubborn:
            # By chance the very thing that was wanted before.
            may += " ignored_change_of_mind"
        if not must:
            continue
        step = -1
        if episode.environment == "returns" and miss.kind in SINGLE_WRITES:
            step = len(miss.actions) - 1
        yield Fault(
            f"near miss: {miss.kind}",
            with_asks(miss.actions, base.asks),
            labels(must),
            labels(may),
            step,
            refusal_undoes=miss.kind in REFUSAL_UNDOES,
        )


def expected(base: Base, miss: NearMiss) -> tuple[str, str]:
    """The labels that a near miss must and may have; none where that depends on more."""
    goal, name = base.episode.goal, base.episode.environment
    known = NEAR_MISSES[name]
    must, may = known.get(miss.kind) or known.get("*") or ("", "")
    answer = miss.actions[-1].answer or {}
    if name in LISTS:
        may += " hallucinated_id premature_answer"  # not every product is looked up
    if name in ("discovery", "substitution") and miss.kind == "one_extra":
        if len(answer["product_ids"]) > goal["outputs"]:
            must, may = "extra_item", may + " constraint_violated"
        else:
            must, may = "constraint_violated", may + " extra_item"
    if name == "cart" and miss.kind == "sold_out_item":
        early = [
            step
            for step, action in enumerate(miss.actions, 1)
            if any(made.name == "cart_add" for made in action.tool_calls)
        ]
        if early[0] <= goal["sell_out"]["after_step"]:
            # In the cart before it sold out; later it would be refused.
            must = "stale_after_sellout"
            may = (
                "wrong_product wrong_variant extra_item missing_item wrong_quantity "
                "not_checked_out hallucinated_id"
            )
    switch = goal.get("switch")
    if name == "bundle" and switch and switch["kind"] == "budget":
        may += " ignored_change_of_mind"  # the budget of before may have allowed it
    if name in LISTS and switch and miss.kind in UNFIT and "order" not in _changes(goal):
        may += " ignored_change_of_mind"  # it may miss no requirement but the changed one
    if miss.kind == "duplicate_category":
        may += " out_of_stock_recommended stale_after_sellout"  # of the second one
    return must, may


def _changes(goal: Mapping[str, Any]) -> set[str]:
    """What of a wish a change of mind changes."""
    wish = goal["switch"].get("wish", goal["switch"])
    return {
        key for key in ("requirements", "order") if wish.get(key, goal.get(key)) != goal.get(key)
    }


def journey_misses(base: Base) -> Iterator[Fault]:
    """A near miss of one request of a journey; the rest of it is right."""
    episode = base.episode
    env = environment("journey")
    for miss in env.near_misses(episode.goal, episode.world, episode.axes, base.catalog):
        name, _, kind = miss.kind.partition(".")
        must, may = NEAR_MISSES.get(name, {}).get(kind, ("", ""))
        if miss.kind == "cart_spoiled_later":
            must = "extra_item"
        if miss.kind == "intent_dropped":
            must, may = "intent_dropped", "turn_limit user_quit looped_calls"
        if not must:
            continue
        # Only the first request's questions are asked, and lists need no look-up.
        may += " never_asked_omitted_slot hallucinated_id premature_answer"
        yield Fault(
            f"near miss: {miss.kind}",
            with_asks(miss.actions, base.asks),
            labels(must),
            labels(may),
            refusal_undoes=kind in REFUSAL_UNDOES,
        )


def with_asks(actions: Sequence[Action], asks: tuple[ToolCall, ...]) -> list[Action]:
    """The actions with questions to the customer in the first step."""
    first, *rest = actions
    return [Action(first.text, (*asks, *first.tool_calls), first.answer), *rest]


# --- faults that any session can have -------------------------------------------------------


def broken(base: Base, draw_: Rng) -> Iterator[Fault]:
    """Ends that are no answer: unreadable output, illegal calls, broken-off logs, empty talk."""
    actions, turns = base.actions, base.episode.max_turns
    journey = base.episode.environment == "journey"
    dropped = labels("intent_dropped") if journey else frozenset()
    at = draw_.below(len(actions))
    yield Fault(
        "unreadable output",
        [*actions[:at], draw_.choice(GARBLED)],
        labels("format_error"),
        step=at + 1,
    )
    yield Fault(
        "illegal call",
        [*actions[:at], Action(tool_calls=(draw_.choice(ILLEGAL),))],
        labels("illegal_tool"),
        step=at + 1,
    )
    many = tuple(ToolCall("datetime_now", {}) for _ in range(base.episode.tool_budget + 1))
    yield Fault(
        "over the tool budget",
        [*actions[:at], Action(tool_calls=many)],
        labels("illegal_tool"),
        step=at + 1,
    )
    if len(actions) > 1:
        cut = draw_.between(1, len(actions) - 1)
        yield Fault("log broken off", actions[:cut], labels("infra_error"))
        if cut + 2 <= turns and not base.omitted - base.session.stated:
            talk = [Action(text=text) for text in TALK]
            yield Fault(
                "talk without work",
                [*actions[:cut], *talk],
                labels("user_quit") | dropped,
                step=-1 if journey else cut + 2,
            )
        idle = [
            Action(tool_calls=(ToolCall("policy_search", {"query": f"question {n} of mine"}),))
            for n in range(turns - cut)
        ]
        yield Fault(
            "turns run out",
            [*actions[:cut], *idle],
            labels("turn_limit") | dropped,
            labels("looped_calls stale_after_sellout"),
            # A journey is lost with fewer turns than requests, a cart with fewer than writes.
            step=-1 if base.episode.environment in ("cart", "journey") else turns,
        )
    if len(actions) + 3 <= turns:
        again = Action(tool_calls=(ToolCall(draw_.choice(FILLERS), {}),))
        looped = [actions[0], *[again] * 3, *actions[1:]]
        yield Fault("same call three times", looped, labels("looped_calls"), step=0)


def answers(base: Base, **changes: Any) -> list[Action]:
    """The actions with the answer changed."""
    *most, last = base.actions
    return [*most, Action(last.text, last.tool_calls, {**(last.answer or {}), **changes})]


# --- faults by environment ------------------------------------------------------------------


def edit_call(actions: Sequence[Action], at: tuple[int, int], *calls: ToolCall) -> list[Action]:
    """The actions with call ``at`` (step, place) replaced by ``calls``."""
    step, place = at
    action = actions[step]
    made = (*action.tool_calls[:place], *calls, *action.tool_calls[place + 1 :])
    out = list(actions)
    out[step] = Action(action.text, made, action.answer)
    return out


def cart(base: Base, draw_: Rng) -> Iterator[Fault]:
    episode, catalog, actions = base.episode, base.catalog, base.actions
    adds = [
        (step, place)
        for step, action in enumerate(actions)
        for place, made in enumerate(action.tool_calls)
        if made.name == "cart_add"
    ]
    removed = any(made.name == "cart_remove" for a in actions for made in a.tool_calls)
    goal = episode.goal
    products = {item["product_id"]: item for item in goal["items"]}
    if not adds or removed:
        return
    at = draw_.choice(adds)
    made = actions[at[0]].tool_calls[at[1]]
    arguments = made.arguments
    item = products.get(arguments["product_id"])
    units = arguments.get("quantity", 1)
    plain = item is not None and not episode.world["events"] and not goal["switch"]
    # An answer that leaves a wanted thing out and says that it cannot be had.
    if plain and len(adds) > 1:
        short = edit_call(actions, at)
        text = draw_.choice(
            (
                "Sorry, one of them is out of stock.",
                "I could not find one of the things you wanted.",
                "One item is unavailable at the moment.",
            )
        )
        *most, last = short
        short = [*most, Action(last.text, last.tool_calls, {"message": text})]
        yield Fault(
            "said to be unavailable",
            _filled(short),
            labels("missing_item claimed_unavailable_but_seen"),
            labels("wrong_discount"),
        )
        yield Fault(
            "item dropped",
            _filled(edit_call(actions, at)),
            labels("missing_item"),
            labels("wrong_discount"),
        )
    changed = ToolCall("cart_add", {**arguments, "quantity": units + 1})
    wrong_count = edit_call(actions, at, changed)
    discount = labels("wrong_discount")
    if plain:
        ordered = next(
            (n for n, a in enumerate(actions, 1) for m in a.tool_calls if m.name == CHECKOUT), -1
        )
        yield Fault("quantity", wrong_count, labels("wrong_quantity"), discount, ordered)
        yield from _unmended(base, wrong_count, "wrong_quantity", units)
    unseen = _unseen(base, draw_)
    if plain and unseen and not goal["checkout"]:
        more = ToolCall("cart_add", {"product_id": unseen})
        if len(actions) < episode.max_turns:
            extra = [*actions[:-1], Action(tool_calls=(more,)), Action(answer={})]
            if actions[-1].tool_calls:
                last = Action(tool_calls=actions[-1].tool_calls)
                extra = [*actions[:-1], last, Action(tool_calls=(more,), answer={})]
            yield Fault("id never shown", extra, labels("extra_item hallucinated_id"))
    if plain and item and item["variant_id"] and arguments.get("variant_id"):
        others = [
            v.variant_id
            for v in catalog.variants(item["product_id"])
            if v.variant_id != item["variant_id"] and v.stock >= units
        ]
        if others:
            other = ToolCall("cart_add", {**arguments, "variant_id": draw_.choice(others)})
            wrong = edit_call(actions, at, other)
            yield Fault("variant", wrong, labels("wrong_variant"), discount)
            yield from _unmended(base, wrong, "wrong_variant", units)
            if f"{item['key']}.variant" in base.omitted:
                yield _unasked(base, wrong, "wrong_variant", discount)
    if plain and item and f"{item['key']}.quantity" in base.omitted:
        yield _unasked(base, wrong_count, "wrong_quantity", discount)
    if any(made.name == "cart_apply_discount" for a in actions for made in a.tool_calls):
        undiscounted = _without(actions, "cart_apply_discount")
        yield Fault("discount forgotten", undiscounted, labels("wrong_discount"))
    if goal["checkout"]:
        yield Fault("not ordered", _without(actions, CHECKOUT), labels("not_checked_out"))
        kept = [
            Action(
                a.text,
                tuple(made for made in a.tool_calls if made.name != "order_checkout"),
                {"message": "Your order is placed."} if a.answer is not None else None,
            )
            for a in actions
        ]
        yield Fault(
            "order claimed", _filled(kept), labels("not_checked_out answer_contradicts_world")
        )


def _without(actions: Sequence[Action], name: str) -> list[Action]:
    """The actions without the calls of one tool."""
    return _filled(
        [
            Action(a.text, tuple(made for made in a.tool_calls if made.name != name), a.answer)
            for a in actions
        ]
    )


def _filled(actions: Sequence[Action]) -> list[Action]:
    """Without steps that were left with nothing to do (they would be unreadable)."""
    look = (ToolCall("cart_view", {}),)
    return [
        a if a.text or a.tool_calls or a.answer is not None else Action(tool_calls=look)
        for a in actions
    ]


def _unmended(base: Base, wrong: Sequence[Action], label: str, units: int) -> Iterator[Fault]:
    """A mistake that the customer points out, and that the agent leaves, or mends by another."""
    last = wrong[-1]
    if base.episode.goal["checkout"] or len(wrong) + 2 > base.episode.max_turns:
        return
    head = [*wrong[:-1], Action(tool_calls=last.tool_calls)] if last.tool_calls else wrong[:-1]
    asked = [*head, Action(text="Is that right so far?")]
    yield Fault(
        "mistake left as it was",
        [*asked, Action(answer={})],
        labels("ignored_correction") | {label},
    )
    adds = [made.arguments for a in wrong for made in a.tool_calls if made.name == "cart_add"]
    if label == "wrong_quantity" and units > 1 and len(adds) == 1:
        fewer = ToolCall("cart_set_quantity", {"line_id": "C1", "quantity": units - 1})
        yield Fault(
            "mistake replaced by another",
            [*asked, Action(tool_calls=(fewer,), answer={})],
            labels("wrong_quantity"),
            step=len(asked) + 1,
        )


def _unasked(base: Base, wrong: Sequence[Action], label: str, may: frozenset[str]) -> Fault:
    """The same fault by an agent that never asked what it then got wrong."""
    quiet = [
        Action(a.text, tuple(m for m in a.tool_calls if m.name != "ask_user"), a.answer)
        for a in wrong
    ]
    return Fault("never asked", _filled(quiet), labels("never_asked_omitted_slot") | {label}, may)


def _unseen(base: Base, draw_: Rng) -> str | None:
    """A product of a category that nobody wants, never shown."""
    session, catalog = base.session, base.catalog
    wanted = {item.get("category") for item in base.episode.goal.get("items", ())}
    wanted.add(base.episode.goal.get("category"))
    for _ in range(20):
        row = draw_.below(catalog.size)
        product = catalog.product_at(row)
        if product.category in wanted or product.category in catalog.deny_list:
            continue
        if product.product_id not in session._seen | session.context.shown:
            return product.product_id
    return None


def lists(base: Base, draw_: Rng) -> Iterator[Fault]:
    answer = base.actions[-1].answer or {}
    ids = list(answer["product_ids"])
    habit = labels("hallucinated_id premature_answer")
    stranger = _unseen(base, draw_)
    if stranger and ids:
        swapped = [*ids[:-1], stranger]
        # The budget of before may have allowed the stranger's price.
        budget = " ignored_change_of_mind" if base.episode.environment == "bundle" else ""
        yield Fault(
            "id never shown",
            answers(base, product_ids=swapped),
            labels("hallucinated_id wrong_product"),
            labels("budget_exceeded" + budget),
        )
    if len(ids) > 1:
        place = draw_.below(len(ids))
        short = [*ids[:place], *ids[place + 1 :]]
        texts = (
            "I left one out, it is sold out.",
            "I couldn't find anything else.",
            "The other one is not available any more.",
        )
        yield Fault(
            "said to be unavailable",
            answers(base, product_ids=short, message=draw_.choice(texts)),
            labels("missing_item claimed_unavailable_but_seen"),
            habit,
        )
        yield Fault("one short", answers(base, product_ids=short), labels("missing_item"), habit)
    yield Fault(
        "answered at once",
        [Action(answer={"product_ids": []})],
        labels("missing_item premature_answer"),
        labels("never_asked_omitted_slot"),
        step=1,
    )
    if base.episode.environment == "bundle":
        return
    from ecomkit.envs.recommending import from_dicts, violators

    goal = base.episode.goal
    if goal["switch"] or not ids:
        return
    requirements = from_dicts(goal["requirements"])
    for constraint, outsider in violators(base.catalog, goal["category"], requirements):
        wrong = answers(base, product_ids=[*ids[:-1], outsider])
        if f"item.{constraint.attribute}" in base.omitted:
            yield _unasked(
                base, wrong, "constraint_violated", habit | labels("out_of_stock_recommended")
            )


def tracking(base: Base, draw_: Rng) -> Iterator[Fault]:
    yield Fault(
        "answered at once",
        [Action(answer={**(base.actions[-1].answer or {}), "order_id": "W0000001"})],
        labels("wrong_order premature_answer"),
        labels("never_asked_omitted_slot"),
        step=1,
    )
    orders = [o["order_id"] for o in base.episode.world["orders"]]
    right = (base.actions[-1].answer or {})["order_id"]
    for other in orders:
        if other != right and "order" in base.omitted and not base.episode.goal["switch"]:
            wrong = answers(base, order_id=other)
            yield _unasked(
                base, wrong, "wrong_order", labels("wrong_status answer_contradicts_world")
            )
            break


def policy(base: Base, draw_: Rng) -> Iterator[Fault]:
    answer = base.actions[-1].answer or {}
    wrong = {"choice": "a carrier pigeon"} if "choice" in answer else {"value": 987654}
    yield Fault(
        "answered at once",
        [Action(answer=wrong)],
        labels("wrong_policy_value premature_answer"),
        labels("never_asked_omitted_slot"),
        step=1,
    )
    yield Fault("another value", answers(base, **wrong), labels("wrong_policy_value"))
    switch = base.episode.goal["switch"]
    if base.omitted - {"request", switch["field"] if switch else ""}:
        yield _unasked(base, answers(base, **wrong), "wrong_policy_value", frozenset())


def returns(base: Base, draw_: Rng) -> Iterator[Fault]:
    answer = base.actions[-1].answer or {}
    goal = base.episode.goal
    if goal["switch"]:
        return
    other = "L9" if answer["line_id"] != "L9" else "L8"
    yield Fault(
        "another line in the answer",
        answers(base, line_id=other),
        labels("wrong_order_line"),
        labels("answer_contradicts_world"),
    )
    yield Fault(
        "answered at once",
        [Action(answer={"order_id": "W0000001", "line_id": "L1", "eligible": False})],
        labels("wrong_order premature_answer"),
        labels("never_asked_omitted_slot eligible_return_refused"),
        step=1,
    )


ENVIRONMENT_FAULTS = {
    "bundle": lists,
    "cart": cart,
    "discovery": lists,
    "journey": lambda base, draw_: iter(()),
    "policy": policy,
    "returns": returns,
    "substitution": lists,
    "tracking": tracking,
}


# --- planting -------------------------------------------------------------------------------


def bases(episode: Episode, catalog: Catalog) -> Iterator[Base]:
    """Passing sessions of an episode that leave nothing to ask."""
    env = environment(episode.environment)
    probe = Session(episode, catalog, record=False)
    policy_ = env.honest(probe)
    first = next(policy_)
    policy_.close()
    asks = tuple(made for made in first.tool_calls if made.name == "ask_user")
    omitted = {slot["key"] for slot in episode.user["slots"] if not slot["opening"]}
    session = Session(episode, catalog, record=False, trace=True)
    actions = with_asks(actions_from(episode.reference), asks)
    play(session, actions)
    if session.score().passed:
        yield Base(episode, catalog, actions, asks, session, omitted)
    session = Session(episode, catalog, record=False, trace=True)
    run_policy(session, env.honest(session))
    if session.score().passed:
        actions = [step.action for step in session.trace if step.action is not None]
        yield Base(episode, catalog, actions, asks, session, omitted)


def play(session: Session, actions: Sequence[Any]) -> Session:
    """The actions, until they or the session end; unreadable ones are text."""
    for action in actions:
        if session.done:
            break
        session.step(action)
    return session


def faults(base: Base, draw_: Rng, with_near_misses: bool) -> Iterator[Fault]:
    """Every fault that can be planted in a session."""
    yield from broken(base, draw_)
    yield from ENVIRONMENT_FAULTS[base.episode.environment](base, draw_)
    if with_near_misses:
        yield from near_misses(base)


@dataclass(slots=True)
class Tally:
    """Counts by label; ``wrong`` has examples of what went wrong."""

    hit: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)
    planted: int = 0
    harmless: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    wrong: dict[tuple[str, str, str, str], int] = field(default_factory=lambda: defaultdict(int))
    seconds: float = 0.0

    def add(self, base: Base, fault: Fault, counts: Counter[str]) -> None:
        """Play one fault and hold its labels against what it must have."""
        session = play(Session(base.episode, base.catalog, record=False, trace=True), fault.actions)
        habit_only = fault.must <= HABITS
        refused = fault.refusal_undoes and any(
            TOOLS[name].writes and "error" in result
            for step in session.trace
            for (name, _), result in zip(step.calls, step.results, strict=False)
        )
        if session.score().passed != habit_only or refused:
            self.harmless += 1  # the fault was undone by chance, or broke more than it should
            return
        start = time.perf_counter()
        found = diagnose(session)
        self.seconds += time.perf_counter() - start
        self.planted += 1
        counts[base.episode.environment] += 1
        assert habit_only or found.labels, "a failure without a label"
        have = frozenset(found.labels)
        for name in sorted(fault.must | have):
            key = (base.episode.environment, fault.kind, name)
            if name in fault.must and name in have:
                self.hit[name] += 1
            elif name in fault.must:
                self.missed[name] += 1
                self.wrong[(*key, "missed")] += 1
            elif name not in fault.may and name not in HABITS.intersection(_habits(base)):
                self.false[name] += 1
                self.wrong[(*key, "false")] += 1
        if fault.step >= 0:
            right = (found.first_decisive_step or 0) == fault.step
            self.steps["right" if right else "wrong"] += 1
            if not right:
                key = (base.episode.environment, fault.kind, f"step {fault.step}", "decisive")
                self.wrong[key] += 1

    def table(self) -> list[tuple[str, int, float, float]]:
        """``(label, planted, precision, recall)`` of every label that was planted."""
        rows = []
        for name in LABELS:
            planted = self.hit[name] + self.missed[name]
            if planted:
                fired = self.hit[name] + self.false[name]
                precision = self.hit[name] / fired if fired else 0.0
                rows.append((name, planted, precision, self.hit[name] / planted))
        return rows


def _habits(base: Base) -> frozenset[str]:
    return frozenset(diagnose(base.session).labels)


def measure(
    catalog: Catalog, environments: Sequence[str], wanted: int, seed: int = 0
) -> tuple[Tally, Mapping[str, int]]:
    """Plant ``wanted`` faults, evenly over the environments and difficulties 0-12."""
    tally = Tally()
    counts: Counter[str] = Counter()
    share = -(-wanted // len(environments))
    for name in environments:
        number = 0
        while counts[name] < share:
            difficulty, place = number % 13, seed + number // 13
            number += 1
            try:
                episode = draw(name, difficulty, place, catalog, certify_episode=False).episode
            except EcomkitError:
                continue
            for which, base in enumerate(bases(episode, catalog)):
                draw_ = rng("faults", name, difficulty, place, which)
                for fault in faults(base, draw_, with_near_misses=which == 0):
                    tally.add(base, fault, counts)
    return tally, counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--catalog", required=True, help="folder of a catalog with embeddings")
    parser.add_argument("--environments", default=",".join(REGISTRY))
    parser.add_argument("--faults", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--errors", type=int, default=0, help="show the most frequent errors")
    args = parser.parse_args()
    catalog = load_catalog(args.catalog)
    names = [name.strip() for name in args.environments.split(",")]
    tally, counts = measure(catalog, names, args.faults, args.seed)
    print(f"{tally.planted:,} faults planted ({tally.harmless:,} more had another effect):")
    print("  " + ", ".join(f"{name} {counts[name]:,}" for name in names))
    print(f"{'label':30} {'planted':>8} {'precision':>10} {'recall':>8}")
    worst = 1.0
    for name, planted, precision, recall in tally.table():
        print(f"{name:30} {planted:8,} {precision:10.3f} {recall:8.3f}")
        worst = min(worst, precision, recall)
    print(
        f"decisive step right where it is known: {tally.steps['right']:,} of "
        f"{tally.steps.total():,}"
    )
    print(f"a diagnosis takes {tally.seconds / max(1, tally.planted) * 1e3:.2f} ms")
    for key, count in sorted(tally.wrong.items(), key=lambda pair: -pair[1])[: args.errors]:
        print(f"  {count:5} {' | '.join(key)}")
    return 0 if worst >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
