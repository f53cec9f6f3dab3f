"""What environments share: clues that single a product out, and reading what the user said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ecomkit.envs.base import AgentView
from ecomkit.records import Constraint, Product
from ecomkit.seeds import Rng
from ecomkit.tools import filters_from

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
