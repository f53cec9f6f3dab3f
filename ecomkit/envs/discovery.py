"""Discovery: recommend the products that fit, in the order that this customer would (SPEC §7).

The user has m requirements, the price among them, and says what matters most. The answer is a
ranked list of the k′ best products that meet all of them and are in stock. One of the best may
sell out midway, and the user may change a requirement, or what matters most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import exp
from typing import TYPE_CHECKING, Any, ClassVar

from ecomkit.core.difficulty import Axes
from ecomkit.core.ranking import ndcg, persona_order, power, signed, stretched, utility
from ecomkit.core.records import Action, Check, Constraint, Verdict
from ecomkit.core.seeds import Rng, digest
from ecomkit.envs.base import (
    AgentView,
    Draft,
    DrawContext,
    NearMiss,
    Policy,
    Redraw,
    SlotDraft,
    State,
    SwitchDraft,
    draw_clock,
    in_split,
)
from ecomkit.envs.recommending import (
    ANSWER,
    ATTEMPTS,
    ITEM,
    MARK,
    Listing,
    Scout,
    calls_after_first,
    changed_requirement,
    choose_requirements,
    feasible_rows,
    flood_list,
    from_dicts,
    judged,
    listing_plan,
    met_checks,
    met_shares,
    naive_list,
    pick_target,
    pool_limit,
    pool_range,
    read_list,
    readable,
    sold_out_event,
    violators,
)
from ecomkit.envs.shopping import (
    held_against,
    known,
    query_for,
    unasked_misses,
)
from ecomkit.user import Review

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

WEIGHT_RANKING, WEIGHT_REQUIREMENTS, WEIGHT_STOCK = 0.55, 0.35, 0.10
PREFERRED_BRAND_CHANCE = 0.5
LEAST_SPREAD = 0.1
"""Utilities that all lie closer together than this would make hair-splitting decide."""


def price_slack(d: int) -> float:
    """How far a price bound may lie from the target's price: 0.5·e^(−d/5)."""
    return round(0.5 * exp(-d / 5), 6)


def closeness_exponent(d: int) -> int:
    """α of the requirements' term: 4 + ⌊d/4⌋."""
    return 4 + d // 4


# --- the goal ------------------------------------------------------------------------------


def wish(goal: Mapping[str, Any], switched: bool) -> Mapping[str, Any]:
    """The goal with ``requirements`` and ``order`` as before or after the change of mind."""
    switch = goal["switch"]
    return {**goal, **switch["wish"]} if switch and switched else goal


def brand_required(goal: Mapping[str, Any]) -> bool:
    """Whether one of the requirements is the brand."""
    return any(data["attribute"] == "brand" for data in goal["requirements"])


def utilities(catalog: Catalog, rows: Sequence[int], wanted: Mapping[str, Any]) -> list[float]:
    """The persona's utility of each row; prices are compared over all of ``rows``."""
    products = [catalog.product_at(row) for row in rows]
    prices = [product.price_cents for product in products]
    ends = (min(prices), max(prices)) if prices else (0, 0)
    return [
        utility(
            p.price_cents,
            p.rating,
            p.ship_days,
            p.brand,
            order=wanted["order"],
            price_range=ends,
            wanted_brand=wanted["brand"],
        )
        for p in products
    ]


def gains(
    catalog: Catalog,
    goal: Mapping[str, Any],
    switched: bool,
    in_stock: Any,
) -> dict[str, float]:
    """Gain of every feasible product in stock, best first: utilities stretched to [0, 1].

    Args:
        goal: the hidden goal.
        switched: whether the change of mind has come.
        in_stock: a function that says whether a product id can be bought.
    """
    wanted = wish(goal, switched)
    rows = feasible_rows(catalog, goal["category"], from_dicts(wanted["requirements"]))
    worth = dict(zip(map(catalog.product_id, rows), utilities(catalog, rows, wanted), strict=True))
    alive = [product_id for product_id in worth if in_stock(product_id)]
    pool = dict(zip(alive, stretched([worth[one] for one in alive]), strict=True))
    return dict(sorted(pool.items(), key=lambda pair: (-pair[1], pair[0])))


def final_gains(catalog: Catalog, goal: Mapping[str, Any]) -> dict[str, float]:
    """:func:`gains` once everything has happened."""
    gone = goal["sell_out"]["product_id"] if goal["sell_out"] else None
    return gains(catalog, goal, True, lambda one: one != gone)


class Discovery(Listing):
    name = "discovery"
    task: ClassVar[str] = (
        "The customer wants products recommended. Recommend only products that meet every "
        "requirement and are in stock, as many as asked for (or all that fit, if fewer do), the "
        "best for this customer first: a low price, a high rating, fast shipping and a preferred "
        "brand count, the more the higher the customer places them."
    )
    answer_description = "Give your recommendations. Ends the conversation."
    answer_parameters: ClassVar[dict[str, Any]] = ANSWER

    # --- drawing ---------------------------------------------------------------------------

    def draw(self, context: DrawContext) -> Draft:
        rng = context.rng.child("goal")
        department = context.department or rng.choice(context.catalog.departments)
        sells = context.rng.child("sell_out").chance(context.axes.p_out_of_stock)
        switches = context.rng.child("switch").chance(context.axes.p_switch)
        for attempt in range(ATTEMPTS):
            if context.department is None and attempt % 8 == 7:
                department = rng.choice(context.catalog.departments)
            tried = rng.child(attempt)
            goal = self._draw_wish(context, tried, department, attempt, sells or switches)
            if goal is None:
                continue
            change = self._draw_switch(context, tried.child("switch"), goal) if switches else None
            if switches and change is None:
                continue
            if sells and not self._draw_sell_out(context, tried.child("sell_out"), goal):
                continue
            if not self._decisive(context.catalog, goal):
                continue
            return self._draft(context, department, goal, change)
        axis = "p_switch" if switches else "p_out_of_stock" if sells else "constraints"
        raise Redraw(axis, f"no requirements in {department} leave a list to choose from")

    def _draw_wish(
        self, context: DrawContext, rng: Rng, department: str, attempt: int, choice: bool
    ) -> dict[str, Any] | None:
        catalog, axes = context.catalog, context.axes
        found = pick_target(context, department, rng)
        if found is None:
            return None
        category, row = found
        places = axes.outputs
        limit = pool_limit(axes, places if axes.p_out_of_stock else 0)
        shelf = len(catalog.rows(category=category))
        size = pool_range(limit, shelf, places, attempt, 2 if choice else 1, rng)
        if size is None:
            return None
        slack = price_slack(context.difficulty)
        # A shelf that can't meet that many gets one fewer after long trying.
        count = max(2, axes.constraints - max(0, attempt - 28) // 4)
        requirements = None
        for again in range(8 if context.split == "test" else 2):
            found_ones = choose_requirements(
                catalog, row, count, *size, slack, rng.child("requirements", again)
            )
            if found_ones is None:
                return None
            # Two targets can be asked for in the same words, so the words belong to a split too.
            if in_split(digest([category, [c.to_dict() for c in found_ones]]), context.split):
                requirements = found_ones
                break
        if requirements is None:
            return None
        rows = feasible_rows(catalog, category, tuple(requirements))
        if not readable(catalog, rows, requirements):
            return None
        brand = next((str(c.value) for c in requirements if c.attribute == "brand"), None)
        if brand is None and rng.child("brand").chance(PREFERRED_BRAND_CHANCE):
            brands = [catalog.product_at(r).brand for r in rows]
            some = sorted({b for b in brands if b and brands.count(b) < len(brands)})
            brand = rng.child("which").choice(some) if some else None
        goal: dict[str, Any] = {
            "category": category,
            "target": catalog.product_id(row),
            "requirements": [constraint.to_dict() for constraint in requirements],
            "order": self._order(requirements, brand, rng.child("persona")),
            "brand": brand,
            "outputs": places,
            "alpha": closeness_exponent(context.difficulty),
            "switch": None,
            "sell_out": None,
        }
        if not self._worth_ranking(catalog, goal, False):
            return None
        # Who ranks by one thing only should not get away with it; by the first one, if need be.
        spared = 0 if attempt < 4 else 1
        return goal if attempt >= 28 or self._order_tells(catalog, goal, spared) else None

    @staticmethod
    def _order(requirements: Sequence[Constraint], brand: str | None, rng: Rng) -> list[str]:
        """What matters, most important first; the brand only if there is one to prefer."""
        about = {"price_cents": "price", "rating": "rating", "ship_days": "shipping"}
        constrained = {about.get(c.attribute, c.attribute) for c in requirements}
        dimensions = ["price", "rating", "shipping", *(["brand"] if brand else [])]
        return persona_order(dimensions, constrained, rng)

    @staticmethod
    def _worth_ranking(catalog: Catalog, goal: Mapping[str, Any], switched: bool) -> bool:
        wanted = wish(goal, switched)
        rows = feasible_rows(catalog, goal["category"], from_dicts(wanted["requirements"]))
        worth = utilities(catalog, rows, wanted)
        return len(worth) == 1 or max(worth) - min(worth) >= LEAST_SPREAD

    def _order_tells(self, catalog: Catalog, goal: Mapping[str, Any], spared: int) -> bool:
        """Whether a list sorted by any one dimension fails, the first ``spared`` ones apart."""
        pool = gains(catalog, goal, False, lambda _: True)
        if len(pool) == 1:
            return True
        for dimension in goal["order"][spared:]:
            alone = {**goal, "order": [dimension]}
            sorted_by_it = list(gains(catalog, alone, False, lambda _: True))[: goal["outputs"]]
            if self._passes_all_in_stock(sorted_by_it, pool, goal["outputs"]):
                return False
        return True

    def _draw_switch(
        self, context: DrawContext, rng: Rng, goal: dict[str, Any]
    ) -> SwitchDraft | None:
        """Another value of one requirement, or other priorities: such that the old list fails."""
        catalog, axes = context.catalog, context.axes
        before = list(gains(catalog, goal, False, lambda _: True))[: goal["outputs"]]
        requirements = from_dicts(goal["requirements"])
        limit = pool_limit(axes, goal["outputs"] if axes.p_out_of_stock else 0)
        tight = calls_after_first(axes) < 8
        after_step = 1 if tight else rng.between(1, 2)

        def fails(changed: Mapping[str, Any]) -> bool:
            goal["switch"] = {"after_step": after_step, "wish": changed}
            rows = feasible_rows(catalog, goal["category"], from_dicts(changed["requirements"]))
            pool = gains(catalog, goal, True, lambda _: True)
            ok = (
                readable(catalog, rows, requirements)
                and self._worth_ranking(catalog, goal, True)
                and not self._passes_all_in_stock(before, pool, goal["outputs"])
            )
            if not ok:
                goal["switch"] = None
            return ok

        kinds = ("priority", "requirement") if rng.chance(0.3) else ("requirement", "priority")
        for kind in kinds:
            if kind == "priority":
                for attempt in range(4):
                    order = self._order(requirements, goal["brand"], rng.child("order", attempt))
                    changed = {"requirements": goal["requirements"], "order": order}
                    if order != goal["order"] and fails(changed):
                        value = {"order": order, "brand": goal["brand"]}
                        says = priority_sentences(order, goal["brand"], brand_required(goal))
                        return SwitchDraft(after_step, "priority", value, says)
                continue
            slack = price_slack(context.difficulty)
            fixed = frozenset({"brand"}) if "brand" in goal["order"] else frozenset[str]()
            for new in changed_requirement(
                catalog, goal["category"], requirements, limit, slack, rng, fixed
            ):
                changed = {"requirements": [c.to_dict() for c in new], "order": goal["order"]}
                if fails(changed):
                    differs = next(c for c, old in zip(new, requirements, strict=True) if c != old)
                    return SwitchDraft(after_step, f"{ITEM}.{differs.attribute}", differs.to_dict())
        return None

    def _decisive(self, catalog: Catalog, goal: Mapping[str, Any]) -> bool:
        """After all has happened ranking still matters, and the wish of before would fail."""
        pool = final_gains(catalog, goal)
        if len(pool) > 1 and not self._worth_ranking(catalog, goal, True):
            return False
        if len(pool) > 1 and min(pool.values()) > 0.0:
            return False
        gone = goal["sell_out"]["product_id"] if goal["sell_out"] else None
        old = list(gains(catalog, goal, False, lambda one: one != gone))[: goal["outputs"]]
        return not goal["switch"] or not self._passes_all_in_stock(old, pool, goal["outputs"])

    @staticmethod
    def _passes_all_in_stock(ids: Sequence[str], pool: Mapping[str, float], outputs: int) -> bool:
        """Whether a list would pass if all of it were in stock."""
        places = min(outputs, len(pool))
        if len(ids) != places or any(one not in pool for one in ids):
            return False
        rank = ndcg([pool[one] for one in ids], pool.values(), places)
        return WEIGHT_RANKING * signed(rank) + 1.0 - WEIGHT_RANKING >= MARK

    @staticmethod
    def _draw_sell_out(context: DrawContext, rng: Rng, goal: dict[str, Any]) -> bool:
        """One of the best sells out after the first step, before anyone has seen its stock."""
        axes = context.axes
        ideal = list(final_gains(context.catalog, goal))
        if len(ideal) < 2:
            return False
        places = min(goal["outputs"], len(ideal))
        # An agent looks at the stock of the best first, and must get as far as this one.
        within = max(1, min(places, calls_after_first(axes) - 1))
        goal["sell_out"] = {"after_step": 1, "product_id": ideal[rng.below(within)]}
        return True

    @staticmethod
    def _draft(
        context: DrawContext, department: str, goal: dict[str, Any], change: SwitchDraft | None
    ) -> Draft:
        catalog = context.catalog
        nouns = list(catalog.nouns(goal["category"]))
        events = []
        if goal["sell_out"]:
            sold = goal["sell_out"]
            events.append(sold_out_event(catalog, sold["product_id"], sold["after_step"]))
        category = {
            **Constraint("category", "eq", goal["category"]).to_dict(),
            "noun": nouns[0],
            "nouns": nouns[1] if len(nouns) > 1 else nouns[0],
        }
        count = goal["outputs"]
        slots = [
            SlotDraft(f"{ITEM}.category", "category", ITEM, category, critical=True),
            *(
                SlotDraft(f"{ITEM}.{data['attribute']}", data["attribute"], ITEM, data)
                for data in goal["requirements"]
            ),
            SlotDraft(
                "count",
                "count",
                "",
                {"count": count},
                critical=True,
                asked_by=("quantity",),
                says=count_sentences(count),
            ),
            SlotDraft(
                "priority",
                "priority",
                "",
                {"order": goal["order"], "brand": goal["brand"]},
                says=priority_sentences(goal["order"], goal["brand"], brand_required(goal)),
            ),
        ]
        return Draft(
            department=department,
            goal=goal,
            world={"now": draw_clock(context.rng.child("clock")), "events": events},
            slots=slots,
            nouns={ITEM: nouns},
            switch=change,
            persona={"order": goal["order"], "brand": goal["brand"]},
        )

    def goal_identity(self, goal: Mapping[str, Any]) -> Any:
        return {key: value for key, value in goal.items() if key not in ("target", "alpha")}

    # --- the reference ---------------------------------------------------------------------

    def reference(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> list[Action]:
        ideal = list(final_gains(catalog, goal))[: goal["outputs"]]
        return listing_plan(ideal, axes, last_event(goal))

    # --- the verifier ----------------------------------------------------------------------

    def verify(self, goal: Mapping[str, Any], state: State) -> Verdict:
        catalog = state.catalog
        switched = "switch" in state.fired
        wanted = wish(goal, switched)
        requirements = from_dicts(wanted["requirements"])
        pool = gains(catalog, goal, switched, lambda one: not state.world.sold_out(one))
        listed = read_list(state, min(goal["outputs"], len(pool)))
        rank = ndcg([pool.get(one, 0.0) for one in listed.judged], pool.values(), listed.places)
        best = listed.products[: listed.places]
        shares = 0.0
        for share in met_shares(catalog, best, goal["category"], requirements):
            shares += share
        length = max(listed.places, len(listed.ids), 1)
        closeness = power(shares / length, goal["alpha"])
        answered = state.answer is not None
        r_task = -1.0
        if answered:
            r_task = (
                WEIGHT_RANKING * signed(rank)
                + WEIGHT_REQUIREMENTS * signed(closeness)
                + WEIGHT_STOCK * (1.0 - 2.0 * listed.sold_out_share)
            )
        checks = [
            Check("answered", answered, "" if answered else "no submit_answer"),
            *listed.checks(),
            *met_checks(catalog, listed, goal["category"], requirements),
        ]
        if rank == 1.0 and closeness == 1.0 and not listed.sold_out_share:
            r_task = 1.0  # the weights sum to 1 on paper, not always in binary
        details = {
            "ndcg": rank,
            "met_share": shares / length,
            "sold_out_share": listed.sold_out_share,
            "places": listed.places,
            "feasible_in_stock": len(pool),
            "past_places": len(listed.ids) - len(listed.judged),
        }
        return held_against(judged(r_task, checks, details), state, self.may_change)

    def pool(self, goal: Mapping[str, Any], state: State) -> dict[str, float]:
        world, switched = state.world, "switch" in state.fired
        return gains(state.catalog, goal, switched, lambda one: not world.sold_out(one))

    def review(self, goal: Mapping[str, Any], state: State) -> Review:
        return Review()

    def progress(self, goal: Mapping[str, Any], state: State) -> float:
        """How much of what was left out the agent has heard: 1 once everything is said."""
        keys = [f"{ITEM}.{data['attribute']}" for data in goal["requirements"]] + ["priority"]
        return sum(key in state.stated for key in keys) / len(keys)

    # --- near misses -----------------------------------------------------------------------

    def near_misses(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> Iterator[NearMiss]:
        pool = list(final_gains(catalog, goal))
        places = min(goal["outputs"], len(pool))
        ideal, rest = pool[:places], pool[places:]
        wanted = wish(goal, True)
        requirements = from_dicts(wanted["requirements"])

        def attempt(kind: str, ids: Sequence[str]) -> NearMiss:
            return NearMiss(kind, tuple(listing_plan(ids, axes, last_event(goal))))

        gone = goal["sell_out"]["product_id"] if goal["sell_out"] else None
        outsider = None
        for _, outsider in violators(catalog, goal["category"], requirements):
            if outsider != gone:
                yield attempt("constraint_violated", [*ideal[:-1], outsider])
        if len(pool) > 1:
            yield attempt("ill_ranked", pool[::-1][:places])
        yield attempt("one_short", ideal[:-1])
        extra = rest[0] if rest else outsider
        if extra:
            yield attempt("one_extra", [*ideal, extra])
        if places > 1:
            yield attempt("duplicate", [*ideal[:-1], ideal[0]])
        if goal["sell_out"]:
            stale = list(gains(catalog, goal, True, lambda _: True))[: goal["outputs"]]
            yield attempt("sold_out_item", stale)
        if goal["switch"]:
            old = list(gains(catalog, goal, False, lambda one: one != gone))
            yield attempt("ignored_change_of_mind", old[: goal["outputs"]])
        right = listing_plan(ideal, axes, last_event(goal))
        yield NearMiss("not_submitted", tuple(right[:-1]))
        yield from unasked_misses(right, world, axes.tool_budget, catalog, self.may_change, ideal)

    # --- agents that see no goal -----------------------------------------------------------

    def honest(self, view: AgentView) -> Policy:
        return Adviser(view).run()

    def naive(self, view: AgentView) -> Policy:
        return naive_list(view, query_for(view, ITEM))

    def flood(self, view: AgentView) -> Policy:
        return flood_list(view, query_for(view, ITEM))

    def constant(self, catalog: Catalog) -> list[Action]:
        return [Action(answer={"product_ids": [catalog.product_id(row) for row in range(3)]})]


def last_event(goal: Mapping[str, Any]) -> int:
    """The step after which everything has happened."""
    events = [goal[name]["after_step"] for name in ("switch", "sell_out") if goal[name]]
    return max(events, default=0)


class Adviser(Scout):
    """The honest agent: ranks what it found as the customer's priorities say."""

    questions = ("What matters most to you, and what comes next?",)

    def ranked(self, fits: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        said = known(self.view, "").get("priority", {"order": ["price", "rating"], "brand": None})
        prices = [card["price_cents"] for card in self.fits()]
        ends = (min(prices), max(prices)) if prices else (0, 0)

        def worth(card: Mapping[str, Any]) -> float:
            return utility(
                card["price_cents"],
                card["rating"],
                card["ship_days"],
                card["brand"],
                order=said["order"],
                price_range=ends,
                wanted_brand=said["brand"],
            )

        return sorted(fits, key=lambda card: (-worth(card), card["product_id"]))


# --- words -----------------------------------------------------------------------------------

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def count_sentences(count: int) -> tuple[str, ...]:
    """How a customer says how many recommendations to make."""
    if count == 1:
        return (
            "Just give me your one best pick.",
            "One suggestion is enough.",
            "Only the single best one, please.",
            "I just need one recommendation.",
            "Tell me the one you'd pick.",
            "One option will do, the best you have.",
            "I want to hear about one only, the best.",
            "Just the top one, please.",
        )
    word = _NUMBERS[count] if count <= 10 else str(count)
    return (
        f"Please show me your top {word}.",
        f"Give me your {word} best picks.",
        f"I'd like {word} suggestions, best one first.",
        f"Could you list the {word} that suit me best?",
        f"I want to choose from {word}, best first.",
        f"Show me the best {word}, or fewer if that's all there is.",
        f"Up to {count} options would be great, the best one first.",
        f"Pick the {word} best ones for me, please.",
        f"{word.capitalize()} recommendations would be perfect.",
        f"A top {word} would help me most.",
    )


_DIMENSIONS = {
    "price": ("a low price", "a good price"),
    "rating": ("good ratings", "a high rating"),
    "shipping": ("fast shipping", "quick delivery"),
}
_PRIORITIES = (
    "What matters most to me is {0}, then {1}",
    "The most important thing is {0}, followed by {1}",
    "I care most about {0}, then about {1}",
    "For me it's {0} first, then {1}",
    "My priorities are, in this order: {0}, {1}",
    "{0} comes first for me, after that {1}",
    "If you have to choose: {0} before anything else, then {1}",
    "Above all I want {0}, and next {1}",
)


def priority_sentences(order: Sequence[str], brand: str | None, must: bool) -> tuple[str, ...]:
    """How a customer says what matters most.

    Args:
        order: the dimensions, most important first.
        brand: the preferred brand, if the brand is among them.
        must: whether the brand is a requirement too, and not only liked.
    """
    out = []
    for number, frame in enumerate(_PRIORITIES):
        names = []
        for place, dimension in enumerate(order):
            if dimension != "brand":
                names.append(_DIMENSIONS[dimension][(number + place) % 2])
            elif frame.startswith(("Above all", "{0} comes")):
                names.append(f"one from {brand}")
            elif must or number % 2:
                names.append(f"getting one from {brand}")
            else:
                names.append(f"the brand, ideally {brand}")
        text = frame.format(names[0], names[1]) + "".join(f", then {name}" for name in names[2:])
        out.append(text[:1].upper() + text[1:] + ".")
    return tuple(out)
