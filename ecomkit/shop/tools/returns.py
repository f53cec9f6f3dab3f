"""Tools on returns and exchanges. The shop takes back any line that its rules allow, whether or
not it is the one that the customer meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from ecomkit.shop.policies import Eligibility, days_since, eligibility, return_facts
from ecomkit.shop.tools.context import (
    Id,
    ToolContext,
    find_row,
    find_variant,
    labelled,
    refuse,
    unknown_product,
    unknown_variant,
)
from ecomkit.shop.tools.orders import unknown_order
from ecomkit.shop.tools.schema import Limits, printable
from ecomkit.shop.world import money, percent_of

Reason = Annotated[str, Limits(max_length=500)]


def _find_line(
    ctx: ToolContext, order_id: str, line_id: str
) -> tuple[Mapping[str, Any], Mapping[str, Any]] | dict[str, Any]:
    """The order and its line, or the refusal."""
    order = ctx.world.order(order_id)
    if order is None:
        return unknown_order(order_id)
    line = ctx.world.order_line(order, line_id)
    if line is None:
        return refuse(
            "unknown_line",
            f"Order {order['order_id']} has no line '{printable(line_id)}'.",
            line_ids=[entry["line_id"] for entry in order["lines"]],
        )
    return order, line


def _judge(
    ctx: ToolContext, order: Mapping[str, Any], line: Mapping[str, Any], exchange: bool
) -> Eligibility:
    """What the episode's policy says of a line."""
    world = ctx.world
    delivered = order.get("delivered_at") if order["status"] == "delivered" else None
    department = ctx.catalog.product(line["product_id"]).department
    facts = return_facts(order, line, department, world.profile)
    return eligibility(world.policy, facts, days_since(delivered, world.now), exchange)


def _paid_cents(order: Mapping[str, Any], line: Mapping[str, Any]) -> int:
    """What was paid for a line, its share of the order's discount taken off (rounded down)."""
    total: int = line["quantity"] * line["unit_price_cents"]
    discount = order.get("discount_cents") or 0
    subtotal = order.get("subtotal_cents") or 0
    return total - total * discount // subtotal if discount and subtotal else total


def _refusal(
    ctx: ToolContext, order: Mapping[str, Any], line: Mapping[str, Any], judged: Eligibility
) -> dict[str, Any] | None:
    """Why a line cannot come back, or None if it can."""
    if ctx.world.is_returned(order["order_id"], line["line_id"]):
        return refuse("already_returned", "This line has already been returned or exchanged.")
    if not judged.eligible:
        return refuse(judged.code, judged.reason)
    return None


def return_check_eligibility(ctx: ToolContext, order_id: Id, line_id: Id) -> dict[str, Any]:
    """Whether an order line can be returned or exchanged now, and why. Changes nothing.

    Args:
        order_id: Id of the order.
        line_id: Id of the line in that order, such as L1.
    """
    found = _find_line(ctx, order_id, line_id)
    if isinstance(found, dict):
        return found
    order, line = found
    ctx.shown.add(line["product_id"])
    judged = _judge(ctx, order, line, exchange=False)
    exchange = _judge(ctx, order, line, exchange=True)
    refused = _refusal(ctx, order, line, judged)
    refused_exchange = _refusal(ctx, order, line, exchange)
    paid = _paid_cents(order, line)
    fee = percent_of(paid, judged.fee_percent)
    result: dict[str, Any] = {
        "order_id": order["order_id"],
        "line_id": line["line_id"],
        "product_id": line["product_id"],
        "title": ctx.catalog.product(line["product_id"]).title,
        "return_eligible": refused is None,
        "return_reason": judged.reason if refused is None else refused["message"],
        "exchange_eligible": refused_exchange is None,
        "exchange_reason": (
            exchange.reason if refused_exchange is None else refused_exchange["message"]
        ),
    }
    if refused is None:
        result["restocking_fee_cents"] = fee
        result["refund_cents"] = paid - fee
    return result


def return_initiate(
    ctx: ToolContext, order_id: Id, line_id: Id, reason: Reason | None = None
) -> dict[str, Any]:
    """Open a return of a whole order line, for a refund. This cannot be undone.

    Args:
        order_id: Id of the order.
        line_id: Id of the line in that order, such as L1.
        reason: Why the customer sends it back, in a few words.
    """
    found = _find_line(ctx, order_id, line_id)
    if isinstance(found, dict):
        return found
    order, line = found
    judged = _judge(ctx, order, line, exchange=False)
    refused = _refusal(ctx, order, line, judged)
    if refused is not None:
        return refused
    paid = _paid_cents(order, line)
    fee = percent_of(paid, judged.fee_percent)
    ctx.shown.add(line["product_id"])
    record = ctx.world.record_return(
        {
            "kind": "return",
            "order_id": order["order_id"],
            "line_id": line["line_id"],
            "product_id": line["product_id"],
            "variant_id": line["variant_id"],
            "quantity": line["quantity"],
            "reason": printable(reason, 500) if reason else None,
            "restocking_fee_cents": fee,
            "refund_cents": paid - fee,
        }
    )
    title = ctx.catalog.product(line["product_id"]).title
    return {
        "message": f"The return of {line['quantity']} x {title} is open; "
        f"the refund will be {money(paid - fee)}.",
        **record,
    }


def return_exchange(
    ctx: ToolContext, order_id: Id, line_id: Id, product_id: Id, variant_id: Id | None = None
) -> dict[str, Any]:
    """Exchange a whole order line for another product or variant, in the same quantity. This
    cannot be undone.

    Args:
        order_id: Id of the order.
        line_id: Id of the line in that order, such as L1.
        product_id: Id of the product that the customer gets instead.
        variant_id: Id of its variant; without it, the first variant that the shop lists.
    """
    found = _find_line(ctx, order_id, line_id)
    if isinstance(found, dict):
        return found
    order, line = found
    refused = _refusal(ctx, order, line, _judge(ctx, order, line, exchange=True))
    if refused is not None:
        return refused
    row = find_row(ctx, product_id)
    if row is None:
        return unknown_product(product_id)
    variant = find_variant(ctx, row, variant_id)
    if variant is None:
        return unknown_variant(ctx, ctx.catalog.product_at(row), variant_id or "")
    title = labelled(ctx.catalog.product_at(row).title, variant.attributes)
    quantity = line["quantity"]
    available = ctx.world.live(variant)
    if available < quantity:
        left = f"only {available} of {title} are available" if available > 0 else "it is sold out"
        return refuse(
            "insufficient_stock",
            f"{title} cannot be sent as a replacement: {left}.",
            available=max(0, available),
        )
    difference = quantity * variant.price_cents - _paid_cents(order, line)
    ctx.world.take(variant, quantity)
    ctx.shown.add(line["product_id"])
    ctx.shown.add(variant.product_id)
    record = ctx.world.record_return(
        {
            "kind": "exchange",
            "order_id": order["order_id"],
            "line_id": line["line_id"],
            "product_id": line["product_id"],
            "variant_id": line["variant_id"],
            "quantity": quantity,
            "replacement_product_id": variant.product_id,
            "replacement_variant_id": variant.variant_id,
            "price_difference_cents": difference,
        }
    )
    if difference > 0:
        settled = f"the customer pays {money(difference)} more"
    elif difference < 0:
        settled = f"{money(-difference)} is refunded"
    else:
        settled = "the price is the same"
    return {"message": f"The exchange for {quantity} x {title} is open; {settled}.", **record}
