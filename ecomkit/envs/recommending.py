"""What environments share whose answer is a ranked list: requirements, the list, the scout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ecomkit.core.difficulty import Axes
from ecomkit.core.errors import UnknownProduct
from ecomkit.core.records import Action, Check, Constraint, Product, ToolCall, Verdict
from ecomkit.core.seeds import Rng
from ecomkit.envs.base import (
    AgentView,
    DrawContext,
    Environment,
    Played,
    Policy,
    State,
    call,
    holds_on_card,
    pack,
    pick_row,
)
from ecomkit.envs.shopping import (
    answer_after,
    clues_of,
    filters_for,
    known,
    put_back,
    unasked_labels,
)
from ecomkit.shop.tools.catalog import PAGE_SIZE

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

MARK = 0.95
"""The r_task at which a ranked list passes."""

CEILING = 0.90
"""Most that a list earns that is short, padded, sold out or misses a requirement: its last place
weighs so little in nDCG that it would pass otherwise."""

ATTEMPTS = 64
"""Products tried as the target of one draw, before it counts as a dead end."""

LARGEST_POOL = 30
"""More products than this no customer wants compared."""

ITEM = "item"
"""The subject of the slots that say what is wanted."""

ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "product_ids": {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": 200},
            "maxItems": 100,
            "description": "Ids of the products you recommend, best one first.",
        },
        "message": {"type": "string", "description": "A closing sentence to the customer."},
    },
    "required": ["product_ids"],
    "additionalProperties": False,
}


# --- requirements ---------------------------------------------------------------------------

_FLOORS: dict[str, tuple[float, ...]] = {
    "rating": (4.7, 4.5, 4.2, 4.0, 3.8, 3.5, 3.0),
    "rating_count": (10_000, 5_000, 1_000, 500, 200, 100, 50, 20, 10),
}
_CEILINGS: dict[str, tuple[float, ...]] = {"ship_days": (0, 1, 2, 3, 4, 5, 7, 10, 12)}
_PRICE_STEPS = (10_000, 5_000, 2_500, 1_000, 500, 100, 50, 10, 5, 1)


def requirement_candidates(catalog: Catalog, row: int) -> list[tuple[Constraint, int]]:
    """What a customer may require so that a product fits, price apart, with weights.

    What varies between the product's variants, and what an import filled in by rule, is left out:
    a product card does not show the one, and the other is nobody's wish.
    """
    product = catalog.product_at(row)
    hidden = {*catalog.varying_at(row), *catalog.filled_fields(row)}
    out: list[tuple[Constraint, int]] = []
    if product.brand:
        out.append((Constraint("brand", "eq", product.brand), 2))
    if product.store and product.store != product.brand:
        out.append((Constraint("store", "eq", product.store), 1))
    for name, value in product.attributes.items():
        if isinstance(value, str):
            out.append((Constraint(name, "eq", value), 6))
        elif name == "weight_lbs":
            out.extend((Constraint(name, "le", bound), 3) for bound in _bounds_above(value))
        elif name == "wattage":
            out.append((Constraint(name, "ge", value), 4))
        else:
            out.append((Constraint(name, "ge", value), 3))
            out.append((Constraint(name, "le", value), 2))
    for name, floors in _FLOORS.items():
        have = product.get(name)
        met = [x for x in floors if isinstance(have, (int, float)) and x <= have]
        for bound in _ends(met):
            out.append((Constraint(name, "ge", bound), 3 if name == "rating" else 1))
    for name, ceilings in _CEILINGS.items():
        have = product.get(name)
        met = [x for x in ceilings if isinstance(have, (int, float)) and x >= have]
        out.extend((Constraint(name, "le", bound), 3) for bound in _ends(met))
    return [
        (constraint, weight) for constraint, weight in out if constraint.attribute not in hidden
    ]


def _ends(bounds: list[float]) -> list[float]:
    """The two strictest bounds and the two loosest."""
    return bounds if len(bounds) <= 4 else bounds[:2] + bounds[-2:]


def _bounds_above(value: float) -> list[float]:
    """Two or three round numbers at or above a weight in pounds."""
    step = 0.5 if value < 3 else 1.0 if value < 10 else 5.0 if value < 60 else 25.0
    first = float(np.ceil(value / step)) * step
    return [first, first + step, first + 3 * step]


def price_bounds(
    prices: np.ndarray, own: int, low: int, high: int, slack: float, rng: Rng
) -> Constraint | None:
    """A bound or a range of prices that ``own`` meets, by which ``low`` to ``high`` prices do.

    Args:
        prices: sorted prices in cents of all that meets the other requirements, ``own`` included.
        own: the price that the requirement is made for.
        low, high: how many prices may be within, both ends included.
        slack: how far a bound may lie from ``own``, as a share of it.
        rng: for the choice. The roundest amounts that do it are taken, or nearly so.
    """
    most, least = int(own * (1.0 + slack)), own - int(own * slack)
    taken = set(prices.tolist())

    def count(bottom: int, top: int) -> int:
        return int(np.searchsorted(prices, top, "right") - np.searchsorted(prices, bottom, "left"))

    def multiples(step: int, bottom: int, top: int) -> list[int]:
        first = -(-bottom // step) * step
        found = list(range(first, top + 1, step)) if (top - first) // step < 60 else []
        # "under $40" and "at most $40" differ for what costs $40.00.
        return [x for x in found if x not in taken]

    def fitting(step: int, ranged: bool) -> list[Constraint]:
        tops = multiples(step, own, most)
        if not ranged:
            return [
                Constraint("price_cents", "le", top) for top in tops if low <= count(0, top) <= high
            ]
        bottoms = multiples(step, least, own)
        return [
            Constraint("price_cents", "between", (bottom, top))
            for bottom in bottoms[-8:]
            for top in tops[:8]
            if low <= count(bottom, top) <= high
        ]

    one_sided = rng.chance(0.55)
    for ranged in (not one_sided, one_sided):
        for i, step in enumerate(_PRICE_STEPS):
            fits = fitting(step, ranged)
            if fits:
                # Not everyone rounds as much: as often an amount one or two steps finer.
                finer = _PRICE_STEPS[i + 1 + rng.below(2)] if step > 500 else step
                return rng.choice((fitting(finer, ranged) if rng.chance(0.5) else fits) or fits)
    return None


def choose_requirements(
    catalog: Catalog,
    row: int,
    count: int,
    low: int,
    high: int,
    slack: float,
    rng: Rng,
    first: Sequence[Constraint] = (),
) -> list[Constraint] | None:
    """``count`` requirements that a product meets, the price among them.

    Args:
        catalog: where the product lies.
        row: the product.
        count: how many requirements (fewer if the product has no more to say).
        low, high: how many products of the category may meet them all, ``row`` included.
        slack: see :func:`price_bounds`.
        rng: for the choice.
        first: requirements that are set already and count.

    Returns:
        The requirements, price last; fewer than ``count`` if the product has no more to require;
        None if they cannot be had, or no price makes the number right.
    """
    rows = catalog.rows(category=catalog.product_at(row).category)
    taken = {constraint.attribute for constraint in first}
    candidates = [c for c in requirement_candidates(catalog, row) if c[0].attribute not in taken]
    if len(rows) > 20_000:
        candidates = rng.sample(candidates, count + 4)
    alive = catalog.mask(rows, first) if first else np.ones(len(rows), dtype=bool)
    masks = [catalog.mask(rows, [constraint]) for constraint, _ in candidates]
    bounded = {constraint.attribute for constraint, _ in candidates if constraint.op != "eq"}
    if candidates and low > 1 and count - 1 - len(first) > len(bounded):
        # So many wishes are exact that chance alone would leave one product: keep near twins in.
        wanted = min(count - 1 - len(first), len({c.attribute for c, _ in candidates}))
        kept = _shared_with_twins(catalog, rows, row, candidates, masks, wanted, low - 1)
        if not kept:
            return None
        candidates, masks = [candidates[i] for i in kept], [masks[i] for i in kept]
    chosen = list(first)
    left = list(range(len(candidates)))
    while len(chosen) < count - 1 and left:
        have = int(np.count_nonzero(alive))
        steps = count - 1 - len(chosen)
        # Price leaves about half; the others share the rest of the way evenly.
        aim = have * min(1.0, 2.0 * high / have) ** (1.0 / steps)
        counts = {i: int(np.count_nonzero(alive & masks[i])) for i in left}
        enough = [i for i in left if counts[i] >= max(low, 1)]
        bounded = {candidates[i][0].attribute for i in left if candidates[i][0].op != "eq"}
        exact = [i for i in enough if candidates[i][0].op == "eq"]
        if steps > len(bounded) and exact:
            # Not enough bounds to go round: exact wishes first, the widest; bounds can give way.
            exact.sort(key=lambda i: (-counts[i], i))
            enough = exact[:3]
        if not enough:
            enough = [max(left, key=lambda i: (counts[i], -i))]

        def distance(
            i: int, counts: dict[int, int] = counts, aim: float = aim, have: int = have
        ) -> float:
            return abs(log(counts[i] / aim)) + (1.0 if counts[i] == have else 0.0)

        enough.sort(key=lambda i: (distance(i), i))
        near = [i for i in enough if distance(i) <= distance(enough[0]) + 0.5][:8]
        index = rng.weighted(near, [candidates[i][1] for i in near])
        chosen.append(candidates[index][0])
        alive &= masks[index]
        left = [i for i in left if candidates[i][0].attribute != chosen[-1].attribute]
    prices = np.sort(catalog.numbers("price_cents")[rows[alive]])
    own = int(catalog.numbers("price_cents")[row])
    price = price_bounds(prices, own, low, high, slack, rng)
    return [*chosen, price] if price else None


def _shared_with_twins(
    catalog: Catalog,
    rows: np.ndarray,
    row: int,
    candidates: Sequence[tuple[Constraint, int]],
    masks: Sequence[np.ndarray],
    wanted: int,
    twins: int,
) -> list[int]:
    """The candidates that up to ``twins`` other products meet too, none of them dearer than
    ``row``: those most like it, as long as ``wanted`` attributes can be required of all.

    Returns:
        Places in ``candidates``; empty if not even one twin leaves enough.
    """
    prices = catalog.numbers("price_cents")[rows]
    open_to = (prices <= catalog.numbers("price_cents")[row]) & (rows != row)
    table = np.array(masks)
    groups: dict[str, list[int]] = {}
    for i, (constraint, _) in enumerate(candidates):
        groups.setdefault(constraint.attribute, []).append(i)
    found: list[int] = []
    kept = np.ones(len(candidates), dtype=bool)
    for _ in range(min(twins, 4)):
        if not open_to.any():
            break
        shared = np.zeros(len(rows), dtype=np.int64)
        for group in groups.values():
            shared += table[[i for i in group if kept[i]]].any(axis=0)
        twin = int(np.argmax(np.where(open_to, shared, -1)))
        if shared[twin] < wanted:
            break
        open_to[twin] = False
        kept &= table[:, twin]
        found = [int(i) for i in np.flatnonzero(kept)]
    return found


def changed_requirement(
    catalog: Catalog,
    category: str,
    requirements: Sequence[Constraint],
    high: int,
    slack: float,
    rng: Rng,
    fixed: frozenset[str] = frozenset(),
) -> Iterator[list[Constraint]]:
    """Ways to change the value of one requirement that leave 1 to ``high`` products, in random
    order, at most a dozen; attributes in ``fixed`` are left alone."""
    rows = catalog.rows(category=category)
    places = [i for i, c in enumerate(requirements) if c.attribute not in fixed]
    for place in rng.shuffled(places):
        old = requirements[place]
        others = [c for i, c in enumerate(requirements) if i != place]
        near = rows[catalog.mask(rows, others)]
        for _ in range(4):
            row = int(near[rng.below(len(near))])
            new: Constraint | None
            if old.attribute == "price_cents":
                prices = np.sort(catalog.numbers("price_cents")[near])
                own = int(catalog.numbers("price_cents")[row])
                new = price_bounds(prices, own, 1, high, slack, rng)
            else:
                like = [
                    c
                    for c, _ in requirement_candidates(catalog, row)
                    if c.attribute == old.attribute and c.op == old.op
                ]
                new = rng.choice(like) if like else None
            if new is None or new == old:
                continue
            if 1 <= int(np.count_nonzero(catalog.mask(near, [new]))) <= high:
                yield [new if i == place else c for i, c in enumerate(requirements)]


@lru_cache(maxsize=4096)
def feasible_rows(
    catalog: Catalog, category: str, requirements: tuple[Constraint, ...]
) -> tuple[int, ...]:
    """Rows of a category that meet all requirements, sorted. Stock is not looked at."""
    rows = catalog.rows(category=category)
    return tuple(rows[catalog.mask(rows, requirements)].tolist())


def readable(catalog: Catalog, rows: Iterable[int], requirements: Iterable[Constraint]) -> bool:
    """True if the cards of all ``rows`` show every attribute that a requirement is about."""
    attributes = {constraint.attribute for constraint in requirements}
    return all(attributes.isdisjoint(catalog.varying_at(row)) for row in rows)


def from_dicts(requirements: Iterable[Mapping[str, Any]]) -> tuple[Constraint, ...]:
    """Requirements from their JSON form."""
    return tuple(Constraint.from_dict(data) for data in requirements)


# --- what a list can be asked to hold --------------------------------------------------------


def calls_after_first(axes: Axes) -> int:
    """Tool calls whose results can still be used: not those of the first step, in which the
    customer is asked, nor of the last, which answers."""
    return max(1, (axes.max_turns - 2) * axes.tool_budget)


def pool_limit(axes: Axes, other_calls: int) -> int:
    """How many products fit what an agent can page through, past the results that are noise.

    Args:
        axes: of the episode.
        other_calls: calls needed for other things than searching.
    """
    calls = max(1, calls_after_first(axes) - other_calls)
    best = PAGE_SIZE - 2
    for size in range(PAGE_SIZE, LARGEST_POOL + 1, PAGE_SIZE):
        searches = 1
        while size * axes.p_distractor**searches > 0.05 and searches < 20:
            searches += 1
        if searches * (size // PAGE_SIZE) <= calls or size == PAGE_SIZE:
            # Room for a product or two that meet the filters and are not to be recommended.
            best = size - 2
    return max(1, min(best, axes.search_depth))


def pick_target(context: DrawContext, department: str, rng: Rng) -> tuple[str, int] | None:
    """A category of the department that may be sold, and a product of it in the split."""
    catalog = context.catalog
    categories = [c for c in catalog.categories_of(department) if c not in catalog.deny_list]
    if not categories:
        return None
    category = rng.choice(categories)
    row = pick_row(context, catalog.rows(category=category), rng)
    return None if row is None else (category, row)


def pool_range(
    limit: int, shelf: int, places: int, attempt: int, least: int, rng: Rng
) -> tuple[int, int] | None:
    """How many products shall be feasible, as (low, high): mostly more than twice the places.

    Later attempts ask for less, so that small shelves serve too. None if the shelf is too small.
    """
    high = min(limit, shelf // 4)
    if high < least:
        return None
    kind = rng.weighted(("few", "some", "many"), (2, 2, 6))
    low = {"few": 1, "some": places + 1, "many": 2 * places + 1}[kind]
    if kind == "few":
        high = min(high, max(places, least))
    if attempt >= 4 or low > high:
        low = min(low, 5 if attempt < 12 else 3 if attempt < 20 else 2 if attempt < 26 else 1)
    return min(max(low, least), high), high


def sold_out_event(catalog: Catalog, product_id: str, after_step: int) -> dict[str, Any]:
    """All variants of a product gone after a step."""
    return {
        "after_step": after_step,
        "kind": "sell_out",
        "variant_ids": [variant.variant_id for variant in catalog.variants(product_id)],
    }


# --- judging a list ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listed:
    """A recommended list as the verifier reads it. Duplicates count once."""

    ids: tuple[str, ...]
    """All different ids, in order."""
    places: int
    """k′: how many are wanted."""
    products: tuple[Product | None, ...]
    """The products of ``ids``, None for an id that the shop does not have."""
    gone: tuple[bool, ...]
    """Which of ``ids`` are sold out or unknown."""

    @property
    def judged(self) -> tuple[str, ...]:
        """The ids that can earn something: the first k′."""
        return self.ids[: self.places]

    @property
    def sold_out_share(self) -> float:
        """Share of what was listed that is sold out or does not exist; 0 for an empty list."""
        return sum(self.gone) / max(self.places, len(self.ids), 1)

    def checks(self) -> Iterator[Check]:
        """Length and stock as checks."""
        wanted = len(self.ids) == self.places
        yield Check("count", wanted, f"{len(self.ids)} of {self.places} products")
        unknown = [i for i, p in zip(self.ids, self.products, strict=True) if p is None]
        yield Check("known_products", not unknown, ", ".join(unknown[:3])[:200])
        gone = [
            product_id
            for product_id, product, out in zip(self.ids, self.products, self.gone, strict=True)
            if product is not None and out
        ]
        yield Check("in_stock", not gone, ", ".join(gone[:3]))


def read_list(state: State, places: int) -> Listed:
    """The answer's list against the shop as it is now."""
    given = (state.answer or {}).get("product_ids", ())
    ids = tuple(dict.fromkeys(str(one).strip() for one in given))
    products: list[Product | None] = []
    gone: list[bool] = []
    for one in ids:
        try:
            products.append(state.catalog.product(one))
            gone.append(state.world.sold_out(one))
        except (UnknownProduct, UnicodeError):
            products.append(None)
            gone.append(True)
    return Listed(ids, places, tuple(products), tuple(gone))


def judged(r_task: float, checks: Sequence[Check], details: Mapping[str, Any]) -> Verdict:
    """The verdict on a list: passed if ``r_task`` reaches :data:`MARK` and all checks hold, so that
    what passes is what scores at least :data:`MARK`."""
    if not all(check.passed for check in checks):
        r_task = min(r_task, CEILING)
    ranking = Check("ranking", r_task >= MARK, f"nDCG {details['ndcg']:.3f}")
    return Verdict(r_task, ranking.passed, (*checks, ranking), details)


def met_share(
    catalog: Catalog, product: Product | None, category: str, requirements: Sequence[Constraint]
) -> float:
    """Share of the requirements that a product meets; 0 outside the category."""
    return met_shares(catalog, [product], category, requirements)[0]


def met_shares(
    catalog: Catalog,
    products: Sequence[Product | None],
    category: str,
    requirements: Sequence[Constraint],
) -> list[float]:
    """:func:`met_share` of several products, each requirement looked at once for all of them."""
    inside = [p is not None and p.category == category for p in products]
    rows = np.array(
        [catalog.row(p.product_id) for p, here in zip(products, inside, strict=True) if p and here],
        dtype=np.int32,
    )
    met = np.zeros(len(rows), dtype=np.int64)
    if len(rows):
        for constraint in requirements:
            met += catalog.mask(rows, [constraint])
    counts = iter(met.tolist())
    return [next(counts) / len(requirements) if here else 0.0 for here in inside]


def met_checks(
    catalog: Catalog, listed: Listed, category: str, requirements: Sequence[Constraint]
) -> Iterator[Check]:
    """A check for the category and one for each requirement, over everything listed."""
    shelf = [p for p in listed.products if p is not None and p.category == category]
    wrong = [p.product_id for p in listed.products if p is not None and p.category != category]
    yield Check("requirement.category", bool(shelf) and not wrong, ", ".join(wrong[:3]))
    rows = np.array([catalog.row(p.product_id) for p in shelf], dtype=np.int32)
    for constraint in requirements:
        held = catalog.mask(rows, [constraint]) if shelf else np.zeros(0, dtype=bool)
        missed = [p.product_id for p, ok in zip(shelf, held, strict=True) if not ok]
        yield Check(
            f"requirement.{constraint.attribute}", bool(shelf) and not missed, ", ".join(missed[:3])
        )


def labels_of_list(goal: Mapping[str, Any], state: Played, verdict: Verdict) -> Iterator[str]:
    """Failure labels of a recommended list, from its checks (see :meth:`Environment.labels`)."""
    yield from unasked_labels(verdict)
    failed = {check.name: check.detail for check in verdict.checks if not check.passed}
    if state.answer is None:
        return
    ids = {str(one).strip() for one in state.answer.get("product_ids", ())}
    places = verdict.details["places"]
    if len(ids) < places:
        yield "missing_item"
    elif len(ids) > goal["outputs"]:
        yield "extra_item"
    # Over an empty shelf a requirement counts as missed, but no product is named.
    missed = [name for name, named in failed.items() if name.startswith("requirement.") and named]
    if ids and {"known_products", "not_the_original", "requirement.category"} & set(failed):
        yield "wrong_product"
    if set(missed) - {"requirement.category"}:
        yield "constraint_violated"
    if "in_stock" in failed:
        yield "out_of_stock_recommended"
    if set(failed) == {"ranking"}:
        yield "poor_ranking"


# --- scripted attempts -------------------------------------------------------------------------


class Listing(Environment):
    """An environment whose answer is a ranked list of products."""

    def pool(self, goal: Mapping[str, Any], state: State) -> dict[str, float]:
        """What can be recommended now, best first, with its gain."""
        raise NotImplementedError

    def labels(self, goal: Mapping[str, Any], state: Played, verdict: Verdict) -> Iterator[str]:
        return labels_of_list(goal, state, verdict)

    def right_products(self, goal: Mapping[str, Any], state: Played) -> set[str]:
        return set(self.pool(goal, state))

    def recover(self, goal: Mapping[str, Any], state: Played) -> list[Action] | None:
        ids = list(self.pool(goal, state))[: goal["outputs"]]
        undone = put_back(state, self.may_change)
        return answer_after(undone, {"product_ids": ids}, state.tool_budget)


def listing_plan(ids: Sequence[str], axes: Axes, last_event: int) -> list[Action]:
    """Look every product up, wait for the last event, and answer with ``ids``."""
    lookups = [call("catalog_get_product", product_id=one) for one in ids]
    budget = axes.tool_budget
    room = max(last_event, axes.max_turns - 1) * budget
    actions = pack(lookups[:room], budget)[: axes.max_turns - 1]
    while len(actions) < last_event:
        actions.append(Action(tool_calls=(call("datetime_now"),)))
    return [*actions, Action(answer={"product_ids": list(ids)})]


def violators(
    catalog: Catalog, category: str, requirements: Sequence[Constraint]
) -> Iterator[tuple[Constraint, str]]:
    """For each requirement a product that misses this one alone, where the shelf has one."""
    rows = catalog.rows(category=category)
    masks = [catalog.mask(rows, [constraint]) for constraint in requirements]
    missed = len(requirements) - np.sum(masks, axis=0)
    for constraint, mask in zip(requirements, masks, strict=True):
        found = rows[(missed == 1) & ~mask]
        if len(found):
            yield constraint, catalog.product_id(int(found[0]))


QUESTION = (
    "Which brand should the {noun} be? What is your price range for the {noun}? Which store should "
    "sell the {noun}? What rating should the {noun} have? How many reviews should the {noun} have? "
    "How soon should the {noun} ship? Which color should the {noun} be? Which size should the "
    "{noun} be? Which material, connector, form, finish, skin type or age range should the {noun} "
    "have? Which wattage, weight or screen size should the {noun} have?"
)
"""Everything about an item that a card can show, asked in one go."""


class Scout:
    """An honest agent: asks, pages until it has seen all that fits, looks at the stock, answers.

    It knows what the customer said (``view.disclosed``) and what the tools returned. Subclasses
    say how to rank, what else to ask, and what else to look up.
    """

    questions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, view: AgentView) -> None:
        self.view = view
        self.cards: dict[str, Mapping[str, Any]] = {}
        self.stock: dict[str, bool] = {}
        self.total: int | None = None
        self.sought: tuple[Constraint, ...] | None = None
        self.done: set[tuple[str, int]] = set()
        """Wordings and pages of the present search that were looked at."""

    # What the customer said.

    @property
    def category(self) -> Mapping[str, Any]:
        value: Mapping[str, Any] = known(self.view, ITEM)["category"]
        return value

    def requirements(self) -> tuple[Constraint, ...]:
        return tuple(clues_of(known(self.view, ITEM)))

    def places(self) -> int:
        return int(known(self.view, "")["count"]["count"])

    # What subclasses add.

    def ranked(self, fits: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Cards, best first."""
        raise NotImplementedError

    def others_in_results(self) -> int:
        """Products known to pass the filters that are not to be recommended."""
        return 0

    def finding_calls(self) -> list[ToolCall]:
        """Calls to make besides searching for what fits, before anything is ranked."""
        return []

    def ranking_calls(self) -> list[ToolCall]:
        """Calls whose results are needed to put what was found in order."""
        return []

    def order_is_open(self) -> bool:
        """Whether ranking calls are still to be made."""
        return False

    def is_placed(self, product_id: str) -> bool:
        """Whether a product's rank is known, so that its stock is worth a look."""
        return True

    def note_extra(self, made: ToolCall, result: Mapping[str, Any]) -> None:
        """Take in the result of an extra call."""

    # The work.

    def fits(self) -> list[Mapping[str, Any]]:
        """Cards seen that meet everything said."""
        requirements, name = self.requirements(), self.category["value"]
        return [
            card
            for card in self.cards.values()
            if card["category"] == name and all(holds_on_card(c, card) for c in requirements)
        ]

    def run(self) -> Policy:
        view = self.view
        asked = [call("ask_user", question=QUESTION.format(**self.category))]
        asked += [call("ask_user", question=text) for text in self.questions]
        batch = self.next_calls()
        seen = yield Action(tool_calls=(*asked, *batch))
        self.note(batch, seen.results[len(asked) :])
        while view.turn < view.max_turns - 1:
            batch = self.next_calls()
            if not batch:
                break
            seen = yield Action(tool_calls=tuple(batch))
            self.note(batch, seen.results)
        yield Action(answer={"product_ids": [card["product_id"] for card in self.best()]})

    def best(self) -> list[Mapping[str, Any]]:
        """The list to recommend: what fits and is not known to be sold out."""
        fits = [c for c in self.fits() if self.stock.get(c["product_id"], True)]
        return self.ranked(fits)[: self.places()]

    def complete(self) -> bool:
        """True if everything that passes the filters was seen."""
        return self.total is not None and len(self.fits()) + self.others_in_results() >= self.total

    def next_calls(self) -> list[ToolCall]:
        view = self.view
        if self.requirements() != self.sought:
            self.sought, self.total = self.requirements(), None
            self.done.clear()
        room = view.tool_budget
        batch = self.finding_calls()[:room]
        unchecked = [c["product_id"] for c in self.best() if c["product_id"] not in self.stock]
        left = (view.max_turns - 1 - view.turn) * room - len(batch)
        # What ranking tells is needed before the stock is looked at: a step of its own.
        left -= room if self.order_is_open() else 0
        if not self.complete():
            # Every page once; other wordings as long as the stock can still be looked at after.
            spare = left if room == 1 else left - len(unchecked)
            wanted = max(spare, min(left, self.pages() - len(self.done)), int(self.total is None))
            batch += self.searches()[: max(0, min(room - len(batch), wanted))]
        if view.turn > 0 and self.total is not None:
            ready = [one for one in unchecked if self.is_placed(one)]
            checks = [call("catalog_get_product", product_id=one) for one in ready]
            batch += [*self.ranking_calls(), *checks][: room - len(batch)]
        if batch and not self.complete():
            more = [made for made in self.searches() if made not in batch]
            batch += more[: room - len(batch)]  # a call not made is lost
        return batch

    def pages(self) -> int:
        """Pages of the present search, as far as is known."""
        return max(1, -(-(self.total or 0) // PAGE_SIZE))

    def filters(self) -> dict[str, Any]:
        """The filters of the present search."""
        return filters_for(self.category["value"], list(self.requirements()))

    def searches(self) -> list[ToolCall]:
        """What is left to search for: all pages of one wording, then of another."""
        category, filters = self.category, self.filters()
        noun, nouns, name = category["noun"], category["nouns"], category["value"]
        wordings = (
            noun,
            nouns,
            f"good {noun}",
            f"{name} to buy",
            f"best {nouns}",
            f"new {noun}",
            f"popular {nouns}",
            f"nice {noun} for me",
            f"which {noun}",
            f"{nouns} in stock",
            f"a {noun}, please",
            f"shop for {nouns}",
        )
        return [
            call(
                "catalog_search",
                query=query,
                filters=dict(filters),
                page=page if page > 1 else None,
            )
            for query in dict.fromkeys(wordings)
            for page in range(1, self.pages() + 1)
            if (query, page) not in self.done
        ]

    def note(self, batch: Sequence[ToolCall], results: Sequence[Mapping[str, Any]]) -> None:
        filters = self.filters()
        for made, result in zip(batch, results, strict=True):
            if made.name == "catalog_search":
                for card in result.get("results", ()):
                    self.cards[card["product_id"]] = card
                if made.arguments["filters"] == filters:
                    self.sought, self.total = self.requirements(), result["total"]
                    self.done.add((made.arguments["query"], made.arguments.get("page", 1)))
            elif made.name == "catalog_get_product":
                if "error" not in result:
                    self.stock[result["product_id"]] = result["in_stock"]
            else:
                self.note_extra(made, result)


def naive_list(view: AgentView, query: str) -> Policy:
    """The first results of one search, as many as asked for."""
    seen = yield Action(tool_calls=(call("catalog_search", query=query),))
    places = known(view, "")["count"]["count"]
    found = [card["product_id"] for card in seen.results[0].get("results", ())]
    yield Action(answer={"product_ids": found[:places]})


def flood_list(view: AgentView, query: str) -> Policy:
    """Everything on the first pages of one search."""
    found: list[str] = []
    for page in range(1, min(3, view.max_turns - 1) + 1):
        seen = yield Action(tool_calls=(call("catalog_search", query=query, page=page),))
        found += [card["product_id"] for card in seen.results[0].get("results", ())]
    yield Action(answer={"product_ids": found})
