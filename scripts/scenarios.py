#!/usr/bin/env python3
"""List the scenarios of a catalog, and find out by drawing what each of them gives.

    python scripts/scenarios.py --catalog data/catalog --seeds 50 --out data/scenarios.parquet

A scenario is an environment in a department, such as cart@chargers. For each one: whether certified
episodes come at difficulty 0, 6 and 12, and if not why; and how many distinct goals the seeds give.
Exits with 1 if some scenario cannot be drawn.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

import ecomkit as ek
from ecomkit.core.difficulty import LEVELS
from ecomkit.core.errors import EcomkitError
from ecomkit.envs import REGISTRY
from ecomkit.episodes.generate import quiet_worker
from ecomkit.episodes.scenarios import (
    LEVELS_CHECKED,
    Scenario,
    ScenarioReport,
    check_scenario,
    list_scenarios,
    summary,
    to_frame,
)

_shop: dict[str, Any] = {}


def start(catalog: str, search: str | None, options: dict[str, Any]) -> None:
    """Opens the catalog once in each worker."""
    quiet_worker()
    _shop["catalog"] = ek.load_catalog(catalog, search)
    _shop["options"] = options


def check(scenario: Scenario) -> ScenarioReport:
    return check_scenario(scenario, _shop["catalog"], **_shop["options"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--catalog", required=True, help="folder of the catalog")
    parser.add_argument("--search", help="folder of embeddings and index (default: beside it)")
    parser.add_argument("--environments", nargs="+", choices=sorted(REGISTRY))
    parser.add_argument("--departments", nargs="+", help="all of the catalog's if left out")
    parser.add_argument(
        "--difficulties", type=int, nargs="+", default=LEVELS_CHECKED, choices=LEVELS, metavar="D"
    )
    parser.add_argument("--certified", type=int, default=1, help="episodes a difficulty")
    parser.add_argument("--seeds", type=int, default=1000, help="draws for the count of goals")
    parser.add_argument("--goals-at", type=int, default=6, choices=LEVELS, metavar="D")
    parser.add_argument("--list", action="store_true", help="only print the names")
    parser.add_argument("--out", type=Path, help="parquet file for the table, a row a scenario")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    if args.certified < 1 or args.seeds < 0 or args.workers < 1:
        parser.error("--certified and --workers must be at least 1, --seeds at least 0")
    options = {
        "levels": tuple(args.difficulties),
        "certified": args.certified,
        "seeds": args.seeds,
        "goals_at": args.goals_at,
    }
    try:
        catalog = ek.load_catalog(args.catalog, args.search)
        todo = list_scenarios(catalog, args.environments, args.departments)
        if args.list:
            print("\n".join(scenario.name for scenario in todo))
            return 0
        if catalog.search_engine is None:
            print(f"scenarios: {args.catalog} has no embeddings beside it", file=sys.stderr)
            return 2
        begin = (args.catalog, args.search, options)
        with ProcessPoolExecutor(args.workers, get_context("spawn"), start, begin) as pool:
            try:
                reports = list(tqdm(pool.map(check, todo), total=len(todo), unit="scenario"))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except EcomkitError as error:
        print(f"scenarios: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        to_frame(reports).write_parquet(args.out)
    print(summary(reports))
    for report in reports:
        for d, why in report.problems:
            if why:
                print(f"{report.scenario.name} draws nothing sound at d = {d}: {why}")
    complete = sum(report.complete for report in reports)
    print(f"{complete} of {len(reports)} scenarios draw at every difficulty checked")
    return 0 if complete == len(reports) else 1


if __name__ == "__main__":
    raise SystemExit(main())
