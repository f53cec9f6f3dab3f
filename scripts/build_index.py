#!/usr/bin/env python3
"""Adds a FAISS index to a folder of embeddings: exact flat, or inverted lists (IVF).

scripts/build_index.py --folder search
scripts/build_index.py --folder search --kind ivf --nlist 4096 --nprobe 64
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from build_embeddings import show_progress

from ecomkit.core.errors import EcomkitError
from ecomkit.shop.search import build_index


def main() -> int:
    """Runs the command line; 0 if the index is complete."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", required=True, help="folder made by build_embeddings.py")
    parser.add_argument(
        "--kind",
        default="auto",
        choices=["auto", "flat", "ivf"],
        help="auto: flat up to 200,000 products",
    )
    parser.add_argument("--nlist", type=int, help="lists of an IVF index")
    parser.add_argument("--nprobe", type=int, help="lists that a search reads")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args()
    begun = time.perf_counter()
    try:
        manifest = build_index(
            options.folder,
            options.kind,
            nlist=options.nlist,
            nprobe=options.nprobe,
            progress=show_progress(options.quiet),
        )
    except (EcomkitError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run the same command again", file=sys.stderr)
        return 130
    spec = ", ".join(f"{key} {value}" for key, value in manifest["index"].items())
    print(f"index ({spec}) in {options.folder}, {time.perf_counter() - begun:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
