"""Tools that look things up in the catalog. None of them changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from ecomkit.core.errors import SearchUnavailable
from ecomkit.core.records import NUMBER_ATTRIBUTES, TEXT_ATTRIBUTES, Constraint
from ecomkit.shop.tools.context import (
    Id,
    ToolContext,
    Words,
    find_row,
    refuse,
    unknown_product,
)
from ecomkit.shop.tools.schema import Limits, printable

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

PAGE_SIZE = 10
"""Product cards on one page of search results."""

_UNITS = {"wattage": "watts", "weight_lbs": "pounds", "screen_size_inches": "inches"}
_TEXT_DOCS = {
    "department": "Department of the shop, as on a product page.",
    "category": "Category, as on a product card.",
    "brand": "Brand name.",
    "store": "Name of the seller.",
    "color": "Color.",
    "size": "Size.",
    "material": "Material.",
    "connector_type": "Connector, such as USB-C.",
    "item_form": "Form, such as liquid or powder.",
    "skin_type": "Skin type it is made for.",
    "finish_type": "Finish, such as matte.",
    "age_range": "Age it is made for.",
}
_NUMBER_DOCS: dict[str, tuple[str, str, float, float]] = {
    "price_cents_min": ("integer", "Lowest price in cents.", 0, 10**9),
    "price_cents_max": ("integer", "Highest price in cents (2500 is $25.00).", 0, 10**9),
    "rating_min": ("number", "Lowest average rating, in stars.", 0, 5),
    "rating_count_min": ("integer", "Fewest ratings.", 0, 10**9),
    "ship_days_max": ("integer", "Most days until it ships.", 0, 365),
}


def _filter_schema() -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, text in _TEXT_DOCS.items():
        properties[name] = {
            "type": "string",
            "minLength": 1,
            "maxLength": 200,
            "description": text,
        }
    for name, (kind, text, low, high) in _NUMBER_DOCS.items():
        properties[name] = {"type": kind, "minimum": low, "maximum": high, "description": text}
    for name in NUMBER_ATTRIBUTES:
        label = name.split("_")[0]
        for end, word in (("min", "Lowest"), ("max", "Highest")):
            properties[f"{name}_{end}"] = {
                "type": "number",
                "minimum": 0,
                "maximum": 10**6,
                "description": f"{word} {'screen size' if label == 'screen' else label} "
                f"in {_UNITS[name]}.",
            }
    return {"type": "object", "properties": properties, "additionalProperties": False}


FILTER_SCHEMA: dict[str, Any] = _filter_schema()
"""The JSON schema of ``catalog_search``'s ``filters``."""

_TEXT_FILTERS = ("category", "brand", "store", *TEXT_ATTRIBUTES)
_RANGES = ("price_cents", *NUMBER_ATTRIBUTES)


def filters_from(
    constraints: Iterable[Constraint], department: str | None = None
) -> dict[str, Any]:
    """The filters that say as much of ``constraints`` as filters can.

    Every text attribute and every range is expressed exactly. What no filter can say (words of
    the title, an upper bound on rating, a lower bound on shipping days) is left out, so the
    results are never fewer than the products that meet the constraints.

    Args:
        constraints: requirements on the 18 attributes or the title.
        department: put in as a filter if given.
    """
    filters: dict[str, Any] = {}
    if department is not None:
        filters["department"] = department

    def tighten(name: str, value: Any, pick: Any) -> None:
        filters[name] = value if name not in filters else pick(filters[name], value)

    for constraint in constraints:
        name, op, value = constraint.attribute, constraint.op, constraint.value
        if name in _TEXT_FILTERS or name == "department":
            if op == "eq":
                filters[name] = value
            continue
        if op == "contains" or isinstance(value, str):
            continue
        low: Any = None
        high: Any = None
        if isinstance(value, tuple):
            low, high = value
        else:
            low = value if op in ("ge", "eq") else None
            high = value if op in ("le", "eq") else None
        if f"{name}_min" in FILTER_SCHEMA["properties"] and low is not None:
            tighten(f"{name}_min", low, max)
        if f"{name}_max" in FILTER_SCHEMA["properties"] and high is not None:
            tighten(f"{name}_max", high, min)
    return filters


def constraints_from(filters: Mapping[str, Any]) -> tuple[list[Constraint], str | None]:
    """The constraints and the department that ``filters`` stand for, in a fixed order."""
    constraints: list[Constraint] = []
    for name in _TEXT_FILTERS:
        if name in filters:
            constraints.append(Constraint(name, "eq", filters[name]))
    for name in _RANGES:
        low, high = filters.get(f"{name}_min"), filters.get(f"{name}_max")
        if low is not None and high is not None:
            constraints.append(Constraint(name, "between", (low, high)))
        elif low is not None:
            constraints.append(Constraint(name, "ge", low))
        elif high is not None:
            constraints.append(Constraint(name, "le", high))
    for name, bound in (("rating", "min"), ("rating_count", "min"), ("ship_days", "max")):
        value = filters.get(f"{name}_{bound}")
        if value is not None:
            constraints.append(Constraint(name, "ge" if bound == "min" else "le", value))
    return constraints, filters.get("department")


def _plain(name: str) -> str:
    """A name for comparing: any case, hyphens and underscores as blanks."""
    return " ".join(name.casefold().replace("-", " ").replace("_", " ").split())


def find_department(catalog: Catalog, name: str) -> str | None:
    """The department with this name or label, in any case; None if there is none."""
    if name in catalog.departments:
        return name
    wanted = _plain(name)
    for department in catalog.departments:
        if wanted in (_plain(department), _plain(catalog.label(department))):
            return department
    return None


def find_category(choices: Iterable[str], name: str) -> str | None:
    """The category with this name, in any case; None if there is none."""
    listed = list(choices)
    if name in listed:
        return name
    wanted = _plain(name)
    return next((choice for choice in listed if _plain(choice) == wanted), None)


def near(choices: Iterable[str], name: str, most: int = 8) -> list[str]:
    """The entries of ``choices`` most like ``name`` in spelling, else the first ones."""
    from difflib import get_close_matches

    listed = list(choices)
    folded: dict[str, str] = {}
    for choice in listed:
        folded.setdefault(choice.casefold(), choice)
    wanted = name[:60].casefold()
    found = get_close_matches(wanted, list(folded), n=most, cutoff=0.5)
    holding = [key for key in folded if wanted in key and key not in found]
    return [folded[key] for key in (found + holding)[:most]] or listed[:most]


def product_card(ctx: ToolContext, row: int) -> dict[str, Any]:
    """The search card of a row, which the caller may keep; notes the id as shown."""
    card = ctx.catalog.card_at(row)
    ctx.shown.add(card["product_id"])
    return card


def catalog_search(
    ctx: ToolContext,
    query: Words,
    filters: Annotated[dict[str, Any] | None, Limits(schema=FILTER_SCHEMA)] = None,
    page: Annotated[int, Limits(minimum=1, maximum=1000)] = 1,
) -> dict[str, Any]:
    """Search the shop. Returns up to 10 product cards a page, best match first. Cards do not
    show stock.

    Args:
        query: What to look for, in plain words.
        filters: Only return products that meet all of these. Text is compared whole, in any case.
        page: Page of results, from 1.
    """
    rows, problem = _search_rows(ctx, query, filters or {})
    if problem is not None:
        return {"results": [], "page": page, "pages": 0, "total": 0, "message": problem}
    total = len(rows)
    pages = -(-total // PAGE_SIZE)
    start = (page - 1) * PAGE_SIZE
    cards = [product_card(ctx, int(row)) for row in rows[start : start + PAGE_SIZE]]
    result: dict[str, Any] = {"results": cards, "page": page, "pages": pages, "total": total}
    if not cards:
        result["message"] = (
            "No product matches this search; try fewer filters or other words."
            if not total
            else f"There are no more results; the last page is {pages}."
        )
    return result


def _search_rows(
    ctx: ToolContext, query: str, filters: Mapping[str, Any]
) -> tuple[Any, str | None]:
    """All rows of a search, best first, distractors included; or a sentence on a filter that
    names nothing in the shop.

    Raises:
        SearchUnavailable: if no search engine was loaded.
    """
    engine = ctx.search
    if engine is None:
        raise SearchUnavailable(
            "catalog_search needs embeddings and an index; load the catalog with "
            "load_catalog(path, search=folder)"
        )
    constraints, department = constraints_from(filters)
    catalog = ctx.catalog
    if department is not None:
        found = find_department(catalog, department)
        if found is None:
            listed = ", ".join(near(catalog.departments, department))
            return (), f"There is no department '{printable(department)}'. Some are: {listed}."
        department = found
    if "category" in filters:
        choices = catalog.categories_of(department) if department else catalog.categories
        category = find_category(choices, filters["category"])
        if category is None:
            listed = ", ".join(near(choices, filters["category"]))
            where = f" in {department}" if department else ""
            return (), (
                f"There is no category '{printable(filters['category'])}'{where}. "
                f"Some are: {listed}."
            )
        constraints[0] = Constraint("category", "eq", category)
    key = (query, department, tuple(constraints))
    if ctx.last_search is not None and ctx.last_search[0] == key:
        return ctx.last_search[1], None
    from ecomkit.shop.search import distract

    rows = engine.search(
        query,
        depth=ctx.axes.search_depth,
        filters=constraints or None,
        department=department,
    )
    rows = distract(rows, catalog, ctx.axes.p_distractor, ctx.seed, query)
    ctx.last_search = (key, rows)
    return rows, None


def catalog_rerank(
    ctx: ToolContext,
    product_ids: Annotated[list[Id], Limits(min_items=1, max_items=50)],
    query: Words | None = None,
    reference_product_id: Id | None = None,
) -> dict[str, Any]:
    """Sort products by how similar they are to some words or to another product, most similar
    first. Give either query or reference_product_id.

    Args:
        product_ids: The products to sort, at most 50.
        query: Words to compare the products with.
        reference_product_id: A product to compare them with.
    """
    engine = ctx.search
    if engine is None:
        raise SearchUnavailable(
            "catalog_rerank needs embeddings; load the catalog with "
            "load_catalog(path, search=folder)"
        )
    if (query is None) == (reference_product_id is None):
        return refuse("nothing_to_compare", "Give either query or reference_product_id, not both.")
    against: str | int
    if reference_product_id is not None:
        row = find_row(ctx, reference_product_id)
        if row is None:
            return unknown_product(reference_product_id)
        against = row
    else:
        assert query is not None
        against = query
    rows: list[int] = []
    unknown: list[str] = []
    for product_id in product_ids:
        row = find_row(ctx, product_id)
        if row is None:
            unknown.append(printable(product_id))
        elif row not in rows:
            rows.append(row)
    if not rows:
        return unknown_product(product_ids[0])
    scores = engine.similarity(against, rows)
    ranked = sorted(zip(rows, scores, strict=True), key=lambda pair: (-pair[1], pair[0]))
    results = []
    for row, score in ranked:
        product = ctx.catalog.product_at(row)
        ctx.shown.add(product.product_id)
        results.append(
            {
                "product_id": product.product_id,
                "title": product.title,
                "price_cents": product.price_cents,
                "similarity": int(score),
            }
        )
    result: dict[str, Any] = {"results": results}
    if unknown:
        result["unknown_product_ids"] = unknown
    return result


def catalog_get_product(ctx: ToolContext, product_id: Id) -> dict[str, Any]:
    """Everything on a product's page, with how many are in stock now.

    Args:
        product_id: Id of the product.
    """
    row = find_row(ctx, product_id)
    if row is None:
        return unknown_product(product_id)
    product = ctx.catalog.product_at(row)
    card = product_card(ctx, row)
    variants = ctx.catalog.variants_at(row)
    live = ctx.world.live
    stock = sum(live(variant) for variant in variants)
    return {
        "product_id": card["product_id"],
        "title": card["title"],
        "description": product.description,
        "department": product.department,
        "category": card["category"],
        "brand": card["brand"],
        "store": card["store"],
        "price_cents": card["price_cents"],
        "rating": card["rating"],
        "rating_count": card["rating_count"],
        "ship_days": card["ship_days"],
        "features": list(product.features),
        "attributes": card["attributes"],
        "varies_by": card["varies_by"],
        "variant_count": len(variants),
        "stock": stock,
        "in_stock": stock > 0,
    }


def catalog_get_variants(ctx: ToolContext, product_id: Id) -> dict[str, Any]:
    """The variants in which a product is sold, each with its price in cents and stock.

    Args:
        product_id: Id of the product.
    """
    row = find_row(ctx, product_id)
    if row is None:
        return unknown_product(product_id)
    live = ctx.world.live
    variants = []
    product_id = ctx.catalog.product_id(row)
    ctx.shown.add(product_id)
    for variant in ctx.catalog.variants_at(row):
        stock = live(variant)
        variants.append(
            {
                "variant_id": variant.variant_id,
                "attributes": dict(variant.attributes),
                "price_cents": variant.price_cents,
                "stock": stock,
                "in_stock": stock > 0,
            }
        )
    return {
        "product_id": product_id,
        "title": ctx.catalog.title(row),
        "varies_by": ctx.catalog.varies_at(row),
        "variants": variants,
    }
