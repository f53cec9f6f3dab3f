"""A small shop to try things on: the quickstart's where it was built, else one made on the spot."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecomkit.data.loading import load_catalog

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

QUICKSTART = "data/quickstart"


@dataclass(frozen=True, slots=True)
class Shop:
    """A folder with a catalog, its embeddings and a few cart episodes, and the catalog opened."""

    folder: Path
    catalog: Catalog

    @property
    def episodes(self) -> Path:
        """The folder of the cart episodes at d = 0, 3 and 6 (the quickstart's: at all), made when
        first asked for."""
        place = self.folder / "episodes"
        if not (place / "manifest.json").exists():
            from ecomkit.episodes.generate import Plan, generate

            plan = Plan(("cart",), levels=(0, 3, 6), train=8)
            generate(self.folder / "catalog", place, plan)
        return place


def small_shop(
    folder: str | os.PathLike[str] = QUICKSTART, products: int = 3000, seed: int = 7
) -> Shop:
    """The shop in ``folder``, seen from here or from the folder above; else a made-up one.

    Args:
        folder: where ``scripts/quickstart`` wrote.
        products: how many to make up if there is none; a few thousand take seconds.
        seed: of the products made up.

    Returns:
        A shop with search. One that was made up lies in a temporary folder, which goes when the
        process ends.
    """
    # Other libraries' bars would show up in notebooks; their warnings name paths of the machine.
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", message="IProgress not found")
    for place in (Path(folder), Path("..") / folder):
        if (place / "catalog" / "manifest.json").exists():
            return Shop(place, load_catalog(place / "catalog"))
    from ecomkit.catalog import open_catalog, synthesize, synthetic_manifest, write_catalog
    from ecomkit.shop.search import build_embeddings, build_index

    made = Path(tempfile.mkdtemp(prefix="ecomkit-shop-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    manifest = synthetic_manifest(products, seed)
    write_catalog(synthesize(products, seed), made / "catalog", manifest)
    build_embeddings(open_catalog(made / "catalog"), made / "embeddings")
    build_index(made / "embeddings")
    return Shop(made, load_catalog(made / "catalog"))
