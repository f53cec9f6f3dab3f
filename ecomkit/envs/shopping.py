"""What environments share: clues that single a product out, reading what the user said, and the
rule that nothing may be changed that nobody asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ecomkit.core.records import Action, Check, Constraint, Product, ToolCall, Verdict
from ecomkit.core.seeds import Rng
from ecomkit.envs.base import AgentView, NearMiss, State, call, pack, submit
from ecomkit.shop.policies import days_since, eligibility, return_facts
from ecomkit.shop.tools import filters_from, resolve

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog


def clue_candidates(
    catalog: Catalog, row: int, varying: set[str], rng: Rng
) -> list[tuple[Constraint, int]]:
    """Everything a customer may say of a product, with how likely they are to say it."""
    product = catalog.product_at(row)
    out: list[tuple[Constraint, int]] = []
    phrase = catalog.title_phrase(row)
    if phrase:
        out.append((Constraint("title", "contains", phrase), 8))
    filled = catalog.filled_fields(row)
    if product.brand and "brand" not in filled:
        out.append((Constraint("brand", "eq", product.brand), 8))
    for name, value in product.attributes.items():
        if name not in varying:
            out.append((Constraint(name, "eq", value), 6))
    out.append((price_clue(product, rng), 5))
    if product.rating >= 4.0:
        floor = 4.5 if product.rating >= 4.5 else 4.0
        out.append((Constraint("rating", "ge", floor), 3))
    if product.ship_days <= 5:
        limit = 2 if product.ship_days <= 2 else 5
        out.append((Constraint("ship_days", "le", limit), 3))
    for count in (10_000, 1_000, 100):
        if product.rating_count >= count:
            out.append((Constraint("rating_count", "ge", count), 1))
            break
    if product.store and product.store != product.brand:
        out.append((Constraint("store", "eq", product.store), 2))
    return out


def price_clue(product: Product, rng: Rng) -> Constraint:
    """A bound or a range that the price meets, in round dollars where that is natural."""
    cents = product.price_cents
    step = 500 if cents < 10_000 else 2_500 if cents < 50_000 else 10_000
    if rng.chance(0.5):
        return Constraint("price_cents", "le", (cents // step + 1) * step)
    low = max(0, (cents - step // 2) // step * step)
    return Constraint("price_cents", "between", (low, low + 2 * step))


def choose_clues(
    catalog: Catalog,
    row: int,
    shelf: Any,
    count: int,
    varying: set[str],
    rng: Rng,
    names_first: bool = False,
) -> list[Constraint] | None:
    """``count`` clues (fewer if the product has fewer) that only ``row`` meets on the shelf.

    Args:
        catalog: where the product lies.
        row: the product.
        shelf: sorted rows (array) among which it must be singled out, itself included.
        count: how many clues, at least 1.
        varying: attributes that vary between its variants and so tell nothing.
        rng: for the choice.
        names_first: prefer the name and the brand, as for a product named in passing.

    Returns:
        The clues in the order a customer would say them, or None if it can't be singled out.
    """
    candidates = clue_candidates(catalog, row, varying, rng)
    masks = {
        index: catalog.mask(shelf, [constraint]) for index, (constraint, _) in enumerate(candidates)
    }
    for attempt in range(6):
        pool = list(range(len(candidates)))
        chosen: list[int] = []
        alive = np.ones(len(shelf), dtype=bool)
        while pool and len(chosen) < count:
            last = len(chosen) == count - 1
            if last or attempt >= 3 or names_first:
                # The most telling of what is left, so that the last clue settles it.
                left = [int(np.count_nonzero(alive & masks[i])) for i in pool]
                index = pool[left.index(min(left))]
            else:
                index = rng.weighted(pool, [candidates[i][1] for i in pool])
            pool.remove(index)
            chosen.append(index)
            alive &= masks[index]
        if int(np.count_nonzero(alive)) == 1:
            return [candidates[i][0] for i in sorted(chosen)]
    return None


def short_title(title: str) -> str:
    """A title as a customer would repeat it: up to the first comma, at most eight words."""
    return " ".join(title.split(",")[0].split()[:8])


# --- listening -----------------------------------------------------------------------------


def subjects_of(view: AgentView) -> list[str]:
    """The items that the user has named, in the order named."""
    return [slot.subject for slot in view.disclosed if slot.kind == "category"]


def known(view: AgentView, subject: str) -> dict[str, Any]:
    """What the user has said of a subject: slot kind → value."""
    return {slot.kind: slot.value for slot in view.disclosed if slot.subject == subject}


def clues_of(facts: Mapping[str, Any]) -> list[Constraint]:
    """The constraints among what the user has said."""
    return [
        Constraint.from_dict(value)
        for kind, value in facts.items()
        if kind != "category" and "op" in value
    ]


def query_for(view: AgentView, subject: str) -> str:
    """A search query from what the user has said of an item."""
    facts = known(view, subject)
    return " ".join([facts["category"]["noun"], *query_words(clues_of(facts))])


def query_words(clues: list[Constraint]) -> list[str]:
    """The clue values that belong in a query: names and text attributes."""
    return [str(c.value) for c in clues if isinstance(c.value, str)]


def filters_for(category: str, clues: list[Constraint]) -> dict[str, Any]:
    """The search filters that say what the clues say; the title has none."""
    return filters_from(
        [Constraint("category", "eq", category), *(c for c in clues if c.attribute != "title")]
    )


# --- what nobody asked for -----------------------------------------------------------------

IN_CART_CEILING = 0.90
"""The most that ``r_task`` can be with something left in the cart: short of every pass mark."""

SHELF = 300
"""How many products are looked at for one that can be bought along."""

_NONE: frozenset[str] = frozenset()
_CAN_NOT_BE_UNDONE = frozenset({"nothing_ordered", "nothing_returned"})
_LEFT_ALONE = _CAN_NOT_BE_UNDONE | {"nothing_left_in_cart"}


def unasked(state: State, may_change: Set[str]) -> dict[str, list[str]]:
    """What was changed that the customer did not ask for, by the name of the check it fails.

    Orders, returns and the cart are all that the tools can change. What was ordered or sent back
    stays so; the cart is judged as it stands, so that what was taken out again does no harm. In a
    journey, returns and the cart are left to the request that they belong to from the moment at
    which it comes up, an order belongs to the request that was talked about, and nothing is held
    against two requests.
    """
    may, held = set(may_change), set()
    session = getattr(state, "session", None)
    for part in session.parts if session is not None else ():
        if part.begun and part.number != getattr(state, "number", None):
            may |= part.environment.may_change - {"orders"}
            held |= set(part.verdict().details.get("unasked", ()))
    world = state.world
    found: dict[str, list[str]] = {}
    if "orders" not in may:
        found["nothing_ordered"] = [f"order {order_id}" for order_id in state.order_steps]
    if "returns" not in may:
        found["nothing_returned"] = [
            f"{record['kind']} of {record['order_id']} {record['line_id']}"
            for record in world.returns
        ]
    if "cart" not in may:
        found["nothing_left_in_cart"] = [_line(line.line_id) for line in world.cart]
    return {name: [x for x in things if x not in held] for name, things in found.items()}


def _line(line_id: str) -> str:
    return f"cart line {line_id}"


def held_against(verdict: Verdict, state: State, may_change: Set[str]) -> Verdict:
    """``verdict`` with what nobody asked for held against it.

    An order or a return that nobody asked for costs all credit: it takes the customer's money or
    goods, which is worse than no help. Something left in the cart only costs the pass.
    """
    found = unasked(state, may_change)
    checks = [Check(name, not things, ", ".join(things[:3])) for name, things in found.items()]
    things = [thing for some in found.values() for thing in some]
    if not things:
        return replace(verdict, checks=(*verdict.checks, *checks))
    undoable = not any(found.get(name) for name in _CAN_NOT_BE_UNDONE)
    return Verdict(
        min(verdict.r_task, IN_CART_CEILING) if undoable else -1.0,
        False,
        (*verdict.checks, *checks),
        {**verdict.details, "unasked": things},
    )


def put_back(state: State, may_change: Set[str]) -> list[ToolCall] | None:
    """Calls that undo what nobody asked for; None if it can't be undone."""
    found = unasked(state, may_change)
    if any(found.get(name) for name in _CAN_NOT_BE_UNDONE):
        return None
    left = found.get("nothing_left_in_cart", ())
    return [
        call("cart_remove", line_id=line.line_id)
        for line in state.world.cart
        if _line(line.line_id) in left
    ]


def unasked_labels(verdict: Verdict) -> Iterator[str]:
    """The failure label of what nobody asked for."""
    if any(check.name in _LEFT_ALONE and not check.passed for check in verdict.checks):
        yield "extra_item"


def answer_after(
    undone: list[ToolCall] | None, answer: Mapping[str, Any], budget: int
) -> list[Action]:
    """Undo what :func:`put_back` says, then answer; no actions if it can't be undone."""
    return [] if undone is None else submit(pack(undone, budget), answer)


def standing(part: Any) -> Verdict:
    """What is to be said of an intent by now: what was said when it was answered, unless its
    result is one of the shop's state (a cart, an order, a return) and no longer there.

    What it may change no other intent of the journey may, so nothing changes it rightly. Lists
    and answers are not judged again: what sold out since was in stock when it was recommended.
    """
    verdict: Verdict = part.verdict()
    if part.answer is None or not verdict.passed or not part.environment.may_change:
        return verdict
    now: Verdict = part.environment.verify(part.intent.goal, part)
    return verdict if now.passed else now


def to_buy(
    world: Mapping[str, Any], catalog: Catalog, wish: Sequence[str] = (), avoid: Set[str] = _NONE
) -> ToolCall | None:
    """A call that puts a unit in the cart: of one of ``wish``, else of any product that stays in
    stock; None if none of the first few hundred does."""
    changing = {*(world.get("stock") or ()), *(world.get("sold_out_elsewhere") or ())}
    for event in world.get("events") or ():
        changing.update(event.get("variant_ids", ()))
    others = (catalog.product_id(row) for row in range(min(len(catalog), SHELF)))
    for product_id in (*wish, *others):
        if product_id in avoid or catalog.product(product_id).category in catalog.deny_list:
            continue
        for variant in catalog.variants(product_id):
            if variant.stock >= 2 and variant.variant_id not in changing:
                return call("cart_add", product_id=product_id, variant_id=variant.variant_id)
    return None


def to_return(
    world: Mapping[str, Any], catalog: Catalog, avoid: tuple[str, str] | None = None
) -> ToolCall | None:
    """A call that sends back a line of the account's orders, other than ``avoid`` (order id, line
    id); None if the shop takes none back."""
    for order in world.get("orders") or ():
        delivered = order.get("delivered_at") if order["status"] == "delivered" else None
        days = days_since(delivered, world["now"])
        for line in order["lines"]:
            if line.get("returned") or (order["order_id"], line["line_id"]) == avoid:
                continue
            department = catalog.product(line["product_id"]).department
            facts = return_facts(order, line, department, world.get("profile") or {})
            if eligibility(world.get("policy"), facts, days).eligible:
                where = {"order_id": order["order_id"], "line_id": line["line_id"]}
                return call("return_initiate", **where)
    return None


def with_writes(
    right: Sequence[Action], writes: Sequence[ToolCall], budget: int
) -> tuple[Action, ...]:
    """``right`` with ``writes`` in place of its first looks, so that it takes no more turns than
    it must; its own writes and its answer stay."""
    *steps, last = right
    own = [step for step in steps if any(_writes(made) for made in step.tool_calls)]
    looks = [step for step in steps if step not in own]
    added = pack(writes, budget)
    return (*added, *looks[len(added) :], *own, last)


def _writes(made: ToolCall) -> bool:
    tool = resolve(made.name)
    return tool is not None and tool.writes


def unasked_misses(
    right: Sequence[Action],
    world: Mapping[str, Any],
    budget: int,
    catalog: Catalog,
    may_change: Set[str],
    wish: Sequence[str] = (),
    avoid: Set[str] = _NONE,
) -> Iterator[NearMiss]:
    """``right``, which passes, with each kind of change along with it that nobody asked for."""
    buy = to_buy(world, catalog, wish, avoid)
    if buy is not None and "orders" not in may_change:
        ordered = with_writes(right, [buy, call("order_checkout")], budget)
        yield NearMiss("ordered_unasked", ordered)
    if buy is not None and "cart" not in may_change:
        yield NearMiss("left_in_cart", with_writes(right, [buy], budget))
    back = to_return(world, catalog)
    if back is not None and "returns" not in may_change:
        yield NearMiss("returned_unasked", with_writes(right, [back], budget))
