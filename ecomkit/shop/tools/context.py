"""What a tool handler works on, and the small things that all handlers share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from ecomkit.core.errors import UnknownProduct
from ecomkit.core.records import Product, Variant
from ecomkit.shop.tools.schema import Limits, printable

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog
    from ecomkit.core.difficulty import Axes
    from ecomkit.shop.search import SearchEngine
    from ecomkit.shop.world import World

Id = Annotated[str, Limits(min_length=1, max_length=200)]
Quantity = Annotated[int, Limits(minimum=1, maximum=999)]
Words = Annotated[str, Limits(min_length=1, max_length=2000)]


@dataclass(slots=True)
class ToolContext:
    """Everything a handler may use. ``seed`` is the episode's (distractors depend on it),
    ``ask`` puts a question to the customer and returns the reply, ``shown`` collects the
    product ids that results have shown."""

    world: World
    catalog: Catalog
    search: SearchEngine | None
    axes: Axes
    seed: int
    ask: Callable[[str], str]
    shown: set[str] = field(default_factory=set)
    last_search: tuple[Any, Any] | None = None
    """The key and the rows of the last search, so that paging does not search again."""


def refuse(code: str, message: str, **more: Any) -> dict[str, Any]:
    """A business refusal: an error code and a sentence; the call costs only the turn."""
    return {"error": code, "message": message, **more}


def unknown_product(product_id: object) -> dict[str, Any]:
    """The refusal for a product id that the shop does not have."""
    return refuse("unknown_product", f"There is no product with the id '{printable(product_id)}'.")


def find_row(ctx: ToolContext, product_id: str) -> int | None:
    """The catalog row of a product id, blanks around it ignored; None if there is none."""
    try:
        return ctx.catalog.row(product_id.strip())
    except (UnknownProduct, UnicodeError):
        return None


def find_variant(ctx: ToolContext, row: int, variant_id: str | None) -> Variant | None:
    """The variant of a row with this id (any case), its first if None is asked for; None if the
    product has no such variant."""
    variants = ctx.catalog.variants_at(row)
    if variant_id is None:
        return variants[0]
    wanted = variant_id.strip().casefold()
    for variant in variants:
        if variant.variant_id.casefold() == wanted:
            return variant
    return None


def unknown_variant(ctx: ToolContext, product: Product, variant_id: str) -> dict[str, Any]:
    """The refusal for a variant id that the product does not have, with the ones it has."""
    choices = [variant.variant_id for variant in ctx.catalog.variants(product.product_id)]
    return refuse(
        "unknown_variant",
        f"'{product.title}' has no variant '{printable(variant_id)}'.",
        variant_ids=choices,
    )


def describe_variant(attributes: Mapping[str, str]) -> str:
    """The varying values in words, such as ``M, blue``; empty for a product that does not vary."""
    return ", ".join(str(value) for value in attributes.values())


def labelled(title: str, attributes: Mapping[str, str]) -> str:
    """A product and its variant as a person reads them: ``Linen shirt (M)``."""
    words = describe_variant(attributes)
    return f"{title} ({words})" if words else title
