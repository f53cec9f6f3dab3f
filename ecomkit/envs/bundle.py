"""Bundle: the things that a project needs, one product for each, within a budget (SPEC §7).

The customer has a project and a list of things for it, some with requirements of their own, and a
total that must do for all of them. Part of the list may be left out until asked for. A product may
sell out midway, and the customer may change a requirement or the budget.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from math import comb, exp
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ecomkit.core.difficulty import Axes
from ecomkit.core.errors import UnknownProduct
from ecomkit.core.records import Action, Check, Constraint, ToolCall, Verdict
from ecomkit.core.rewards import f1_units
from ecomkit.core.seeds import Rng, seed_from
from ecomkit.envs.base import (
    TEST_SHARE,
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
)
from ecomkit.envs.shopping import (
    answer_after,
    clues_of,
    filters_for,
    held_against,
    known,
    put_back,
    query_for,
    query_words,
    subjects_of,
    unasked_labels,
    unasked_misses,
)
from ecomkit.user import NOTHING_SEEN, Review
from ecomkit.user.words import number_word, some

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

MOST_ITEMS = 12
LEAST_SHELF = 5
"""Products a category needs before anyone has a choice in it."""
WIDE_SPLIT = 40
"""Sets of items from which a split can be made by the items alone."""

PROJECT_SAYS: tuple[str, ...] = (
    "I'm {doing} and need {n} things for it.",
    "I'm {doing}, and there are {n} things I still need.",
    "I'm {doing}. I need {n} things in all.",
    "I'm {doing} and could use some help: {n} things are still missing.",
    "I'm {doing} and I've got {n} things on my list.",
    "I'm {doing}, for which I need {n} things.",
    "I'm {doing}. There are {n} things to buy for that.",
    "I'm {doing} and would like to get {n} things for it today.",
    "I'm {doing}, so I'm shopping for {n} things.",
)
ITEM_SAYS: tuple[str, ...] = (
    "I need {x}.",
    "I'd like {x}.",
    "There's also {x}.",
    "I still need {x}.",
    "I'm also after {x}.",
    "Then {x}.",
    "Also {x}.",
    "{X} as well.",
    "And I want {x}.",
    "{X}, too.",
)
REST_SAYS: tuple[str, ...] = (
    "The rest of the list I'd have to look up.",
    "And a few more things, I've got a list somewhere.",
    "That's not all of it, but it's a start.",
    "There's more on my list.",
    "And then there's the rest of my list.",
    "The other things I can tell you in a moment.",
    "That's what comes to mind first, there's more.",
    "I'll get to the rest in a moment.",
)


def item_count(d: int) -> int:
    """Things that a project needs: 3 + ⌊d/2⌋, at most 12."""
    return min(MOST_ITEMS, 3 + d // 2)


def budget_slack(d: int) -> float:
    """How far the budget lies above the cheapest feasible sum, as a share of the way from there
    to the sum of the median prices: 0.8·e^(−d/4); 80 % at d = 0, 18 % at 6, 4 % at 12."""
    return round(0.8 * exp(-d / 4), 6)


def short_of_calls(axes: Axes, items: int) -> bool:
    """Whether an agent has no calls to spare for looking at the stock of what it chose."""
    return (axes.max_turns - 1) * axes.tool_budget < 2 * items


def round_amount(low: int, high: int) -> int:
    """The roundest amount of whole dollars from ``low`` to ``high`` cents; if there is none, the
    first above ``low``."""
    for step in (10_000, 5_000, 2_500, 1_000, 500):
        amount = -(-low // step) * step
        if amount <= high:
            return amount
    return -(-low // 100) * 100


_NAMELESS = frozenset({"item", "thing", "product", "article"})


# --- projects ------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def load_projects() -> dict[str, dict[str, Any]]:
    """The projects of ``projects.toml``: name → ``{"doing": str, "items": [category, …]}``."""
    text = resources.files("ecomkit.envs").joinpath("projects.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@lru_cache(maxsize=16)
def projects_of(catalog: Catalog) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """``(name, doing, categories)`` of the projects that can be drawn on a catalog.

    Those of the data file with the categories that the catalog has; where it has too few for any,
    each department large enough is a project of its own, and the whole shop one more.
    """

    def sold(categories: Sequence[str]) -> tuple[str, ...]:
        return tuple(
            category
            for category in categories
            if category in present
            and category not in catalog.deny_list
            # Where an import names the thing "item", nobody could say which is meant.
            and catalog.noun(category) not in _NAMELESS
            and len(catalog.rows(category=category)) >= LEAST_SHELF
        )

    present = set(catalog.categories)
    out = [
        (name, project["doing"], sold(project["items"]))
        for name, project in load_projects().items()
    ]
    out = [entry for entry in out if len(entry[2]) >= MOST_ITEMS]
    if out:
        return tuple(out)
    for department in catalog.departments:
        categories = sold(catalog.categories_of(department))
        if len(categories) >= MOST_ITEMS:
            doing = f"stocking up on {catalog.label(department).lower()}"
            out.append((f"department:{department}", doing, categories))
    everything = sold(catalog.categories)
    if len(everything) >= MOST_ITEMS:
        out.append(("shop", "doing some shopping for the whole family", everything))
    return tuple(out)


# --- what fits -----------------------------------------------------------------------------


@lru_cache(maxsize=16384)
def shelf(
    catalog: Catalog, category: str, requirements: tuple[Constraint, ...]
) -> tuple[tuple[int, int], ...]:
    """``(price in cents, row)`` of what meets the requirements, cheapest first."""
    rows = catalog.rows(category=category)
    if requirements:
        rows = rows[catalog.mask(rows, requirements)]
    prices = catalog.numbers("price_cents")[rows]
    return tuple((int(prices[i]), int(rows[i])) for i in np.lexsort((rows, prices)).tolist())


def requirements_of(item: Mapping[str, Any]) -> tuple[Constraint, ...]:
    """The requirements of an item of a goal."""
    return tuple(Constraint.from_dict(data) for data in item["requirements"])


def in_stock(catalog: Catalog, row: int) -> bool:
    """Whether any variant of a product is on the shelf when an episode begins."""
    return any(variant.stock > 0 for variant in catalog.variants_at(row))


def cheapest(
    catalog: Catalog, item: Mapping[str, Any], gone: frozenset[str] = frozenset()
) -> tuple[int, int] | None:
    """``(price, row)`` of the cheapest product for an item that can be bought."""
    for price, row in shelf(catalog, item["category"], requirements_of(item)):
        if catalog.product_id(row) not in gone and in_stock(catalog, row):
            return price, row
    return None


@lru_cache(maxsize=16384)
def wishes(catalog: Catalog, row: int) -> tuple[tuple[Constraint, int], ...]:
    """What a customer may require of an item so that a product fits, with weights.

    Only what a product card shows: not what varies, nor what an import filled in by rule.
    """
    product = catalog.product_at(row)
    hidden = {*catalog.varying_at(row), *catalog.filled_fields(row)}
    out: list[tuple[Constraint, int]] = []
    for name, value in product.attributes.items():
        if isinstance(value, str):
            out.append((Constraint(name, "eq", value), 6))
        elif name != "weight_lbs":
            out.append((Constraint(name, "ge", value), 2))
    if product.brand:
        out.append((Constraint("brand", "eq", product.brand), 2))
    out.extend((Constraint("rating", "ge", x), 2) for x in (4.0, 4.5) if product.rating >= x)
    out.extend((Constraint("ship_days", "le", x), 2) for x in (2, 5) if product.ship_days <= x)
    out.extend(
        (Constraint("rating_count", "ge", x), 1) for x in (100, 1000) if product.rating_count >= x
    )
    return tuple(
        (constraint, weight) for constraint, weight in out if constraint.attribute not in hidden
    )


def telling(
    catalog: Catalog,
    now: Sequence[tuple[int, int]],
    row: int,
    have: Sequence[Constraint],
) -> list[tuple[Constraint, int]]:
    """What may be required so that ``row`` of the shelf ``now`` fits and its cheapest does not:
    a requirement that one meets by saving alone would be none."""
    cheap = catalog.product_at(now[0][1])
    taken = {constraint.attribute for constraint in have}
    return [
        (constraint, weight)
        for constraint, weight in wishes(catalog, row)
        if constraint.attribute not in taken and not constraint.holds(cheap)
    ]


def selects(now: Sequence[Any], after: Sequence[Any]) -> bool:
    """Whether a requirement leaves a choice, and at most two in five: luck rarely meets it."""
    return 2 <= len(after) and len(after) * 5 <= len(now) * 2


@lru_cache(maxsize=4096)
def tells_apart(catalog: Catalog, category: str) -> bool:
    """Whether anything can be required of a category, as far as a few of its products tell."""
    now = shelf(catalog, category, ())
    if len(now) < LEAST_SHELF:
        return False
    return any(
        selects(now, shelf(catalog, category, (constraint,)))
        for _, row in now[1 :: max(1, len(now) // 24)]
        for constraint, _ in telling(catalog, now, row, ())
    )


# --- the goal ------------------------------------------------------------------------------


def wanted(goal: Mapping[str, Any], fired: Mapping[str, int], before: int) -> dict[str, Any]:
    """``{"items": [{"key", "category", "requirements"}, …], "budget_cents"}`` in a step."""
    items, budget = list(goal["items"]), goal["budget_cents"]
    switch = goal["switch"]
    if switch and fired.get("switch", before) < before:
        if switch["kind"] == "budget":
            budget = switch["budget_cents"]
        else:
            items = [
                {**item, "requirements": switch["requirements"]}
                if item["key"] == switch["item"]
                else item
                for item in items
            ]
    return {"items": items, "budget_cents": budget}


class Bundle(Environment):
    name = "bundle"
    task: ClassVar[str] = (
        "The customer has a project and needs several things for it: recommend exactly one "
        "product for each thing on their list, in stock and as required, so that all of them "
        "together stay within the budget."
    )
    answer_description = "The products that you recommend, one for each thing that is needed."
    answer_parameters: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "product_ids": {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": 200},
                "maxItems": 100,
                "description": "One product id for each thing on the list, in any order. Their "
                "prices as shown on the product cards must not add up to more than the budget.",
            },
            "message": {"type": "string", "description": "A closing sentence to the customer."},
        },
        "required": ["product_ids"],
        "additionalProperties": False,
    }

    def available(self, catalog: Catalog) -> str | None:
        if projects_of(catalog):
            return None
        return f"it needs {MOST_ITEMS} categories with {LEAST_SHELF} or more products each"

    # --- drawing ---------------------------------------------------------------------------

    def draw(self, context: DrawContext) -> Draft:
        catalog, axes, d = context.catalog, context.axes, context.difficulty
        rng = context.rng.child("goal")
        count = item_count(d)
        name, doing, items = self._draw_items(context, rng, count)
        tight = short_of_calls(axes, count)
        goal: dict[str, Any] = {
            "project": name,
            "items": items,
            "budget_cents": 0,
            "switch": None,
            "sell_out": None,
        }
        events = []
        gone = self._draw_sell_out(context, items, tight)
        if gone is not None:
            row, goal["sell_out"] = gone
            events.append(
                {
                    "after_step": goal["sell_out"]["after_step"],
                    "kind": "sell_out",
                    "variant_ids": [v.variant_id for v in catalog.variants_at(row)],
                }
            )
        low, room = self._least(catalog, goal)
        room = int(room * budget_slack(d))
        goal["budget_cents"] = round_amount(low + room * 3 // 4, low + room * 5 // 4)
        goal["switch"] = self._draw_switch(context, goal, low, room, tight)
        for fired in ({}, {"switch": 0}):
            want = wanted(goal, fired, 1)
            if sum(self._dearest(catalog, i)[0] for i in want["items"]) <= want["budget_cents"]:
                raise Redraw("constraints", "any choice meets the budget")
        slots, nouns = self._slots(catalog, goal, doing)
        return Draft(
            department=context.department or catalog.department_of(items[0]["category"]),
            goal=goal,
            world={"now": draw_clock(context.rng.child("clock")), "events": events},
            slots=slots,
            nouns=nouns,
            switch=self._switch_draft(goal),
            unnamed=REST_SAYS,
        )

    def _draw_items(
        self, context: DrawContext, rng: Rng, count: int
    ) -> tuple[str, str, list[dict[str, Any]]]:
        """A project and ``count`` of its categories, with requirements, of the split."""
        catalog, department = context.catalog, context.department
        projects = projects_of(catalog)
        if department is not None:
            own = set(catalog.categories_of(department))
            projects = tuple(p for p in projects if not own.isdisjoint(p[2]))
        if not projects:
            raise Redraw("constraints", f"no project needs anything from {department}")
        for _ in range(400):
            name, doing, categories = rng.choice(projects)
            if department is None:
                chosen = rng.sample(categories, count)
            else:
                first = rng.choice([c for c in categories if c in own])
                rest = rng.sample([c for c in categories if c != first], count - 1)
                chosen = rng.shuffled([first, *rest])
            wide = comb(len(categories), count) >= WIDE_SPLIT
            if wide and not _in_split(sorted(chosen), context.split):
                continue
            items = self._draw_requirements(context, rng, chosen)
            if items is None:
                continue
            if wide or _in_split(
                [[i["category"], i["requirements"]] for i in items], context.split
            ):
                return name, doing, items
        raise Redraw("constraints", "no set of items can be given its requirements")

    @staticmethod
    def _draw_requirements(
        context: DrawContext, rng: Rng, categories: Sequence[str]
    ) -> list[dict[str, Any]] | None:
        """The items, with as many requirements among them as the axis says, at most two each."""
        catalog = context.catalog
        chosen: list[list[Constraint]] = [[] for _ in categories]
        count = min(context.axes.constraints, 2 * len(categories))
        places = [n for n, one in enumerate(categories) if tells_apart(catalog, one)]
        if 2 * len(places) < count:
            return None
        tries = 0
        for _ in range(count):
            while True:
                tries += 1
                if tries > 12 * len(categories):
                    return None
                place = rng.choice(places)
                have = chosen[place]
                if len(have) == 2:
                    continue
                now = shelf(catalog, categories[place], tuple(have))
                if len(now) < 3:
                    continue
                options = telling(catalog, now, now[1 + rng.below(len(now) - 1)][1], have)
                if not options:
                    continue
                new = rng.weighted([c for c, _ in options], [w for _, w in options])
                if selects(now, shelf(catalog, categories[place], (*have, new))):
                    have.append(new)
                    break
        return [
            {
                "key": f"item{number}",
                "category": category,
                "requirements": [constraint.to_dict() for constraint in requirements],
            }
            for number, (category, requirements) in enumerate(
                zip(categories, chosen, strict=True), start=1
            )
        ]

    def _draw_switch(
        self, context: DrawContext, goal: Mapping[str, Any], low: int, room: int, tight: bool
    ) -> dict[str, Any] | None:
        """Another value for one requirement, for which the budget will do, or a lower budget."""
        rng = context.rng.child("switch")
        if not rng.chance(context.axes.p_switch):
            return None
        after_step = 1 if tight else rng.between(1, 2)
        lower = round_amount(low + room * 2 // 5, low + room * 3 // 5)
        spend_less = {"kind": "budget", "budget_cents": lower, "after_step": after_step}
        possible = lower * 103 <= goal["budget_cents"] * 100
        # With no calls to spare nobody could look again.
        if possible and (tight or rng.chance(0.4)):
            return spend_less
        for item in rng.shuffled([item for item in goal["items"] if item["requirements"]]):
            if goal["sell_out"] and goal["sell_out"]["item"] == item["key"]:
                continue
            changed = self._changed(
                context.catalog, item, goal["budget_cents"] - low, rng.child(item["key"])
            )
            if changed:
                attribute, requirements = changed
                return {
                    "kind": "requirement",
                    "item": item["key"],
                    "attribute": attribute,
                    "requirements": [c.to_dict() for c in requirements],
                    "after_step": after_step,
                }
        if possible:
            return spend_less
        raise Redraw("p_switch", "no requirement can be changed within the budget")

    @staticmethod
    def _changed(
        catalog: Catalog, item: Mapping[str, Any], spare: int, rng: Rng
    ) -> tuple[str, tuple[Constraint, ...]] | None:
        """``(attribute, requirements)`` with another value for one of an item's requirements, so
        that something of before won't do and the cheapest costs at most ``spare`` cents more."""
        requirements = requirements_of(item)
        before = shelf(catalog, item["category"], requirements)
        least = cheapest(catalog, item)
        assert least is not None
        for place in rng.shuffled(range(len(requirements))):
            old = requirements[place]
            others = tuple(c for i, c in enumerate(requirements) if i != place)
            near = [e for e in shelf(catalog, item["category"], others) if e[0] <= least[0] + spare]
            for _ in range(8):
                like = [
                    c
                    for c, _ in wishes(catalog, near[rng.below(len(near))][1])
                    if c.attribute == old.attribute and c != old
                ]
                if not like:
                    continue
                after = (*requirements[:place], rng.choice(like), *requirements[place + 1 :])
                fits = shelf(catalog, item["category"], after)
                data = {**item, "requirements": [c.to_dict() for c in after]}
                new = cheapest(catalog, data)
                if (
                    len(fits) >= 2
                    and new
                    and new[0] <= least[0] + spare
                    and set(before) - set(fits)
                ):
                    return old.attribute, after
        return None

    @staticmethod
    def _draw_sell_out(
        context: DrawContext, items: Sequence[Mapping[str, Any]], tight: bool
    ) -> tuple[int, dict[str, Any]] | None:
        """One of the best products is gone: the cheapest for an item. Where nobody has a call to
        spare for a look at the stock it is one of the middle, which few would choose."""
        rng = context.rng.child("sell_out")
        if not rng.chance(context.axes.p_out_of_stock):
            return None
        catalog = context.catalog
        for item in rng.shuffled(items):
            fits = shelf(catalog, item["category"], requirements_of(item))
            fits = tuple(entry for entry in fits if in_stock(catalog, entry[1]))
            if len(fits) < 2:
                continue
            _, row = fits[len(fits) // 2] if tight else fits[0]
            return row, {
                "item": item["key"],
                "product_id": catalog.product_id(row),
                "after_step": 1 if tight else rng.between(1, 2),
            }
        raise Redraw("p_out_of_stock", "nothing else would be left")

    @staticmethod
    def _dearest(catalog: Catalog, item: Mapping[str, Any]) -> tuple[int, int]:
        return shelf(catalog, item["category"], requirements_of(item))[-1]

    @staticmethod
    def _least(catalog: Catalog, goal: Mapping[str, Any]) -> tuple[int, int]:
        """The cheapest sum in cents that will do once something is sold out, and how much more
        the sum of the median prices is."""
        gone = frozenset({goal["sell_out"]["product_id"]} if goal["sell_out"] else ())
        low = middle = 0
        for item in goal["items"]:
            found = cheapest(catalog, item, gone)
            if found is None:
                raise Redraw("constraints", f"nothing in stock for {item['category']}")
            fits = shelf(catalog, item["category"], requirements_of(item))
            low += found[0]
            middle += max(found[0], fits[len(fits) // 2][0])
        return low, middle - low

    @staticmethod
    def _switch_draft(goal: Mapping[str, Any]) -> SwitchDraft | None:
        switch = goal["switch"]
        if not switch:
            return None
        if switch["kind"] == "budget":
            return SwitchDraft(switch["after_step"], "budget", {"cents": switch["budget_cents"]})
        attribute = switch["attribute"]
        value = next(c for c in switch["requirements"] if c["attribute"] == attribute)
        return SwitchDraft(switch["after_step"], f"{switch['item']}.{attribute}", value)

    @staticmethod
    def _slots(
        catalog: Catalog, goal: Mapping[str, Any], doing: str
    ) -> tuple[list[SlotDraft], dict[str, list[str]]]:
        count = len(goal["items"])
        says = tuple(
            text.replace("{doing}", doing).replace("{n}", number_word(count))
            for text in PROJECT_SAYS
        )
        slots = [
            SlotDraft(
                "project", "project", "", {"text": doing, "count": count}, critical=True, says=says
            )
        ]
        nouns: dict[str, list[str]] = {}
        for number, item in enumerate(goal["items"]):
            key = item["key"]
            names = nouns[key] = list(catalog.nouns(item["category"]))
            thing = some(names[0])
            slots.append(
                SlotDraft(
                    f"{key}.category",
                    "category",
                    key,
                    {
                        **Constraint("category", "eq", item["category"]).to_dict(),
                        "noun": names[0],
                        "nouns": names[1] if len(names) > 1 else names[0],
                    },
                    # The project alone is no shopping list: one thing is always named.
                    critical=number == 0,
                    says=tuple(
                        text.replace("{x}", thing).replace("{X}", thing[:1].upper() + thing[1:])
                        for text in ITEM_SAYS
                    ),
                )
            )
            slots.extend(
                SlotDraft(f"{key}.{data['attribute']}", data["attribute"], key, data)
                for data in item["requirements"]
            )
        slots.append(SlotDraft("budget", "budget", "", {"cents": goal["budget_cents"]}))
        return slots, nouns

    # --- the reference ---------------------------------------------------------------------

    def reference(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> list[Action]:
        ids = self._best(goal, catalog)
        looks = [call("catalog_get_product", product_id=one) for one in ids]
        actions = pack(looks, axes.tool_budget)
        return [*self._wait(goal, actions), Action(answer={"product_ids": ids})]

    @staticmethod
    def _wait(goal: Mapping[str, Any], actions: list[Action]) -> list[Action]:
        """``actions`` and as many steps more as it takes until everything has happened."""
        last = max(goal[name]["after_step"] if goal[name] else 0 for name in ("switch", "sell_out"))
        idle = Action(tool_calls=(call("cart_view"),))
        return [*actions, *[idle] * (last - len(actions))]

    @staticmethod
    def _best(goal: Mapping[str, Any], catalog: Catalog) -> list[str]:
        """The cheapest product that fits, for each item, once everything has happened."""
        gone = frozenset({goal["sell_out"]["product_id"]} if goal["sell_out"] else ())
        ids = []
        for item in wanted(goal, {"switch": 0}, 1)["items"]:
            found = cheapest(catalog, item, gone)
            assert found is not None
            ids.append(catalog.product_id(found[1]))
        return ids

    # --- the verifier ----------------------------------------------------------------------

    def verify(self, goal: Mapping[str, Any], state: State) -> Verdict:
        want = wanted(goal, state.fired, state.steps)
        catalog = state.catalog
        answer = state.answer or {}
        ids = list(dict.fromkeys(str(one).strip() for one in answer.get("product_ids", ())))
        products, sold_out, unknown = [], [], []
        for one in ids:
            try:
                product = catalog.product(one)
            except (UnknownProduct, UnicodeError):
                unknown.append(one)
                continue
            products.append(product)
            if state.world.sold_out(one):
                sold_out.append(one)
        answered = state.answer is not None
        checks = [Check("answered", answered, "" if answered else "no submit_answer")]
        matched = 0
        for item in want["items"]:
            here = [p for p in products if p.category == item["category"]]
            fits = {row for _, row in shelf(catalog, item["category"], requirements_of(item))}
            right = [p for p in here if catalog.row(p.product_id) in fits]
            good = [p for p in right if p.product_id not in sold_out]
            matched += bool(good)
            key = item["key"]
            checks.append(Check(f"{key}.product", bool(here), item["category"]))
            checks.append(Check(f"{key}.requirements", bool(right) or not here, _titles(here)))
            checks.append(Check(f"{key}.in_stock", bool(good) or not right, _titles(right)))
        f1, exact = f1_units(matched, len(ids), len(want["items"]))
        total, budget = sum(p.price_cents for p in products), want["budget_cents"]
        checks.append(Check("known_products", not unknown, ", ".join(unknown[:3])[:200]))
        checks.append(
            Check(
                "no_extra_items",
                len(ids) <= len(want["items"]),
                f"{len(ids)} products for {len(want['items'])} things",
            )
        )
        checks.append(Check("units", exact, f"{matched} things right, {len(ids)} products"))
        checks.append(Check("within_budget", total <= budget, f"{total} of {budget} cents"))
        overspend = max(0, total - budget) / budget
        r_task = max(-1.0, 2.0 * f1 - 1.0 - min(1.0, overspend))
        verdict = Verdict(
            r_task,
            answered and exact and total <= budget,
            tuple(checks),
            {
                "matched": matched,
                "products": len(ids),
                "wanted": len(want["items"]),
                "total_cents": total,
                "budget_cents": budget,
            },
        )
        return held_against(verdict, state, self.may_change)

    def labels(self, goal: Mapping[str, Any], state: Played, verdict: Verdict) -> Iterator[str]:
        yield from unasked_labels(verdict)
        if state.answer is None:
            return
        failed = {check.name for check in verdict.checks if not check.passed}
        items = wanted(goal, state.fired, state.steps)["items"]
        counts = dict.fromkeys((item["category"] for item in items), 0)
        surplus = 0  # what belongs to no item
        sold_out = False
        for one in dict.fromkeys(str(x).strip() for x in state.answer["product_ids"]):
            try:
                category = state.catalog.product(one).category
                sold_out = sold_out or state.world.sold_out(one)
            except (UnknownProduct, UnicodeError):
                category = ""
            if category in counts:
                counts[category] += 1
            else:
                surplus += 1
        lacking = sum(count == 0 for count in counts.values())
        if lacking and surplus:
            yield "wrong_product"
        if lacking > surplus:
            yield "missing_item"
        if surplus > lacking or any(count > 1 for count in counts.values()):
            yield "extra_item"
        if any(name.endswith(".requirements") for name in failed):
            yield "constraint_violated"
        if sold_out:
            yield "out_of_stock_recommended"
        if "within_budget" in failed:
            yield "budget_exceeded"

    def right_products(self, goal: Mapping[str, Any], state: Played) -> set[str]:
        catalog = state.catalog
        return {
            catalog.product_id(row)
            for item in wanted(goal, state.fired, state.steps)["items"]
            for _, row in shelf(catalog, item["category"], requirements_of(item))
        }

    def recover(self, goal: Mapping[str, Any], state: Played) -> list[Action] | None:
        gone = frozenset({goal["sell_out"]["product_id"]} if "sell_out" in state.fired else ())
        items = wanted(goal, state.fired, state.steps + 1)["items"]
        found = [cheapest(state.catalog, item, gone) for item in items]
        ids = [state.catalog.product_id(one[1]) for one in found if one is not None]
        undone = put_back(state, self.may_change)
        return answer_after(undone, {"product_ids": ids}, state.tool_budget)

    def review(self, goal: Mapping[str, Any], state: State) -> Review:
        """Nothing changes on the customer's screen; they can only be told."""
        return NOTHING_SEEN

    def goal_identity(self, goal: Mapping[str, Any]) -> Any:
        return {
            "items": sorted(
                [item["category"], sorted(canonical(c) for c in item["requirements"])]
                for item in goal["items"]
            ),
            "budget": goal["budget_cents"],
            "switch": goal["switch"],
        }

    # --- near misses -----------------------------------------------------------------------

    def near_misses(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> Iterator[NearMiss]:
        want = wanted(goal, {"switch": 0}, 1)
        items, budget = want["items"], want["budget_cents"]
        right = self._best(goal, catalog)
        total = sum(catalog.product(one).price_cents for one in right)
        wait = self._wait(goal, [])

        def answered(ids: Sequence[str]) -> tuple[Action, ...]:
            return (*wait, Action(answer={"product_ids": list(ids)}))

        def swapped(place: int, one: str) -> list[str]:
            return [*right[:place], one, *right[place + 1 :]]

        for place, item in enumerate(items):
            requirements = requirements_of(item)
            fits = shelf(catalog, item["category"], requirements)
            yield NearMiss("missing_item", answered(right[:place] + right[place + 1 :]))
            others = [r for _, r in fits if catalog.product_id(r) != right[place]]
            if others:
                twin = catalog.product_id(others[0])
                yield NearMiss("duplicate_category", answered([*right, twin]))
            if requirements:
                whole = shelf(catalog, item["category"], ())
                allowed = {row for _, row in fits}
                wrong = next(row for _, row in whole if row not in allowed)
                yield NearMiss(
                    "constraint_violated", answered(swapped(place, catalog.product_id(wrong)))
                )
            price = catalog.product(right[place]).price_cents
            dearer = [row for cents, row in fits if total - price + cents > budget]
            if dearer:
                yield NearMiss(
                    "over_budget", answered(swapped(place, catalog.product_id(dearer[0])))
                )
        dear = [catalog.product_id(self._dearest(catalog, item)[1]) for item in items]
        yield NearMiss("over_budget", answered(dear))
        named = {item["category"] for item in items}
        start = seed_from("extra", right) % len(catalog.categories)
        other = next(
            c
            for i in range(len(catalog.categories))
            if (c := catalog.categories[(start + i) % len(catalog.categories)]) not in named
        )
        extra = catalog.product_id(int(catalog.rows(category=other)[0]))
        yield NearMiss("extra_product", answered([*right, extra]))
        yield NearMiss("wrong_category", answered(swapped(0, extra)))
        yield NearMiss("unknown_product", answered([*right, "ZZZZZZZZZZ"]))
        saving = [shelf(catalog, item["category"], ())[0][1] for item in items]
        yield NearMiss("cheapest_of_all", answered([catalog.product_id(row) for row in saving]))
        yield NearMiss("no_answer", (*wait, Action(answer={"product_ids": []})))
        if goal["sell_out"]:
            place = next(
                i for i, item in enumerate(items) if item["key"] == goal["sell_out"]["item"]
            )
            yield NearMiss(
                "sold_out_item", answered(swapped(place, goal["sell_out"]["product_id"]))
            )
        if goal["switch"] and goal["switch"]["kind"] == "requirement":
            place = next(i for i, item in enumerate(items) if item["key"] == goal["switch"]["item"])
            old, new = goal["items"][place], items[place]
            allowed = {row for _, row in shelf(catalog, new["category"], requirements_of(new))}
            stale = next(
                row
                for _, row in shelf(catalog, old["category"], requirements_of(old))
                if row not in allowed
            )
            yield NearMiss(
                "ignored_change_of_mind", answered(swapped(place, catalog.product_id(stale)))
            )
        elif goal["switch"]:
            spent = self._spend(catalog, items, right, budget, goal["budget_cents"])
            if spent:
                yield NearMiss("ignored_change_of_mind", answered(spent))

        reference = self.reference(goal, world, axes, catalog)
        yield from unasked_misses(
            reference, world, axes.tool_budget, catalog, self.may_change, right
        )

    @staticmethod
    def _spend(
        catalog: Catalog, items: Sequence[Mapping[str, Any]], ids: list[str], low: int, high: int
    ) -> list[str] | None:
        """A choice that meets the budget ``high`` and not ``low``, if a simple one does."""
        out = list(ids)
        total = sum(catalog.product(one).price_cents for one in out)
        for place, item in enumerate(items):
            have = catalog.product(out[place]).price_cents
            fits = shelf(catalog, item["category"], requirements_of(item))
            room = [(cents, row) for cents, row in fits if total - have + cents <= high]
            if not room or room[-1][0] <= have:
                continue
            out[place] = catalog.product_id(room[-1][1])
            total += room[-1][0] - have
            if total > low:
                return out
        return None

    # --- agents that see no goal -----------------------------------------------------------

    def honest(self, view: AgentView) -> Policy:
        return _HonestBuyer(view).run()

    def naive(self, view: AgentView) -> Policy:
        """The first result for each thing named in the opening; no question, no second look."""
        pending = subjects_of(view)[: (view.max_turns - 1) * view.tool_budget]
        ids: list[str] = []
        while pending:
            batch, pending = pending[: view.tool_budget], pending[view.tool_budget :]
            seen = yield Action(
                tool_calls=tuple(call("catalog_search", query=query_for(view, s)) for s in batch)
            )
            ids.extend(r["results"][0]["product_id"] for r in seen.results if r.get("results"))
        yield Action(answer={"product_ids": ids})

    def flood(self, view: AgentView) -> Policy:
        """Recommends the whole first page for each thing named."""
        ids: list[str] = []
        for subject in subjects_of(view)[: view.max_turns - 1]:
            seen = yield Action(
                tool_calls=(call("catalog_search", query=query_for(view, subject)),)
            )
            ids.extend(card["product_id"] for card in seen.results[0].get("results", ()))
        yield Action(answer={"product_ids": ids[:100]})

    def attackers(self) -> Mapping[str, Callable[[AgentView], Policy]]:
        return {"saver": lambda view: _Saver(view).run()}

    def constant(self, catalog: Catalog) -> list[Action]:
        rows = [int(catalog.rows(category=c)[0]) for c in catalog.categories[:3]]
        return [Action(answer={"product_ids": [catalog.product_id(row) for row in rows]})]


def canonical(requirement: Mapping[str, Any]) -> list[Any]:
    """A requirement as a list that sorts."""
    return [requirement["attribute"], requirement["op"], str(requirement["value"])]


def _titles(products: Sequence[Any]) -> str:
    return ", ".join(product.product_id for product in products[:3])


def _in_split(what: Any, split: str) -> bool:
    held_out = seed_from("split", "bundle", what) % TEST_SHARE == 0
    return held_out if split == "test" else not held_out


# --- the honest agent ----------------------------------------------------------------------


QUESTION = (
    "What is on your list? What is your total budget for everything? Which brand should "
    "each of them be? What rating should they have? How many reviews should they have? How soon "
    "should they ship? Which color should they be? Which size should they be? Which material, "
    "connector, form, finish, skin type or age range should they have? Which wattage or screen "
    "size should they have?"
)
"""Everything an honest agent asks, in one go."""


class _HonestBuyer:
    """Asks for the whole list, searches for each thing, looks for cheaper ones while the sum is
    too high, looks at the stock of what it chose, and answers."""

    def __init__(self, view: AgentView) -> None:
        self.view = view
        self.cards: dict[str, dict[str, dict[str, Any]]] = {}
        self.tries: dict[str, int] = {}
        self.floor: set[tuple[str, str]] = set()  # (subject, product id): nothing is cheaper
        self.stock: dict[str, bool] = {}

    def run(self) -> Policy:
        view = self.view
        ask = call("ask_user", question=QUESTION)
        # What was described most is the least likely to be described further.
        first = sorted(subjects_of(view), key=lambda s: -len(known(view, s)))
        batch = [self.search(subject) for subject in first[: view.tool_budget]]
        seen = yield Action(tool_calls=(ask, *(made for made, _ in batch)))
        self.note(batch, seen.results[1:])
        while view.turn < view.max_turns - 1:
            batch = self.plan()[: view.tool_budget]
            if not batch:
                break
            seen = yield Action(tool_calls=tuple(made for made, _ in batch))
            self.note(batch, seen.results)
        chosen = [self.choice(subject) for subject in subjects_of(view)]
        yield Action(answer={"product_ids": [c["product_id"] for c in chosen if c]})

    def clues(self, facts: Mapping[str, Any]) -> list[Constraint]:
        """What is required of a thing."""
        return clues_of(facts)

    def choice(self, subject: str) -> dict[str, Any] | None:
        """The cheapest card seen that is of the category, as required, and not sold out."""
        facts = known(self.view, subject)
        clues = self.clues(facts)
        fits = [
            card
            for card in self.cards.get(subject, {}).values()
            if card["category"] == facts["category"]["value"]
            and self.stock.get(card["product_id"], True)
            and all(holds_on_card(clue, card) for clue in clues)
        ]
        return min(fits, key=lambda card: (card["price_cents"], card["product_id"]), default=None)

    def plan(self) -> list[tuple[ToolCall, tuple[str, str]]]:
        """The next calls, most urgent first; none if everything is settled."""
        view = self.view
        chosen = {subject: self.choice(subject) for subject in subjects_of(view)}
        missing = [subject for subject, card in chosen.items() if card is None]
        if missing:
            calls = [self.search(subject) for subject in missing]
            calls += [self.search(subject, ahead=1) for subject in missing]
            return calls
        cards = {subject: card for subject, card in chosen.items() if card is not None}
        checks = [
            (call("catalog_get_product", product_id=card["product_id"]), ("stock", subject))
            for subject, card in cards.items()
            if card["product_id"] not in self.stock
        ]
        budget = known(view, "").get("budget", {}).get("cents")
        total = sum(card["price_cents"] for card in cards.values())
        if budget is None or total <= budget:
            return checks
        cheaper = sorted(
            (
                (self.tries.get(subject, 0), -card["price_cents"], subject)
                for subject, card in cards.items()
                if (subject, card["product_id"]) not in self.floor
            ),
        )
        return [self.search(subject, below=cards[subject]) for _, _, subject in cheaper] + checks

    def search(
        self, subject: str, below: Mapping[str, Any] | None = None, ahead: int = 0
    ) -> tuple[ToolCall, tuple[str, str]]:
        """The next way of looking for a thing: other words each time, then further pages."""
        facts = known(self.view, subject)
        clues = self.clues(facts)
        noun, category = facts["category"]["noun"], facts["category"]["value"]
        names = query_words(clues)
        queries = (
            " ".join([noun, *names]),
            noun,
            category,
            f"{noun} {category}",
            " ".join([*names, category]),
        )
        attempt = self.tries.get(subject, 0) + ahead
        filters = filters_for(category, clues)
        page = 1 + attempt // len(queries)
        if below is not None:
            filters["price_cents_max"] = max(0, below["price_cents"] - 1)
            page = 1
        made = call(
            "catalog_search",
            query=queries[attempt % len(queries)],
            filters=filters,
            page=page if page > 1 else None,
        )
        return made, (below["product_id"] if below is not None else "search", subject)

    def note(self, batch: list[tuple[ToolCall, tuple[str, str]]], results: Sequence[Any]) -> None:
        """Take in what the calls returned."""
        for (made, (kind, subject)), result in zip(batch, results, strict=True):
            if made.name == "catalog_get_product":
                self.stock[made.arguments["product_id"]] = result.get("in_stock", False)
                continue
            self.tries[subject] = self.tries.get(subject, 0) + 1
            have = self.cards.setdefault(subject, {})
            have.update({card["product_id"]: card for card in result.get("results", ())})
            if kind != "search" and not result.get("total"):
                self.floor.add((subject, kind))


class _Saver(_HonestBuyer):
    """Knows the whole list and takes the cheapest of each, whatever is required of it."""

    def clues(self, facts: Mapping[str, Any]) -> list[Constraint]:
        return []
