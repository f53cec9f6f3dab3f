"""Returns: one order line goes back, for a refund or for another product (SPEC §7).

Whether the shop takes the line back turns on ``policy_clauses`` facts (membership, region,
department, when and how it was bought, its condition). Where it does not, nothing is to be opened,
and the answer says so. The score looks at what happened in the world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ecomkit.core.difficulty import Axes, variant_chance
from ecomkit.core.errors import DrawFailed
from ecomkit.core.records import Action, Check, Constraint, ToolCall, Verdict
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
    holds_on_card,
    pack,
    pick_row,
)
from ecomkit.envs.history import (
    STATUSES,
    Order,
    draw_dates,
    draw_line,
    draw_order_id,
    item_clues,
    line_fits,
    make_order,
    matching,
    pages,
    refer_by_id,
    refer_indirectly,
    twin_line,
)
from ecomkit.envs.policy import NAMES, ORDINARY, fact
from ecomkit.envs.shopping import (
    clue_candidates,
    filters_for,
    held_against,
    put_back,
    query_words,
    unasked_labels,
    unasked_misses,
)
from ecomkit.shop import policies
from ecomkit.shop.world import normal_order_id
from ecomkit.user import Mistake, Review, phrase_statement
from ecomkit.user.words import bare, is_mass, is_plural, some

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

EXCHANGE_CHANCE = 0.6
CHEAP_CENTS = 14_900
"""An order below this is below every threshold that the rules draw for an order's total."""
MAX_FEASIBLE_SHARE = 0.25
ORDER_FACTS = frozenset({"gift", "payment", "channel"})
LINE_FACTS = frozenset({"condition", "clearance", "refurbished", "personalized"})

REQUESTS = (
    "I'd like to send something back.",
    "Something I bought from you has to go back.",
    "Can you help me send back an item?",
    "There's an item I'd like to send back.",
    "I bought something from you that I don't want to keep.",
    "I need to give something back.",
    "Could you help me with an item that I want to send back?",
    "One of the things I ordered isn't right for me, so it should go back.",
    "I want to hand back something I ordered.",
    "I'm not keeping one of the items I bought. Can you sort that out?",
)
REASONS = (
    "it isn't what I expected",
    "I ordered the wrong one",
    "it doesn't suit me after all",
    "I found that I don't need it",
    "it looks different from the pictures",
    "I bought it by mistake",
    "it doesn't go with the rest of my things",
    "I don't like it as much as I thought",
    "it's not quite right for what I had in mind",
    "someone in the house already has one",
)
FROM_ORDER = (
    "It's from {t}.", "I got it with {t}.", "It was part of {t}.", "You'll find it in {t}.",
    "It should be in {t}.", "That was in {t}.", "The order? That's {t}.", "It came with {t}.",
)  # fmt: skip
INSTEAD = (
    "I'd like {x} in exchange.", "I'd like to exchange it for {x}.", "Please swap it for {x}.",
    "I'd rather have {x} instead.", "In its place I'd like {x}.", "I want {x} instead.",
    "Can I get {x} for it instead?", "As a replacement I'd like {x}.",
)  # fmt: skip
REFUND_AFTER_ALL = (
    "I don't need a replacement, just my money back.",
    "I'd rather have a refund.",
    "Forget the replacement, a refund is fine.",
    "I don't want anything in exchange, just a refund.",
    "Please refund it, I don't want another one.",
    "Let's do a refund instead of an exchange.",
)
OTHER_LINE = (
    "It's {x} that should go back.", "I meant {x}.", "The thing to send back is {x}.",
    "I'll keep that one and send back {x}.", "It's {x} I want to get rid of.",
    "Please take back {x} instead.", "What has to go back is {x}.", "I'm sending back {x} instead.",
)  # fmt: skip


# --- the goal ------------------------------------------------------------------------------


def wanted(goal: Mapping[str, Any], fired: Mapping[str, int], before: int) -> Mapping[str, Any]:
    """What is wanted in step ``before``: order_id, line_id, eligible and the exchange or None."""
    switch = goal["switch"]
    if switch and fired.get("switch", before) < before:
        return dict(switch["want"])
    return dict(goal["want"])


def fits_exchange(exchange: Mapping[str, Any], product: Any) -> bool:
    """Whether a product is of the category and meets every constraint of an exchange."""
    return product.category == exchange["category"] and all(
        Constraint.from_dict(clue).holds(product) for clue in exchange["clues"]
    )


class Returns(Environment):
    name = "returns"
    may_change = frozenset({"returns"})
    task: ClassVar[str] = (
        "The customer wants to send an item back, for a refund or for another product. Open the "
        "return or the exchange if the shop's rules allow it; if they do not, open nothing and "
        "say so."
    )
    answer_description = (
        "Which order line it was about, and whether it could go back. What you opened is judged "
        "as it stands then."
    )
    answer_parameters: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "order_id": {"type": "string", "description": "The order, such as W1234567."},
            "line_id": {"type": "string", "description": "The line of that order, such as L1."},
            "eligible": {
                "type": "boolean",
                "description": "true if the return or exchange that the customer wants is allowed "
                "(and is open now), false if the shop's rules do not allow it.",
            },
            "replacement_product_id": {
                "type": "string",
                "description": "The product sent in exchange, if any.",
            },
        },
        "required": ["order_id", "line_id", "eligible"],
        "additionalProperties": False,
    }

    # --- drawing ---------------------------------------------------------------------------

    def draw(self, context: DrawContext) -> Draft:
        catalog, axes = context.catalog, context.axes
        rng = context.rng.child("goal")
        department = context.department or rng.choice(catalog.departments)
        eligible = rng.chance(0.5)
        exchange = rng.chance(EXCHANGE_CHANCE)
        account = self._draw_account(context, department, eligible, exchange)
        world, order, line = account
        orders: list[Order] = world["orders"]

        swap = None
        if exchange:
            swap = self._draw_exchange(context, department, order, line)
            if swap is None:
                raise Redraw("constraints", f"no replacement can be described in {department}")
        want = {
            "order_id": order["order_id"],
            "line_id": line["line_id"],
            "eligible": eligible,
            "exchange": swap and {"category": swap["category"], "clues": swap["clues"]},
        }
        goal: dict[str, Any] = {
            "want": want,
            "product_id": line["product_id"],
            "replacement": swap and swap["product_id"],
            "replacement_variant": swap and swap["variant_id"],
            "switch": None,
        }

        # Which order, and which of its lines.
        refer = context.rng.child("refer")
        direct = not refer.chance(variant_chance(context.difficulty))
        value = None
        if not direct:
            value = refer_indirectly(catalog, orders, order, world["now"], refer, looks=False)
        if value is None:
            value = refer_by_id(order["order_id"], refer)
        text = value["text"].replace("the one ", "the order ")
        item = _single_out(catalog, order, line, refer)
        if item is None:
            raise Redraw("order_history", "two lines of the order can't be told apart")
        tight = axes.tool_budget == 1 and axes.max_turns < 5 and exchange
        if tight and "order_id" not in value["clues"]:
            value = refer_by_id(order["order_id"], refer)
            text = value["text"]
        condition = line.get("condition")
        says_condition = (
            policies.sayings("condition", condition) if condition else ORDINARY["condition"]
        )
        slots = [
            SlotDraft(
                "request",
                "question",
                "",
                {"about": "return", "said": [["back", "keep", "keeping"]]},
                True,
                says=REQUESTS,
            ),
            SlotDraft("order_line", "order_line", "", {"text": item[1], "item": item[0]}),
            SlotDraft(
                "order",
                "order",
                "",
                {**value, "text": text},
                # With one call a step there is no turn left for finding the order.
                critical=tight,
                says=tuple(frame.replace("{t}", text) for frame in FROM_ORDER),
            ),
            SlotDraft("reason", "reason", "", {"text": refer.choice(REASONS)}),
            SlotDraft(
                "condition",
                "condition",
                "",
                {**fact("condition", condition), "condition": condition or policies.CONDITIONS[0]},
                says=tuple(says_condition),
            ),
        ]
        nouns: dict[str, list[str]] = {}
        if swap is None:
            slots.append(SlotDraft("replacement", "replacement", "", {"refund": True}))
        else:
            slots += _exchange_slots(catalog, swap, context.rng.child("swap"))
            nouns["replacement"] = ["replacement", "replacements", *catalog.nouns(swap["category"])]
        switch = self._draw_switch(context, world, order, line, goal, swap)
        if swap and swap["sold_out"]:
            world["events"] = [
                {
                    "after_step": swap["after_step"],
                    "kind": "sell_out",
                    "variant_ids": swap["sold_out"],
                }
            ]
        return Draft(
            department=department,
            goal=goal,
            world=world,
            slots=slots,
            nouns=nouns,
            switch=switch,
        )

    def _draw_account(
        self, context: DrawContext, department: str, eligible: bool, exchange: bool
    ) -> tuple[dict[str, Any], Order, dict[str, Any]]:
        """A world in which the line's eligibility turns on the wanted number of facts."""
        clauses = context.axes.policy_clauses
        switches = context.rng.child("switch").chance(context.axes.p_switch)
        why = "no facts that decide"
        for attempt in range(12):
            rng = context.rng.child("account", attempt)
            special = ""
            if not eligible and clauses == 1 and rng.chance(0.35):
                special = rng.choice(("personalized", "department", "used"))
            policy = policies.draw_policy(
                rng.child("policy"),
                context.catalog.departments,
                department,
                group="final" if special == "department" else None,
            )
            draw_facts = rng.child("facts")
            if special:
                facts: dict[str, Any] = {"department": department}
                if special == "personalized":
                    facts["personalized"] = True
                elif special == "used":
                    facts["condition"] = "used"
                days = draw_facts.between(2, 20)
            else:
                try:
                    facts, days = policies.draw_return(
                        draw_facts, policy, clauses, eligible, department, exchange
                    )
                except DrawFailed as error:
                    why = str(error)
                    continue
            made = self._furnish(context, rng, policy, facts, days, exchange, switches)
            if made is None:
                why = f"no order in {department} has these facts"
                continue
            world, order, line = made
            if _single_out(context.catalog, order, line, rng.child("name")) is None:
                why = "two lines of the order can't be told apart"
                continue
            if switches and not _others(context.catalog, order, line, rng.child("name")):
                why = "no other line to turn to"
                continue
            judged = _judge(context.catalog, world, order, line, exchange)
            if judged[0] == eligible and judged[1] == clauses:
                return made
            why = "other facts decide as well"
        raise Redraw("policy_clauses", why)

    @staticmethod
    def _furnish(
        context: DrawContext,
        rng: Rng,
        policy: Mapping[str, Any],
        facts: Mapping[str, Any],
        days: int,
        exchange: bool,
        several: bool,
    ) -> tuple[dict[str, Any], Order, dict[str, Any]] | None:
        """Orders, profile and clock that have the facts; None if no product fits them."""
        catalog = context.catalog
        department = facts["department"]
        shipping = rng.between(2, 7)
        for _ in range(60):
            clock = draw_clock(rng)
            delivered = date.fromisoformat(clock[:10]) - timedelta(days=days)
            placed = delivered - timedelta(days=shipping)
            if (placed.month in (11, 12)) == bool(facts.get("holiday")):
                break
        else:
            return None
        lines = _basket(catalog, rng, department, facts.get("order_total"), several)
        if lines is None:
            return None
        clauses = context.axes.policy_clauses
        target = lines[0]["variant_id"]
        _mark(rng.child("marks"), lines, facts, clauses)
        dates = _delivered(rng, placed, delivered, facts)
        taken: set[str] = set()
        orders = [make_order(draw_order_id(rng, context.split, taken), lines, dates, rng)]
        chosen = next(x for x in orders[0]["lines"] if x["variant_id"] == target)
        # The account's other orders are drawn as the one in question is, so that no date, total
        # or mark gives it away.
        for number in range(1, context.axes.order_history):
            draw = rng.child("other", number)
            orders.append(
                _other_order(context, draw, policy, clock, exchange, taken, draw.choice(orders))
            )
        orders.sort(key=lambda o: (o["placed_at"], o["order_id"]))
        world = {
            "now": clock,
            "profile": {
                "name": rng.choice(NAMES),
                "tier": facts.get("tier", policies.TIERS[0]),
                "region": facts.get("region", policies.REGIONS[0]),
            },
            "orders": orders,
            "policy": dict(policy),
        }
        order = next(o for o in orders if any(x is chosen for x in o["lines"]))
        return world, order, chosen

    @staticmethod
    def _draw_exchange(
        context: DrawContext,
        department: str,
        order: Order,
        line: Mapping[str, Any],
        tries: int = 40,
    ) -> dict[str, Any] | None:
        """Category, clues, a product that meets them, and what sells out; None if nothing fits."""
        catalog, axes = context.catalog, context.axes
        rng = context.rng.child("exchange")
        sells_out = rng.chance(axes.p_out_of_stock) and axes.max_turns >= 5
        old = catalog.product(line["product_id"])
        quantity = max(x["quantity"] for x in order["lines"])
        for attempt in range(tries):
            category = old.category
            if rng.chance(0.4):
                category = rng.choice(catalog.categories_of(department))
            if attempt > tries // 2:
                # A small shop: whatever it has.
                category = rng.choice(catalog.categories)
            if category in catalog.deny_list:
                continue
            rows = catalog.rows(category=category)
            row = pick_row(context, rows, rng)
            if row is None or catalog.product_id(row) == old.product_id:
                continue
            variants = [v for v in catalog.variants_at(row) if v.stock >= quantity]
            if not variants:
                continue
            varying = set(catalog.varying_at(row))
            candidates = clue_candidates(catalog, row, varying, rng)
            clues: list[Constraint] = []
            pool = list(candidates)
            while pool and len(clues) < axes.constraints:
                chosen = rng.weighted(pool, [weight for _, weight in pool])
                pool.remove(chosen)
                clues.append(chosen[0])
            feasible = [int(r) for r in rows[np.asarray(catalog.mask(rows, clues))]]
            if all(clue.holds(old) for clue in clues) and old.category == category:
                continue
            most = min(len(rows) - 1, max(2, int(len(rows) * MAX_FEASIBLE_SHARE)))
            if not 1 <= len(feasible) <= most:
                continue
            if sells_out and (len(feasible) > 6 or len(feasible) + len(variants) < 3):
                continue
            kept = rng.choice(variants)
            gone: list[str] = []
            if sells_out:
                # All that would do, but for one version of one product.
                gone = [
                    variant.variant_id
                    for r in feasible
                    for variant in catalog.variants_at(r)
                    if variant.variant_id != kept.variant_id
                ]
            return {
                "category": category,
                "same": category == old.category,
                "clues": [clue.to_dict() for clue in clues],
                "product_id": catalog.product_id(row),
                "variant_id": kept.variant_id,
                "sold_out": gone,
                "after_step": rng.between(1, 2),
            }
        return None

    def _draw_switch(
        self,
        context: DrawContext,
        world: Mapping[str, Any],
        order: Order,
        line: Mapping[str, Any],
        goal: dict[str, Any],
        swap: Mapping[str, Any] | None,
    ) -> SwitchDraft | None:
        """Another line of the order, or a refund after all; sets the goal's ``switch``."""
        rng = context.rng.child("switch")
        if not rng.chance(context.axes.p_switch):
            return None
        catalog = context.catalog
        want = goal["want"]
        options: list[tuple[dict[str, Any], SwitchDraft]] = []
        if swap is not None:
            eligible = _judge(catalog, world, order, line, False)[0]
            # Where neither is allowed, the change of mind would change nothing.
            if eligible or want["eligible"]:
                options.append(
                    (
                        {**want, "eligible": eligible, "exchange": None},
                        SwitchDraft(1, "replacement", {"refund": True}, REFUND_AFTER_ALL),
                    )
                )
        for other, item in _others(catalog, order, line, rng):
            eligible = _judge(catalog, world, order, other, swap is not None)[0]
            says = tuple(text.replace("{x}", item[1]) for text in OTHER_LINE)
            options.append(
                (
                    {**want, "line_id": other["line_id"], "eligible": eligible},
                    SwitchDraft(1, "order_line", {"text": item[1], "item": item[0]}, says),
                )
            )
        if not options:
            raise Redraw("p_switch", "an order with one line leaves nothing to switch to")
        # As often allowed as not, so that the answer can't be guessed.
        allowed = rng.chance(0.5)
        new, switch = rng.choice([o for o in options if o[0]["eligible"] == allowed] or options)
        goal["switch"] = {"want": new, "after_step": 1}
        return switch

    # --- the reference ---------------------------------------------------------------------

    def reference(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> list[Action]:
        return self._plan(goal, axes, _final(goal), goal["replacement"])

    @staticmethod
    def _plan(
        goal: Mapping[str, Any],
        axes: Axes,
        want: Mapping[str, Any],
        replacement: str | None,
        *,
        write: bool | None = None,
        claim: bool | None = None,
        answer: Mapping[str, Any] | None = None,
    ) -> list[Action]:
        """Look at the order and the replacement, open what is wanted, and say so.

        ``write`` and ``claim`` override what is opened and what is said of it.
        """
        looks = [call("order_get_status", order_id=want["order_id"])]
        exchange = want["exchange"] is not None and replacement is not None
        if exchange:
            looks.append(call("catalog_get_product", product_id=replacement))
        actions = [
            Action(tool_calls=tuple(looks[start : start + axes.tool_budget]))
            for start in range(0, len(looks), axes.tool_budget)
        ]
        where = {"order_id": want["order_id"], "line_id": want["line_id"]}
        said: dict[str, Any] = {**where, "eligible": want["eligible"] if claim is None else claim}
        opens = want["eligible"] if write is None else write
        if opens:
            if exchange:
                variant_id = goal["replacement_variant"]
                if replacement != goal["replacement"]:
                    variant_id = None
                made = call(
                    "return_exchange", **where, product_id=replacement, variant_id=variant_id
                )
                said["replacement_product_id"] = replacement
            else:
                made = call("return_initiate", **where)
            actions.append(Action(tool_calls=(made,)))
        else:
            actions.append(Action(tool_calls=(call("return_check_eligibility", **where),)))
        return [*actions, Action(answer={**said, **(answer or {})})]

    # --- the verifier ----------------------------------------------------------------------

    def verify(self, goal: Mapping[str, Any], state: State) -> Verdict:
        want = wanted(goal, state.fired, state.steps)
        answer = state.answer or {}
        records = state.world.returns
        place = (want["order_id"], want["line_id"])
        on_line = [r for r in records if (r["order_id"], r["line_id"]) == place]
        elsewhere = len(records) - len(on_line)
        exchange = want["exchange"]
        named = (
            normal_order_id(str(answer.get("order_id", ""))),
            str(answer.get("line_id", "")).strip().upper(),
        ) == place
        claims = answer.get("eligible")
        swapped = [r for r in records if r["kind"] == "exchange"]
        if want["eligible"]:
            line = bool(on_line) and not elsewhere
            kind = "exchange" if exchange else "return"
            opened = any(r["kind"] == kind for r in on_line) and claims is True
            if exchange:
                replaced = bool(swapped) and all(
                    fits_exchange(exchange, state.catalog.product(r["replacement_product_id"]))
                    for r in swapped
                )
            else:
                replaced = not swapped
        else:
            line = named and not records
            opened = not records and claims is False
            replaced = not swapped
        said = answer.get("replacement_product_id")
        agrees = named and (
            said is None or [said] == [r["replacement_product_id"] for r in swapped]
        )
        answered = state.answer is not None
        checks = (
            Check("answered", answered, "" if answered else "no submit_answer"),
            Check("order_line", line, f"wanted {place[0]} {place[1]}"),
            Check(
                "return" if want["eligible"] else "nothing_opened",
                opened,
                f"{len(records)} opened, said eligible: {claims}",
            ),
            Check("replacement", replaced, "" if replaced else "not what was asked for"),
            Check("no_other_line", not elsewhere, f"{elsewhere} opened on other lines"),
            Check("answer_agrees", agrees, "" if agrees else "the answer names another line"),
        )
        passed = all(check.passed for check in checks)
        r_task = 0.45 * _sign(line) + 0.45 * _sign(opened) + 0.10 * _sign(replaced)
        if not answered:
            r_task = min(r_task, -0.1)
        verdict = Verdict(1.0 if passed else min(r_task, 0.8), passed, checks)
        return held_against(verdict, state, self.may_change)

    def labels(self, goal: Mapping[str, Any], state: Played, verdict: Verdict) -> Iterator[str]:
        want = wanted(goal, state.fired, state.steps)
        place = (want["order_id"], want["line_id"])
        opened = [(r["order_id"], r["line_id"]) for r in state.world.returns]
        answer = state.answer
        touched = set(opened)
        if answer is not None:
            named = (
                normal_order_id(str(answer["order_id"])),
                str(answer["line_id"]).strip().upper(),
            )
            if opened and named not in opened:
                yield "answer_contradicts_world"
            touched.add(named)
        if any(order_id != place[0] for order_id, _ in touched):
            yield "wrong_order"
        if any(order_id == place[0] and line_id != place[1] for order_id, line_id in touched):
            yield "wrong_order_line"
        for record in state.world.returns:
            if (record["order_id"], record["line_id"]) == place:
                yield from self._record_labels(want["exchange"], record, state.catalog)
        yield from unasked_labels(verdict)
        if answer is None:
            return
        claims = answer["eligible"]
        if not want["eligible"]:
            if claims:
                yield "ineligible_return_initiated"
            return
        if not opened and not claims:
            yield "eligible_return_refused"
        if not opened and claims and want["exchange"]:
            yield "replacement_missing"
        if claims != bool(opened):
            yield "answer_contradicts_world"
        swapped = [r.get("replacement_product_id") for r in state.world.returns]
        said = answer.get("replacement_product_id")
        if said is not None and opened and said not in swapped:
            yield "answer_contradicts_world"

    @staticmethod
    def _record_labels(
        exchange: Mapping[str, Any] | None, record: Mapping[str, Any], catalog: Catalog
    ) -> Iterator[str]:
        """What is wrong with a return or an exchange of the right line."""
        if record["kind"] != "exchange":
            if exchange:
                yield "replacement_missing"
            return
        if not exchange:
            yield "extra_item"
            return
        product = catalog.product(record["replacement_product_id"])
        if product.category != exchange["category"]:
            yield "wrong_product"
        elif not fits_exchange(exchange, product):
            yield "constraint_violated"

    def right_products(self, goal: Mapping[str, Any], state: Played) -> set[str]:
        want = wanted(goal, state.fired, state.steps)
        exchange, right = want["exchange"], goal["replacement"]
        if not (exchange and want["eligible"] and right):
            return set()
        return {right} if fits_exchange(exchange, state.catalog.product(right)) else set()

    def recover(self, goal: Mapping[str, Any], state: Played) -> list[Action] | None:
        """Open what is wanted now, if nothing else was opened, and say so."""
        want = wanted(goal, state.fired, state.steps + 1)
        where = {"order_id": want["order_id"], "line_id": want["line_id"]}
        answer = {**where, "eligible": want["eligible"]}
        opened = state.world.returns
        undone = put_back(state, self.may_change)
        if undone is None or (opened and not want["eligible"]):
            return []
        if undone:
            return [*pack(undone, state.tool_budget), Action(answer=answer)]
        if opened:
            right = all(
                (r["order_id"], r["line_id"]) == (want["order_id"], want["line_id"])
                and not any(self._record_labels(want["exchange"], r, state.catalog))
                for r in opened
            )
            return [Action(answer=answer)] if right else []
        if not want["eligible"]:
            return [Action(answer=answer)]
        write = call("return_initiate", **where)
        if want["exchange"]:
            chosen = self._replacement(goal, want, state)
            if chosen is None:
                return []
            write = call("return_exchange", **where, product_id=chosen[0], variant_id=chosen[1])
        return [Action(tool_calls=(write,), answer=answer)]

    @staticmethod
    def _replacement(
        goal: Mapping[str, Any], want: Mapping[str, Any], state: State
    ) -> tuple[str, str] | None:
        """A product and variant that fit and can be sent now."""
        catalog, world = state.catalog, state.world
        exchange = want["exchange"]
        line = world.order_line(world.placed_order(want["order_id"]), want["line_id"])
        least = line["quantity"] if line else 1
        rows = catalog.rows(category=exchange["category"])
        clues = [Constraint.from_dict(clue) for clue in exchange["clues"]]
        first = [catalog.row(goal["replacement"])] if goal["replacement"] else []
        first = [row for row in first if fits_exchange(exchange, catalog.product_at(row))]
        for row in (*first, *rows[np.asarray(catalog.mask(rows, clues))].tolist()):
            for variant in catalog.variants_at(row):
                if world.live(variant) >= least:
                    return catalog.product_id(row), variant.variant_id
        return None

    def review(self, goal: Mapping[str, Any], state: State) -> Review:
        """The customer sees what was opened on their account."""
        want = wanted(goal, state.fired, state.steps + 1)
        mistakes: list[Mistake] = []
        right = False
        for record in state.world.returns:
            if (record["order_id"], record["line_id"]) != (want["order_id"], want["line_id"]):
                mistakes.append(Mistake("order_line", "order_line", "That's the wrong item."))
            elif (record["kind"] == "exchange") != (want["exchange"] is not None):
                mistakes.append(
                    Mistake("replacement", "replacement", "I asked for something else.")
                )
            elif want["exchange"] and not fits_exchange(
                want["exchange"], state.catalog.product(record["replacement_product_id"])
            ):
                mistakes.append(Mistake(None, "replacement", "That's not the replacement I want."))
            else:
                right = True
        return Review(tuple(mistakes), right and not mistakes, right and not mistakes)

    def progress(self, goal: Mapping[str, Any], state: State) -> float:
        want = wanted(goal, state.fired, state.steps + 1)
        place = (want["order_id"], want["line_id"])
        opened = {(r["order_id"], r["line_id"]) for r in state.world.returns}
        return 1.0 if (opened == {place} if want["eligible"] else not opened) else 0.0

    def goal_identity(self, goal: Mapping[str, Any]) -> Any:
        return [goal["want"], goal["product_id"], goal["switch"]]

    # --- near misses -----------------------------------------------------------------------

    def near_misses(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> Iterator[NearMiss]:
        want = _final(goal)
        replacement = goal["replacement"]
        opens = want["eligible"]

        def plan(kind: str, *args: Any, **options: Any) -> NearMiss:
            return NearMiss(kind, tuple(self._plan(goal, axes, *args, **options)))

        tried = 0
        for order in world["orders"]:
            for line in order["lines"]:
                if order["order_id"] != want["order_id"]:
                    tried += 1
                    if tried > 4:
                        continue
                other = {**want, "order_id": order["order_id"], "line_id": line["line_id"]}
                if (other["order_id"], other["line_id"]) == (want["order_id"], want["line_id"]):
                    continue
                same = other["order_id"] == want["order_id"]
                kind = "another_line" if same else "another_order"
                yield plan(kind, other, replacement, write=opens, claim=opens)
                told = {"order_id": want["order_id"], "line_id": want["line_id"]}
                if opens:
                    # Written on the wrong line, however right the answer.
                    yield plan(f"{kind}_written", other, replacement, write=True, answer=told)
                    if _judge(catalog, world, order, line, False)[0]:
                        *most, last = self._plan(goal, axes, want, replacement)
                        extra = call(
                            "return_initiate",
                            order_id=other["order_id"],
                            line_id=other["line_id"],
                        )
                        yield NearMiss("extra_line", (*most, Action(tool_calls=(extra,)), last))
        if opens:
            yield plan("eligible_refused", want, replacement, write=False, claim=False)
            yield plan("not_written", want, replacement, write=False, claim=True)
            yield plan("written_but_denied", want, replacement, claim=False)
        else:
            yield plan("ineligible_initiated", want, replacement, write=True, claim=True)
            yield plan("claimed_eligible", want, replacement, claim=True)
        if goal["switch"]:
            old = goal["want"]
            late = self._plan(goal, axes, old, replacement)
            yield NearMiss("ignored_change_of_mind", tuple(late))
        if want["exchange"] and opens:
            yield plan("replacement_missing", {**want, "exchange": None}, None)
            for kind, product_id in self._bad_replacements(catalog, want["exchange"], replacement):
                yield plan(kind, want, product_id)
            events = world.get("events") or ()
            for event in events:
                for variant_id in event["variant_ids"][:3]:
                    *looks, write, last = self._plan(goal, axes, want, replacement)
                    while len(looks) < event["after_step"]:
                        looks.append(Action(tool_calls=(call("order_list"),)))
                    sold = _owner(catalog, want["exchange"], variant_id)
                    (made,) = write.tool_calls
                    stale = call(
                        made.name,
                        **{**made.arguments, "product_id": sold, "variant_id": variant_id},
                    )
                    yield NearMiss(
                        "sold_out_replacement", (*looks, Action(tool_calls=(stale,)), last)
                    )
        elif opens:
            row = catalog.row(goal["product_id"])
            instead = {**want, "exchange": {}}
            yield plan("exchange_for_refund", instead, catalog.product_id(row))
        yield from unasked_misses(
            self._plan(goal, axes, want, replacement),
            world,
            axes.tool_budget,
            catalog,
            self.may_change,
            avoid={replacement} if replacement else frozenset(),
        )

    @staticmethod
    def _bad_replacements(
        catalog: Catalog, exchange: Mapping[str, Any], replacement: str
    ) -> Iterator[tuple[str, str]]:
        """Products that miss one constraint (or as few as there are), and one of another shelf."""
        rows = catalog.rows(category=exchange["category"])
        clues = [Constraint.from_dict(clue) for clue in exchange["clues"]]
        kept = np.stack([np.asarray(catalog.mask(rows, [clue])) for clue in clues])
        met = kept.sum(axis=0)
        near = np.flatnonzero(met < len(clues))
        if len(near):
            best = near[np.argsort(-met[near], kind="stable")][:2]
            for index in best:
                yield "constraint_violated", catalog.product_id(int(rows[int(index)]))
        place = catalog.categories.index(exchange["category"])
        other = catalog.categories[(place + 1) % len(catalog.categories)]
        if other != exchange["category"]:
            row = int(catalog.rows(category=other)[0])
            yield "wrong_category", catalog.product_id(row)

    # --- agents that see no goal -----------------------------------------------------------

    def honest(self, view: AgentView) -> Policy:
        return _HonestClerk(view).run()

    def naive(self, view: AgentView) -> Policy:
        """The newest order and its first line unless the opening says otherwise; no question."""
        told = _told(view)
        order_id = told.get("order", {}).get("clues", {}).get("order_id")
        if order_id is None:
            seen = yield Action(tool_calls=(call("order_list"),))
            order_id = seen.results[0]["orders"][0]["order_id"]
        seen = yield Action(tool_calls=(call("order_get_status", order_id=order_id),))
        lines = seen.results[0]["lines"]
        item = _told(view).get("order_line", {}).get("item")
        line = next((x for x in lines if item and line_fits(x, item)), lines[0])
        where = {"order_id": order_id, "line_id": line["line_id"]}
        swap = _told(view).get("replacement", {})
        write = call("return_initiate", **where)
        if swap.get("category"):
            seen = yield Action(tool_calls=(call("catalog_search", query=swap["noun"]),))
            cards = seen.results[0].get("results", [])
            if cards:
                write = call("return_exchange", **where, product_id=cards[0]["product_id"])
        seen = yield Action(tool_calls=(write,))
        yield Action(answer={**where, "eligible": "error" not in seen.results[0]})

    def flood(self, view: AgentView) -> Policy:
        """Opens a return on every line of the newest order, as far as the budget goes."""
        seen = yield Action(tool_calls=(call("order_list"),))
        order_id = seen.results[0]["orders"][0]["order_id"]
        seen = yield Action(tool_calls=(call("order_get_status", order_id=order_id),))
        lines = [line["line_id"] for line in seen.results[0]["lines"]]
        writes = [call("return_initiate", order_id=order_id, line_id=x) for x in lines]
        seen = yield Action(tool_calls=tuple(writes[: view.tool_budget]))
        opened = any("error" not in result for result in seen.results)
        yield Action(answer={"order_id": order_id, "line_id": ", ".join(lines), "eligible": opened})

    def constant(self, catalog: Catalog) -> list[Action]:
        return [Action(answer={"order_id": "W1234567", "line_id": "L1", "eligible": False})]

    def attackers(self) -> Mapping[str, Callable[[AgentView], Policy]]:
        return {"newest_first_line": _deny_newest, "try_every_line": _try_every_line}


def _basket(
    catalog: Catalog,
    rng: Rng,
    department: str,
    total: int | None,
    several: bool,
    twin: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]] | None:
    """Lines of an order, the first of ``department``, look-alikes among them; None if it fails.

    Args:
        catalog: where the products are from.
        rng: for the choice.
        department: of the first line.
        total: what the order comes to at least, in cents; None for an order below
            :data:`CHEAP_CENTS`.
        several: whether there must be two lines or more.
        twin: a line of another order, a look-alike of which stands in this one.
    """
    head = draw_line(catalog, rng, department, most_cents=None if total else CHEAP_CENTS // 2)
    if head is None:
        head = draw_line(catalog, rng, department, most_cents=None if total else CHEAP_CENTS - 1)
    if head is None:
        return None
    lines = [head]
    cost = head["quantity"] * head["unit_price_cents"]
    extra = max(int(several), rng.weighted((0, 1, 2, 3), (1, 3, 4, 3)))
    for number in range(12):
        if number >= extra and not (total and cost < total):
            break
        most = None if total else (CHEAP_CENTS - cost) // (2 if number + 1 < extra else 1)
        if most is not None and most < 500:
            break
        other = None
        if twin is not None:
            other, twin = twin_line(catalog, twin, rng), None
        elif rng.chance(0.25):
            other = twin_line(catalog, rng.choice(lines), rng)
        if other is None or (most is not None and _cost(other) > most):
            other = draw_line(catalog, rng, most_cents=most)
        if other is None or other["variant_id"] in {x["variant_id"] for x in lines}:
            continue
        lines.append(other)
        cost += _cost(other)
    return lines if bool(total) == (cost >= (total or CHEAP_CENTS)) else None


def _cost(line: Mapping[str, Any]) -> int:
    cents: int = line["quantity"] * line["unit_price_cents"]
    return cents


def _mark(rng: Rng, lines: list[dict[str, Any]], facts: Mapping[str, Any], clauses: int) -> None:
    """Puts the facts of a line on the first one, and like marks on the others."""
    head, *others = lines
    head.update({name: facts[name] for name in sorted(LINE_FACTS) if name in facts})
    shortened = LINE_FACTS | {"payment", "channel"}
    if not shortened.isdisjoint(facts):
        for line in others:
            for name in ("clearance", "refurbished"):
                if rng.chance(clauses / 6):
                    line[name] = True


def _delivered(rng: Rng, placed: date, delivered: date, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Dates of a delivered order, and how it was bought."""

    def moment(day: date, first: int, last: int) -> str:
        return f"{day.isoformat()}T{rng.between(first, last):02d}:{rng.below(60):02d}:00"

    return {
        "placed_at": moment(placed, 7, 21),
        "status": "delivered",
        "shipped_at": moment(placed + timedelta(days=1), 7, 18),
        "expected_delivery": (delivered + timedelta(days=rng.between(-1, 2))).isoformat(),
        "delivered_at": moment(delivered, 8, 19),
        **{name: facts[name] for name in sorted(ORDER_FACTS) if name in facts},
    }


def _other_order(
    context: DrawContext,
    rng: Rng,
    policy: Mapping[str, Any],
    clock: str,
    exchange: bool,
    taken: set[str],
    like: Order,
) -> Order:
    """Another order, delivered as a rule; a look-alike of a line of ``like`` may be in it."""
    catalog = context.catalog
    clauses = context.axes.policy_clauses
    lines = None
    facts: dict[str, Any] = {}
    days = 30
    for _ in range(8):
        department = rng.choice(catalog.departments)
        try:
            facts, days = policies.draw_return(
                rng, policy, clauses, rng.chance(0.5), department, exchange
            )
        except DrawFailed:
            facts, days = {"department": department}, rng.between(15, 60)
        twin = rng.choice(like["lines"]) if rng.chance(0.6) else None
        lines = _basket(catalog, rng, department, facts.get("order_total"), False, twin)
        if lines is not None:
            break
    else:
        lines = [draw_line(catalog, rng) or dict(like["lines"][0])]
    _mark(rng.child("marks"), lines, facts, clauses)
    order_id = draw_order_id(rng, context.split, taken)
    if rng.chance(0.2):
        status = rng.choice([name for name in STATUSES if name != "delivered"])
        return make_order(order_id, lines, draw_dates(rng, clock, status), rng)
    delivered = date.fromisoformat(clock[:10]) - timedelta(days=days)
    placed = delivered - timedelta(days=rng.between(2, 7))
    return make_order(order_id, lines, _delivered(rng, placed, delivered, facts), rng)


def _sign(good: bool) -> int:
    return 1 if good else -1


def _final(goal: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is wanted once the customer has changed their mind, if they do."""
    return wanted(goal, {"switch": 0}, 1)


def _owner(catalog: Catalog, exchange: Mapping[str, Any], variant_id: str) -> str:
    """The product, among those that an exchange allows, that a variant belongs to."""
    rows = catalog.rows(category=exchange["category"])
    clues = [Constraint.from_dict(clue) for clue in exchange["clues"]]
    for row in rows[np.asarray(catalog.mask(rows, clues))]:
        if any(v.variant_id == variant_id for v in catalog.variants_at(int(row))):
            return catalog.product_id(int(row))
    raise ValueError(f"variant {variant_id!r} is no replacement")


def _judge(
    catalog: Catalog,
    world: Mapping[str, Any],
    order: Mapping[str, Any],
    line: Mapping[str, Any],
    exchange: bool,
) -> tuple[bool, int]:
    """Whether a line can come back in this world, and how many facts decide it."""
    department = catalog.product(line["product_id"]).department
    facts = policies.return_facts(order, line, department, world["profile"])
    delivered = order.get("delivered_at") if order["status"] == "delivered" else None
    days = policies.days_since(delivered, world["now"])
    judged = policies.eligibility(world["policy"], facts, days, exchange)
    if days is None:
        return judged.eligible, 0
    deciding = policies.eligibility_turns_on(world["policy"], facts, days, exchange)
    return judged.eligible, len(deciding)


def _single_out(
    catalog: Catalog, order: Order, line: Mapping[str, Any], rng: Rng
) -> tuple[dict[str, Any], str] | None:
    """The shortest name that tells a line from the others of its order: (item clue, words)."""
    shown = pages(catalog, [order])[0]["lines"]
    for clue, words in item_clues(catalog, line, rng):
        fits = [x["line_id"] for x in shown if line_fits(x, clue)]
        if fits == [line["line_id"]]:
            return clue, words
    return None


def _others(
    catalog: Catalog, order: Order, line: Mapping[str, Any], rng: Rng
) -> list[tuple[Mapping[str, Any], tuple[dict[str, Any], str]]]:
    """The other lines of an order that can be named, with their names."""
    found = []
    for other in order["lines"]:
        item = _single_out(catalog, order, other, rng) if other is not line else None
        if item is not None:
            found.append((other, item))
    return found


def _another(noun: str) -> str:
    if noun.startswith(("pair of ", "set of ", "pack of ")) or not (
        is_mass(noun) or is_plural(noun)
    ):
        return f"a different {noun}"
    return f"some other {noun}"


def _exchange_slots(catalog: Catalog, swap: Mapping[str, Any], rng: Rng) -> list[SlotDraft]:
    """What the customer wants in exchange: the kind of thing, and each requirement."""
    noun = catalog.noun(swap["category"])
    named = _another(noun) if swap["same"] else some(noun)
    slots = [
        SlotDraft(
            "replacement",
            "replacement",
            "replacement",
            {"exchange": True, "category": swap["category"], "noun": noun, "said": [[bare(noun)]]},
            asked_by=("category",),
            says=tuple(frame.replace("{x}", named) for frame in INSTEAD),
        )
    ]
    for clue in swap["clues"]:
        attribute = clue["attribute"]
        draw = rng.child(attribute)
        says = tuple(
            phrase_statement(attribute, clue, "replacement", draw.child(n)) for n in range(8)
        )
        slots.append(
            SlotDraft(
                f"replacement.{attribute}",
                attribute,
                "replacement",
                clue,
                asked_by=("replacement",),
                says=tuple(dict.fromkeys(says)),
            )
        )
    return slots


def _deny_newest(view: AgentView) -> Policy:
    """Says that the first line of the newest order can't go back, without a look at the rules."""
    seen = yield Action(tool_calls=(call("order_list"),))
    order_id = seen.results[0]["orders"][0]["order_id"]
    yield Action(answer={"order_id": order_id, "line_id": "L1", "eligible": False})


def _try_every_line(view: AgentView) -> Policy:
    """Opens returns line after line until one is accepted."""
    seen = yield Action(tool_calls=(call("order_list"),))
    orders = [page for page in seen.results[0]["orders"] if page["status"] == "delivered"]
    where = {"order_id": seen.results[0]["orders"][0]["order_id"], "line_id": "L1"}
    tries = [
        {"order_id": page["order_id"], "line_id": f"L{number}"}
        for page in orders
        for number in range(1, page["line_count"] + 1)
    ]
    while tries and view.turn < view.max_turns - 1:
        where, tries = tries[0], tries[1:]
        seen = yield Action(tool_calls=(call("return_initiate", **where),))
        if "error" not in seen.results[0]:
            yield Action(answer={**where, "eligible": True})
            return
    yield Action(answer={**where, "eligible": False})


# --- the honest agent ----------------------------------------------------------------------


def _told(view: AgentView) -> dict[str, Any]:
    """What the customer has said, by slot key."""
    return {slot.key: slot.value for slot in view.disclosed}


QUESTION = (
    "Which item would you like to return? Which order is it from? What condition is it in? "
    "Why are you sending it back? Would you like a refund or a replacement, and what should the "
    "replacement be like?"
)


class _HonestClerk:
    """Asks, finds the line, looks for a replacement if one is wanted, writes once, and answers."""

    def __init__(self, view: AgentView) -> None:
        self.view = view
        self.listed: list[dict[str, Any]] | None = None
        self.opened: dict[str, dict[str, Any]] = {}
        self.checked: dict[tuple[str, str], dict[str, Any]] = {}
        self.fits: dict[str, None] = {}
        self.gone: set[str] = set()
        self.versions: dict[str, str] = {}
        self.retried: dict[str, int] = {}
        self.looked_at: set[str] = set()
        self.stale: set[str] = set()
        self.refused = False
        self.searches = 0
        self.searched_for: list[Any] = []
        self.outcome: dict[str, Any] | None = None

    # What is known now.

    def order_ids(self) -> list[str]:
        clues = _told(self.view).get("order", {}).get("clues", {})
        if "order_id" in clues:
            return [clues["order_id"]]
        return matching(self.listed or [], clues, self.opened)

    def line(self) -> dict[str, str] | None:
        item = _told(self.view).get("order_line", {}).get("item")
        found = [
            {"order_id": order_id, "line_id": line["line_id"]}
            for order_id in self.order_ids()
            for line in self.opened.get(order_id, {}).get("lines", ())
            if item is None or line_fits(line, item)
        ]
        return found[0] if len(found) == 1 else None

    def exchange(self) -> tuple[dict[str, Any], list[Constraint]] | None:
        told = _told(self.view)
        swap = told.get("replacement", {})
        if not swap.get("exchange"):
            return None
        clues = [
            Constraint.from_dict(value)
            for key, value in told.items()
            if key.startswith("replacement.")
        ]
        return swap, clues

    def run(self) -> Policy:
        view = self.view
        calls = [call("ask_user", question=QUESTION)]
        calls += [made for made, _ in self.lookups()[: view.tool_budget]]
        seen = yield Action(tool_calls=tuple(calls))
        self.note(calls[1:], seen.results[1:])
        while True:
            last = view.turn >= view.max_turns - 1
            write = self.write()
            if self.outcome is not None or (last and write is None):
                yield Action(answer=self.answer())
                return
            if write is not None:
                if last:
                    self.assume(write)
                    yield Action(tool_calls=(write,), answer=self.answer())
                    return
                seen = yield Action(tool_calls=(write,))
                self.note([write], seen.results)
                continue
            batch = [made for made, _ in self.lookups()[: view.tool_budget]]
            if not batch:
                batch = [call("order_list")]
            seen = yield Action(tool_calls=tuple(batch))
            self.note(batch, seen.results)

    def lookups(self) -> list[tuple[ToolCall, str]]:
        """Reading calls, most urgent first."""
        out: list[tuple[ToolCall, str]] = []
        ids = self.order_ids()
        if not ids or (self.listed is None and "order" not in _told(self.view)):
            if self.listed is None:
                out.append((call("order_list"), "list"))
        out += [
            (call("order_get_status", order_id=order_id), "order")
            for order_id in ids
            if order_id not in self.opened
        ]
        where = self.line()
        if where and tuple(where.values()) not in self.checked and self.view.tool_budget > 1:
            out.append((call("return_check_eligibility", **where), "check"))
        wanted_swap = self.exchange()
        if wanted_swap and not self.candidates():
            swap, clues = wanted_swap
            words = query_words(clues)
            filters = filters_for(swap["category"], clues)
            queries = (
                " ".join([swap["noun"], *words]),
                swap["noun"],
                " ".join([*words, swap["noun"]]),
                swap["category"],
                f"{swap['noun']} {swap['category']}",
            )
            for ahead in range(3):
                number = self.searches + ahead
                page = 1 + number // len(queries)
                out.append(
                    (
                        call(
                            "catalog_search",
                            query=queries[number % len(queries)],
                            filters=filters,
                            page=page if page > 1 else None,
                        ),
                        "search",
                    )
                )
        elif wanted_swap:
            out += [
                (call("catalog_get_variants", product_id=product_id), "variants")
                for product_id in self.candidates()
                if product_id not in self.looked_at
            ]
        return out

    def candidates(self) -> list[str]:
        return [product_id for product_id in self.fits if product_id not in self.gone]

    def write(self) -> ToolCall | None:
        """The return or exchange, once the line and the replacement are known."""
        where = self.line()
        if where is None or self.outcome is not None:
            return None
        wanted_swap = self.exchange()
        known = self.checked.get((where["order_id"], where["line_id"]))
        if known is not None:
            kind = "exchange_eligible" if wanted_swap else "return_eligible"
            if not known[kind]:
                self.outcome = {**where, "eligible": False}
                return None
        if wanted_swap is None:
            return call("return_initiate", **where)
        found = self.candidates()
        left = self.view.max_turns - self.view.turn
        spare = left > 2 or (left == 2 and self.refused)
        if self.view.tool_budget == 1:
            # A look costs a turn; it is worth one only after a refusal.
            spare = spare and bool(self.retried or self.refused)
        if not found or (spare and not self.looked_at.intersection(found)):
            return None
        untried = [p for p in found if p not in self.stale]
        best = next((p for p in found if p in self.versions), (untried or found)[0])
        version = self.versions.get(best)
        return call("return_exchange", **where, product_id=best, variant_id=version)

    def note(self, batch: Sequence[ToolCall], results: Sequence[Mapping[str, Any]]) -> None:
        for made, result in zip(batch, results, strict=True):
            if made.name == "order_list":
                self.listed = list(result["orders"])
            elif made.name == "order_get_status":
                if "error" not in result:
                    self.opened[result["order_id"]] = dict(result)
            elif made.name == "return_check_eligibility":
                self.checked[made.arguments["order_id"], made.arguments["line_id"]] = dict(result)
            elif made.name == "catalog_search":
                self.searches += 1
                self.match(result.get("results", []))
            elif made.name == "catalog_get_variants":
                product_id = made.arguments["product_id"]
                self.looked_at.add(product_id)
                left = sorted(result.get("variants", ()), key=lambda v: -v["stock"])
                if left and left[0]["stock"] > 0:
                    self.stale.discard(product_id)
                    self.versions[product_id] = left[0]["variant_id"]
                else:
                    self.gone.add(product_id)
            else:
                self.after_write(made, result)

    def match(self, cards: Sequence[Mapping[str, Any]]) -> None:
        wanted_swap = self.exchange()
        if wanted_swap is None:
            return
        swap, clues = wanted_swap
        if [swap, clues] != self.searched_for:
            self.fits.clear()
            self.searched_for = [swap, clues]
        for card in cards:
            if card["category"] == swap["category"] and all(holds_on_card(c, card) for c in clues):
                self.fits[card["product_id"]] = None

    def after_write(self, made: ToolCall, result: Mapping[str, Any]) -> None:
        where = {name: made.arguments[name] for name in ("order_id", "line_id")}
        error = result.get("error")
        if error in ("insufficient_stock", "unknown_product", "unknown_variant"):
            # Another version may still be there.
            product_id = made.arguments["product_id"]
            self.versions.pop(product_id, None)
            if product_id in self.looked_at and "variant_id" in made.arguments:
                self.retried[product_id] = self.retried.get(product_id, 0) + 1
                if self.retried[product_id] > 2:
                    self.gone.add(product_id)
            self.looked_at.discard(product_id)
            self.stale.add(product_id)
            self.refused = True
        else:
            self.outcome = {**where, "eligible": error is None}
            if error is None and made.name == "return_exchange":
                self.outcome["replacement_product_id"] = made.arguments["product_id"]

    def assume(self, write: ToolCall) -> None:
        """Answers along with the last write, for want of a turn to wait for its result."""
        self.after_write(write, {})

    def answer(self) -> dict[str, Any]:
        if self.outcome is not None:
            return self.outcome
        where = self.line() or {"order_id": "", "line_id": ""}
        return {**where, "eligible": False}
