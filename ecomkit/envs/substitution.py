"""Substitution: what to buy instead of a product that is sold out (SPEC §7).

The user names the product they wanted and says what a substitute must be like, one requirement
being about compatibility. The answer is a ranked list of what meets all of it and is in stock,
most similar to the original first; ``catalog_rerank`` tells how similar. One of the best may sell
out as well, and the user may change a requirement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ecomkit.core.difficulty import Axes
from ecomkit.core.errors import SearchUnavailable
from ecomkit.core.ranking import ndcg, signed, stretched
from ecomkit.core.records import Action, Check, Constraint, ToolCall, Verdict
from ecomkit.core.seeds import Rng
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
    call,
    draw_clock,
    holds_on_card,
    shift_clock,
)
from ecomkit.envs.discovery import count_sentences, last_event, price_slack
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
from ecomkit.user.words import bare, some

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

WEIGHT_RANKING, WEIGHT_STOCK = 0.80, 0.20
VIEWED_CHANCE = 0.3
CATEGORY_ALONE_CHANCE = 0.25
NEAR_KEPT = 24
"""Products that miss one requirement and whose similarity is kept, for each wish."""
LEAST_SPREAD = 0.03
"""Similarities that lie closer together than this share of the best are hair-splitting."""

COMPATIBILITY: tuple[str, ...] = (
    "connector_type",
    "size",
    "skin_type",
    "age_range",
    "item_form",
    "material",
)
"""Attributes that decide whether a substitute will do at all, the most telling first."""


def similarity_weight(d: int) -> float:
    """λ = min(0.8, 0.4 + 0.05·d)."""
    return min(80, 40 + 5 * d) / 100


# --- the goal ------------------------------------------------------------------------------


def requirements_of(goal: Mapping[str, Any], switched: bool) -> tuple[Constraint, ...]:
    """The requirements before or after the change of mind."""
    switch = goal["switch"]
    return from_dicts(switch["requirements"] if switch and switched else goal["requirements"])


def raw_gain(goal: Mapping[str, Any], product_id: str, share: float) -> float:
    """λ·similarity + (1 − λ)·s̄, in [0, 1].

    Similarity is what ``catalog_rerank`` reports, as a share of the original's to itself; 0 for a
    product whose similarity the goal does not hold.
    """
    alike = max(0, goal["similarity"].get(product_id, 0)) / goal["similarity_to_itself"]
    weight = goal["similarity_weight"]
    return float(weight * min(1.0, alike) + (1.0 - weight) * share)


def raw_pool(
    catalog: Catalog, goal: Mapping[str, Any], switched: bool, in_stock: Any
) -> dict[str, float]:
    """Raw gains of the substitutes that meet everything and are in stock, in catalog order."""
    rows = feasible_rows(catalog, goal["category"], requirements_of(goal, switched))
    found = [one for one in map(catalog.product_id, rows) if one != goal["original"]]
    return {one: raw_gain(goal, one, 1.0) for one in found if in_stock(one)}


def gains(
    catalog: Catalog, goal: Mapping[str, Any], switched: bool, in_stock: Any
) -> dict[str, float]:
    """Gain of every substitute that meets everything and is in stock, best first: raw gains
    stretched to [0, 1] over these.

    Args:
        catalog: the episode's catalog.
        goal: the hidden goal; its similarities were frozen when it was drawn.
        switched: whether the change of mind has come.
        in_stock: a function that says whether a product id can be bought.
    """
    raw = raw_pool(catalog, goal, switched, in_stock)
    pool = dict(zip(raw, stretched(list(raw.values())), strict=True))
    return dict(sorted(pool.items(), key=lambda pair: (-pair[1], pair[0])))


def final_gains(catalog: Catalog, goal: Mapping[str, Any]) -> dict[str, float]:
    """:func:`gains` once everything has happened."""
    gone = goal["sell_out"]["product_id"] if goal["sell_out"] else None
    return gains(catalog, goal, True, lambda one: one != gone)


class Substitution(Listing):
    name = "substitution"
    task: ClassVar[str] = (
        "What the customer wanted is sold out. Recommend substitutes that meet every requirement "
        "and are in stock, as many as asked for (or all that fit, if fewer do), the most similar "
        "to the original first, as catalog_rerank reports it."
    )
    answer_description = "Give your recommendations. Ends the conversation."
    answer_parameters: ClassVar[dict[str, Any]] = ANSWER

    # --- drawing ---------------------------------------------------------------------------

    def draw(self, context: DrawContext) -> Draft:
        if context.catalog.search_engine is None:
            raise SearchUnavailable(
                "drawing substitution episodes needs embeddings; load the catalog with "
                "load_catalog(path, search=folder)"
            )
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
        raise Redraw(axis, f"no product of {department} has substitutes to choose from")

    def _draw_wish(
        self, context: DrawContext, rng: Rng, department: str, attempt: int, choice: bool
    ) -> dict[str, Any] | None:
        catalog, axes = context.catalog, context.axes
        found = pick_target(context, department, rng)
        if found is None:
            return None
        category, row = found
        named = name_of(catalog, row)
        if named is None:
            return None
        places = axes.outputs
        limit = pool_limit(axes, self._other_calls(axes))
        shelf = len(catalog.rows(category=category))
        size = pool_range(limit, shelf, places, attempt, 2 if choice else 1, rng)
        if size is None:
            return None
        compatible = self._compatibility(catalog, row, rng.child("compatible"))
        count = max(2, axes.constraints - max(0, attempt - 28) // 4)
        requirements = choose_requirements(
            catalog,
            row,
            count,
            size[0] + 1,
            size[1] + 1,
            price_slack(context.difficulty),
            rng.child("requirements"),
            first=compatible,
        )
        if requirements is None:
            return None
        rows = feasible_rows(catalog, category, tuple(requirements))
        if not readable(catalog, rows, requirements):
            return None
        viewed = axes.tool_budget > 1 and rng.child("viewed").chance(VIEWED_CHANCE)
        goal: dict[str, Any] = {
            "category": category,
            "original": catalog.product_id(row),
            "named": {"viewed": True} if viewed else named,
            "requirements": [constraint.to_dict() for constraint in requirements],
            "compatibility": compatible[0].attribute if compatible else "category",
            "outputs": places,
            "similarity_weight": similarity_weight(context.difficulty),
            "similarity": {},
            "similarity_to_itself": 1,
            "switch": None,
            "sell_out": None,
        }
        self._freeze(catalog, goal, rows)
        return goal

    @staticmethod
    def _other_calls(axes: Axes) -> int:
        """Calls besides searching: the ranking, and a look at the stock where that may matter."""
        return 1 + (axes.outputs if axes.p_out_of_stock else 0)

    @staticmethod
    def _compatibility(catalog: Catalog, row: int, rng: Rng) -> tuple[Constraint, ...]:
        """The requirement about compatibility: one of the three most telling attributes; none where
        the category alone decides: there is no such attribute, or any of the kind will do."""
        product = catalog.product_at(row)
        hidden = {*catalog.varying_at(row), *catalog.filled_fields(row)}
        have = [a for a in COMPATIBILITY if a in product.attributes and a not in hidden][:3]
        if not have or rng.chance(CATEGORY_ALONE_CHANCE):
            return ()
        attribute = rng.weighted(have, (2, 2, 1)[: len(have)])
        return (Constraint(attribute, "eq", product.attributes[attribute]),)

    @staticmethod
    def _freeze(catalog: Catalog, goal: dict[str, Any], rows: Sequence[int]) -> None:
        """Keep how similar ``rows`` are to the original, so that scoring needs no embeddings."""
        original = catalog.row(goal["original"])
        own, *scores = catalog.search_engine.similarity(original, [original, *rows])
        goal["similarity_to_itself"] = max(1, own)
        ids = [catalog.product_id(row) for row in rows]
        goal["similarity"] = dict(
            sorted((*goal["similarity"].items(), *zip(ids, scores, strict=True)))
        )
        goal["similarity"].pop(goal["original"], None)

    @staticmethod
    def _near(catalog: Catalog, goal: Mapping[str, Any]) -> list[int]:
        """Rows that miss a single requirement, not the one about compatibility: at most
        :data:`NEAR_KEPT` for each wish. What earns in part needs a similarity too."""
        rows = catalog.rows(category=goal["category"])
        near: list[int] = []
        for switched in (False, True) if goal["switch"] else (False,):
            requirements = requirements_of(goal, switched)
            masks = np.array([catalog.mask(rows, [c]) for c in requirements])
            must = [
                m
                for c, m in zip(requirements, masks, strict=True)
                if c.attribute == goal["compatibility"]
            ]
            once = masks.sum(axis=0) == len(requirements) - 1
            for mask in must:
                once &= mask
            near.extend(rows[once][:NEAR_KEPT].tolist())
        return near

    @staticmethod
    def _worth_ranking(goal: Mapping[str, Any], ids: Sequence[str]) -> bool:
        alike = [goal["similarity"][one] for one in ids]
        if not alike:
            return False
        return len(alike) == 1 or max(alike) - min(alike) >= LEAST_SPREAD * abs(max(alike))

    def _draw_switch(
        self, context: DrawContext, rng: Rng, goal: dict[str, Any]
    ) -> SwitchDraft | None:
        """Another value of one requirement, such that the old list fails."""
        catalog, axes = context.catalog, context.axes
        before = list(gains(catalog, goal, False, lambda _: True))[: goal["outputs"]]
        requirements = from_dicts(goal["requirements"])
        limit = pool_limit(axes, self._other_calls(axes))
        after_step = 1 if calls_after_first(axes) < 8 else rng.between(1, 2)
        for new in changed_requirement(
            catalog,
            goal["category"],
            requirements,
            limit,
            price_slack(context.difficulty),
            rng,
            frozenset({goal["compatibility"]}),
        ):
            rows = feasible_rows(catalog, goal["category"], tuple(new))
            if not readable(catalog, rows, new):
                continue
            goal["switch"] = {
                "after_step": after_step,
                "requirements": [constraint.to_dict() for constraint in new],
            }
            self._freeze(catalog, goal, rows)
            pool = gains(catalog, goal, True, lambda _: True)
            if self._worth_ranking(goal, list(pool)) and not passes(before, pool, goal["outputs"]):
                differs = next(c for c, old in zip(new, requirements, strict=True) if c != old)
                return SwitchDraft(after_step, f"{ITEM}.{differs.attribute}", differs.to_dict())
            goal["switch"] = None
        return None

    @staticmethod
    def _draw_sell_out(context: DrawContext, rng: Rng, goal: dict[str, Any]) -> bool:
        """One of the best substitutes sells out too, after the first step."""
        axes = context.axes
        ideal = list(final_gains(context.catalog, goal))
        if len(ideal) < 2:
            return False
        # Searching, ranking and looking at the stock take a step each; the last one answers.
        looks = (axes.max_turns - 4) * axes.tool_budget
        within = max(1, min(goal["outputs"], len(ideal), looks))
        goal["sell_out"] = {"after_step": 1, "product_id": ideal[rng.below(within)]}
        return True

    def _decisive(self, catalog: Catalog, goal: dict[str, Any]) -> bool:
        """There is something to choose at every stage, and the list of before would fail."""
        gone = goal["sell_out"]["product_id"] if goal["sell_out"] else None
        first = list(gains(catalog, goal, False, lambda _: True))
        pool = final_gains(catalog, goal)
        if not self._worth_ranking(goal, first) or not self._worth_ranking(goal, list(pool)):
            return False
        old = list(gains(catalog, goal, False, lambda one: one != gone))[: goal["outputs"]]
        if goal["switch"] and passes(old, pool, goal["outputs"]):
            return False
        used = {*pool, *first, *gains(catalog, goal, True, lambda _: True)}
        goal["similarity"] = {k: v for k, v in goal["similarity"].items() if k in used}
        self._freeze(catalog, goal, self._near(catalog, goal))
        return True

    @staticmethod
    def _draft(
        context: DrawContext, department: str, goal: dict[str, Any], change: SwitchDraft | None
    ) -> Draft:
        catalog, axes = context.catalog, context.axes
        nouns = list(catalog.nouns(goal["category"]))
        clock = draw_clock(context.rng.child("clock"))
        world: dict[str, Any] = {
            "now": clock,
            "stock": {v.variant_id: 0 for v in catalog.variants(goal["original"])},
            "events": [],
        }
        if goal["sell_out"]:
            sold = goal["sell_out"]
            world["events"] = [sold_out_event(catalog, sold["product_id"], sold["after_step"])]
        if "viewed" in goal["named"]:
            world["visit_history"] = visits(context, goal, clock)
        category = {
            **Constraint("category", "eq", goal["category"]).to_dict(),
            "noun": nouns[0],
            "nouns": nouns[1] if len(nouns) > 1 else nouns[0],
        }
        # With four turns there is no time to ask and still look at the stock.
        said_at_once = bool(goal["sell_out"]) and axes.max_turns <= 4
        slots = [
            SlotDraft(f"{ITEM}.category", "category", ITEM, category, critical=True),
            *(
                SlotDraft(
                    f"{ITEM}.{data['attribute']}",
                    data["attribute"],
                    ITEM,
                    data,
                    critical=said_at_once,
                )
                for data in goal["requirements"]
            ),
            SlotDraft(
                "original",
                "original",
                "",
                goal["named"],
                critical=True,
                asked_by=("title", "viewed"),
                says=original_sentences(goal["named"], nouns[0]),
            ),
            SlotDraft(
                "count",
                "count",
                "",
                {"count": goal["outputs"]},
                critical=True,
                asked_by=("quantity",),
                says=count_sentences(goal["outputs"]),
            ),
        ]
        return Draft(
            department=department,
            goal=goal,
            world=world,
            slots=slots,
            nouns={ITEM: nouns},
            switch=change,
        )

    def goal_identity(self, goal: Mapping[str, Any]) -> Any:
        keys = ("original", "requirements", "outputs", "switch", "sell_out")
        return {key: goal[key] for key in keys}

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
        requirements = requirements_of(goal, switched)
        raw = raw_pool(catalog, goal, switched, lambda one: not state.world.sold_out(one))
        pool = dict(zip(raw, stretched(list(raw.values())), strict=True))
        listed = read_list(state, min(goal["outputs"], len(pool)))
        about = [c for c in requirements if c.attribute == goal["compatibility"]]
        shares = met_shares(catalog, listed.products, goal["category"], requirements)
        suits = met_shares(catalog, listed.products, goal["category"], about) if about else shares
        earned = []
        for place, one in enumerate(listed.ids):
            if one in pool:
                earned.append(pool[one])
            elif (
                listed.products[place] is None
                or listed.gone[place]
                or one == goal["original"]
                or (about and suits[place] < 1.0)
            ):
                earned.append(0.0)
            else:
                earned.append(self._part(goal, one, shares[place], raw))
        rank = ndcg(earned, pool.values(), listed.places)
        answered = state.answer is not None
        r_task = -1.0
        if answered:
            r_task = WEIGHT_RANKING * signed(rank) + WEIGHT_STOCK * (
                1.0 - 2.0 * listed.sold_out_share
            )
        original = goal["original"] in listed.ids
        checks = [
            Check("answered", answered, "" if answered else "no submit_answer"),
            Check("not_the_original", not original, goal["original"] if original else ""),
            *listed.checks(),
            *met_checks(catalog, listed, goal["category"], requirements),
        ]
        details = {
            "ndcg": rank,
            "sold_out_share": listed.sold_out_share,
            "places": listed.places,
            "feasible_in_stock": len(pool),
            "past_places": len(listed.ids) - len(listed.judged),
        }
        return held_against(judged(r_task, checks, details), state, self.may_change)

    @staticmethod
    def _part(
        goal: Mapping[str, Any], product_id: str, share: float, pool: Mapping[str, float]
    ) -> float:
        """Gain of what is compatible and in stock but misses a requirement, on the scale of the
        pool; ``share`` of the requirements is met."""
        low, high = min(pool.values(), default=0.0), max(pool.values(), default=0.0)
        if high <= low:
            return 0.0
        raw = raw_gain(goal, product_id, share)
        return min(1.0, max(0.0, (raw - low) / (high - low)))

    def pool(self, goal: Mapping[str, Any], state: State) -> dict[str, float]:
        world, switched = state.world, "switch" in state.fired
        return gains(state.catalog, goal, switched, lambda one: not world.sold_out(one))

    def review(self, goal: Mapping[str, Any], state: State) -> Review:
        return Review()

    def progress(self, goal: Mapping[str, Any], state: State) -> float:
        """The share of the requirements that the agent has heard."""
        keys = [f"{ITEM}.{data['attribute']}" for data in goal["requirements"]]
        return sum(key in state.stated for key in keys) / len(keys)

    # --- near misses -----------------------------------------------------------------------

    def near_misses(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> Iterator[NearMiss]:
        pool = list(final_gains(catalog, goal))
        places = min(goal["outputs"], len(pool))
        ideal, rest = pool[:places], pool[places:]

        def attempt(kind: str, ids: Sequence[str]) -> NearMiss:
            return NearMiss(kind, tuple(listing_plan(ids, axes, last_event(goal))))

        gone = goal["sell_out"]["product_id"] if goal["sell_out"] else None
        outsider = None
        for missed, other in violators(catalog, goal["category"], requirements_of(goal, True)):
            if other in (gone, goal["original"]):
                continue
            outsider = other
            incompatible = missed.attribute == goal["compatibility"]
            kind = "incompatible" if incompatible else "constraint_violated"
            yield attempt(kind, [*ideal[:-1], other])
        yield attempt("original_itself", [goal["original"], *ideal[1:]])
        yield attempt("original_too", [goal["original"], *ideal][: max(places, 2)])
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
        return Replacer(view).run()

    def naive(self, view: AgentView) -> Policy:
        return naive_list(view, query_for(view, ITEM))

    def flood(self, view: AgentView) -> Policy:
        return flood_list(view, query_for(view, ITEM))

    def constant(self, catalog: Catalog) -> list[Action]:
        return [Action(answer={"product_ids": [catalog.product_id(row) for row in range(3)]})]


def passes(ids: Sequence[str], pool: Mapping[str, float], outputs: int) -> bool:
    """Whether a list would pass if all of it were in stock."""
    places = min(outputs, len(pool))
    if len(ids) != places or any(one not in pool for one in ids):
        return False
    rank = ndcg([pool[one] for one in ids], pool.values(), places)
    return WEIGHT_RANKING * signed(rank) + WEIGHT_STOCK >= MARK


def name_of(catalog: Catalog, row: int) -> dict[str, str] | None:
    """Brand and name by which a customer tells a product from all others of its category; None
    if these do not single it out."""
    product = catalog.product_at(row)
    phrase = catalog.title_phrase(row)
    if not phrase or not product.brand or "brand" in catalog.filled_fields(row):
        return None
    rows = catalog.rows(category=product.category)
    clues = [
        Constraint("title", "contains", phrase),
        Constraint("brand", "eq", product.brand),
    ]
    if int(np.count_nonzero(catalog.mask(rows, clues))) != 1:
        return None
    return {"title": phrase, "brand": product.brand}


def visits(context: DrawContext, goal: Mapping[str, Any], clock: str) -> list[dict[str, Any]]:
    """Recently viewed products in random order; of the original's category it alone."""
    rng, catalog = context.rng.child("visits"), context.catalog
    shown = [goal["original"]]
    for _ in range(3 + rng.below(3)):
        category = rng.choice(catalog.categories)
        rows = catalog.rows(category=category)
        row = int(rows[rng.below(len(rows))])
        if category != goal["category"]:
            shown.append(catalog.product_id(row))
    minutes = 0
    out = []
    for product_id in rng.shuffled(list(dict.fromkeys(shown))):
        minutes += rng.between(30, 2000)
        out.append({"product_id": product_id, "viewed_at": shift_clock(clock, minutes=-minutes)})
    return out


class Replacer(Scout):
    """The honest agent: finds the original, then asks the shop how similar each candidate is."""

    def __init__(self, view: AgentView) -> None:
        super().__init__(view)
        self.original: str | None = None
        self.similarity: dict[str, int] = {}
        self.looked = 0

    def named(self) -> Mapping[str, Any]:
        value: Mapping[str, Any] = known(self.view, "")["original"]
        return value

    def is_original(self, card: Mapping[str, Any]) -> bool:
        named = self.named()
        if card["category"] != self.category["value"] or "title" not in named:
            return False
        clues = (
            Constraint("title", "contains", named["title"]),
            Constraint("brand", "eq", named["brand"]),
        )
        return all(holds_on_card(clue, card) for clue in clues)

    def note(self, batch: Sequence[ToolCall], results: Sequence[Mapping[str, Any]]) -> None:
        super().note(batch, results)
        for card in self.cards.values():
            if self.original is None and self.is_original(card):
                self.original = card["product_id"]

    def fits(self) -> list[Mapping[str, Any]]:
        return [card for card in super().fits() if card["product_id"] != self.original]

    def others_in_results(self) -> int:
        return len(super().fits()) - len(self.fits())

    def unranked(self) -> list[str]:
        fits = [card["product_id"] for card in self.fits()]
        return [one for one in fits if one not in self.similarity] if len(fits) > 1 else []

    def order_is_open(self) -> bool:
        return self.original is None or not self.fits() or bool(self.unranked())

    def is_placed(self, product_id: str) -> bool:
        return product_id in self.similarity or len(self.fits()) == 1

    def finding_calls(self) -> list[ToolCall]:
        if self.original is not None:
            return []
        named, category = self.named(), self.category
        if "viewed" in named:
            return [call("user_get_visit_history")]
        if self.total is None and self.view.tool_budget == 1:
            return []  # it may well be among the results of the first search
        self.looked += 1
        words = (f"{named['title']} {category['noun']}", f"{named['brand']} {named['title']}")
        again = self.looked - 1
        filters = {"category": category["value"], "brand": named["brand"]}
        return [
            call("catalog_search", query=words[again % 2] + "!" * (again // 2), filters=filters)
        ]

    def ranking_calls(self) -> list[ToolCall]:
        unranked = self.unranked()
        if self.original is None or not unranked:
            return []
        return [
            call(
                "catalog_rerank",
                product_ids=unranked[:50],
                reference_product_id=self.original,
            )
        ]

    def note_extra(self, made: ToolCall, result: Mapping[str, Any]) -> None:
        if made.name == "user_get_visit_history":
            for card in result.get("products", ()):
                self.cards[card["product_id"]] = card
                if card["category"] == self.category["value"]:
                    self.original = card["product_id"]
        else:
            for one in result.get("results", ()):
                self.similarity[one["product_id"]] = one["similarity"]

    def ranked(self, fits: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return sorted(
            fits,
            key=lambda card: (-self.similarity.get(card["product_id"], -1), card["product_id"]),
        )


# --- words -----------------------------------------------------------------------------------


def original_sentences(named: Mapping[str, Any], noun: str) -> tuple[str, ...]:
    """How a customer says what they wanted, and that the closer to it the better."""
    if "viewed" in named:
        one, noun = some(noun), bare(noun)
        return (
            f"What I wanted was the {noun} I was looking at the other day; the closer to that, "
            "the better.",
            f"It was the {noun} I viewed recently that I had in mind, so as close to that as you "
            "can get.",
            f"I'd have bought the {noun} I looked at recently. The more similar, the better.",
            f"The {noun} I was looking at here lately is gone; it should be as close as possible.",
            f"I saw {one} in your shop the other day and wanted that. Find me what comes closest.",
            f"You'll see the {noun} I wanted among what I viewed. Closest to it first, please.",
            f"My first choice was the {noun} I had open here recently; show me what is like it.",
            f"I had my eye on {one} here recently, so the most similar ones first, please.",
        )
    name = f"{named['brand']} {named['title']}"
    return (
        f"What I wanted was the {name}; the closer to that, the better.",
        f"It was the {name} that I had in mind, so as close to that as you can get.",
        f"I'd have bought the {name}. The more similar, the better.",
        f"I was going to get the {name}; it should be as similar to that as possible.",
        f"I wanted the {name}. Find me what comes closest.",
        f"The sold-out one is the {name}. Put what's most like it first.",
        f"My first choice was the {name}; show me what is most like it.",
        f"I had my eye on the {name}, so the most similar ones first, please.",
    )
