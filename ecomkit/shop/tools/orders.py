"""Tools on orders: the account's history, and placing the cart as a new order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecomkit.core.errors import UnknownName
from ecomkit.shop.tools.cart import view
from ecomkit.shop.tools.context import Id, ToolContext, refuse
from ecomkit.shop.tools.schema import printable
from ecomkit.shop.world import money

_ORDER_FIELDS = (
    "order_id",
    "placed_at",
    "status",
    "shipped_at",
    "expected_delivery",
    "original_delivery",
    "delivered_at",
    "cancelled_at",
    "carrier",
    "tracking_number",
    "payment",
    "channel",
    "gift",
    "subtotal_cents",
    "discount_code",
    "discount_cents",
    "total_cents",
)
"""What an order page shows, in this order, where the order has it."""

_LINE_MARKS = ("gift", "clearance", "refurbished", "personalized", "set")
"""What an order page says of a line where it holds; the rules on returns look at these."""


def unknown_order(order_id: str) -> dict[str, Any]:
    """The refusal for an order id that the account does not have."""
    return refuse("unknown_order", f"This account has no order '{printable(order_id)}'.")


def order_page(ctx: ToolContext, order: Mapping[str, Any]) -> dict[str, Any]:
    """An order with its lines as the account page shows it; notes its products as shown."""
    page = {name: order[name] for name in _ORDER_FIELDS if order.get(name) is not None}
    lines = []
    returned = {
        record["line_id"]: record
        for record in ctx.world.returns
        if record["order_id"] == order["order_id"]
    }
    for line in order["lines"]:
        ctx.shown.add(line["product_id"])
        entry = {
            "line_id": line["line_id"],
            "product_id": line["product_id"],
            "variant_id": line["variant_id"],
            "title": ctx.catalog.product(line["product_id"]).title,
            "attributes": _attributes(ctx, line),
            "quantity": line["quantity"],
            "unit_price_cents": line["unit_price_cents"],
        }
        for name in _LINE_MARKS:
            if line.get(name):
                entry[name] = True
        record = returned.get(line["line_id"])
        if record is not None:
            entry["return"] = {"return_id": record["return_id"], "kind": record["kind"]}
        elif line.get("returned"):
            entry["return"] = {"kind": "return"}
        lines.append(entry)
    page["lines"] = lines
    return page


def _attributes(ctx: ToolContext, line: Mapping[str, Any]) -> dict[str, str]:
    """What an order line's variant is; empty for a variant that is no longer sold."""
    try:
        return dict(ctx.world.variant(line["variant_id"], line["product_id"]).attributes)
    except UnknownName:
        return {}


def order_list(ctx: ToolContext) -> dict[str, Any]:
    """The account's orders, newest first, in short. Use order_get_status for what is in one."""
    summaries = []
    for order in sorted(ctx.world.orders, key=lambda o: o["placed_at"], reverse=True):
        summaries.append(
            {
                "order_id": order["order_id"],
                "placed_at": order["placed_at"],
                "status": order["status"],
                "line_count": len(order["lines"]),
                "total_cents": order["total_cents"],
            }
        )
    return {"orders": summaries}


def order_get_status(ctx: ToolContext, order_id: Id) -> dict[str, Any]:
    """One order in full: its lines, status, dates and carrier.

    Args:
        order_id: Id of the order, such as W1234567.
    """
    order = ctx.world.order(order_id)
    if order is None:
        return unknown_order(order_id)
    return order_page(ctx, order)


def order_checkout(ctx: ToolContext) -> dict[str, Any]:
    """Place the whole cart as an order at current prices, with its discount code, and empty it."""
    world = ctx.world
    if not world.cart:
        return refuse("cart_empty", "The cart is empty, so there is nothing to order.")
    short = [line for line in view(ctx)["lines"] if line["sold_out"]]
    if short:
        first = short[0]
        left = f"only {first['available']} left" if first["available"] > 0 else "sold out"
        return refuse(
            "sold_out",
            f"{first['title']} (line {first['line_id']}) is {left}; change or remove it first.",
            line_ids=[line["line_id"] for line in short],
        )
    problem = world.totals().problem
    order = world.place_order()
    result = {
        "message": f"Order {order['order_id']} is placed: {money(order['total_cents'])}.",
        "order": order_page(ctx, order),
    }
    if problem is not None:
        result["discount_message"] = problem[1]
    return result
