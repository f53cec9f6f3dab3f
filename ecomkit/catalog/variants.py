"""Synthetic variants: a pure function of the product and its category's rule.

A product is sold in up to three forms: its own and two others of the rule's pool, in an order
that its id hashes to, so that neither position nor variant id tells which is its own.
The array functions and the one for a single product do the same whole-number arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecomkit.core.records import NUMBER_ATTRIBUTES, Variant
from ecomkit.core.seeds import mix64

FORMS = 3
"""Variants of a product, its own among them."""

_MASK = (1 << 64) - 1
_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3
_ORDERS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
_PAIR_ORDERS = ((0, 1), (1, 0))
_DELTAS = (-5, -4, -3, -2, 2, 3, 4, 5)
"""Price differences of the other forms, in per cent."""

GENERIC_POOLS: dict[str, tuple[str, ...]] = {
    "color": ("black", "white", "gray", "navy", "red", "green", "beige"),
    "size": ("S", "M", "L", "XL"),
    "material": ("cotton", "leather", "stainless steel", "plastic", "wood", "polyester"),
    "connector_type": ("USB-C", "Lightning", "Micro-USB", "USB-A"),
    "finish_type": ("matte", "glossy", "satin", "brushed"),
    "item_form": ("cream", "gel", "liquid", "powder", "spray"),
}
"""What an imported product may also come in when its category names too few values."""

DEFAULT_PRIORITY: tuple[str, ...] = (
    "size",
    "connector_type",
    "color",
    "material",
    "finish_type",
    "item_form",
)


@dataclass(frozen=True, slots=True)
class VariantRule:
    """What the products of one category vary by, first match first."""

    attribute: str
    values: tuple[str | float, ...]


def product_key(product_id: str) -> int:
    """The 64-bit number that a product's variants are drawn from (FNV-1a, then SplitMix64)."""
    h = _FNV_OFFSET
    for byte in product_id.encode("utf-8", "surrogatepass"):
        if byte:
            h = ((h ^ byte) * _FNV_PRIME) & _MASK
    return _mix(h)


def product_keys(product_ids: Sequence[str] | np.ndarray) -> np.ndarray:
    """:func:`product_key` of many ids: uint64 of shape (n,)."""
    if isinstance(product_ids, np.ndarray) and product_ids.dtype.kind == "S":
        fixed = product_ids
    else:
        fixed = np.array([i.encode("utf-8", "surrogatepass") for i in product_ids], dtype="S")
    if not len(fixed):
        return np.zeros(0, dtype=np.uint64)
    octets = np.ascontiguousarray(fixed).view(np.uint8).reshape(len(fixed), -1)
    h = np.full(len(fixed), _FNV_OFFSET, dtype=np.uint64)
    prime = np.uint64(_FNV_PRIME)
    for column in range(octets.shape[1]):
        byte = octets[:, column]
        # A zero byte is padding (ids hold none).
        h = np.where(byte != 0, (h ^ byte) * prime, h)
    return mix64(h)


def _mix(value: int) -> int:
    z = (value + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def _scale(h: int, n: int) -> int:
    """A whole number in [0, n) from the upper 32 bits of a hash."""
    return ((h >> 32) * n) >> 32


def other_indices(keys: np.ndarray, own: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Pool positions of the two other forms: int64 of shape (n, 2), −1 where the pool ends.

    Args:
        keys: uint64 :func:`product_keys`.
        own: position of the own value in its pool, −1 if it is not in it.
        size: number of values in the pool.
    """
    keys = keys.astype(np.uint64)
    out = np.full((len(keys), 2), -1, dtype=np.int64)
    inside = (own >= 0).astype(np.int64)
    left = size.astype(np.int64) - inside
    shift = np.uint64(32)
    first = ((mix64(keys + np.uint64(1)) >> shift) * np.maximum(left, 0).astype(np.uint64)) >> shift
    second = (
        (mix64(keys + np.uint64(2)) >> shift) * np.maximum(left - 1, 0).astype(np.uint64)
    ) >> shift
    a = first.astype(np.int64)
    b = second.astype(np.int64)
    b += b >= a
    # Positions so far count the pool without the own value: step over it.
    a_pool = a + ((own >= 0) & (a >= own))
    b_pool = b + ((own >= 0) & (b >= own))
    out[:, 0] = np.where(left >= 1, a_pool, -1)
    out[:, 1] = np.where(left >= 2, b_pool, -1)
    return out


def stocks(keys: np.ndarray) -> np.ndarray:
    """Units of each form, in the order shown: int64 of shape (n, 3), 5 to 60 each."""
    out = np.empty((len(keys), FORMS), dtype=np.int64)
    for position in range(FORMS):
        h = mix64(keys.astype(np.uint64) + np.uint64(16 + position))
        out[:, position] = _stock_array(h)
    return out


def _stock_array(h: np.ndarray) -> np.ndarray:
    shift = np.uint64(32)
    return 5 + (((h >> shift) * np.uint64(56)) >> shift).astype(np.int64)


def value_text(value: str | float) -> str:
    """An attribute's value as a variant states it: numbers without needless digits."""
    return value if isinstance(value, str) else f"{value:g}"


def make_variants(
    product_id: str,
    price_cents: int,
    attribute: str | None,
    own: str | float | None,
    pool: Sequence[str | float],
) -> tuple[Variant, ...]:
    """The forms that a product without native variants is sold in, in the order shown.

    Without an attribute that varies there is one form, which states nothing.
    """
    key = product_key(product_id)
    values: list[str | float] = []
    if attribute is not None and own is not None:
        values = [own, *pick_others(key, own, pool)]
    if len(values) < 2:
        return (
            Variant(
                f"{product_id}-v1", product_id, {}, price_cents, 5 + _scale(_mix(key + 16), 56)
            ),
        )
    orders: Sequence[Sequence[int]] = _ORDERS if len(values) == FORMS else _PAIR_ORDERS
    order = orders[_scale(_mix((key + 3) & _MASK), len(orders))]
    out = []
    for position, form in enumerate(order):
        price = price_cents
        if form:
            price = _other_price(price_cents, _mix((key + 8 + form) & _MASK))
        stock = 5 + _scale(_mix((key + 16 + position) & _MASK), 56)
        out.append(
            Variant(
                f"{product_id}-v{position + 1}",
                product_id,
                {str(attribute): value_text(values[form])},
                price,
                stock,
            )
        )
    return tuple(out)


def pick_others(key: int, own: str | float, pool: Sequence[str | float]) -> list[str | float]:
    """The values of the other forms, as :func:`other_indices` picks them."""
    at = pool_position(own, pool)
    left = len(pool) - (at >= 0)
    if left < 1:
        return []
    a = _scale(_mix((key + 1) & _MASK), left)
    picks = [a]
    if left >= 2:
        b = _scale(_mix((key + 2) & _MASK), left - 1)
        picks.append(b + (b >= a))
    return [pool[i + (0 <= at <= i)] for i in picks]


def pool_position(own: str | float, pool: Sequence[str | float]) -> int:
    """Where ``own`` stands in ``pool`` (text in any case), or −1."""
    if isinstance(own, str):
        folded = own.casefold()
        for i, value in enumerate(pool):
            if isinstance(value, str) and value.casefold() == folded:
                return i
        return -1
    for i, value in enumerate(pool):
        if value == own:
            return i
    return -1


def _other_price(price_cents: int, h: int) -> int:
    delta = _DELTAS[_scale(h, len(_DELTAS))]
    price = price_cents + (price_cents * delta) // 100
    if price >= 2000:
        price = (price + 51) // 100 * 100 - 1  # the nearest price that ends in 99
    return max(1, price)


def native_variants(product_id: str, raw: Sequence[Mapping[str, Any]]) -> tuple[Variant, ...]:
    """Variants that came with an import, as stored: ``variant_id``, ``attributes`` (pairs of
    ``name`` and ``value``), ``price_cents``, ``stock``."""
    return tuple(
        Variant(
            str(v["variant_id"]),
            product_id,
            {str(pair["name"]): str(pair["value"]) for pair in v["attributes"]},
            int(v["price_cents"]),
            int(v["stock"]),
        )
        for v in raw
    )


def is_number(attribute: str) -> bool:
    """True for wattage, weight and screen size."""
    return attribute in NUMBER_ATTRIBUTES
