"""Tracking: which order, its status, and the day it is expected (SPEC §7).

The customer asks after one of the account's orders, by its number or by what they remember of it,
and may turn to another one midway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from ecomkit.core.difficulty import Axes, variant_chance
from ecomkit.core.records import Action, Check, Verdict
from ecomkit.core.seeds import Rng
from ecomkit.envs.base import (
    AgentView,
    Draft,
    DrawContext,
    Environment,
    NearMiss,
    Played,
    Policy,
    Redraw,
    SlotDraft,
    State,
    SwitchDraft,
    call,
    draw_clock,
    shift_clock,
)
from ecomkit.envs.history import (
    STATUSES,
    Order,
    draw_history,
    matching,
    refer_by_id,
    refer_indirectly,
)
from ecomkit.envs.shopping import (
    answer_after,
    held_against,
    put_back,
    unasked_labels,
    unasked_misses,
)
from ecomkit.shop.world import normal_order_id
from ecomkit.user import NOTHING_SEEN, Review

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

NO_DATE = "none"
"""The expected date of an order that will not come."""

REQUESTS: tuple[str, ...] = (
    "Could you check on an order for me? I'd like to know its status and the delivery date.",
    "Can you tell me how one of my orders is doing, and what date it's down for?",
    "What's the status of my order, and for which day is it down?",
    "I'd like an update on an order: where it stands and on what day it arrives.",
    "Where does my order stand, and what's the delivery date?",
    "Please look up an order of mine. I want to know its status and the date of delivery.",
    "I want to track an order. What's its status and which day is it due?",
    "I need to know how far along my order is and what day it comes.",
    "Can you track something for me? I'd like the status and the expected date.",
    "Any news on my order? What's the status, and what's the date for it?",
)

ABOUT = {
    "about": "order",
    "said": [["order", "orders", "track"], ["status", "stand", "stands", "how"]],
}

CHANGES: tuple[str, ...] = (
    "It's another order I want to know about: {text}.",
    "I'd rather know about {text}.",
    "I meant a different one: {text}.",
    "Tell me about {text} instead.",
    "What I really need to know about is {text}.",
    "Please look up {text} instead.",
    "It's not that one I'm after, it's {text}.",
    "Forget that order, I mean {text}.",
)


# --- the goal ------------------------------------------------------------------------------


def wanted_order(goal: Mapping[str, Any], fired: Mapping[str, int], before: int) -> str:
    """The id of the order that the customer asks after in step ``before``."""
    switch = goal["switch"]
    if switch and fired.get("switch", before) < before:
        return str(switch["order_id"])
    return str(goal["order_id"])


def right_answer(order: Mapping[str, Any]) -> dict[str, str]:
    """The answer for an order, read off its page."""
    if order["status"] == "delivered":
        day = order["delivered_at"][:10]
    elif order["status"] == "cancelled":
        day = NO_DATE
    else:
        day = order["expected_delivery"]
    return {"order_id": order["order_id"], "status": order["status"], "expected_date": day}


class Tracking(Environment):
    name = "tracking"
    task: ClassVar[str] = (
        "The customer wants to know where one of their orders stands: find the order that they "
        "mean, its status, and the day it is expected."
    )
    answer_description = "Which order the customer means, its status, and its date."
    answer_parameters: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "order_id": {"type": "string", "description": "The order, such as W1234567."},
            "status": {
                "type": "string",
                "enum": list(STATUSES),
                "description": "Its status, as the order page has it.",
            },
            "expected_date": {
                "type": "string",
                "description": "The day on which it is expected now, as YYYY-MM-DD; of a delivered "
                f"order the day it was delivered; '{NO_DATE}' for a cancelled order.",
            },
        },
        "required": ["order_id", "status", "expected_date"],
        "additionalProperties": False,
    }

    # --- drawing ---------------------------------------------------------------------------

    def draw(self, context: DrawContext) -> Draft:
        catalog, axes = context.catalog, context.axes
        rng = context.rng.child("goal")
        department = context.department or rng.choice(catalog.departments)
        clock = draw_clock(context.rng.child("clock"))
        orders = draw_history(
            catalog,
            context.rng.child("history"),
            clock,
            axes.order_history,
            context.split,
            department,
        )
        if not orders:
            raise Redraw("order_history", f"nothing to order in {department}")
        target = rng.choice(orders)
        goal: dict[str, Any] = {"order_id": target["order_id"], "switch": None}
        value = self._refer(context, orders, target, clock, context.rng.child("refer"))
        slots = [
            SlotDraft("request", "question", "", ABOUT, critical=True, says=REQUESTS),
            SlotDraft("order", "order", "", value),
        ]
        switch = None
        change = context.rng.child("switch")
        if change.chance(axes.p_switch) and len(orders) > 1:
            other = change.choice([order for order in orders if order is not target])
            after_step = change.between(1, 2)
            new = self._refer(context, orders, other, clock, change.child("refer"))
            says = tuple(text.replace("{text}", new["text"]) for text in CHANGES)
            switch = SwitchDraft(after_step, "order", new, says)
            goal["switch"] = {"order_id": other["order_id"], "after_step": after_step}
        return Draft(
            department=department,
            goal=goal,
            world={"now": clock, "orders": orders},
            slots=slots,
            nouns={},
            switch=switch,
        )

    @staticmethod
    def _refer(
        context: DrawContext, orders: list[Order], target: Order, clock: str, rng: Rng
    ) -> dict[str, Any]:
        """By its number, or by what the customer remembers of it."""
        if rng.chance(variant_chance(context.difficulty)):
            value = refer_indirectly(
                context.catalog, orders, target, clock, rng, can_look(len(orders), context.axes)
            )
            if value is not None:
                return value
        return refer_by_id(target["order_id"], rng)

    # --- the reference ---------------------------------------------------------------------

    def reference(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> list[Action]:
        orders = {order["order_id"]: order for order in world["orders"]}
        switch = goal["switch"]
        actions = [Action(tool_calls=(call("order_get_status", order_id=goal["order_id"]),))]
        if switch:
            while len(actions) < switch["after_step"]:
                actions.append(Action(tool_calls=(call("order_list"),)))
            actions.append(
                Action(tool_calls=(call("order_get_status", order_id=switch["order_id"]),))
            )
        return [*actions, Action(answer=right_answer(orders[self._final(goal)]))]

    @staticmethod
    def _final(goal: Mapping[str, Any]) -> str:
        return wanted_order(goal, {"switch": 0}, 1)

    # --- the verifier ----------------------------------------------------------------------

    def verify(self, goal: Mapping[str, Any], state: State) -> Verdict:
        right = right_answer(state.world.placed_order(wanted_order(goal, state.fired, state.steps)))
        answer = state.answer or {}

        def given(name: str) -> str:
            value = answer.get(name)
            return value.strip() if isinstance(value, str) else ""

        order = normal_order_id(given("order_id")) == right["order_id"]
        status = given("status") == right["status"]
        day = given("expected_date") == right["expected_date"]
        answered = state.answer is not None
        checks = (
            Check("answered", answered, "" if answered else "no submit_answer"),
            Check("order", order, f"{given('order_id')[:40]!r}, not {right['order_id']}"),
            Check("status", status, f"{given('status')[:40]!r}, not {right['status']}"),
            Check(
                "expected_date",
                day,
                f"{given('expected_date')[:40]!r}, not {right['expected_date']}",
            ),
        )
        credit = 0.5 * order + 0.5 * (status and day)
        verdict = Verdict(2.0 * credit - 1.0, all(check.passed for check in checks), checks)
        return held_against(verdict, state, self.may_change)

    def labels(self, goal: Mapping[str, Any], state: Played, verdict: Verdict) -> Iterator[str]:
        yield from unasked_labels(verdict)
        if state.answer is None:
            return
        failed = {check.name for check in verdict.checks if not check.passed}
        named = state.world.order(str(state.answer["order_id"]))
        if "order" in failed:
            yield "wrong_order"
        given = {key: str(value).strip() for key, value in state.answer.items()}
        if named is None:
            return
        true = right_answer(named)
        if any(given[key] != true[key] for key in ("status", "expected_date")):
            yield "wrong_status"
            pages = (page for step in state.trace for page in step.results)
            if any("lines" in page and page["order_id"] == true["order_id"] for page in pages):
                yield "answer_contradicts_world"

    def recover(self, goal: Mapping[str, Any], state: Played) -> list[Action] | None:
        order_id = wanted_order(goal, state.fired, state.steps + 1)
        answer = right_answer(state.world.placed_order(order_id))
        return answer_after(put_back(state, self.may_change), answer, state.tool_budget)

    def review(self, goal: Mapping[str, Any], state: State) -> Review:
        """Nothing changes on the customer's screen; they can only be told."""
        return NOTHING_SEEN

    def goal_identity(self, goal: Mapping[str, Any]) -> Any:
        return [goal["order_id"], goal["switch"] and goal["switch"]["order_id"]]

    # --- near misses -----------------------------------------------------------------------

    def near_misses(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> Iterator[NearMiss]:
        orders = {order["order_id"]: order for order in world["orders"]}
        final = self._final(goal)
        right = right_answer(orders[final])
        reference = self.reference(goal, world, axes, catalog)
        looks = reference[:-1]

        def answered(**changes: str) -> tuple[Action, ...]:
            return (*looks, Action(answer={**right, **changes}))

        for order_id, order in orders.items():
            if order_id == final:
                continue
            kind = "another_order"
            if goal["switch"] and order_id == goal["order_id"]:
                kind = "ignored_change_of_mind"
            yield NearMiss(kind, answered(**right_answer(order)))
            yield NearMiss("another_order_id", answered(order_id=order_id))
        for status in STATUSES:
            if status != right["status"]:
                yield NearMiss("wrong_status", answered(status=status))
        if right["expected_date"] == NO_DATE:
            yield NearMiss("wrong_date", answered(expected_date=world["now"][:10]))
        else:
            day = date.fromisoformat(right["expected_date"])
            for step in (-1, 1):
                moved = (day + timedelta(days=step)).isoformat()
                yield NearMiss("wrong_date", answered(expected_date=moved))
            for name in ("original_delivery", "placed_at"):
                other = orders[final].get(name, right["expected_date"])[:10]
                if other != right["expected_date"]:
                    yield NearMiss("wrong_date", answered(expected_date=other))
            yield NearMiss("no_date", answered(expected_date=NO_DATE))
        yield NearMiss("unknown_order", answered(order_id="W0000000"))
        bought = [line["product_id"] for line in orders[final]["lines"]]
        yield from unasked_misses(
            reference, world, axes.tool_budget, catalog, self.may_change, bought
        )

    # --- agents that see no goal -----------------------------------------------------------

    def honest(self, view: AgentView) -> Policy:
        return _HonestTracker(view).run()

    def naive(self, view: AgentView) -> Policy:
        """The order named by number in the opening, else the first of the list; no question."""
        named = order_clues(view).get("order_id")
        if named is None:
            seen = yield Action(tool_calls=(call("order_list"),))
            named = seen.results[0]["orders"][0]["order_id"]
        seen = yield Action(tool_calls=(call("order_get_status", order_id=named),))
        yield Action(answer=right_answer(seen.results[0]))

    def flood(self, view: AgentView) -> Policy:
        """Names every order of the account, with the details of the first."""
        seen = yield Action(tool_calls=(call("order_list"),))
        listed = [page["order_id"] for page in seen.results[0]["orders"]]
        seen = yield Action(tool_calls=(call("order_get_status", order_id=listed[0]),))
        answer = right_answer(seen.results[0])
        if len(listed) == 1:
            answer["status"] = ", ".join(STATUSES)
        yield Action(answer={**answer, "order_id": ", ".join(listed)})

    def constant(self, catalog: Catalog) -> list[Action]:
        day = shift_clock("2026-06-15T00:00:00")[:10]
        return [
            Action(answer={"order_id": "W1234567", "status": "delivered", "expected_date": day})
        ]


def can_look(orders: int, axes: Axes) -> bool:
    """Whether there are turns enough to list the orders, open each, and answer."""
    return 2 + -(-orders // axes.tool_budget) <= axes.max_turns


# --- the honest agent ----------------------------------------------------------------------


def order_clues(view: AgentView) -> dict[str, Any]:
    """What the customer has said of the order they mean; empty if nothing yet."""
    for slot in view.disclosed:
        if slot.kind == "order":
            return dict(slot.value["clues"])
    return {}


class _HonestTracker:
    """Asks which order, lists, opens those that may be meant, and answers when one is left."""

    def __init__(self, view: AgentView) -> None:
        self.view = view
        self.listed: list[dict[str, Any]] = []
        self.opened: dict[str, dict[str, Any]] = {}

    def run(self) -> Policy:
        view = self.view
        clues = order_clues(view)
        first = []
        if not clues:
            first.append(
                call("ask_user", question="Which order do you mean? What do you remember of it?")
            )
        first.append(call("order_list"))
        seen = yield Action(tool_calls=tuple(first))
        self.listed = list(seen.results[-1]["orders"])
        while True:
            fits = matching(self.listed, order_clues(view), self.opened)
            unread = [order_id for order_id in fits if order_id not in self.opened]
            if not unread or view.turn >= view.max_turns - 1:
                chosen = next((i for i in fits if i in self.opened), next(iter(self.opened), None))
                page = self.opened.get(chosen or "")
                yield Action(
                    answer=right_answer(page)
                    if page
                    else {"order_id": "", "status": "processing", "expected_date": NO_DATE}
                )
                return
            batch = unread[: view.tool_budget]
            seen = yield Action(
                tool_calls=tuple(call("order_get_status", order_id=i) for i in batch)
            )
            self.opened.update({page["order_id"]: page for page in seen.results})
