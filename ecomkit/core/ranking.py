"""Formulas of ranked recommendations (SPEC §7): persona, utility, nDCG and stretched gains.

Plain numbers in, plain numbers out. Sums run in a fixed order, and what decides an order is
compared as whole numbers, so that every machine finds the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import log2

from ecomkit.core.seeds import Rng

SHAPES: Mapping[str, int] = {"price": 2, "rating": 2, "shipping": 1, "brand": 1, "similarity": 1}
"""Shapes of the Dirichlet distribution of what a customer cares about."""

BOOST = 3
"""Added to the shape of every dimension that a requirement is about."""

LONGEST_SHIPPING = 14
"""Days at which the shipping part of the utility is 0."""


def dirichlet_order(shapes: Mapping[str, int], rng: Rng) -> list[str]:
    """The names in the order of one draw from a Dirichlet distribution, largest share first.

    Gamma(k) for a whole number k is −ln of the product of k uniforms, so the largest share has
    the smallest product. The products are compared as whole numbers: no logarithm, no rounding.

    Args:
        shapes: name → shape, a whole number of at least 1.
        rng: each name draws from its own child, so leaving one out moves no other.

    Raises:
        ValueError: for a shape below 1.
    """
    if min(shapes.values()) < 1:
        raise ValueError(f"Dirichlet shapes must be whole numbers of at least 1, got {shapes}")
    most = max(shapes.values())

    def product(name: str) -> int:
        stream = rng.child(name)
        value = 1
        for _ in range(shapes[name]):
            value *= (stream.next64() >> 11) + 1
        # A shorter product is compared on the scale of the longest one.
        return value << 53 * (most - shapes[name])

    return sorted(shapes, key=lambda name: (product(name), name))


def persona_order(dimensions: Iterable[str], constrained: Iterable[str], rng: Rng) -> list[str]:
    """What a customer cares about, most important first: a draw over ``dimensions`` with
    :data:`SHAPES`, each dimension in ``constrained`` boosted."""
    boosted = set(constrained)
    return dirichlet_order({d: SHAPES[d] + BOOST * (d in boosted) for d in dimensions}, rng)


def rank_order_weights(count: int) -> list[float]:
    """Rank-order-centroid weights w_i = (1/n)·Σ_{j=i..n} 1/j (Barron & Barrett 1996): the mean of
    all weights that are in this order. They are positive, falling, and sum to 1."""
    weights: list[float] = []
    tail = 0.0
    for j in range(count, 0, -1):
        tail += 1.0 / j
        weights.append(tail / count)
    return weights[::-1]


def utility(
    price_cents: int,
    rating: float,
    ship_days: int,
    brand: str,
    *,
    order: Sequence[str],
    price_range: tuple[int, int],
    wanted_brand: str | None = None,
) -> float:
    """How much a customer likes a product: Σ w·φ over ``order``, in [0, 1].

    φ_price = 1 − clip((price − lo)/(hi − lo), 0, 1), φ_rating = (rating − 1)/4,
    φ_ship = 1 − ship_days/14 (0 beyond), φ_brand = 1 for the preferred brand.

    Args:
        price_cents, rating, ship_days, brand: of the product.
        order: the dimensions that matter, most important first.
        price_range: lowest and highest price among the products in question, in cents.
        wanted_brand: the preferred brand, if any.
    """
    low, high = price_range
    parts = {
        "price": 1.0 - min(max((price_cents - low) / (high - low), 0.0), 1.0)
        if high > low
        else 1.0,
        "rating": (rating - 1.0) / 4.0,
        "shipping": 1.0 - min(ship_days, LONGEST_SHIPPING) / LONGEST_SHIPPING,
        "brand": float(wanted_brand is not None and brand.casefold() == wanted_brand.casefold()),
    }
    total = 0.0
    for name, weight in zip(order, rank_order_weights(len(order)), strict=True):
        total += weight * parts[name]
    return total


def stretched(values: Sequence[float]) -> list[float]:
    """``values`` moved and scaled so that the least is 0 and the greatest 1; all 1 if equal."""
    if not values:
        return []
    low, high = min(values), max(values)
    if high <= low:
        return [1.0] * len(values)
    return [(value - low) / (high - low) for value in values]


def ndcg(gains: Sequence[float], pool: Iterable[float], places: int) -> float:
    """nDCG over ``places`` places: DCG / ideal DCG with DCG = Σ gain_i / log2(i + 1).

    Args:
        gains: of the products listed, in the order listed; those past ``places`` earn nothing.
        pool: gains of everything that could have been listed.
        places: k′. With 0 places an empty list is perfect and any other worthless.

    Returns:
        A value in [0, 1], rounded to 1e-9 since the last digit of log2 differs between C libraries.
    """
    if places <= 0:
        return float(not gains)
    best = _dcg(sorted(pool, reverse=True)[:places])
    if best <= 0.0:
        return 0.0
    return round(_dcg(gains[:places]) / best, 9)


def _dcg(gains: Sequence[float]) -> float:
    total = 0.0
    for place, gain in enumerate(gains, start=1):
        total += gain / log2(place + 1)
    return total


def power(share: float, exponent: int) -> float:
    """``share`` to a whole power, by multiplication: the same on every machine."""
    result = 1.0
    for _ in range(exponent):
        result *= share
    return result


def signed(share: float) -> float:
    """A share in [0, 1] as a reward in [−1, 1]."""
    return 2.0 * share - 1.0


__all__ = [
    "BOOST",
    "SHAPES",
    "dirichlet_order",
    "ndcg",
    "persona_order",
    "power",
    "rank_order_weights",
    "signed",
    "stretched",
    "utility",
]
