"""The tool on the shop's policy."""

from __future__ import annotations

from typing import Any

from ecomkit.shop import policies
from ecomkit.shop.tools.context import ToolContext, Words


def policy_search(ctx: ToolContext, query: Words) -> dict[str, Any]:
    """Search the shop's policy documents. Returns the passages that fit best; each states all
    its conditions.

    Args:
        query: A question or some words, such as: return window for opened items.
    """
    found = policies.search(ctx.world.policy, query)
    result: dict[str, Any] = {"passages": [passage.to_dict() for passage in found]}
    if not found:
        topics = ", ".join(policies.topics())
        result["message"] = f"No passage fits. The documents cover: {topics}."
    return result
