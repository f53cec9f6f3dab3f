#!/usr/bin/env python3
"""Compare the shares of SPEC §2 with what an episode set holds.

    python scripts/shares.py --episodes data/episodes

For every cell: how often slots are left out of the opening, items sell out and minds change, and in
cart how often a variant is required and more than one wanted, each beside the chance that the axes
give, with the 99.9 % range that sampling leaves. Exits with 1 if more shares are outside their
ranges than chance explains (more than one, and more than one in a hundred).
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import polars as pl

from ecomkit.core.difficulty import quantity_chance, variant_chance

Z = 3.29


def counts(frame: pl.DataFrame) -> dict[str, tuple[int, int, float]]:
    """Share → (count, of how many, expected chance)."""
    out: dict[str, tuple[int, int, float]] = {}
    axes = frame["axes"][0]
    users = [json.loads(text) for text in frame["user"]]
    goals = [json.loads(text) for text in frame["goal"]]
    slots = [slot for user in users for slot in free_slots(user)]
    if slots:
        left_out = sum(not slot["opening"] for slot in slots)
        out["left out"] = (left_out, len(slots), axes["p_missing"])
    if frame["environment"][0] == "cart":
        d = frame["difficulty"][0]
        items = [item for goal in goals for item in goal["items"]]
        chosen = sum(bool(item["variant_id"]) for item in items)
        out["variant"] = (chosen, len(items), variant_chance(d))
        several = sum(item["quantity"] > 1 for item in items)
        out["quantity"] = (several, len(items), quantity_chance(d))
        sold = sum(bool(goal["sell_out"]) for goal in goals)
        out["sell-out"] = (sold, len(goals), axes["p_out_of_stock"])
        out["switch"] = (sum(bool(u["switch"]) for u in users), len(users), axes["p_switch"])
    return out


def free_slots(user: dict[str, Any]) -> list[dict[str, Any]]:
    """Slots that the opening may leave out by chance alone: not the critical ones, and not what is
    asked of an item that is itself left out."""
    unnamed = {
        slot["subject"]
        for slot in user["slots"]
        if slot["kind"] == "category" and not slot["opening"]
    }
    return [
        slot
        for slot in user["slots"]
        if not slot["critical"] and (slot["kind"] == "category" or slot["subject"] not in unnamed)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", required=True, type=Path)
    args = parser.parse_args()
    print(f"{'cell':<22}{'share':<10}{'found':>9}{'expected':>10}{'range':>16}{'n':>8}")
    outside = shares = 0
    for path in sorted(args.episodes.glob("*/d??.parquet")):
        for name, (count, total, chance) in counts(pl.read_parquet(path)).items():
            reach = Z * math.sqrt(chance * (1 - chance) / total) + 1 / total
            low, high = max(0.0, chance - reach), min(1.0, chance + reach)
            found = count / total
            shares += 1
            mark = "" if low <= found <= high else "  outside"
            outside += bool(mark)
            cell = f"{path.parent.name}/{path.stem}"
            print(
                f"{cell:<22}{name:<10}{found:>9.1%}{chance:>10.1%}"
                f"{f'{low:.1%}-{high:.1%}':>16}{total:>8,}{mark}"
            )
    print(f"{outside} of {shares} shares outside")
    return 1 if outside > max(1, shares // 100) else 0


if __name__ == "__main__":
    raise SystemExit(main())
