"""The shop's tools: one file a domain, each tool a documented function."""

from __future__ import annotations

from ecomkit.shop.tools import account, cart, catalog, orders, policy, returns
from ecomkit.shop.tools.catalog import FILTER_SCHEMA, PAGE_SIZE, constraints_from, filters_from
from ecomkit.shop.tools.context import ToolContext
from ecomkit.shop.tools.registry import (
    TOOLS,
    call,
    check_answer,
    product_ids_written,
    resolve,
    run,
    schemas,
    tool,
    validate,
)
from ecomkit.shop.tools.schema import Tool, compile_schema, printable

# The order of registration is the order in which an agent reads the tools.
tool()(catalog.catalog_search)
tool()(catalog.catalog_rerank)
tool()(catalog.catalog_get_product)
tool()(catalog.catalog_get_variants)
tool()(cart.cart_view)
tool(writes=True, product_arguments=("product_id",))(cart.cart_add)
tool(writes=True)(cart.cart_remove)
tool(writes=True)(cart.cart_set_quantity)
tool(writes=True)(cart.cart_apply_discount)
tool()(orders.order_list)
tool(aliases=("order.lookup", "order_lookup"))(orders.order_get_status)
tool(writes=True, aliases=("cart.checkout", "cart_checkout"))(orders.order_checkout)
tool()(returns.return_check_eligibility)
tool(writes=True)(returns.return_initiate)
tool(writes=True, product_arguments=("product_id",))(returns.return_exchange)
tool(aliases=("policy.query", "policy_query"))(policy.policy_search)
tool()(account.user_get_visit_history)
tool()(account.user_get_profile)
tool(budget=False)(account.ask_user)
tool()(account.datetime_now)
tool(budget=False)(account.submit_answer)

__all__ = [
    "FILTER_SCHEMA",
    "PAGE_SIZE",
    "TOOLS",
    "Tool",
    "ToolContext",
    "call",
    "check_answer",
    "compile_schema",
    "constraints_from",
    "filters_from",
    "printable",
    "product_ids_written",
    "resolve",
    "run",
    "schemas",
    "tool",
    "validate",
]
