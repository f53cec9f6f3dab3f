"""Tools on the customer, the clock and the conversation."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from ecomkit.shop.tools.catalog import product_card
from ecomkit.shop.tools.context import ToolContext, find_row
from ecomkit.shop.tools.schema import Limits

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def user_get_visit_history(ctx: ToolContext) -> dict[str, Any]:
    """The product cards that the customer looked at lately, newest first."""
    visits = sorted(
        ctx.world.initial.get("visit_history") or (), key=lambda v: v["viewed_at"], reverse=True
    )
    products = []
    for visit in visits:
        row = find_row(ctx, visit["product_id"])
        if row is None:
            continue
        products.append({**product_card(ctx, row), "viewed_at": visit["viewed_at"]})
    return {"products": products}


def user_get_profile(ctx: ToolContext) -> dict[str, Any]:
    """The customer's name, membership tier and address region."""
    return dict(ctx.world.profile)


def ask_user(
    ctx: ToolContext, question: Annotated[str, Limits(min_length=1, max_length=20000)]
) -> dict[str, Any]:
    """Ask the customer a question and get the reply.

    Args:
        question: What to ask, in plain words.
    """
    return {"reply": ctx.ask(question)}


def datetime_now(ctx: ToolContext) -> dict[str, Any]:
    """The date and time now, and the day of the week."""
    now = ctx.world.now
    day = date.fromisoformat(now[:10])
    return {"now": now, "date": now[:10], "weekday": _DAYS[day.weekday()]}


def submit_answer(ctx: ToolContext) -> dict[str, Any]:
    """Give the final answer to what the customer asked for. This ends the task."""
    # The session reads the answer before it reaches the tools; nothing is left to do here.
    return {"received": True}
