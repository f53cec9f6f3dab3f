#!/usr/bin/env python3
"""Measure the kit: medians of several runs, and ratios between catalog sizes.

    python scripts/benchmark.py --folder data/bench                 # 20,000 and 200,000 products
    python scripts/benchmark.py --folder data/bench --sizes 20000 2000000

Catalogs and indexes are built where they are missing and kept, so that a second call measures at
once. Building times are printed only for what was built.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RUNS = 5


def median_us(work: Callable[[], int]) -> float:
    """Median over RUNS of microseconds a unit; ``work`` does units and returns how many."""
    work()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        units = work()
        times.append((time.perf_counter() - start) / units * 1e6)
    return statistics.median(times)


def show(what: str, value: str, goal: str = "") -> None:
    print(f"{what:<58}{value:>18}{f'   goal {goal}' if goal else ''}", flush=True)


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds and peak memory (GB) of a command, run in a process of its own."""
    code = (
        "import json, resource, subprocess, sys, time\n"
        "start = time.perf_counter()\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
        "print(json.dumps([time.perf_counter() - start, peak / 1e6]))\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, *command], check=True, capture_output=True, text=True
    )
    seconds, peak = json.loads(out.stdout.splitlines()[-1])
    return seconds, peak


def build(folder: Path, size: int) -> None:
    """Build the catalog, embeddings and index of a size where they are missing."""
    python, scripts = sys.executable, ROOT / "scripts"
    if not (folder / "catalog" / "manifest.json").exists():
        command = [python, str(scripts / "build_catalog.py"), "--out", str(folder / "catalog")]
        seconds, peak = timed([*command, "--size", str(size)])
        show(f"build catalog, {size:,} products", f"{seconds:.1f} s", "180 s at 2,000,000")
        show(f"build catalog, {size:,} products, peak memory", f"{peak:.2f} GB", "6 GB")
    embeddings = folder / "embeddings"
    if not (embeddings / "manifest.json").exists():
        command = [python, str(scripts / "build_embeddings.py"), "--quiet"]
        seconds, _ = timed(
            [*command, "--catalog", str(folder / "catalog"), "--out", str(embeddings)]
        )
        show(f"embed {size:,} products", f"{size / seconds:,.0f} a second", "10,000 a second")
    index = json.loads((embeddings / "manifest.json").read_text(encoding="utf-8")).get("index")
    if not index:
        command = [python, str(scripts / "build_index.py"), "--quiet"]
        seconds, _ = timed([*command, "--folder", str(embeddings)])
        show(f"index {size:,} products", f"{seconds:.1f} s")


def measure(folder: Path, size: int, seeds: int) -> dict[str, float]:
    """Sessions, search and drawing on one catalog; returns the figures that are compared."""
    import ecomkit as ek
    from ecomkit.core.records import Action, ToolCall
    from ecomkit.episodes.draw import draw
    from ecomkit.session.session import Session

    start = time.perf_counter()
    catalog = ek.load_catalog(folder / "catalog", folder / "embeddings")
    show(f"load catalog and search, {size:,}", f"{time.perf_counter() - start:.2f} s")
    found: dict[str, float] = {}

    drawn = [draw("cart", d, seed, catalog).episode for d in (0, 6, 12) for seed in range(10)]
    sessions = [Session(episode, catalog) for episode in drawn]

    def reset() -> int:
        for session in sessions:
            for _ in range(20):
                session.reset()
        return len(sessions) * 20

    found["reset"] = median_us(reset)
    show(f"reset, {size:,}", f"{found['reset'] / 1000:.3f} ms", "0.5 ms")

    def steps() -> int:
        count = 0
        for session in sessions:
            session.reset()
            product = session.episode.goal["items"][0]["product_id"]
            for name, arguments in (
                ("catalog_get_variants", {"product_id": product}),
                ("cart_add", {"product_id": product}),
                ("cart_view", {}),
            ):
                session.step(Action(tool_calls=(ToolCall(name, arguments),)))
                count += 1
        return count

    found["step"] = median_us(steps)
    show(f"step without search, {size:,}", f"{found['step'] / 1000:.3f} ms", "0.3 ms")

    queries = list(known_items(catalog, 300))
    engine = catalog.search_engine
    place = 0

    def search() -> int:
        nonlocal place
        for _ in range(100):
            query, _ = queries[place % len(queries)]
            rows = engine.search(f"{query} {place}", depth=200)
            for row in rows[:10]:
                catalog.card_at(int(row))
            place += 1
        return 100

    found["search"] = median_us(search)
    goal = "6 ms" if size > 500_000 else "1 ms"
    show(f"search, text to ten cards, {size:,}", f"{found['search'] / 1000:.2f} ms", goal)
    hits = sum(row in engine.search(query, depth=20) for query, row in queries)
    recall = 100 * hits / len(queries)
    show(f"known item at d = 0 in the first 20, {size:,}", f"{recall:.1f} %", "90 % at 100,000")

    for label, levels in (
        ("d = 0", (0,)),
        ("d = 6", (6,)),
        ("d = 12", (12,)),
        ("all d", range(13)),
    ):
        rates = []
        for run in range(3):
            first = (run + 1) * seeds
            begin = time.perf_counter()
            for d in levels:
                for seed in range(first, first + seeds):
                    draw("cart", d, seed, catalog)
            rates.append(len(levels) * seeds / (time.perf_counter() - begin))
        rate = statistics.median(rates)
        goal = "50 a second" if label == "all d" else ""
        show(f"draw and certify cart, {label}, {size:,}", f"{rate:.0f} a second", goal)
    found["draw"] = draw_without_search(catalog, seeds)
    show(f"draw cart, search apart, {size:,}", f"{found['draw'] / 1000:.2f} ms")
    return found


def known_items(catalog: Any, count: int) -> Any:
    """(query, row): what the user says of a cart item at d = 0 once asked, and its row."""
    from ecomkit.core.records import Constraint
    from ecomkit.envs.shopping import query_words
    from ecomkit.episodes.draw import draw

    for seed in range(count):
        episode = draw("cart", 0, 10_000 + seed, catalog, certify_episode=False).episode
        item = episode.goal["items"][0]
        if item["viewed"]:
            continue
        clues = [Constraint.from_dict(clue) for clue in item["clues"]]
        noun = catalog.nouns(item["category"])[0]
        yield " ".join([noun, *query_words(clues)]), catalog.row(item["product_id"])


def draw_without_search(catalog: Any, seeds: int) -> float:
    """Microseconds to draw, play the reference and every near miss: all but searching."""
    from ecomkit.agents.scripted import actions_from, run_actions
    from ecomkit.envs import environment
    from ecomkit.episodes.draw import draw
    from ecomkit.session.session import Session

    env = environment("cart")

    def work() -> int:
        count = 0
        for d in (0, 4, 8, 12):
            for seed in range(seeds):
                episode = draw("cart", d, seed, catalog, certify_episode=False).episode
                session = Session(episode, catalog)
                run_actions(session, actions_from(episode.reference))
                goal, world, axes = episode.goal, episode.world, episode.axes
                for miss in env.near_misses(goal, world, axes, catalog):
                    session.reset()
                    run_actions(session, miss.actions).score()
                count += 1
        return count

    return median_us(work)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default="data/bench", type=Path)
    parser.add_argument("--sizes", nargs="+", type=int, default=[20_000, 200_000])
    parser.add_argument("--seeds", type=int, default=20, help="episodes of each measurement")
    args = parser.parse_args()
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import ecomkit"], check=True, cwd=ROOT)
        with_kit = time.perf_counter() - start
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True, cwd=ROOT)
        seconds.append(with_kit - (time.perf_counter() - start))
    show("import ecomkit", f"{statistics.median(seconds):.3f} s", "0.25 s")
    figures = {}
    for size in args.sizes:
        folder = args.folder / str(size)
        folder.mkdir(parents=True, exist_ok=True)
        build(folder, size)
        figures[size] = measure(folder, size, args.seeds)
    small, *others = args.sizes
    for size in others:
        for name in ("reset", "step", "draw"):
            ratio = figures[size][name] / figures[small][name]
            goal = "1.3" if name == "draw" else "1"
            show(f"{name}: {size:,} against {small:,}", f"{ratio:.2f} x", goal)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    show("peak memory of this process", f"{peak:.2f} GB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
