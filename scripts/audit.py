#!/usr/bin/env python3
"""Audit an episode set: reference, honest agent, near misses, cheap policies and attackers.

    python scripts/audit.py --episodes data/episodes --catalog data/catalog --out audit.parquet

Works on any episode set, built-in or your own. Prints the tables; exits with 1 if the reference or
the honest agent fails somewhere, or a near miss passes.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import polars as pl
from tqdm import tqdm

import ecomkit as ek
from ecomkit.core.errors import EcomkitError
from ecomkit.episodes.audit import Key, Tally, audit_episodes, merge, to_frame, to_markdown

FIT = 40


def cells(folder: Path) -> list[tuple[str, str]]:
    """(config, split) of every file of the set."""
    return sorted((path.parent.name, path.stem) for path in folder.glob("*/d??.parquet"))


def read(folder: Path, config: str, split: str, limit: int) -> list[ek.Episode]:
    frame = pl.read_parquet(folder / config / f"{split}.parquet", n_rows=limit)
    return [ek.Episode.from_row(row) for row in frame.iter_rows(named=True)]


def audit_cell(
    folder: str, catalog: str, search: str | None, config: str, split: str, limit: int
) -> dict[Key, Tally]:
    """One cell. The constant is fitted on the other split, or on the set's second half."""
    shop = ek.load_catalog(catalog, search)
    episodes = read(Path(folder), config, split, limit)
    other = config.removesuffix("_test") if config.endswith("_test") else f"{config}_test"
    if (Path(folder) / other / f"{split}.parquet").exists():
        fit = read(Path(folder), other, split, FIT)
    else:
        half = len(episodes) // 2
        fit, episodes = episodes[half:][:FIT], episodes[:half] or episodes
    return audit_episodes(episodes, shop, fit)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", required=True, type=Path)
    parser.add_argument("--catalog", required=True)
    parser.add_argument("--search", help="folder of embeddings and index (default: beside it)")
    parser.add_argument("--out", type=Path, help="parquet file for the table")
    parser.add_argument("--markdown", type=Path, help="file for the Markdown tables")
    parser.add_argument("--limit", type=int, default=1_000_000, help="episodes of each cell")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    todo = cells(args.episodes)
    if not todo:
        print(f"audit: no episode files in {args.episodes}", file=sys.stderr)
        return 2
    jobs = [(str(args.episodes), args.catalog, args.search, *cell, args.limit) for cell in todo]
    try:
        with ProcessPoolExecutor(args.workers, get_context("spawn")) as pool:
            parts = list(
                tqdm(pool.map(audit_cell, *zip(*jobs, strict=True)), total=len(jobs), unit="cell")
            )
    except EcomkitError as error:
        print(f"audit: {error}", file=sys.stderr)
        return 2
    frame = to_frame(merge(parts))
    if args.out:
        frame.write_parquet(args.out)
    tables = to_markdown(frame)
    if args.markdown:
        args.markdown.write_text(tables, encoding="utf-8")
    print(tables)
    solvers = frame.filter(pl.col("group") == "solver")
    misses = frame.filter(pl.col("group") == "near_miss")
    unsolved = solvers["attempts"].sum() - solvers["passes"].sum()
    print(f"{unsolved} of {solvers['attempts'].sum():,} solutions fail; ", end="")
    print(f"{misses['passes'].sum()} of {misses['attempts'].sum():,} near misses pass")
    return 1 if unsolved or misses["passes"].sum() else 0


if __name__ == "__main__":
    raise SystemExit(main())
