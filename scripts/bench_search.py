#!/usr/bin/env python3
"""Measures search: building, query latency, known-item search, IVF against exact search.

    scripts/bench_search.py --work data/bench --sizes 20000 100000
    scripts/bench_search.py --work data/bench --sizes 2000000 --rounds 3

Catalogs, embeddings and indexes are made in the work folder where they are missing, and kept.
Latencies are medians over fresh queries (nothing remembered), the median of several rounds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ecomkit.catalog import (
    Catalog,
    open_catalog,
    synthesize,
    synthetic_manifest,
    write_catalog,
)
from ecomkit.core.records import Constraint
from ecomkit.core.seeds import rng
from ecomkit.shop.search import (
    SearchEngine,
    build_embeddings,
    build_index,
    open_search,
    token_table,
)
from ecomkit.shop.search.index import top


def said_of(catalog: Catalog, row: int) -> str:
    """What a customer says of a product: its noun and name, and its brand or an attribute."""
    product = catalog.product_at(row)
    varying = catalog.varying_at(row)
    noun = catalog.noun(product.category)
    phrase = catalog.title_phrase(row)
    stated = sorted(set(product.attributes) - {*varying, "weight_lbs"})
    if row % 2 and stated:
        name = stated[row % len(stated)]
        value = product.attributes[name]
        unit = {"wattage": " watts", "screen_size_inches": " inch"}.get(name, "")
        number = f"{value:g}" if isinstance(value, float) else str(value)
        return f"{noun} {phrase}, {number}{unit}"
    return f"{noun} {phrase} by {product.brand}"


def sample_rows(catalog: Catalog, count: int, *key: object) -> list[int]:
    """Rows drawn at random, the same every time."""
    draw = rng("bench", *key)
    return [draw.below(catalog.size) for _ in range(count)]


def milliseconds(call: Callable[[str], object], queries: list[str]) -> float:
    """Median milliseconds of ``call`` over queries."""
    times = []
    for query in queries:
        start = time.perf_counter()
        call(query)
        times.append(time.perf_counter() - start)
    return 1000 * median(times)


def latencies(engine: SearchEngine, rounds: int = 5, count: int = 200) -> dict[str, float]:
    """Milliseconds from query text to rows, to ten cards, and under filters (depth 200)."""
    catalog = engine.catalog
    department = catalog.departments[0]
    cheap = [Constraint("price_cents", "le", 3000)]
    shelf = [Constraint("category", "eq", catalog.categories[0])]

    def cards(query: str) -> list[dict]:
        return [catalog.card_at(int(row)) for row in engine.search(query, depth=200)[:10]]

    calls: dict[str, Callable[[str], object]] = {
        "query to rows": lambda q: engine.search(q, depth=200),
        "query to cards": cards,
        "one department": lambda q: engine.search(q, depth=200, department=department),
        "one category": lambda q: engine.search(q, depth=200, filters=shelf),
        "price filter": lambda q: engine.search(q, depth=200, filters=cheap),
    }
    out = {}
    for name, call in calls.items():
        call("warm up")
        found = []
        for turn in range(rounds):
            rows = sample_rows(catalog, count, name, turn)
            queries = [f"{said_of(catalog, row)} {turn}" for row in rows]
            found.append(milliseconds(call, queries))
        out[name] = median(found)
    return out


def known_item(engine: SearchEngine, count: int = 1000, first: int = 20) -> float:
    """Share of products found in the ``first`` results of what a customer says of them."""
    rows = sample_rows(engine.catalog, count, "known")
    hits = [
        row in engine.search(said_of(engine.catalog, row), depth=first).tolist() for row in rows
    ]
    return sum(hits) / count


def recall(engine: SearchEngine, count: int = 100, first: int = 10) -> float:
    """Share of the exact first results that the index finds too."""
    rows = sample_rows(engine.catalog, count, "recall")
    queries = [said_of(engine.catalog, row) for row in rows]
    columns = np.stack([engine.encode(query) for query in queries]).T.astype(np.float32)
    vectors = engine.index.vectors
    scores = np.concatenate(
        [vectors[i : i + 16384].astype(np.float32) @ columns for i in range(0, len(vectors), 16384)]
    )
    hits = 0
    for i, query in enumerate(queries):
        exact = top(np.arange(len(vectors)), scores[:, i], first)[0]
        hits += len(set(exact.tolist()) & set(engine.search(query, depth=first).tolist()))
    return hits / (first * count)


def build(work: Path, size: int) -> tuple[SearchEngine, dict[str, float]]:
    """Catalog, embeddings and index of a size, and the seconds that each took when made."""
    folder = work / f"{size}"
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "seconds.json"
    seconds: dict[str, float] = json.loads(record.read_text()) if record.exists() else {}
    if not (folder / "catalog" / "manifest.json").exists():
        start = time.perf_counter()
        write_catalog(synthesize(size), folder / "catalog", synthetic_manifest(size))
        seconds["catalog"] = time.perf_counter() - start
    start = time.perf_counter()
    catalog = open_catalog(folder / "catalog")
    seconds["open catalog"] = time.perf_counter() - start
    token_table()
    if not (folder / "embeddings" / "manifest.json").exists():
        start = time.perf_counter()
        build_embeddings(catalog, folder / "embeddings")
        seconds["embeddings"] = time.perf_counter() - start
    if json.loads((folder / "embeddings" / "manifest.json").read_text())["index"] is None:
        start = time.perf_counter()
        build_index(folder / "embeddings")
        seconds["index"] = time.perf_counter() - start
    start = time.perf_counter()
    engine = open_search(folder / "embeddings", catalog)
    seconds["open search"] = time.perf_counter() - start
    record.write_text(json.dumps(seconds))
    return engine, seconds


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for what is built")
    parser.add_argument("--sizes", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each latency")
    options = parser.parse_args()
    first: dict[str, float] = {}
    for size in options.sizes:
        engine, seconds = build(options.work, size)
        print(f"{engine!r}, {engine.manifest['index']}")
        for step, taken in seconds.items():
            rate = f"  {size / taken:12,.0f} products/s" if step == "embeddings" else ""
            print(f"  {step:24} {taken:10.2f} s{rate}")
        for name, value in latencies(engine, options.rounds).items():
            ratio = f"  {value / first[name]:6.2f} x {options.sizes[0]:,}" if name in first else ""
            first.setdefault(name, value)
            print(f"  {name:24} {value:10.3f} ms{ratio}")
        print(f"  known item in first 20   {known_item(engine):10.1%}")
        if engine.manifest["index"]["kind"] == "ivf":
            print(f"  recall@10 against exact  {recall(engine):10.1%}")


if __name__ == "__main__":
    main()
