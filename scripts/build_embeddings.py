#!/usr/bin/env python3
"""Embeds a catalog: int8 vectors of every product, in a folder that load_dataset opens.

    scripts/build_embeddings.py --catalog catalog --out search
    scripts/build_embeddings.py --catalog catalog --out s --model Alibaba-NLP/gte-modernbert-base

Go on with scripts/build_index.py. An interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ecomkit.catalog import open_catalog
from ecomkit.core.errors import EcomkitError
from ecomkit.shop.search import build_embeddings


def show_progress(quiet: bool):
    """A progress bar on stderr, where that is a terminal; else nothing."""

    def show(step: str, done: int, total: int) -> None:
        if quiet or not sys.stderr.isatty():
            return
        width = 30
        filled = width * done // max(total, 1)
        bar = "█" * filled + "·" * (width - filled)
        print(f"\r  {bar} {step}: {done:,} of {total:,}  ", end="", file=sys.stderr, flush=True)
        if done >= total:
            print(file=sys.stderr)

    return show


def main() -> int:
    """Runs the command line; 0 if the folder is complete."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--catalog", required=True, help="folder of the catalog")
    parser.add_argument("--out", required=True, help="folder of the embeddings")
    parser.add_argument(
        "--model",
        default="static",
        help="static (offline, exact; the default), or a sentence-transformers name or folder",
    )
    parser.add_argument("--dims", type=int, help="cut a Matryoshka model's vectors to this many")
    parser.add_argument("--device", default="", help="torch device of a model, such as cuda")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args()
    begun = time.perf_counter()
    try:
        catalog = open_catalog(options.catalog)
        manifest = build_embeddings(
            catalog,
            options.out,
            options.model,
            dims=options.dims,
            device=options.device,
            progress=show_progress(options.quiet),
        )
    except (EcomkitError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    print(
        f"{manifest['rows']:,} products x {manifest['dims']} dimensions in {options.out}, "
        f"{time.perf_counter() - begun:.1f} s; next: scripts/build_index.py --folder {options.out}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
