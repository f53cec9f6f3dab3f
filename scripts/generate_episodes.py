#!/usr/bin/env python3
"""Draw, certify and write an episode set.

    python scripts/generate_episodes.py --catalog data/catalog --out data/episodes --train 100

Every episode is played by the reference, the honest agent, the near misses and the cheap
policies before it is written. The command can be stopped and started again at any time.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import polars as pl
from tqdm import tqdm

from ecomkit.core.difficulty import AXIS_NAMES, PRESETS
from ecomkit.core.errors import EcomkitError
from ecomkit.envs import REGISTRY
from ecomkit.episodes.generate import Plan, ablation, generate


def levels_of(text: str) -> tuple[int, ...]:
    """``0-12`` or ``0,3,6``."""
    levels: list[int] = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        levels.extend(range(int(low), int(high or low) + 1))
    return tuple(levels)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--catalog", required=True, help="folder of the catalog")
    parser.add_argument("--search", help="folder of embeddings and index (default: beside it)")
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--environments", nargs="+", default=list(REGISTRY), choices=list(REGISTRY))
    parser.add_argument("--difficulties", type=levels_of, default=levels_of("0-12"), metavar="0-12")
    parser.add_argument("--train", type=int, default=100, help="episodes a difficulty")
    parser.add_argument("--test", type=int, default=0, help="held-out episodes a difficulty")
    parser.add_argument("--department", help="draw for one scenario, environment@department")
    parser.add_argument("--preset", choices=sorted(PRESETS))
    parser.add_argument("--axis", choices=AXIS_NAMES, help="set one axis, the rest held still")
    parser.add_argument(
        "--values",
        type=float,
        nargs="+",
        help="one set for each value of --axis, in OUT/AXIS-VALUE",
    )
    parser.add_argument("--llm-url", default="", help="OpenAI-compatible endpoint that phrases")
    parser.add_argument("--llm-model", default="", help="its model; key in ECOMKIT_LLM_KEY")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    if (args.axis is None) != (args.values is None):
        parser.error("--axis and --values go together")
    plan = Plan(
        environments=tuple(args.environments),
        levels=args.difficulties,
        train=args.train,
        test=args.test,
        department=args.department,
        preset=args.preset,
        llm_url=args.llm_url,
        llm_model=args.llm_model,
    )
    try:
        plan.check()
        sets = ablation(plan, args.axis, args.values) if args.axis else {"": plan}
        for part in sets.values():
            part.check()
    except (EcomkitError, ValueError) as error:
        parser.error(str(error))
    try:
        for name, part in sets.items():
            report(args, part, str(Path(args.out, name)))
        if args.axis:
            print(still(args.out, args.axis, list(sets)))
    except EcomkitError as error:
        print(f"generate_episodes: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; run the same command to go on", file=sys.stderr)
        return 130
    return 0


def still(out: str, axis: str, names: list[str]) -> str:
    """A sentence on how many seeds have the same goal in every set of an ablation."""
    goals: dict[str, set[str]] = {}
    for name in names:
        for path in sorted(Path(out, name).glob("*/d??.parquet")):
            frame = pl.read_parquet(path, columns=["seed", "goal_hash"], hive_partitioning=False)
            for seed, goal in frame.iter_rows():
                goals.setdefault(f"{path.parent.name}/{path.stem}/{seed}", set()).add(goal)
    same = sum(len(found) == 1 for found in goals.values())
    return (
        f"{axis}: {same:,} of {len(goals):,} episodes have the same goal in all {len(names)} sets"
    )


def report(args: argparse.Namespace, plan: Plan, out: str) -> None:
    """Generate one set and print what it holds."""
    with tqdm(total=None, unit="episode", desc="episodes") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.n = done
            bar.refresh()

        manifest = generate(
            args.catalog, out, plan, search=args.search, workers=args.workers, progress=show
        )
    print(f"{manifest['episodes']:,} episodes in {out}")
    for name, reason in manifest.get("unavailable", {}).items():
        print(f"{name} is not available on this catalog: {reason}")
    print(
        f"{'cell':<20}{'episodes':>9}{'redrawn':>9}{'near misses':>13}{'passed':>8}  cheap passed"
    )
    for cell, audit in manifest["audit"].items():
        redrawn = sum(audit["redraws"].values())
        misses = sum(audit["near_misses"].values())
        passed = sum(audit["near_miss_passes"].values())
        cheap = {k: v for k, v in audit["policy_passes"].items() if v and k != "naive"}
        print(f"{cell:<20}{audit['episodes']:>9}{redrawn:>9}{misses:>13}{passed:>8}  {cheap or 0}")


if __name__ == "__main__":
    raise SystemExit(main())
