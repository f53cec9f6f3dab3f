"""Price check: a ninth environment, complete in one file, as an example to copy.

The customer describes a product, says how many they would like, and asks what that costs in all.
The parts stand in the order in which they are best written: goal, drawing, reference, verifier,
near misses, agents that see no goal. To add it for good, the file goes into ``ecomkit/envs`` and
this line into the registry in ``ecomkit/envs/__init__.py``:

    "pricecheck": "ecomkit.envs.pricecheck:PriceCheck",
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ecomkit.core.difficulty import Axes
from ecomkit.core.records import Action, Check, Constraint, ToolCall, Verdict
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
    pick_row,
)
from ecomkit.envs.cart import QUESTION
from ecomkit.envs.shopping import (
    choose_clues,
    clues_of,
    filters_for,
    held_against,
    known,
    query_words,
    unasked_labels,
    unasked_misses,
)
from ecomkit.user import NOTHING_SEEN, Review
from ecomkit.user.phrases import OPEN_ONE

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

ITEM = "item1"
MAX_QUANTITY = 6

OPEN_ONE["pricecheck"] = (  # how the customer opens; {x} is the thing with what is said of it
    "What would {x} cost me in total?",
    "How much would I pay for {x} altogether?",
    "Could you tell me the total price of {x}?",
    "What do you charge for {x}, all in all?",
    "I'd like to know what {x} would cost.",
    "Can you check the price of {x} for me?",
    "Please tell me what {x} would come to.",
    "How much is {x} in total?",
)


# --- the goal: which product, how many, and the change of mind if there is one ---------------


def wanted_quantity(goal: Mapping[str, Any], fired: Mapping[str, int], before: int) -> int:
    """How many the customer wants in step ``before``; a change counts from the step after it."""
    switch = goal["switch"]
    changed = switch is not None and fired.get("switch", before) < before
    return int(switch["quantity"] if changed else goal["quantity"])


class PriceCheck(Environment):
    name = "pricecheck"
    task: ClassVar[str] = (
        "The customer wants to know what a certain number of a product costs in total: find the "
        "product that they mean and tell the total."
    )
    answer_description = "The product that the customer means, and what it costs in total."
    answer_parameters: ClassVar[dict[str, Any]] = {
        "type": "object",
        "properties": {
            "product_id": {"type": "string", "description": "The product."},
            "total_cents": {
                "type": "integer",
                "description": "Its listed price times the number wanted, in whole cents.",
            },
        },
        "required": ["product_id", "total_cents"],
        "additionalProperties": False,
    }

    def draw(self, context: DrawContext) -> Draft:
        catalog, axes = context.catalog, context.axes
        rng = context.rng.child("goal")
        department = context.department or rng.choice(catalog.departments)
        for _ in range(40):
            category = rng.choice(catalog.categories_of(department))
            shelf = catalog.rows(category=category)
            row = pick_row(context, shelf, rng)  # keeps products of train and test apart
            if row is None or category in catalog.deny_list:
                continue
            varying = set(catalog.variants_at(row)[0].attributes)
            clues = choose_clues(catalog, row, shelf, axes.constraints, varying, rng)
            if clues is not None:
                break
        else:
            raise Redraw("constraints", f"no product of {department} can be singled out")
        quantity = rng.between(1, MAX_QUANTITY)
        goal: dict[str, Any] = {
            "category": category,
            "product_id": catalog.product_id(row),
            "quantity": quantity,
            "switch": None,
        }
        nouns = list(catalog.nouns(category))
        item = Constraint("category", "eq", category).to_dict()
        item |= {"noun": nouns[0], "nouns": nouns[1] if len(nouns) > 1 else nouns[0]}
        slots = [
            SlotDraft(f"{ITEM}.category", "category", ITEM, item, critical=True),
            # "a lamp" says one; more than one can be left open.
            SlotDraft(
                f"{ITEM}.quantity", "quantity", ITEM, {"quantity": quantity}, critical=quantity == 1
            ),
            *(
                SlotDraft(f"{ITEM}.{clue.attribute}", clue.attribute, ITEM, clue.to_dict())
                for clue in clues
            ),
        ]
        switch = None
        change = context.rng.child("switch")  # its own stream: other draws do not move with it
        if change.chance(axes.p_switch):
            other = change.choice([n for n in range(1, MAX_QUANTITY + 1) if n != quantity])
            switch = SwitchDraft(1, f"{ITEM}.quantity", {"quantity": other})
            goal["switch"] = {"quantity": other, "after_step": 1}
        return Draft(
            department=department,
            goal=goal,
            world={"now": draw_clock(context.rng.child("clock"))},
            slots=slots,
            nouns={ITEM: nouns},
            switch=switch,
        )

    # --- the reference: reads the goal, and shows what it names before it names it ----------

    def reference(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> list[Action]:
        look = Action(tool_calls=(call("catalog_get_product", product_id=goal["product_id"]),))
        return [look, Action(answer=self._right(goal, catalog))]

    @staticmethod
    def _right(goal: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
        product = catalog.product(goal["product_id"])
        quantity = wanted_quantity(goal, {"switch": 0}, 1)
        return {
            "product_id": product.product_id,
            "total_cents": quantity * product.price_cents,
        }

    # --- the verifier: named checks, whole numbers, no default credit -----------------------

    def verify(self, goal: Mapping[str, Any], state: State) -> Verdict:
        quantity = wanted_quantity(goal, state.fired, state.steps)
        total = quantity * state.catalog.product(goal["product_id"]).price_cents
        answer = state.answer or {}
        product = answer.get("product_id") == goal["product_id"]
        # Half of the credit for the sum alone would pay for guessing: it counts with the product.
        right = product and answer.get("total_cents") == total
        checks = (
            Check("answered", state.answer is not None),
            Check("product", product, f"not {goal['product_id']}"),
            Check("total", right, f"not {total} cents for {quantity}"),
        )
        credit = 0.5 * product + 0.5 * right
        verdict = Verdict(2.0 * credit - 1.0, all(check.passed for check in checks), checks)
        # The customer asked for a price: nothing may be ordered or left in the cart.
        return held_against(verdict, state, self.may_change)

    def review(self, goal: Mapping[str, Any], state: State) -> Review:
        return NOTHING_SEEN  # nothing changes on the customer's screen

    def labels(self, goal: Mapping[str, Any], state: Played, verdict: Verdict) -> Iterator[str]:
        yield from unasked_labels(verdict)
        failed = {check.name for check in verdict.checks if not check.passed}
        if state.answer is not None and "product" in failed:
            yield "wrong_product"
        elif state.answer is not None and "total" in failed:
            yield "answer_contradicts_world"

    # --- near misses: each wrong in one way -------------------------------------------------

    def near_misses(
        self, goal: Mapping[str, Any], world: Mapping[str, Any], axes: Axes, catalog: Catalog
    ) -> Iterator[NearMiss]:
        look, answer = self.reference(goal, world, axes, catalog)
        right = self._right(goal, catalog)
        price = catalog.product(goal["product_id"]).price_cents

        def miss(kind: str, **changes: Any) -> NearMiss:
            return NearMiss(kind, (look, Action(answer={**right, **changes})))

        for step in (-1, 1):
            yield miss("quantity_off_by_one", total_cents=right["total_cents"] + step * price)
            yield miss("a_cent_off", total_cents=right["total_cents"] + step)
        yield miss("dollars", total_cents=right["total_cents"] // 100)
        yield miss("nothing", total_cents=0)
        yield from unasked_misses(
            [look, answer], world, axes.tool_budget, catalog, self.may_change, [goal["product_id"]]
        )
        if goal["switch"]:
            yield miss("ignored_change_of_mind", total_cents=goal["quantity"] * price)
        for row in catalog.rows(category=goal["category"])[:5]:
            other = catalog.product_at(int(row))
            if other.product_id != goal["product_id"]:
                total = right["total_cents"] // price * other.price_cents
                yield miss("another_product", product_id=other.product_id, total_cents=total)
                yield miss("right_sum_of_another", product_id=other.product_id)

    # --- agents that see no goal ------------------------------------------------------------

    def honest(self, view: AgentView) -> Policy:
        """Asks for all that may help, searches until one card fits, and answers."""
        category = known(view, ITEM)["category"]
        found: dict[str, Any] | None = None
        first: tuple[ToolCall, ...] = (call("ask_user", question=QUESTION.format(**category)),)
        attempt = 0
        while found is None and view.turn < view.max_turns - 1:
            clues = clues_of(known(view, ITEM))
            filters = filters_for(category["value"], clues)
            words = [category["noun"], *query_words(clues)]
            searches = []
            for _ in range(view.tool_budget):
                # Noise that hides a product differs by query.
                turned = " ".join(words[attempt % len(words) :] + words[: attempt % len(words)])
                page = 1 + attempt // len(words)
                searches.append(call("catalog_search", query=turned, filters=filters, page=page))
                attempt += 1
            seen = yield Action(tool_calls=(*first, *searches))
            clues, first = clues_of(known(view, ITEM)), ()
            for card in (c for result in seen.results for c in result.get("results", ())):
                fits = card["category"] == category["value"]
                if fits and all(holds_on_card(clue, card) for clue in clues):
                    found = card
        yield self._answer(view, found)

    def naive(self, view: AgentView) -> Policy:
        """The first result for the thing's name, as many as the opening says; no question."""
        noun = known(view, ITEM)["category"]["noun"]
        seen = yield Action(tool_calls=(call("catalog_search", query=noun),))
        yield self._answer(view, next(iter(seen.results[0].get("results", ())), None))

    def flood(self, view: AgentView) -> Policy:
        """Names every product of the first page in one string, with the sum of all."""
        noun = known(view, ITEM)["category"]["noun"]
        seen = yield Action(tool_calls=(call("catalog_search", query=noun),))
        cards = seen.results[0].get("results", ())
        ids = ", ".join(card["product_id"] for card in cards)
        total = sum(card["price_cents"] for card in cards)
        yield Action(answer={"product_id": ids, "total_cents": total})

    def constant(self, catalog: Catalog) -> list[Action]:
        return [Action(answer={"product_id": catalog.product_id(0), "total_cents": 1999})]

    @staticmethod
    def _answer(view: AgentView, card: Mapping[str, Any] | None) -> Action:
        quantity = known(view, ITEM).get("quantity", {}).get("quantity", 1)
        if card is None:
            return Action(answer={"product_id": "", "total_cents": 0})
        total = quantity * card["price_cents"]
        return Action(answer={"product_id": card["product_id"], "total_cents": total})
