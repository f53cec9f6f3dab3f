"""Cart: put exactly the wanted products, variants and quantities into the cart (SPEC §7).

The user wants 1-5 products, each told by clues that together single it out: in the catalog, or
among what the user looked at recently. At higher difficulty the order is to be placed, with the
best of the user's discount codes. An item may sell out midway, for which the user has a fallback,
and the user may change their mind about one item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ecomkit.core.difficulty import Axes, cart_items, quantity_chance, variant_chance
from ecomkit.core.records import Action, Check, Constraint, ToolCall, Variant, Verdict
from ecomkit.core.rewards import f1_units
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
    shift_clock,
    submit,
)
from ecomkit.envs.shopping import (
    choose_clues,
    clues_of,
    filters_for,
    held_against,
    known,
    put_back,
    query_for,
    query_words,
    short_title,
    subjects_of,
    to_buy,
    unasked_labels,
)
from ecomkit.shop.world import discount_cents
from ecomkit.user import Mistake, Review

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

VIEWED_CHANCE = 0.25
SAME_DEPARTMENT_CHANCE = 0.5
CODE_CHANCE = 0.6
MAX_QUANTITY = 4


def checkout_chance(d: int) -> float:
    """Chance that the order is to be placed: 0 up to d = 2, then 10 % a level, at most 80 %."""
    return min(0.8, max(0.0, 0.1 * (d - 2)))


# --- the goal ------------------------------------------------------------------------------


def wanted(goal: Mapping[str, Any], fired: Mapping[str, int], before: int) -> list[dict[str, Any]]:
    """What the user wants now: a list of {item, product_id, variant_id or None, quantity}.

    Args:
        goal: the hidden goal.
        fired: event → step after which it fired.
        before: only events that fired in an earlier step than this one count.
    """

    def happened(event: str) -> bool:
        return fired.get(event, before) < before

    wants = []
    for item in goal["items"]:
        want = {
            "item": item["key"],
            "product_id": item["product_id"],
            "variant_id": item["variant_id"],
            "quantity": item["quantity"],
        }
        switch = goal["switch"]
        if switch and switch["item"] == item["key"] and happened("switch"):
            want[switch["field"]] = switch["value"]
        if goal["sell_out"] and goal["sell_out"]["item"] == item["key"] and happened("sell_out"):
            fallback = item["fallback"]
            if fallback["kind"] == "skip":
                continue
            if fallback["kind"] == "variant":
                want["variant_id"] = fallback["variant_id"]
            else:
                want["product_id"], want["variant_id"] = fallback["product_id"], None
        wants.append(want)
    return wants


def matched_units(
    wants: list[dict[str, Any]], have: list[tuple[str, str, int]]
) -> tuple[int, int, int]:
    """``(matched, have, want)`` in units, over lines of (product_id, variant_id, quantity)."""
    total_have = sum(quantity for _, _, quantity in have)
    total_want = sum(want["quantity"] for want in wants)
    matched = 0
    for want in wants:
        units = sum(
            quantity
            for product_id, variant_id, quantity in have
            if product_id == want["product_id"] and want["variant_id"] in (None, variant_id)
        )
        matched += min(units, want["quantity"])
    return matched, total_have, total_want


def ordered_lines(state: State) -> list[tuple[str, str, int]]:
    """(product_id, variant_id, quantity) of every line of the orders placed in the session."""
    return [
        (line["product_id"], line["variant_id"], line["quantity"])
        for order_id in state.order_steps
        for line in state.world.placed_order(order_id)["lines"]
    ]


def usable_codes(
    goal: Mapping[str, Any],
    codes: Mapping[str, Mapping[str, Any]],
    fired: Mapping[str, int],
    before: int,
) -> list[Mapping[str, Any]]:
    """The user's codes that have not run out before step ``before``."""
    return [
        codes[code]
        for code in goal["codes"]
        if fired.get(f"code_exhausted:{code}", before) >= before
    ]


class Cart(Environment):
    name = "cart"
    may_change = frozenset({"cart", "orders"})
    task: ClassVar[str] = (
        "The customer wants certain things put into the cart, in the right version and number, "
        "and may ask you to place the order."
    )
    answer_description = (
        "Say that you are done. The cart, or the order you placed, is judged as it stands then."
    )
    answer_parameters: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "message": {"type": "string", "description": "A closing sentence to the customer."}
        },
        "required": [],
        "additionalProperties": False,
    }

    # --- drawing ---------------------------------------------------------------------------

    def draw(self, context: DrawContext) -> Draft:
        catalog, axes, d = context.catalog, context.axes, context.difficulty
        rng = context.rng.child("goal")
        department = context.department or rng.choice(catalog.departments)
        items: list[dict[str, Any]] = []
        history: list[str] = []
        taken: set[str] = set()
        for number in range(1, cart_items(d) + 1):
            if number == 1 or rng.chance(SAME_DEPARTMENT_CHANCE):
                place = department
            else:
                place = rng.choice(catalog.departments)
            item = self._draw_item(context, rng.child("item", number), number, place, taken)
            if item is None:
                raise Redraw("constraints", f"no product of {place} can be singled out")
            items.append(item)
            taken.add(item["category"])
            history.extend(item.pop("history"))

        lookups = len(items)
        checkout = context.rng.child("checkout").chance(checkout_chance(d))
        clock = draw_clock(context.rng.child("clock"))
        codes, held = self._draw_codes(context, items, clock) if checkout else ([], [])
        writes = lookups + checkout + bool(held)
        budget = axes.tool_budget
        par = -(-lookups // budget) + -(-writes // budget)

        sell_out = self._draw_sell_out(context, items, par)
        self._draw_fallbacks(context, items, sell_out)
        switch = self._draw_switch(context, items, sell_out, par)
        events: list[dict[str, Any]] = []
        if sell_out:
            events.append(
                {
                    "after_step": sell_out["after_step"],
                    "kind": "sell_out",
                    "variant_ids": sell_out.pop("variant_ids"),
                }
            )
        run_out = context.rng.child("run_out")
        for code in held:
            if run_out.chance(axes.p_out_of_stock * 0.5):
                events.append(
                    {
                        "after_step": run_out.between(1, par - 1),
                        "kind": "code_exhausted",
                        "code": code,
                    }
                )

        goal = {
            "items": items,
            "switch": None,
            "sell_out": sell_out,
            "checkout": checkout,
            "codes": held,
        }
        if switch:
            field = "quantity" if switch.key.endswith(".quantity") else "variant_id"
            value = switch.value["quantity" if field == "quantity" else "variant_id"]
            item_key = switch.key.partition(".")[0]
            goal["switch"] = {
                "item": item_key,
                "field": field,
                "value": value,
                "after_step": switch.after_step,
            }
            if field == "variant_id":
                switch.value = {"attributes": switch.value["attributes"]}
        slots, nouns = self._slots(catalog, goal)
        world = {
            "now": clock,
            "visit_history": self._visits(context, history, clock),
            "codes": codes,
            "events": events,
        }
        return Draft(
            department=department,
            goal=goal,
            world=world,
            slots=slots,
            nouns=nouns,
            switch=switch,
            protected=tuple(code["code"] for code in codes),
        )

    def _draw_item(
        self, context: DrawContext, rng: Rng, number: int, department: str, taken: set[str]
    ) -> dict[str, Any] | None:
        catalog = context.catalog
        needs_variant = rng.chance(variant_chance(context.difficulty))
        quantity = (
            rng.between(2, MAX_QUANTITY) if rng.chance(quantity_chance(context.difficulty)) else 1
        )
        viewed = rng.chance(VIEWED_CHANCE)
        pick = rng.child("product")
        for _ in range(40):
            categories = [c for c in catalog.categories_of(department) if c not in taken]
            if not categories:
                categories = [c for c in catalog.categories if c not in taken]
            if not categories:
                return None
            category = pick.choice(categories)
            if category in catalog.deny_list:
                continue
            rows = catalog.rows(category=category)
            row = pick_row(context, rows, pick)
            if row is None:
                continue
            options = [v for v in catalog.variants_at(row) if v.stock >= MAX_QUANTITY]
            if not options or (needs_variant and len(options) < 2):
                continue
            product = catalog.product_at(row)
            varying = set(options[0].attributes)
            shelf = rows
            lookalikes: list[int] = []
            if viewed:
                lookalikes = self._lookalikes(catalog, row, rows, pick)
                shelf = np.array(sorted([row, *lookalikes]), dtype=np.int64)
            clues = choose_clues(
                catalog,
                row,
                shelf,
                context.axes.constraints - viewed,
                varying,
                pick,
            )
            if clues is None:
                continue
            variant = rng.child("variant").choice(options) if needs_variant else None
            return {
                "key": f"item{number}",
                "category": category,
                "product_id": product.product_id,
                "variant_id": variant.variant_id if variant else None,
                "quantity": quantity,
                "clues": [clue.to_dict() for clue in clues],
                "viewed": viewed,
                "fallback": None,
                "history": [
                    product.product_id,
                    *(catalog.product_at(r).product_id for r in lookalikes),
                ]
                if viewed
                else [],
            }
        return None

    @staticmethod
    def _lookalikes(catalog: Catalog, row: int, rows: Any, rng: Rng) -> list[int]:
        """Two or three products of the category, near the target in the shop's order if any."""
        others: list[int] = []
        for _ in range(12):
            other = int(rows[rng.below(len(rows))])
            if other != row and other not in others:
                others.append(other)
            if len(others) == 3:
                break
        brand = catalog.product_at(row).brand
        same = [r for r in others if catalog.product_at(r).brand == brand]
        return (same + [r for r in others if r not in same])[: 2 + rng.below(2)]

    def _draw_codes(
        self, context: DrawContext, items: list[dict[str, Any]], clock: str
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """The shop's codes that matter here, and those the user holds (none to two)."""
        rng = context.rng.child("codes")
        if not rng.chance(CODE_CHANCE):
            return [], []
        catalog = context.catalog
        rows = [catalog.row(item["product_id"]) for item in items]
        subtotal = sum(
            catalog.product_at(row).price_cents * item["quantity"]
            for row, item in zip(rows, items, strict=True)
        )
        stems = rng.sample(CODE_STEMS, 2)
        codes: list[dict[str, Any]] = []
        for stem in stems[: 1 + rng.chance(0.5)]:
            percent = rng.chance(0.6)
            value = rng.choice((5, 10, 15, 20, 25)) if percent else 100 * rng.choice((3, 5, 8, 10))
            trouble = rng.weighted(("none", "minimum", "department", "expired"), (6, 1, 1, 1))
            minimum = subtotal // 200 * 100
            elsewhere = [x for x in catalog.departments if x != context.department]
            department = None
            if trouble == "minimum":
                minimum = (2 * subtotal // 1000 + 1) * 1000
            elif trouble == "department" and elsewhere:
                department = rng.choice(elsewhere)
            codes.append(
                {
                    "code": f"{stem}{value if percent else value // 100}",
                    "kind": "percent" if percent else "amount",
                    "value": value,
                    "min_spend_cents": minimum if rng.chance(0.5) or trouble == "minimum" else 0,
                    "department": department,
                    "expires_at": shift_clock(
                        clock, -rng.between(1, 20) if trouble == "expired" else rng.between(1, 60)
                    ),
                    "uses_left": rng.between(1, 50),
                }
            )
        return codes, [str(code["code"]) for code in codes]

    @staticmethod
    def _draw_sell_out(
        context: DrawContext, items: list[dict[str, Any]], par: int
    ) -> dict[str, Any] | None:
        rng = context.rng.child("sell_out")
        if not rng.chance(context.axes.p_out_of_stock):
            return None
        item = rng.choice(items)
        variants = context.catalog.variants(item["product_id"])
        wanted_one = [v.variant_id for v in variants if v.variant_id == item["variant_id"]]
        gone = wanted_one or [v.variant_id for v in variants]
        return {
            "item": item["key"],
            "after_step": rng.between(1, par - 1),
            "variant_ids": gone,
        }

    def _draw_fallbacks(
        self,
        context: DrawContext,
        items: list[dict[str, Any]],
        sell_out: Mapping[str, Any] | None,
    ) -> None:
        """What to do if an item is gone: always known for the one that sells out."""
        chance = context.axes.p_out_of_stock
        for item in items:
            rng = context.rng.child("fallback", item["key"])
            sold = bool(sell_out) and sell_out["item"] == item["key"]  # type: ignore[index]
            if not (sold or rng.chance(chance)):
                continue
            item["fallback"] = self._fallback(context, item, items, rng)
            if item["fallback"] is None and sold:
                raise Redraw("p_out_of_stock", f"no fallback for {item['product_id']}")

    @staticmethod
    def _fallback(
        context: DrawContext, item: Mapping[str, Any], items: list[dict[str, Any]], rng: Rng
    ) -> dict[str, Any] | None:
        catalog = context.catalog
        kinds = ["product"] + ["skip"] * (len(items) > 1)
        others: list[Variant] = []
        if item["variant_id"]:
            others = [
                v
                for v in catalog.variants(item["product_id"])
                if v.variant_id != item["variant_id"] and v.stock >= MAX_QUANTITY
            ]
            kinds += ["variant", "variant"] if others else []
        for kind in rng.shuffled(kinds):
            if kind == "skip":
                return {"kind": "skip"}
            if kind == "variant":
                other = rng.choice(others)
                return {
                    "kind": "variant",
                    "variant_id": other.variant_id,
                    "attributes": dict(other.attributes),
                }
            rows = catalog.rows(category=item["category"])
            for _ in range(20):
                row = pick_row(context, rows, rng)
                if row is None:
                    break
                product = catalog.product_at(row)
                options = catalog.variants_at(row)
                if product.product_id == item["product_id"] or any(
                    v.stock < MAX_QUANTITY for v in options
                ):
                    continue
                clues = choose_clues(
                    catalog, row, rows, 2, set(options[0].attributes), rng, names_first=True
                )
                if clues is not None:
                    return {
                        "kind": "product",
                        "product_id": product.product_id,
                        "clues": [clue.to_dict() for clue in clues],
                    }
        return None

    @staticmethod
    def _draw_switch(
        context: DrawContext,
        items: list[dict[str, Any]],
        sell_out: Mapping[str, Any] | None,
        par: int,
    ) -> SwitchDraft | None:
        rng = context.rng.child("switch")
        if not rng.chance(context.axes.p_switch):
            return None
        # A change of mind about an item that will be left out would change nothing.
        item = rng.choice(
            [
                item
                for item in items
                if not (
                    sell_out
                    and sell_out["item"] == item["key"]
                    and item["fallback"]["kind"] == "skip"
                )
            ]
        )
        after_step = rng.between(1, par - 1)
        sold = bool(sell_out) and sell_out["item"] == item["key"]  # type: ignore[index]
        others = [
            v
            for v in context.catalog.variants(item["product_id"])
            if v.variant_id != item["variant_id"] and v.stock >= MAX_QUANTITY
        ]
        if item["variant_id"] and others and not sold and rng.chance(0.5):
            other = rng.choice(others)
            value: dict[str, Any] = {
                "attributes": dict(other.attributes),
                "variant_id": other.variant_id,
            }
            return SwitchDraft(after_step, f"{item['key']}.variant", value)
        numbers = [n for n in range(1, MAX_QUANTITY + 1) if n != item["quantity"]]
        return SwitchDraft(after_step, f"{item['key']}.quantity", {"quantity": rng.choice(numbers)})

    @staticmethod
    def _visits(context: DrawContext, history: list[str], clock: str) -> list[dict[str, Any]]:
        """Recently viewed products in random order, a few unrelated ones among them."""
        rng = context.rng.child("visits")
        catalog = context.catalog
        shown = list(history)
        wanted_categories = {catalog.product(p).category for p in history}
        for _ in range(2 + rng.below(3)):
            category = rng.choice(catalog.categories)
            if category in wanted_categories:
                continue
            rows = catalog.rows(category=category)
            shown.append(catalog.product_at(int(rows[rng.below(len(rows))])).product_id)
        minutes = 0
        visits = []
        for product_id in rng.shuffled(list(dict.fromkeys(shown))):
            minutes += rng.between(30, 2000)
            visits.append(
                {"product_id": product_id, "viewed_at": shift_clock(clock, minutes=-minutes)}
            )
        return visits

    @staticmethod
    def _slots(
        catalog: Catalog, goal: Mapping[str, Any]
    ) -> tuple[list[SlotDraft], dict[str, list[str]]]:
        slots: list[SlotDraft] = []
        nouns: dict[str, list[str]] = {}
        for item in goal["items"]:
            key = item["key"]
            nouns[key] = list(catalog.nouns(item["category"]))
            slots.append(
                SlotDraft(
                    f"{key}.category",
                    "category",
                    key,
                    {
                        **Constraint("category", "eq", item["category"]).to_dict(),
                        "noun": nouns[key][0],
                        "nouns": nouns[key][1] if len(nouns[key]) > 1 else nouns[key][0],
                    },
                    critical=True,
                )
            )
            slots.append(
                SlotDraft(
                    f"{key}.quantity",
                    "quantity",
                    key,
                    {"quantity": item["quantity"]},
                    # "a charger" says one; more than one can be left open.
                    critical=item["quantity"] == 1,
                )
            )
            if item["viewed"]:
                slots.append(SlotDraft(f"{key}.viewed", "viewed", key, {"viewed": True}))
            for clue in item["clues"]:
                attribute = clue["attribute"]
                slots.append(SlotDraft(f"{key}.{attribute}", attribute, key, clue))
            if item["variant_id"]:
                attributes = next(
                    dict(v.attributes)
                    for v in catalog.variants(item["product_id"])
                    if v.variant_id == item["variant_id"]
                )
                slots.append(
                    SlotDraft(
                        f"{key}.variant",
                        "variant",
                        key,
                        {"attributes": attributes},
                        asked_by=tuple(attributes),
                    )
                )
            if item["fallback"]:
                value = {k: v for k, v in item["fallback"].items() if not k.endswith("_id")}
                if value["kind"] == "product":
                    value["noun"] = nouns[key][0]
                slots.append(SlotDraft(f"{key}.fallback", "fallback", key, value))
        if goal["checkout"]:
            slots.append(SlotDraft("checkout", "checkout", "", {"checkout": True}, critical=True))
        if goal["codes"]:
            slots.append(SlotDraft("codes", "discount_code", "", {"codes": goal["codes"]}))
        return slots, nouns

    # --- the reference ---------------------------------------------------------------------

    def reference(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> list[Action]:
        return self._plan(goal, world, axes, catalog, self._final(goal))

    @staticmethod
    def _final(goal: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What is wanted once every event has fired."""
        return wanted(goal, {"switch": 0, "sell_out": 0}, 1)

    def _plan(
        self,
        goal: Mapping[str, Any],
        world: Mapping[str, Any],
        axes: Axes,
        catalog: Catalog,
        wants: list[dict[str, Any]],
        *,
        checkout: bool = True,
        code: str | None = "best",
    ) -> list[Action]:
        """Look every product up, add it, use the code, place the order, say so."""
        budget = axes.tool_budget
        lookups = [call("catalog_get_variants", product_id=want["product_id"]) for want in wants]
        # As many steps as events need before the writes, so that none fires too late.
        actions = pack(lookups, budget)
        adds = [
            call(
                "cart_add",
                product_id=want["product_id"],
                variant_id=want["variant_id"],
                quantity=want["quantity"],
            )
            for want in wants
        ]
        if goal["checkout"] and checkout:
            if code == "best":
                code = self._best_code(goal, world, catalog, wants)
            if code:
                adds.append(call("cart_apply_discount", code=code))
            adds.append(call("order_checkout"))
        last_event = max(
            [event["after_step"] for event in world["events"]]
            + [goal["switch"]["after_step"] if goal["switch"] else 0]
        )
        writes = pack(adds, budget)
        while len(actions) + max(1, len(writes)) <= last_event:
            actions.append(Action(tool_calls=(call("cart_view"),)))
        return submit([*actions, *writes], {"message": "All done."})

    @staticmethod
    def _savings(
        goal: Mapping[str, Any],
        world: Mapping[str, Any],
        catalog: Catalog,
        wants: list[dict[str, Any]],
    ) -> dict[str, int]:
        """Cents that each of the user's codes takes off at the end, those run out left aside."""
        exhausted = {e["code"] for e in world["events"] if e["kind"] == "code_exhausted"}
        lines = []
        for want in wants:
            variants = catalog.variants(want["product_id"])
            variant = next((v for v in variants if v.variant_id == want["variant_id"]), variants[0])
            department = catalog.product(want["product_id"]).department
            lines.append((department, variant.price_cents * want["quantity"]))
        return {
            code["code"]: discount_cents(code, lines, world["now"])
            for code in world["codes"]
            if code["code"] in goal["codes"] and code["code"] not in exhausted
        }

    def _best_code(
        self,
        goal: Mapping[str, Any],
        world: Mapping[str, Any],
        catalog: Catalog,
        wants: list[dict[str, Any]],
    ) -> str | None:
        """The code that saves most, the first named of equals; None if none saves anything."""
        saved = self._savings(goal, world, catalog, wants)
        best = max(saved, key=lambda code: saved[code], default=None)
        return best if best and saved[best] > 0 else None

    # --- the verifier ----------------------------------------------------------------------

    def verify(self, goal: Mapping[str, Any], state: State) -> Verdict:
        checks: list[Check] = []
        answered = state.answer is not None
        checks.append(Check("answered", answered, "" if answered else "no submit_answer"))
        placed = list(state.order_steps)
        if goal["checkout"]:
            before = max(state.order_steps.values()) if placed else state.steps
            lines = ordered_lines(state)
        else:
            before = state.steps
            lines = [(line.product_id, line.variant_id, line.quantity) for line in state.world.cart]
        wants = wanted(goal, state.fired, before)
        matched, have, want = matched_units(wants, lines)
        f1, exact = f1_units(matched, have, want)
        checks.extend(self._line_checks(wants, lines))
        checks.append(
            Check("units", exact, f"{matched} of {want} wanted units among {have} in the cart")
        )
        credit = f1
        if goal["checkout"]:
            checks.append(
                Check("ordered_once", len(placed) == 1, f"{len(placed)} orders were placed")
            )
            right = bool(placed) and self._total_is_right(goal, state, placed, before)
            checks.append(Check("total", right, "" if right else "the total is not the best one"))
            # Half of the credit of an order hangs on its total.
            credit = f1 * (1.0 if right else 0.5)
        if not answered:
            credit = 0.0
        passed = all(check.passed for check in checks)
        r_task = 1.0 if passed else min(2.0 * credit - 1.0, 0.98)
        verdict = Verdict(
            r_task=r_task,
            passed=passed,
            checks=tuple(checks),
            details={"matched_units": matched, "have_units": have, "want_units": want},
        )
        return held_against(verdict, state, self._may_change(goal, state))

    @staticmethod
    def _may_change(goal: Mapping[str, Any], state: State) -> frozenset[str]:
        """The cart until the order is placed, which empties it; orders if one is asked for."""
        if not goal["checkout"]:
            return frozenset({"cart"})
        return frozenset({"orders"}) if state.order_steps else frozenset({"cart", "orders"})

    @staticmethod
    def _line_checks(
        wants: list[dict[str, Any]], lines: list[tuple[str, str, int]]
    ) -> Iterator[Check]:
        for want in wants:
            product = [line for line in lines if line[0] == want["product_id"]]
            right = [line for line in product if want["variant_id"] in (None, line[1])]
            units = sum(line[2] for line in right)
            yield Check(f"{want['item']}.product", bool(product), want["product_id"])
            if want["variant_id"]:
                yield Check(
                    f"{want['item']}.variant",
                    bool(right) and len(right) == len(product),
                    want["variant_id"],
                )
            yield Check(
                f"{want['item']}.quantity",
                units == want["quantity"],
                f"{units} of {want['quantity']}",
            )
        named = {want["product_id"] for want in wants}
        extra = sorted({line[0] for line in lines if line[0] not in named})
        yield Check("no_extra_items", not extra, ", ".join(extra[:3]))

    @staticmethod
    def _total_is_right(
        goal: Mapping[str, Any], state: State, placed: list[str], before: int
    ) -> bool:
        codes = {code["code"]: code for code in state.world.initial["codes"]}
        usable = usable_codes(goal, codes, state.fired, before)
        right = total = 0
        for order_id in placed:
            order = state.world.placed_order(order_id)
            total += order["total_cents"]
            lines = [
                (
                    state.catalog.product(line["product_id"]).department,
                    line["unit_price_cents"] * line["quantity"],
                )
                for line in order["lines"]
            ]
            saved = max([discount_cents(code, lines, state.world.now) for code in usable] or [0])
            right += sum(cents for _, cents in lines) - saved
        return total == right

    def labels(self, goal: Mapping[str, Any], state: Played, verdict: Verdict) -> Iterator[str]:
        placed = list(state.order_steps)
        if state.answer is None and not placed:
            return  # nothing was delivered
        lines = [
            (line["product_id"], line["variant_id"], line["quantity"])
            for order_id in placed
            for line in state.world.placed_order(order_id)["lines"]
        ]
        if not (goal["checkout"] and placed):
            lines += [(x.product_id, x.variant_id, x.quantity) for x in state.world.cart]
        before = state.steps
        if goal["checkout"] and placed:
            before = max(state.order_steps.values())
        wants = wanted(goal, state.fired, before)
        yield from self._line_labels(state.catalog, wants, lines)
        failed = {check.name for check in verdict.checks if not check.passed}
        yield from unasked_labels(verdict)
        if len(placed) > 1:
            yield "extra_item"
        if goal["checkout"] and not placed:
            yield "not_checked_out"
        elif "total" in failed:
            yield "wrong_discount"
        if wants and not lines:
            yield "premature_answer"

    @staticmethod
    def _line_labels(
        catalog: Catalog, wants: list[dict[str, Any]], lines: list[tuple[str, str, int]]
    ) -> Iterator[str]:
        """What is wrong with the lines of a cart or an order."""
        named = {want["product_id"] for want in wants}
        others = [catalog.product(x).category for x in sorted({x[0] for x in lines} - named)]
        for want in wants:
            product = [line for line in lines if line[0] == want["product_id"]]
            right = [line for line in product if want["variant_id"] in (None, line[1])]
            if not product:
                category = catalog.product(want["product_id"]).category
                if category in others:
                    others.remove(category)
                    yield "wrong_product"
                else:
                    yield "missing_item"
                continue
            if len(right) < len(product):
                yield "wrong_variant"
            if sum(line[2] for line in right or product) != want["quantity"]:
                yield "wrong_quantity"
        if others:
            yield "extra_item"

    def right_products(self, goal: Mapping[str, Any], state: Played) -> set[str]:
        return {want["product_id"] for want in wanted(goal, state.fired, state.steps)}

    def recover(self, goal: Mapping[str, Any], state: Played) -> list[Action] | None:
        """Bring the cart to what will be wanted when that is done, then code and checkout."""
        undone = put_back(state, self._may_change(goal, state))
        if undone is None:
            return []
        if state.order_steps:
            # What is ordered stays ordered.
            return submit(pack(undone, state.tool_budget), {})
        budget, step = state.tool_budget, state.steps + 1
        codes = {code["code"]: code for code in state.world.initial.get("codes") or ()}
        pending = [
            ("sell_out" if e["kind"] == "sell_out" else f"code_exhausted:{e['code']}", e)
            for e in state.world.initial.get("events") or ()
            if e.get("intent") == getattr(state, "number", None)  # its own, in a journey
        ]
        if goal["switch"]:
            pending.append(("switch", goal["switch"]))
        pending = [(name, e) for name, e in pending if e["after_step"] >= step]
        fired = dict(state.fired)
        last = 0
        while True:
            wants = wanted(goal, fired, step + 99)
            usable = usable_codes(goal, codes, fired, step + 99)
            steps = pack(self._mend(goal, state, wants, usable), budget)
            due = [(name, e) for name, e in pending if e["after_step"] < step - 1 + len(steps)]
            if not due:
                break
            # These will have happened before all is done.
            fired.update((name, 0) for name, _ in due)
            last = max(last, *(e["after_step"] for _, e in due))
            pending = [pair for pair in pending if pair not in due]
        while last and step - 1 + max(1, len(steps)) <= last:
            steps.insert(0, Action(tool_calls=(call("cart_view"),)))
        return submit(steps, {})

    @staticmethod
    def _mend(
        goal: Mapping[str, Any],
        state: Played,
        wants: list[dict[str, Any]],
        usable: list[Mapping[str, Any]],
    ) -> list[ToolCall]:
        """Calls that turn the cart into ``wants``, and order it where that is asked."""
        world, catalog = state.world, state.catalog
        calls: list[ToolCall] = []
        by_product = {want["product_id"]: want for want in wants}
        kept: dict[str, str] = {}
        for line in world.cart:
            want = by_product.get(line.product_id)
            if (
                want is None
                or line.product_id in kept
                or want["variant_id"] not in (None, line.variant_id)
                or world.stock(line.variant_id, line.product_id) < want["quantity"]
            ):
                calls.append(call("cart_remove", line_id=line.line_id))
                continue
            kept[line.product_id] = line.variant_id
            if line.quantity != want["quantity"]:
                calls.append(
                    call("cart_set_quantity", line_id=line.line_id, quantity=want["quantity"])
                )
        lines = []
        for want in wants:
            variants = catalog.variants(want["product_id"])
            fixed = kept.get(want["product_id"], want["variant_id"])
            options = [v for v in variants if fixed in (None, v.variant_id)] or list(variants)
            variant = next((v for v in options if world.live(v) >= want["quantity"]), options[0])
            lines.append(
                (
                    catalog.product(want["product_id"]).department,
                    variant.price_cents * want["quantity"],
                )
            )
            if want["product_id"] not in kept:
                calls.append(
                    call(
                        "cart_add",
                        product_id=want["product_id"],
                        variant_id=variant.variant_id,
                        quantity=want["quantity"],
                    )
                )
        if goal["checkout"]:
            saved = {code["code"]: discount_cents(code, lines, world.now) for code in usable}
            best = max(saved, key=lambda code: saved[code], default=None)
            if best and saved[best] > 0 and saved.get(world.discount or "", 0) < saved[best]:
                calls.append(call("cart_apply_discount", code=best))
            calls.append(call("order_checkout"))
        return calls

    def review(self, goal: Mapping[str, Any], state: State) -> Review:
        wants = wanted(goal, state.fired, state.steps + 1)
        by_product = {want["product_id"]: want for want in wants}
        mistakes: list[Mistake] = []
        lines = state.world.cart
        if not lines and state.order_steps:
            matched, total, want_units = matched_units(wants, ordered_lines(state))
            right = matched == total == want_units
            return Review((), right, right)
        for line in lines:
            want = by_product.get(line.product_id)
            if want is None:
                title = state.catalog.product(line.product_id).title
                mistakes.append(
                    Mistake(None, "extra_item", f"I didn't ask for the {short_title(title)}.")
                )
            elif want["variant_id"] not in (None, line.variant_id):
                mistakes.append(
                    Mistake(f"{want['item']}.variant", "variant", "That's not the version I want.")
                )
            elif line.quantity > want["quantity"]:
                mistakes.append(Mistake(f"{want['item']}.quantity", "quantity", "That's too many."))
        have = [(line.product_id, line.variant_id, line.quantity) for line in lines]
        matched, total, want_units = matched_units(wants, have)
        return Review(
            mistakes=tuple(mistakes),
            shown_right=bool(lines) and not mistakes,
            complete=matched == total == want_units and not goal["checkout"],
        )

    def progress(self, goal: Mapping[str, Any], state: State) -> float:
        wants = wanted(goal, state.fired, state.steps + 1)
        if state.order_steps:
            lines = ordered_lines(state)
        else:
            lines = [(x.product_id, x.variant_id, x.quantity) for x in state.world.cart]
        return f1_units(*matched_units(wants, lines))[0]

    def goal_identity(self, goal: Mapping[str, Any]) -> Any:
        return {
            "items": [
                [item["product_id"], item["variant_id"], item["quantity"]] for item in goal["items"]
            ],
            "switch": goal["switch"],
            "sell_out": goal["sell_out"],
            "checkout": goal["checkout"],
            "codes": goal["codes"],
        }

    # --- near misses -----------------------------------------------------------------------

    def near_misses(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> Iterator[NearMiss]:
        final = self._final(goal)

        def plan(wants: list[dict[str, Any]], **options: Any) -> tuple[Action, ...]:
            return tuple(self._plan(goal, world, axes, catalog, wants, **options))

        def edited(index: int, **changes: Any) -> list[dict[str, Any]]:
            return [{**want, **changes} if i == index else want for i, want in enumerate(final)]

        for index, want in enumerate(final):
            if want["variant_id"]:
                for variant in catalog.variants(want["product_id"]):
                    if variant.variant_id != want["variant_id"]:
                        yield NearMiss(
                            "wrong_variant", plan(edited(index, variant_id=variant.variant_id))
                        )
            yield NearMiss("quantity_plus_one", plan(edited(index, quantity=want["quantity"] + 1)))
            if want["quantity"] > 1:
                yield NearMiss(
                    "quantity_minus_one", plan(edited(index, quantity=want["quantity"] - 1))
                )
            yield NearMiss("missing_item", plan(final[:index] + final[index + 1 :]))
            twin = self._twin(catalog, goal, want)
            if twin:
                wrong = edited(index, product_id=twin, variant_id=None)
                yield NearMiss("constraint_violated", plan(wrong))
                extra = {"item": "extra", "product_id": twin, "variant_id": None, "quantity": 1}
                yield NearMiss("extra_item", plan([*final, extra]))
        if goal["switch"]:
            yield NearMiss("ignored_change_of_mind", plan(wanted(goal, {"sell_out": 0}, 1)))
        if goal["sell_out"]:
            if len(wanted(goal, {"switch": 0}, 1)) == len(final):
                # Where the fallback is to do without, a refused item left out is right.
                yield NearMiss("sold_out_item", plan(wanted(goal, {"switch": 0}, 1)))
            # Into the cart before it sells out, and never looked at again.
            early = self._plan(goal, world, axes, catalog, wanted(goal, {"switch": 0}, 1))
            adds = [c for a in early for c in a.tool_calls if c.name == "cart_add"]
            rest = [c for a in early for c in a.tool_calls if c.name not in ("cart_add",)]
            first = [c for c in adds if c.arguments["product_id"] == self._sold_product(goal)]
            others = [c for c in adds if c not in first]
            steps = pack(first, axes.tool_budget)
            while len(steps) < goal["sell_out"]["after_step"]:
                steps.append(Action(tool_calls=(call("cart_view"),)))
            lookups = [c for c in rest if c.name == "catalog_get_variants"]
            writes = [c for c in rest if c not in lookups]
            steps += pack([*lookups, *others, *writes], axes.tool_budget)
            yield NearMiss("sold_out_item", tuple(submit(steps, {"message": "All done."})))
        yield NearMiss("nothing_written", tuple(submit([], {"message": "All done."})))
        if goal["checkout"]:
            yield NearMiss("not_checked_out", plan(final, checkout=False))
            best = self._best_code(goal, world, catalog, final)
            if best:
                yield NearMiss("wrong_discount", plan(final, code=None))
                saved = self._savings(goal, world, catalog, final)
                for code in goal["codes"]:
                    if saved.get(code, 0) < saved[best]:
                        yield NearMiss("wrong_discount", plan(final, code=code))
            right = plan(final)
            more = to_buy(world, catalog)
            if more is not None and len(right) < self.max_turns(goal, axes):
                done = replace(right[-1], answer=None)
                late = Action(tool_calls=(more,), answer=right[-1].answer)
                yield NearMiss("left_in_cart", (*right[:-1], done, late))
        else:
            ordered = {**goal, "checkout": True}
            yield NearMiss(
                "ordered_unasked", tuple(self._plan(ordered, world, axes, catalog, final))
            )

    @staticmethod
    def _sold_product(goal: Mapping[str, Any]) -> str:
        return next(
            item["product_id"] for item in goal["items"] if item["key"] == goal["sell_out"]["item"]
        )

    @staticmethod
    def _twin(catalog: Catalog, goal: Mapping[str, Any], want: Mapping[str, Any]) -> str | None:
        """Another product of the category that nobody asked for; a clue tells them apart."""
        named = {item["product_id"] for item in goal["items"]}
        named |= {
            item["fallback"]["product_id"]
            for item in goal["items"]
            if item["fallback"] and item["fallback"]["kind"] == "product"
        }
        named.add(want["product_id"])
        row = catalog.row(want["product_id"])
        rows = catalog.rows(category=catalog.product_at(row).category)
        place = int(np.searchsorted(rows, row))
        for step in range(1, min(8, len(rows))):
            product_id = catalog.product_at(int(rows[(place + step) % len(rows)])).product_id
            if product_id not in named:
                return product_id
        return None

    # --- agents that see no goal -----------------------------------------------------------

    def honest(self, view: AgentView) -> Policy:
        return HonestShopper(view).run()

    def naive(self, view: AgentView) -> Policy:
        """First result, first variant, quantity as said, no question, no second look."""
        subjects = subjects_of(view)
        found: dict[str, str] = {}
        pending = list(subjects)
        while pending:
            batch, pending = pending[: view.tool_budget], pending[view.tool_budget :]
            seen = yield Action(
                tool_calls=tuple(call("catalog_search", query=query_for(view, s)) for s in batch)
            )
            for subject, result in zip(batch, seen.results, strict=True):
                if result.get("results"):
                    found[subject] = result["results"][0]["product_id"]
        writes = []
        for subject in subjects:
            if subject in found:
                quantity = known(view, subject).get("quantity", {}).get("quantity", 1)
                writes.append(call("cart_add", product_id=found[subject], quantity=quantity))
        if "checkout" in known(view, ""):
            writes.append(call("order_checkout"))
        for action in submit(pack(writes, view.tool_budget), {"message": "Done."}):
            yield action

    def flood(self, view: AgentView) -> Policy:
        """Adds every result of the first page of one search an item."""
        writes: list[ToolCall] = []
        for subject in subjects_of(view)[: max(1, view.max_turns - 2)]:
            seen = yield Action(
                tool_calls=(call("catalog_search", query=query_for(view, subject)),)
            )
            for card in seen.results[0].get("results", []):
                writes.append(call("cart_add", product_id=card["product_id"], quantity=1))
        left = max(1, view.max_turns - view.turn)
        actions = pack(writes, view.tool_budget)[:left]
        for action in submit(actions, {"message": "I added everything that fits."}):
            yield action

    def constant(self, catalog: Catalog) -> list[Action]:
        product_id = catalog.product_at(0).product_id
        return [
            Action(tool_calls=(call("cart_add", product_id=product_id),)),
            Action(answer={"message": "Done."}),
        ]


CODE_STEMS = (
    "SAVE",
    "WELCOME",
    "THANKS",
    "SPRING",
    "HOME",
    "EXTRA",
    "FRIEND",
    "DEAL",
    "TREAT",
    "BONUS",
    "LOYAL",
    "FRESH",
)


# --- the honest agent ----------------------------------------------------------------------


QUESTION = (
    "About the {noun}: what is it called? Which brand should it be? What is your price range? "
    "Which store should sell it? What rating should it have? How many reviews should it have? "
    "How soon should it ship? Have you looked at it before? Which color should it be? "
    "Which size should it be? Which material, connector, form, finish, skin type or age range "
    "should it have? Which wattage, weight or screen size should it have? Which version do you "
    "want? How many do you need? What should I do if it is sold out?"
)
"""Everything an honest agent asks about one item, in one go."""


class HonestShopper:
    """Asks, searches, checks every card against what was said, then adds and looks again."""

    def __init__(self, view: AgentView) -> None:
        self.view = view
        self.found: dict[str, str] = {}  # subject, or "subject/fallback" -> product id
        self.tries: dict[str, int] = {}
        self.variants: dict[str, list[dict[str, Any]]] = {}
        self.history: list[dict[str, Any]] | None = None
        self.sold: set[str] = set()
        self.in_cart: dict[str, tuple[str, str | None, int, str]] = {}
        self.discounts: dict[str, int] = {}
        self.ordered = False
        self.applied: str | None = None
        self.looked = False
        self.needed = 0

    # What is wanted of a subject now, as far as the user has told.
    def target(self, subject: str) -> tuple[str, list[Constraint]] | None:
        facts = known(self.view, subject)
        fallback = facts.get("fallback")
        if subject in self.sold and fallback:
            if fallback["kind"] == "skip":
                return None
            if fallback["kind"] == "product":
                clues = [Constraint.from_dict(clue) for clue in fallback["clues"]]
                return f"{subject}/fallback", clues
        return subject, clues_of(facts)

    def run(self) -> Policy:
        view = self.view
        first = [
            call("ask_user", question=QUESTION.format(**known(view, s)["category"]))
            for s in subjects_of(view)
        ]
        first.append(
            call("ask_user", question="Do you have a discount code, and shall I place the order?")
        )
        lookups = self.lookups()[: view.tool_budget]
        seen = yield Action(tool_calls=(*first, *(c for c, _ in lookups)))
        self.note(lookups, seen.results[len(first) :])
        while True:
            last = view.turn >= view.max_turns - 1
            lookups = self.lookups()[: view.tool_budget]
            if not self.needed:
                lookups = []
            writes = [] if lookups else self.writes()[: view.tool_budget]
            if last:
                writes = (self.writes())[: view.tool_budget]
                yield Action(
                    tool_calls=tuple(c for c, _ in writes), answer={"message": "All done."}
                )
                return
            if not lookups and not writes:
                if self.settled(view.max_turns - view.turn):
                    yield Action(answer={"message": "Everything is as you asked."})
                    return
                writes = [(call("cart_view"), ("cart",))]
            batch = lookups or writes
            seen = yield Action(tool_calls=tuple(c for c, _ in batch))
            self.note(batch, seen.results)

    def settled(self, turns_left: int) -> bool:
        """Nothing is left to look at: the order is placed, or the cart was seen to be right."""
        return self.ordered or self.looked or turns_left < 2

    def lookups(self) -> list[tuple[ToolCall, tuple[Any, ...]]]:
        """Reading calls, most urgent first; the first ``needed`` of them can't be done without."""
        out: list[tuple[ToolCall, tuple[Any, ...]]] = []
        spare: list[tuple[ToolCall, tuple[Any, ...]]] = []
        pending: list[tuple[str, dict[str, Any], list[Constraint]]] = []
        for subject in subjects_of(self.view):
            target = self.target(subject)
            if target is None:
                continue
            key, clues = target
            facts = known(self.view, subject)
            if key in self.found:
                product_id = self.found[key]
                needs = key == subject and "variant" in facts
                if needs and product_id not in self.variants:
                    out.append(
                        (
                            call("catalog_get_variants", product_id=product_id),
                            ("variants", product_id),
                        )
                    )
                continue
            if key == subject and "viewed" in facts:
                if self.history is None:
                    out.append((call("user_get_visit_history"), ("history",)))
                    self.history = []
                continue
            pending.append((key, facts, clues))
            out.append((self.search(key, facts, clues), ("search", key, subject)))
        for subject in subjects_of(self.view):
            facts = known(self.view, subject)
            fallback = facts.get("fallback")
            key = f"{subject}/fallback"
            if fallback and fallback["kind"] == "product" and key not in self.found:
                if subject not in self.sold:
                    clues = [Constraint.from_dict(clue) for clue in fallback["clues"]]
                    spare.append((self.search(key, facts, clues), ("search", key, subject)))
        # Another query for what is still missing: noise that hides a product differs by query.
        for ahead in (1, 2):
            for key, facts, clues in pending:
                again = self.search(key, facts, clues, ahead)
                spare.append((again, ("search", key, key.partition("/")[0])))
        self.needed = len(out)
        return out + spare

    def search(
        self, key: str, facts: Mapping[str, Any], clues: list[Constraint], ahead: int = 0
    ) -> ToolCall:
        """The next way of looking for an item: other words each time, then further pages."""
        attempt = self.tries.get(key, 0) + ahead
        noun = facts["category"]["noun"]
        names = query_words(clues)
        queries = (
            " ".join([noun, *names]),
            " ".join([*names, noun]),
            noun,
            " ".join([noun, *names[:1]]),
            f"{noun} {facts['category']['value']}",
        )
        query = queries[attempt % len(queries)]
        page = 1 + attempt // len(queries)
        filters = filters_for(facts["category"]["value"], clues)
        return call("catalog_search", query=query, filters=filters, page=page if page > 1 else None)

    def note(self, batch: list[tuple[ToolCall, tuple[Any, ...]]], results: Any) -> None:
        """Take in what the calls returned."""
        for (made, tag), result in zip(batch, results, strict=True):
            kind = tag[0]
            if kind == "search":
                _, key, subject = tag
                self.tries[key] = self.tries.get(key, 0) + 1
                facts = known(self.view, subject)
                clues = clues_of(facts)
                if key != subject:
                    clues = [Constraint.from_dict(c) for c in facts["fallback"]["clues"]]
                self.match(key, result.get("results", []), clues, facts["category"]["value"])
            elif kind == "history":
                self.history = result.get("products", [])
            elif kind == "variants":
                self.variants[tag[1]] = result.get("variants", [])
            elif kind == "add":
                self.after_add(tag, made, result)
            elif kind == "remove":
                if "error" not in result:
                    self.in_cart.pop(tag[1], None)
            elif kind == "discount":
                code = made.arguments["code"]
                if "error" in result:
                    self.discounts[code] = 0
                    if self.applied == code:
                        self.applied = None
                else:
                    self.discounts[code] = result["cart"]["discount_cents"]
                    self.applied = code
            elif kind == "checkout":
                self.after_checkout(result)
            elif kind == "cart":
                self.after_view(result)
        self.from_history()

    def match(
        self, key: str, cards: list[dict[str, Any]], clues: list[Constraint], category: str
    ) -> None:
        fits = [
            card
            for card in cards
            if card["category"] == category and all(holds_on_card(c, card) for c in clues)
        ]
        if len(fits) == 1:
            self.found[key] = fits[0]["product_id"]

    def from_history(self) -> None:
        for subject in subjects_of(self.view):
            facts = known(self.view, subject)
            if "viewed" in facts and self.history and subject not in self.found:
                self.match(subject, self.history, clues_of(facts), facts["category"]["value"])

    def choice(self, subject: str) -> tuple[str, str | None, int] | None:
        """(product, variant, quantity) to have in the cart for a subject, or None for nothing."""
        target = self.target(subject)
        if target is None or target[0] not in self.found:
            return None
        product_id = self.found[target[0]]
        facts = known(self.view, subject)
        quantity = facts.get("quantity", {}).get("quantity", 1)
        variant_id = None
        if target[0] == subject and "variant" in facts:
            attributes = facts["variant"]["attributes"]
            if subject in self.sold and facts.get("fallback", {}).get("kind") == "variant":
                attributes = facts["fallback"]["attributes"]
            for variant in self.variants.get(product_id, ()):
                if variant["attributes"] == attributes:
                    variant_id = variant["variant_id"]
                    if variant["stock"] < quantity and subject not in self.sold:
                        self.sold.add(subject)
                        return self.choice(subject)
            if variant_id is None:
                return None
        return product_id, variant_id, quantity

    def writes(self) -> list[tuple[ToolCall, tuple[Any, ...]]]:
        """Calls that bring the cart to what is wanted, then the code and the order."""
        if self.ordered:
            return []
        out: list[tuple[ToolCall, tuple[Any, ...]]] = []
        for subject in subjects_of(self.view):
            want = self.choice(subject)
            have = self.in_cart.get(subject)
            if have and (want is None or have[:3] != want):
                out.append((call("cart_remove", line_id=have[3]), ("remove", subject)))
            if want and (have is None or have[:3] != want):
                product_id, variant_id, quantity = want
                out.append(
                    (
                        call(
                            "cart_add",
                            product_id=product_id,
                            variant_id=variant_id,
                            quantity=quantity,
                        ),
                        ("add", subject, want),
                    )
                )
        if any(self.choice(s) is None and self.target(s) for s in subjects_of(self.view)):
            return out
        if out:
            self.looked = False
            self.discounts.clear()
            self.applied = None
        overall = known(self.view, "")
        if "checkout" not in overall:
            return out
        codes = overall.get("discount_code", {}).get("codes", [])
        untried = [code for code in codes if code not in self.discounts]
        if untried:
            out.extend((call("cart_apply_discount", code=code), ("discount",)) for code in untried)
            if len(codes) > 1:
                return out
        best = max(codes, key=lambda code: self.discounts.get(code, 0), default=None)
        if len(codes) > 1 and best and self.discounts[best] > 0 and self.applied != best:
            out.append((call("cart_apply_discount", code=best), ("discount",)))
        out.append((call("order_checkout"), ("checkout",)))
        return out

    def after_add(self, tag: tuple[Any, ...], made: ToolCall, result: Mapping[str, Any]) -> None:
        _, subject, want = tag
        if "error" in result:
            if result["error"] in ("out_of_stock", "insufficient_stock"):
                self.sold.add(subject)
            return
        self.in_cart[subject] = (*want, result["line_id"])

    def after_checkout(self, result: Mapping[str, Any]) -> None:
        if "error" not in result:
            self.ordered = True
            return
        for line_id in result.get("line_ids", ()):
            self.mark_sold(line_id)

    def after_view(self, result: Mapping[str, Any]) -> None:
        self.looked = True
        for line in result.get("lines", ()):
            if line["available"] < line["quantity"]:
                self.mark_sold(line["line_id"])

    def mark_sold(self, line_id: str) -> None:
        for subject, have in self.in_cart.items():
            if have[3] == line_id:
                self.sold.add(subject)
                self.looked = False
