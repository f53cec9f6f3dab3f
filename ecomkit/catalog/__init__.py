"""The shop's products: made up or imported, stored once, read by row in microseconds."""

from __future__ import annotations

from ecomkit.catalog.store import COLUMNS, REQUIRED, Catalog, open_catalog, write_catalog

# Imported now, so that no later import puts the module in place of the function.
from ecomkit.catalog.synthesize import synthesize, synthetic_manifest
from ecomkit.catalog.taxonomy import Category, Group, Taxonomy, load_taxonomy

__all__ = [
    "COLUMNS",
    "REQUIRED",
    "Catalog",
    "Category",
    "Group",
    "Taxonomy",
    "load_taxonomy",
    "open_catalog",
    "synthesize",
    "synthetic_manifest",
    "write_catalog",
]
