#!/usr/bin/env python3
"""Train the learner under several schedules and collections, and store what came of it.

    python scripts/curriculum_study.py --catalog data/quickstart/catalog --runs data/curriculum

Each run is a file in --runs, so that the command can be stopped and started again. At the end the
small tables that notebook 04 reads are written. Every figure but the seconds is the same on every
machine.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from ecomkit.agents.learner import play
from ecomkit.core.errors import EcomkitError
from ecomkit.data.loading import load_catalog
from ecomkit.episodes.generate import quiet_worker
from ecomkit.study.curriculum import SCHEDULES, collection
from ecomkit.study.learner.train import Plan, held_out, train
from ecomkit.study.learner.weights import Weights

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog

BLOCK = 40
"""Groups to a row of the table of training."""
TABLES = Path("notebooks/results")


def experiments(base: Plan) -> dict[str, list[Plan]]:
    """Experiment → its plans without their seeds."""
    first = collection("C1")
    joint = [collection(name) for name in ("C1", "C2", "C4", "C8")]
    few = base.groups // len(joint[-1])

    def joined(share: int) -> list[Plan]:
        return [
            replace(base, environments=cells, tested=first, groups=share * len(cells))
            for cells in joint
        ]

    return {
        # Which schedule, when only a pass earns anything.
        "verdict": [
            replace(base, schedule=name, environments=first, tested=first) for name in SCHEDULES
        ],
        # The same when a part of the task earns a part of the reward.
        "partial": [
            replace(base, schedule=name, environments=first, tested=first, reward="task")
            for name in SCHEDULES
        ],
        # And when the whole reward of SPEC §8 is learned from, steps saved among it.
        "whole": [
            replace(base, schedule=name, environments=first, tested=first, reward="reward")
            for name in SCHEDULES
        ],
        # Joint training: the same number of episodes in all …
        "same_total": [replace(base, environments=cells, tested=first) for cells in joint],
        # … and the same number of discovery episodes, the others on top: few, and half of it.
        "scarce": joined(few),
        "ample": joined(base.groups // 2),
    }


def name_of(plan: Plan) -> str:
    """A file name that says all of a plan that the study varies."""
    return (
        f"{plan.schedule}-{len(plan.environments)}-{plan.reward}-{plan.groups}-seed{plan.seed}.json"
    )


_catalog: Any = None


def start(folder: str, search: str | None) -> None:
    """Opens the catalog once in each worker."""
    global _catalog
    quiet_worker()
    _catalog = load_catalog(folder, search)


def work(plan: Plan, path: str) -> float:
    """One run, written whole or not at all. Returns its processor seconds."""
    began = time.process_time()
    run = train(plan, _catalog)
    seconds = time.process_time() - began
    data = {**run.to_dict(), "catalog": _catalog.hash, "seconds": round(seconds, 1)}
    unfinished = Path(f"{path}.part")
    unfinished.write_text(json.dumps(data), encoding="utf-8")
    os.replace(unfinished, path)
    return seconds


def blocks(run: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Rows of the table of training: sums over :data:`BLOCK` groups."""
    groups = run["groups"]
    for begin in range(0, len(groups), BLOCK):
        part = groups[begin : begin + BLOCK]
        tops: dict[str, int] = {}
        for environment, _, high, *_ in groups[: begin + len(part)]:
            tops[environment] = high
        yield {
            "groups_done": begin + len(part),
            "groups": len(part),
            "all_failed": sum(passes == 0 for *_, passes, _, _ in part),
            "all_passed": sum(passes == rollouts for *_, passes, rollouts, _ in part),
            "passes": sum(passes for *_, passes, _, _ in part),
            "rollouts": sum(rollouts for *_, rollouts, _ in part),
            "difficulties": sum(difficulty for _, difficulty, *_ in part),
            "highest": tops["discovery"],
        }


def habits(run: dict[str, Any], plan: Plan, catalog: Catalog) -> dict[str, int]:
    """How many steps and calls the trained learner takes on some held-out discovery episodes."""
    weights = Weights(run["weights"])
    counts: Counter[str] = Counter()
    for difficulty in (0, 6, 12):
        for number in range(min(10, plan.tests)):
            episode = held_out(catalog, "discovery", difficulty, number)
            session = play(episode, catalog, weights.chooser("discovery", None), record=True)
            counts["sessions"] += 1
            counts["steps"] += session.steps
            taken = [step.action for step in session.trace if step.action is not None]
            counts.update(made.name for action in taken for made in action.tool_calls)
    names = ("sessions", "steps", "ask_user", "catalog_search", "catalog_get_product")
    return {name: counts[name] for name in names}


def tables(wanted: dict[str, list[Plan]], runs: Path, out: Path, catalog: Catalog) -> None:
    """Writes the tables of training, of the held-out episodes, and of what was learned to do."""
    training, tested, learned = [], [], []
    for experiment, plans in wanted.items():
        for plan in plans:
            run = json.loads((runs / name_of(plan)).read_text(encoding="utf-8"))
            head = {
                "experiment": experiment,
                "schedule": plan.schedule,
                "collection": f"C{len(plan.environments)}",
                "seed": plan.seed,
            }
            training += [{**head, **row} for row in blocks(run)]
            names = ("groups_done", "environment", "difficulty", "episodes", "passes")
            for look in run["looks"]:
                row = dict(zip(names, look, strict=False))
                if row.pop("environment") == "discovery":
                    tested.append({**head, **row})
            learned.append({**head, **habits(run, plan, catalog)})
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in (("training", training), ("held_out", tested), ("habits", learned)):
        with open(out / f"curriculum_{name}.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--catalog", required=True, help="folder of the catalog")
    parser.add_argument("--search", help="folder of embeddings and index (default: beside it)")
    parser.add_argument("--runs", required=True, type=Path, help="folder for a file a run")
    parser.add_argument("--tables", type=Path, default=TABLES, help="folder of the tables")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--groups", type=int, default=Plan().groups, help="episodes a run")
    parser.add_argument("--tests", type=int, default=Plan().tests, help="held-out a difficulty")
    parser.add_argument("--only", nargs="+", help="experiments to run")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    made = experiments(Plan(groups=args.groups, tests=args.tests))
    unknown = sorted(set(args.only or ()) - set(made))
    if unknown:
        parser.error(f"--only: {', '.join(unknown)}; there are {', '.join(made)}")
    wanted = {
        name: [replace(plan, seed=seed) for seed in range(args.seeds) for plan in plans]
        for name, plans in made.items()
        if not args.only or name in args.only
    }
    args.runs.mkdir(parents=True, exist_ok=True)
    todo: dict[str, Plan] = {}
    for plan in (plan for plans in wanted.values() for plan in plans):
        path = args.runs / name_of(plan)
        # Through JSON, as the file has it: lists for tuples.
        if not path.exists():
            todo[str(path)] = plan
        elif json.loads(path.read_text())["plan"] != json.loads(json.dumps(asdict(plan))):
            print(f"{path} is of other settings; take another --runs folder", file=sys.stderr)
            return 2
    started = (args.catalog, args.search)
    with ProcessPoolExecutor(args.workers, get_context("spawn"), start, started) as pool:
        jobs = {pool.submit(work, plan, path): path for path, plan in todo.items()}
        for job in tqdm(as_completed(jobs), total=len(jobs), unit="run", disable=None):
            tqdm.write(f"{Path(jobs[job]).stem}: {job.result():.0f} s")
    tables(wanted, args.runs, args.tables, load_catalog(args.catalog, args.search))
    spent = [
        json.loads((args.runs / name_of(plan)).read_text())["seconds"]
        for plan in {name_of(plan): plan for plans in wanted.values() for plan in plans}.values()
    ]
    print(f"{len(spent)} runs, {sum(spent) / 60:.0f} processor minutes, longest {max(spent):.0f} s")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EcomkitError as error:
        sys.exit(f"error: {error}")
