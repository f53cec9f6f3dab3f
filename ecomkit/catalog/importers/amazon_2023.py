"""Amazon Reviews 2023 item metadata (McAuley Lab), and catalogs with the same columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ecomkit.catalog.importers import parsing as p
from ecomkit.catalog.importers.common import Draft
from ecomkit.catalog.importers.sources import Source, parse_json

COLUMNS: tuple[str, ...] = (
    "main_category",
    "title",
    "average_rating",
    "rating_number",
    "features",
    "description",
    "price",
    "store",
    "categories",
    "details",
    "parent_asin",
)
"""The columns that are read; images, videos, bought_together, subtitle and author are not."""

DERIVED = ("ship_days", "stock")
"""Fields that this format has no column for."""

DETAIL_KEYS: dict[str, tuple[str, ...]] = {
    "brand": ("brand", "brand name"),
    "color": ("color", "colour", "color name"),
    "size": ("size", "size name", "item display size"),
    "material": (
        *("material", "material type", "fabric type", "outer material", "frame material"),
        *("blade material", "top material type", "upper material", "inner material"),
    ),
    "connector_type": (
        *("connector type", "connector type used on cable", "connector"),
        *("input connector type", "plug type", "connector gender type"),
    ),
    "item_form": ("item form", "product form", "form"),
    "skin_type": ("skin type",),
    "finish_type": ("finish type", "finish", "finish types", "paint type"),
    "age_range": (
        *("age range (description)", "age range", "age range description"),
        *("manufacturer recommended age", "recommended age"),
    ),
    "wattage": ("wattage", "output wattage", "watts", "maximum wattage", "power"),
    "weight_lbs": ("item weight", "weight", "product weight", "item package weight"),
    "screen_size_inches": (
        *("screen size", "standing screen display size", "display size"),
        "screen display size",
    ),
}
"""The keys of ``details`` that each field is read from, first one present first."""

_LOOKUP = {key: (rank, name) for name, keys in DETAIL_KEYS.items() for rank, key in enumerate(keys)}
_WEIGHT_IN_DIMENSIONS = re.compile(
    r"[;,]\s*([\d.,]+\s*(?:pounds?|ounces?|lbs?|oz|kg|kilograms?|grams?|g))\b", re.I
)


def matches(source: Source) -> bool:
    """True if the columns are those of this format."""
    have = set(source.columns)
    others = {"main_category", "average_rating", "rating_number", "details", "categories", "store"}
    return {"parent_asin", "title"} <= have and len(others & have) >= 2


@lru_cache(maxsize=4096)
def _detail_name(key: str) -> tuple[int, str] | None:
    return _LOOKUP.get(" ".join(key.replace("\u200e", "").casefold().split()).rstrip(" :"))


def read_details(draft: Draft, raw: Any) -> dict[str, Any]:
    """Raw values by field from ``details``, a JSON object as text or as a dict."""
    if p.is_nothing(raw):
        return {}
    if isinstance(raw, str):
        try:
            raw = parse_json(raw)
        except ValueError:
            draft.note("ignored", "details", "not JSON", raw)
            return {}
    if raw is None:
        return {}
    if isinstance(raw, (list, tuple)):  # Arrow maps come as pairs
        try:
            raw = dict(raw)
        except (TypeError, ValueError):
            raw = None
    if not isinstance(raw, Mapping):
        draft.note("ignored", "details", "not an object", raw)
        return {}
    best: dict[str, tuple[int, Any]] = {}
    dimensions = None
    for key, value in raw.items():
        if not isinstance(key, str) or p.is_nothing(value):
            continue
        found = _detail_name(key)
        if found is not None:
            rank, name = found
            if name not in best or rank < best[name][0]:
                best[name] = (rank, value)
        elif isinstance(value, str) and key.casefold().endswith("dimensions"):
            dimensions = dimensions or _WEIGHT_IN_DIMENSIONS.search(value[:400])
    out = {name: value for name, (_, value) in best.items()}
    if dimensions and "weight_lbs" not in out:
        out["weight_lbs"] = dimensions[1]
    if "brand" not in out:
        maker = next(
            (v for k, v in raw.items() if str(k).casefold().strip() == "manufacturer"), None
        )
        if isinstance(maker, str):
            out["manufacturer"] = maker
    return out


def convert(draft: Draft, row: Mapping[str, Any]) -> Draft | None:
    """Read one row into ``draft``; None if it is dropped (and counted)."""
    if not draft.take_id(row.get("parent_asin"), "product_id"):
        return None
    if not draft.take_title(row.get("title")):
        return None
    values = draft.values
    draft.take_description(_listed(row.get("description")))
    features = _listed(row.get("features"))
    draft.take_features(features if isinstance(features, (list, tuple)) else [features])
    details = read_details(draft, row.get("details"))

    path = p.split_path(_listed(row.get("categories")))
    if not path:
        path = p.split_path([row["main_category"]] if row.get("main_category") else [])
        if path:
            draft.note("adjusted", "category", "no path: main_category taken")
    values["path"] = path

    brand = draft.take("brand", p.parse_text(details.get("brand")), details.get("brand"))
    store = draft.take("store", p.parse_text(row.get("store")), row.get("store"))
    if store is not None and re.match(r"(?i)visit the .+ store\Z", store):
        store = values["store"] = store[10:-6].strip() or store
    if brand is None and store is not None:
        values["brand"] = store
        draft.note("adjusted", "brand", "taken from the store's name")
    elif brand is None and details.get("manufacturer"):
        maker = draft.take("brand", p.parse_text(details["manufacturer"]), details["manufacturer"])
        if maker is not None:
            draft.note("adjusted", "brand", "taken from the manufacturer")
    draft.take("price_cents", p.parse_price(row.get("price")), row.get("price"))
    draft.take("rating", p.parse_rating(row.get("average_rating")), row.get("average_rating"))
    draft.take("rating_count", p.parse_count(row.get("rating_number")), row.get("rating_number"))
    for name, raw in details.items():
        if name not in ("brand", "manufacturer"):
            draft.take_attribute(name, raw)
    return draft


def _listed(value: Any) -> Any:
    """Lists that a CSV or a database turned into JSON text, as lists again."""
    if isinstance(value, str) and value[:1] == "[" and value.rstrip()[-1:] == "]":
        try:
            parsed = parse_json(value)
        except ValueError:
            return value
        return parsed if isinstance(parsed, list) else value
    return value
