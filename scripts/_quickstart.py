"""What scripts/quickstart runs once the environment is there; see --help."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

import ecomkit as ek
from ecomkit.agents.scripted import AGENTS
from ecomkit.catalog import Catalog
from ecomkit.core.difficulty import LEVELS
from ecomkit.core.errors import EcomkitError

ROOT = Path(__file__).resolve().parents[1]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/quickstart",
        description="Builds a catalog, its search index and cart episodes at all difficulties, "
        "plays the scripted agents on them, scores what they did and prints a table.",
    )
    parser.add_argument(
        "--catalog", metavar="FILE", help="import this file instead of making products up"
    )
    parser.add_argument("--out", metavar="FOLDER", help="default: data/quickstart of the checkout")
    parser.add_argument("--products", type=int, default=20_000, help="default: %(default)s")
    parser.add_argument(
        "--per-difficulty", type=int, default=50, metavar="N", help="episodes; default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the products; default: %(default)s")
    options = parser.parse_args()
    if options.products < 1 or options.per_difficulty < 1:
        parser.error("--products and --per-difficulty must be at least 1")
    if options.catalog and not Path(options.catalog).exists():
        parser.error(f"--catalog: {options.catalog} does not exist")
    return options


def default_folder() -> Path:
    """``data/quickstart`` of the checkout, as seen from the working directory."""
    folder = ROOT / "data" / "quickstart"
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def run(script: str, *words: object) -> None:
    """Runs one of the scripts, and shows the command so that it can be run by hand."""
    command = [str(word) for word in words]
    print(f"\n$ scripts/{script} {' '.join(command)}", flush=True)
    with subprocess.Popen([sys.executable, ROOT / "scripts" / script, *command]) as process:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            # The script got the Ctrl-C as well: it says so, and leaves what it wrote whole.
            process.wait()
            raise
    if status:
        raise subprocess.CalledProcessError(status, script)


def play_and_score(out: Path, catalog_path: Path) -> list[dict[str, Any]]:
    """Every agent on every episode: trajectories to ``out/trajectories``, one score row each."""
    catalog = ek.load_catalog(catalog_path)
    levels = {
        d: [
            ek.Episode.from_row(row)
            for row in ek.load_episodes(out / "episodes", "cart", split=f"d{d:02d}")
        ]
        for d in LEVELS
    }
    total = len(AGENTS) * sum(len(episodes) for episodes in levels.values())
    scores: list[dict[str, Any]] = []
    with tqdm(total=total, unit=" sessions", desc="playing and scoring", disable=None) as bar:
        for agent in AGENTS:
            trajectories = []
            for d, episodes in levels.items():
                for trajectory, score in play_level(agent, episodes, catalog):
                    trajectories.append(trajectory)
                    scores.append(score_row(agent, d, score))
                    bar.update()
            ek.write_trajectories(trajectories, out / "trajectories" / f"{agent}.jsonl")
    return scores


def play_level(
    agent: str, episodes: list[ek.Episode], catalog: Catalog
) -> Iterator[tuple[ek.Trajectory, ek.Score]]:
    """One agent on the episodes of one difficulty, each scored by replay."""
    for index, episode in enumerate(episodes):
        if agent == "neighbour" and len(episodes) < 2:
            continue
        trajectory = ek.play(agent, episode, catalog, neighbour=episodes[index - 1])
        yield trajectory, ek.score(trajectory, episode, catalog)


def score_row(agent: str, d: int, score: ek.Score) -> dict[str, Any]:
    """The flat part of a score."""
    names = "episode_id reward passed termination steps par_turns verdict".split()
    return {"agent": agent, "difficulty": d} | {name: getattr(score, name) for name in names}


def print_tables(scores: list[dict[str, Any]]) -> None:
    """Pass rate and mean reward by agent and difficulty."""
    import polars as pl

    table = pl.DataFrame(scores)
    for title, column, form in (
        ("pass rate, %", pl.col("passed").mean() * 100, "{:6.0f}"),
        ("mean reward", pl.col("reward").mean(), "{:6.2f}"),
    ):
        cells = table.group_by("agent", "difficulty").agg(column.alias("value"))
        found = {(row["agent"], row["difficulty"]): row["value"] for row in cells.to_dicts()}
        print(f"\n{title:<12}" + "".join(f"{f'd{d}':>6}" for d in LEVELS))
        for agent in AGENTS:
            values = [
                form.format(found[agent, d]) if (agent, d) in found else "     –" for d in LEVELS
            ]
            print(f"{agent:<12}{''.join(values)}")
    print(f"\n{len(scores):,} sessions scored; {(table['verdict'] != 'valid').sum()} not valid.")


def main() -> int:
    """Runs all steps; 0 if all went well."""
    options = arguments()
    # Read when datasets is imported: a split opens too fast to need a bar.
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    started = time.perf_counter()
    out = Path(options.out) if options.out else default_folder()
    catalog, embeddings, episodes = out / "catalog", out / "embeddings", out / "episodes"
    try:
        source = ["--source", options.catalog] if options.catalog else ["--size", options.products]
        run("build_catalog.py", "--out", catalog, "--seed", options.seed, *source)
        run("build_embeddings.py", "--catalog", catalog, "--out", embeddings)
        run("build_index.py", "--folder", embeddings)
        run(
            "generate_episodes.py",
            *("--catalog", catalog, "--out", episodes),
            *("--environments", "cart", "--train", options.per_difficulty),
        )
        scores = play_and_score(out, catalog)
        import polars as pl

        pl.DataFrame(scores).write_parquet(out / "scores.parquet")
    except subprocess.CalledProcessError as error:
        # The script has said what was wrong.
        return error.returncode
    except (EcomkitError, OSError) as error:
        print(f"quickstart: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nquickstart: stopped; what was finished is kept", file=sys.stderr)
        return 130
    print_tables(scores)
    command = os.path.relpath(Path(sys.executable).parent / "ecomkit")
    print(
        f"\nThat took {time.perf_counter() - started:.0f} seconds. Everything lies in {out}:\n"
        "  catalog/       the products          embeddings/      vectors and search index\n"
        "  episodes/      the tasks             trajectories/    what each agent did\n"
        "  scores.parquet one row a session\n\n"
        "Look at an episode, be the agent, look at a trajectory:\n"
        f"  {command} show {episodes} --difficulty 3\n"
        f"  {command} play --episodes {episodes} --catalog {catalog}\n"
        f"  {command} show {out}/trajectories/honest.jsonl --row 0"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
