#!/usr/bin/env python3
"""Median time of a world, of each tool without search, and of the policy engine.

python scripts/bench_tools.py CATALOG
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ecomkit.catalog import Catalog, open_catalog
from ecomkit.core.difficulty import difficulty
from ecomkit.core.seeds import rng
from ecomkit.shop import policies
from ecomkit.shop.tools import ToolContext, call, validate
from ecomkit.shop.world import World

REPEATS = 1000


def median_us(function: Callable[[int], Any]) -> float:
    """Median of one call in microseconds; the function is given the number of the call."""
    times = []
    for number in range(REPEATS):
        began = time.perf_counter_ns()
        function(number)
        times.append(time.perf_counter_ns() - began)
    return statistics.median(times) / 1000


def world_json(catalog: Catalog) -> dict[str, Any]:
    """An account with seven delivered orders of three lines and five visits."""
    orders = []
    for order in range(7):
        lines = []
        for number in range(3):
            variant = catalog.variants_at(20 + 3 * order + number)[0]
            lines.append(
                {
                    "line_id": f"L{number + 1}",
                    "product_id": variant.product_id,
                    "variant_id": variant.variant_id,
                    "quantity": 1,
                    "unit_price_cents": variant.price_cents,
                }
            )
        orders.append(
            {
                "order_id": f"W100000{order}",
                "placed_at": f"2026-02-0{order + 1}T09:00:00",
                "status": "delivered",
                "delivered_at": f"2026-03-0{order + 1}",
                "lines": lines,
                "total_cents": sum(line["unit_price_cents"] for line in lines),
            }
        )
    visits = [
        {"product_id": catalog.product_id(row), "viewed_at": f"2026-03-1{row}T08:00:00"}
        for row in range(5)
    ]
    code = {"code": "SAVE10", "kind": "percent", "value": 10, "expires_at": None}
    return {
        "now": "2026-03-14T10:05:00",
        "profile": {"name": "Ann Lee", "tier": "Gold", "region": "Canada"},
        "orders": orders,
        "visit_history": visits,
        "codes": [code],
        "policy": policies.draw_policy(rng("bench"), catalog.departments),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalog", help="catalog folder")
    catalog = open_catalog(parser.parse_args().catalog)
    start = world_json(catalog)
    axes = difficulty(6)

    def fresh() -> ToolContext:
        return ToolContext(World(start, catalog), catalog, None, axes, 1, str)

    def show(label: str, function: Callable[[int], Any]) -> None:
        print(f"{label:34}{median_us(function):9.1f} us", flush=True)

    def full(lines: int) -> ToolContext:
        ctx = fresh()
        for row in range(lines):
            call(ctx, "cart_add", {"product_id": catalog.product_id(row)})
        return ctx

    show("world", lambda _: World(start, catalog))
    show("world and first call", lambda _: call(fresh(), "cart_view", {}))
    add = {"product_id": catalog.product_id(3), "quantity": 2}
    show("validate cart_add", lambda _: validate("cart_add", add))
    ctx = full(3)
    for name in ("catalog_get_product", "catalog_get_variants"):
        show(
            f"{name}, first look",
            lambda n, tool=name: call(  # type: ignore[misc]
                ctx, tool, {"product_id": catalog.product_id(100 + n)}
            ),
        )
    line = {"order_id": "#w1000003", "line_id": "L2"}
    steady: tuple[tuple[str, dict[str, Any]], ...] = (
        ("catalog_get_product", {"product_id": catalog.product_id(3)}),
        ("catalog_get_variants", {"product_id": catalog.product_id(3)}),
        ("cart_view", {}),
        ("cart_set_quantity", {"line_id": "C1", "quantity": 2}),
        ("cart_apply_discount", {"code": "SAVE10"}),
        ("order_list", {}),
        ("order_get_status", {"order_id": "#w1000003"}),
        ("return_check_eligibility", line),
        ("policy_search", {"query": "can I return an opened gift as a gold member?"}),
        ("user_get_visit_history", {}),
        ("user_get_profile", {}),
        ("ask_user", {"question": "Which size would you like?"}),
        ("datetime_now", {}),
    )
    for name, arguments in steady:
        show(name, lambda _, tool=name, given=arguments: call(ctx, tool, given))  # type: ignore[misc]
    once = [full(3) for _ in range(REPEATS)]
    show("cart_add", lambda n: call(once[n], "cart_add", add))
    show("order_checkout, 3 lines", lambda n: call(once[n], "order_checkout", {}))
    show("return_initiate", lambda n: call(once[n], "return_initiate", line))
    swap = {**line, "line_id": "L1", "product_id": catalog.product_id(40)}
    show("return_exchange", lambda n: call(once[n], "return_exchange", swap))
    show("snapshot and digest", lambda n: once[n].world.digest())
    show("draw_policy", lambda n: policies.draw_policy(rng(n), catalog.departments))
    drawn = start["policy"]
    show("draw_case, 3 clauses", lambda n: policies.draw_case(rng(n), drawn, 3))
    facts = {"tier": "Gold", "gift": True}
    show("evaluate", lambda _: policies.evaluate(drawn, "return_window", facts))


if __name__ == "__main__":
    main()
