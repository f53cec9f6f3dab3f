"""From a verdict to a reward (SPEC §8)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

WEIGHT_TASK = 0.75
WEIGHT_EFFICIENCY = 0.15
WEIGHT_HALLUCINATION = 0.10


def efficiency(steps: int, discounted: int, max_turns: int) -> tuple[float, int]:
    """``(r_eff, T_eff)``: r_eff = 1 − 2·(T_eff − 1)/(T_max − 1), in [−1, 1].

    Args:
        steps: assistant steps taken.
        discounted: steps whose user act was confirm or clarify.
        max_turns: T_max.
    """
    effective = max(1, steps - discounted)
    if max_turns <= 1:
        return 1.0, effective
    return max(-1.0, 1.0 - 2.0 * (effective - 1) / (max_turns - 1)), effective


def hallucination(named: Iterable[str], seen: Collection[str]) -> float:
    """r_hall = −|L ∖ seen| / max(|L|, 1) over the different ids in ``named``; in [−1, 0]."""
    listed = set(named)
    return -len([name for name in listed if name not in seen]) / max(len(listed), 1) or 0.0


def combine(r_task: float, r_eff: float, r_hall: float) -> float:
    """r = clip(0.75·r_task + 0.15·r_eff + 0.10·r_hall, −1, 1)."""
    total = WEIGHT_TASK * r_task + WEIGHT_EFFICIENCY * r_eff + WEIGHT_HALLUCINATION * r_hall
    return max(-1.0, min(1.0, total))


def f1_units(matched: int, have: int, want: int) -> tuple[float, bool]:
    """``(F1, exact)`` over units: F1 = 2·matched/(have + want); ``exact`` in whole numbers.

    Nothing wanted and nothing there is an F1 of 1 (an order of which every item was dropped).
    """
    total = have + want
    if total == 0:
        return 1.0, True
    return 2.0 * matched / total, 2 * matched == total


def shaped(potential_before: float, potential_after: float) -> float:
    """Potential-based shaping F = Φ(s′) − Φ(s) with γ = 1 (Ng, Harada & Russell 1999).

    With Φ = 0 at the end the terms sum to −Φ(start) whatever the agent did, so adding them
    changes no policy's rank.
    """
    return potential_after - potential_before
