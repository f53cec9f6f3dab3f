"""What the tests share: one small synthetic shop for each test process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog


@pytest.fixture(scope="session")
def shop_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``catalog`` (3,000 synthetic products, seed 7) and ``embeddings`` in it."""
    from ecomkit.catalog import open_catalog, synthesize, synthetic_manifest, write_catalog
    from ecomkit.shop.search import build_embeddings, build_index

    folder = tmp_path_factory.mktemp("shop")
    write_catalog(synthesize(3000, 7), folder / "catalog", synthetic_manifest(3000, 7))
    build_embeddings(open_catalog(folder / "catalog"), folder / "embeddings")
    build_index(folder / "embeddings")
    return folder


@pytest.fixture(scope="session")
def plain_catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """The same 3,000 products without search, for tests that need none."""
    from ecomkit.catalog import open_catalog, synthesize, synthetic_manifest, write_catalog

    folder = tmp_path_factory.mktemp("plain") / "catalog"
    write_catalog(synthesize(3000, 7), folder, synthetic_manifest(3000, 7))
    return open_catalog(folder)


@pytest.fixture(scope="session")
def catalog(shop_folder: Path) -> Catalog:
    """The shop's catalog with its search engine."""
    from ecomkit.data.loading import load_catalog

    return load_catalog(shop_folder / "catalog")


@pytest.fixture(scope="session")
def episodes_folder(shop_folder: Path) -> Path:
    """Cart episodes at d = 0, 3 and 6 (three each) on the shop, as a published folder."""
    from ecomkit.episodes.generate import Plan, generate

    plan = Plan(("cart",), levels=(0, 3, 6), train=3)
    generate(shop_folder / "catalog", shop_folder / "episodes", plan)
    return shop_folder / "episodes"
