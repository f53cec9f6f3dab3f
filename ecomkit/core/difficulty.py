"""One number, ``d`` from 0 to 12, sets twelve axes (SPEC §2)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ecomkit.core.errors import UnknownName

LEVELS = range(13)


@dataclass(frozen=True, slots=True)
class Axes:
    """The twelve axes of one episode. Chances are in [0, 1], rounded to 1e-6."""

    constraints: int
    """Requirements the user has (in cart: clues per item)."""
    outputs: int
    """Products to recommend."""
    max_turns: int
    """Assistant steps allowed."""
    p_missing: float
    """Chance that the opening leaves out a slot that is not critical."""
    p_noise: float
    """Chance per letter of a typo in the user's words."""
    p_switch: float
    """Chance that the user changes their mind midway."""
    search_depth: int
    """Results of one query that can be paged through."""
    p_distractor: float
    """Chance that a search result is replaced by a random product of the department."""
    p_out_of_stock: float
    """Chance that a wanted item sells out during the conversation."""
    order_history: int
    """Orders in the account."""
    policy_clauses: int
    """Conditions that a policy answer turns on."""
    tool_budget: int
    """Tool calls allowed in one step; ask_user and submit_answer do not count."""

    def to_dict(self) -> dict[str, Any]:
        """The axes as a flat dict in the order of SPEC §2."""
        return asdict(self)


AXIS_NAMES: tuple[str, ...] = tuple(f.name for f in fields(Axes))
_WHOLE = frozenset(f.name for f in fields(Axes) if f.type == "int")
MOST = 1000
"""The largest value of an axis that is a whole number."""

PRESETS: dict[str, dict[str, float]] = {
    "flash_sale": {"p_out_of_stock": 0.5},
    "vague_user": {"p_missing": 0.8},
    "sloppy_typist": {"p_noise": 0.125},
    "fickle_user": {"p_switch": 0.6},
    "poor_search": {"search_depth": 20, "p_distractor": 0.4},
    "long_history": {"order_history": 7},
}
"""Named overrides that can be put on any d. Codes run out as often as wanted items do."""


def sigmoid(x: float) -> float:
    """The logistic function σ(x) = 1 / (1 + e^−x)."""
    return 1.0 / (1.0 + math.exp(-x))


def difficulty(d: int, preset: str | None = None, **overrides: float) -> Axes:
    """The axes at difficulty ``d``, with a preset and single axes set on top.

    Args:
        d: whole number from 0 to 12.
        preset: a key of :data:`PRESETS`, applied first.
        overrides: axes by name, applied last; ``difficulty(6, p_noise=0.0)``.

    Raises:
        ValueError: if ``d`` or an axis is out of range.
        UnknownName: for an axis or preset that does not exist.
    """
    if isinstance(d, bool) or not isinstance(d, int) or d not in LEVELS:
        raise ValueError(f"difficulty must be a whole number from 0 to 12, got {d!r}")
    values: dict[str, float] = {
        "constraints": 2 + d // 2,
        "outputs": min(10, 3 + d // 3),
        "max_turns": 4 + d // 2,
        "p_missing": 0.8 * sigmoid((d - 3.5) / 1.29),
        "p_noise": min(0.125, 0.01 * d),
        "p_switch": 0.6 * sigmoid((d - 5) / 2),
        "search_depth": max(20, 200 - 10 * d),
        "p_distractor": min(0.4, 0.02 * d),
        "p_out_of_stock": min(0.5, 0.05 * d),
        "order_history": 1 + d // 2,
        "policy_clauses": 1 + d // 3,
        "tool_budget": 1 + d // 2,
    }
    if preset is not None:
        if preset not in PRESETS:
            raise UnknownName("preset", preset, PRESETS)
        values.update(PRESETS[preset])
    values.update(overrides)
    return axes_from(values)


def axes_from(values: Mapping[str, float]) -> Axes:
    """Checked :class:`Axes` from a mapping that names all twelve, such as a row's struct.

    Raises:
        UnknownName: for a name that is no axis.
        ValueError: for a missing axis or a value out of range.
    """
    for name in values:
        if name not in AXIS_NAMES:
            raise UnknownName("axis", name, AXIS_NAMES)
    clean: dict[str, Any] = {}
    for name in AXIS_NAMES:
        if name not in values:
            raise ValueError(f"axis {name!r} is missing")
        value = values[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"axis {name!r} must be a number, got {value!r}")
        if name in _WHOLE:
            if not 1 <= value <= MOST or value != int(value):
                raise ValueError(
                    f"axis {name!r} must be a whole number from 1 to {MOST}, got {value:g}"
                )
            clean[name] = int(value)
        else:
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"axis {name!r} is a chance and must be in [0, 1], got {value}")
            # The last digit of exp() differs between C libraries; 1e-6 does not.
            clean[name] = round(float(value), 6)
    return Axes(**clean)


def cart_items(d: int) -> int:
    """Distinct items of a cart: min(5, 1 + ⌊d/3⌋)."""
    return min(5, 1 + d // 3)


def variant_chance(d: int) -> float:
    """Chance that a cart item has a required variant, and that tracking is indirect (SPEC §2)."""
    return round(sigmoid((d - 2) / 1.5), 6)


def quantity_chance(d: int) -> float:
    """Chance that a cart item is wanted more than once."""
    return round(min(0.5, 0.1 * d), 6)
