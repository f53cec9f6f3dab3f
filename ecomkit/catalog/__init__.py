"""The shop's products: made up or imported, stored once, read by row in microseconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ecomkit.catalog.store import COLUMNS, REQUIRED, Catalog, open_catalog, write_catalog
from ecomkit.catalog.taxonomy import Category, Group, Taxonomy, load_taxonomy

if TYPE_CHECKING:
    import polars as pl

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


def synthesize(size: int, seed: int = 0, shard: int = 100_000) -> Iterator[pl.DataFrame]:
    """The synthetic catalog, ``shard`` rows at a time; see :mod:`ecomkit.catalog.synthesize`."""
    from ecomkit.catalog.synthesize import synthesize as make

    return make(size, seed, shard)


def synthetic_manifest(size: int, seed: int = 0, name: str | None = None) -> dict[str, Any]:
    """Manifest entries for :func:`synthesize`."""
    from ecomkit.catalog.synthesize import synthetic_manifest as make

    return make(size, seed, name)
