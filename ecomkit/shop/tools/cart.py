"""Tools on the shopping cart."""

from __future__ import annotations

from typing import Annotated, Any

from ecomkit.core.records import Variant
from ecomkit.shop.tools.context import (
    Id,
    Quantity,
    ToolContext,
    find_row,
    find_variant,
    labelled,
    refuse,
    unknown_product,
    unknown_variant,
)
from ecomkit.shop.tools.schema import Limits, printable
from ecomkit.shop.world import MAX_QUANTITY, CartLine, money

Code = Annotated[str, Limits(min_length=1, max_length=100)]


def view(ctx: ToolContext) -> dict[str, Any]:
    """The cart as a customer sees it: lines with live stock, and what it costs in cents."""
    world = ctx.world
    lines = []
    count = 0
    for line in world.cart:
        variant, title = _on_line(ctx, line)
        available = world.live(variant)
        ctx.shown.add(line.product_id)
        count += line.quantity
        entry: dict[str, Any] = {
            "line_id": line.line_id,
            "product_id": line.product_id,
            "variant_id": line.variant_id,
            "title": title,
            "attributes": dict(variant.attributes),
            "quantity": line.quantity,
            "unit_price_cents": line.unit_price_cents,
            "line_total_cents": line.total_cents,
            "available": available,
            "sold_out": available < line.quantity,
        }
        lines.append(entry)
    totals = world.totals()
    result: dict[str, Any] = {
        "lines": lines,
        "units": count,
        "discount_code": world.discount,
        "subtotal_cents": totals.subtotal_cents,
        "discount_cents": totals.discount_cents,
        "total_cents": totals.total_cents,
    }
    if totals.problem is not None:
        result["discount_message"] = totals.problem[1]
    return result


def _on_line(ctx: ToolContext, line: CartLine) -> tuple[Variant, str]:
    """The variant and the title on a cart line, which stay what they are as long as it does."""
    known: dict[str, tuple[Variant, str]] = ctx.world.memo.setdefault("cart lines", {})
    found = known.get(line.line_id)
    if found is None:
        variant = ctx.world.variant(line.variant_id, line.product_id)
        title = ctx.catalog.title(ctx.catalog.row(line.product_id))
        found = known[line.line_id] = variant, title
    return found


def _too_many(title: str, wanted: int, available: int) -> dict[str, Any]:
    """The refusal for more units than the shelf holds."""
    if available < 1:
        message = f"{title} is sold out."
    else:
        message = f"Only {available} of {title} are available; {wanted} were asked for."
    return refuse("insufficient_stock", message, available=max(0, available))


def _unknown_line(ctx: ToolContext, line_id: str) -> dict[str, Any]:
    return refuse(
        "unknown_line",
        f"The cart has no line '{printable(line_id)}'.",
        line_ids=[line.line_id for line in ctx.world.cart],
    )


def cart_view(ctx: ToolContext) -> dict[str, Any]:
    """Show the cart: its lines with current stock, the discount code, and totals in cents."""
    return view(ctx)


def cart_add(
    ctx: ToolContext, product_id: Id, variant_id: Id | None = None, quantity: Quantity = 1
) -> dict[str, Any]:
    """Put a product in the cart. A variant that is already there gets a larger quantity.

    Args:
        product_id: Id of the product.
        variant_id: Id of the variant; without it, the first variant that the shop lists.
        quantity: How many to add.
    """
    row = find_row(ctx, product_id)
    if row is None:
        return unknown_product(product_id)
    variant = find_variant(ctx, row, variant_id)
    if variant is None:
        return unknown_variant(ctx, ctx.catalog.product_at(row), variant_id or "")
    title = labelled(ctx.catalog.title(row), variant.attributes)
    world = ctx.world
    held = world.held(variant)
    available = world.live(variant)
    if held + quantity > available or held + quantity > MAX_QUANTITY:
        return _too_many(title, held + quantity, available)
    line = world.add_to_cart(variant, quantity)
    return {
        "message": f"Added {quantity} x {title}.",
        "line_id": line.line_id,
        "cart": view(ctx),
    }


def cart_remove(ctx: ToolContext, line_id: Id) -> dict[str, Any]:
    """Take a whole line out of the cart.

    Args:
        line_id: Id of the cart line, as cart_view shows it.
    """
    line = ctx.world.line(line_id)
    if line is None:
        return _unknown_line(ctx, line_id)
    variant, title = _on_line(ctx, line)
    title = labelled(title, variant.attributes)
    ctx.world.remove_line(line)
    return {"message": f"Removed {title}.", "cart": view(ctx)}


def cart_set_quantity(ctx: ToolContext, line_id: Id, quantity: Quantity) -> dict[str, Any]:
    """Set how many units a cart line holds.

    Args:
        line_id: Id of the cart line, as cart_view shows it.
        quantity: The new number of units; use cart_remove for none.
    """
    line = ctx.world.line(line_id)
    if line is None:
        return _unknown_line(ctx, line_id)
    variant, title = _on_line(ctx, line)
    title = labelled(title, variant.attributes)
    available = ctx.world.live(variant)
    if quantity > available:
        return _too_many(title, quantity, available)
    line.quantity = quantity
    return {"message": f"The cart now holds {quantity} x {title}.", "cart": view(ctx)}


def cart_apply_discount(ctx: ToolContext, code: Code) -> dict[str, Any]:
    """Apply a discount code to the cart. A cart has one code at a time; a new one replaces it.

    Args:
        code: The code as the customer gave it.
    """
    world = ctx.world
    found = world.code(code)
    if found is None:
        return refuse("unknown_code", f"There is no discount code '{printable(code)}'.")
    problem = world.code_problem(found)
    if problem is not None:
        return refuse(*problem)
    world.discount = found["code"]
    totals = world.totals()
    return {
        "message": f"Code {found['code']} takes {money(totals.discount_cents)} off.",
        "cart": view(ctx),
    }
