"""Writes tests/data/golden.json: a digest of the first episodes of every cell.

Run it only together with a raised GENERATOR_VERSION:  python tests/make_golden.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from ecomkit.catalog import open_catalog, synthetic_manifest, write_catalog
from ecomkit.catalog.synthesize import synthesize
from ecomkit.core.difficulty import LEVELS
from ecomkit.core.seeds import digest
from ecomkit.core.version import GENERATOR_VERSION
from ecomkit.data.loading import load_catalog
from ecomkit.envs import REGISTRY
from ecomkit.episodes.draw import draw
from ecomkit.shop.search import build_embeddings, build_index

SEEDS = 4


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_catalog(synthesize(3000, 7), place / "catalog", synthetic_manifest(3000, 7))
        build_embeddings(open_catalog(place / "catalog"), place / "embeddings")
        build_index(place / "embeddings")
        catalog = load_catalog(place / "catalog")
        digests = {
            f"{name}/d{d:02d}": digest(
                [draw(name, d, seed, catalog).episode.to_row() for seed in range(SEEDS)], 24
            )
            for name in REGISTRY
            for d in LEVELS
        }
    target = Path(__file__).parent / "data" / "golden.json"
    golden = {"generator_version": GENERATOR_VERSION, "digests": digests}
    target.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
