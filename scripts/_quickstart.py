"""What scripts/quickstart runs once the environment is there; see --help."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

import ecomkit as ek
from ecomkit import show
from ecomkit.agents import AGENTS
from ecomkit.difficulty import LEVELS
from ecomkit.errors import EcomkitError

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
    subprocess.run([sys.executable, ROOT / "scripts" / script, *command], check=True)


def play_and_score(out: Path, catalog_path: Path) -> list[dict[str, Any]]:
    """Every agent on every episode: trajectories to ``out/trajectories``, one score row each."""
    catalog = ek.load_catalog(catalog_path)
    levels = {d: ek.load_episodes(out / "episodes", "cart", split=f"d{d:02d}") for d in LEVELS}
    total = len(AGENTS) * sum(len(rows) for rows in levels.values())
    scores: list[dict[str, Any]] = []
    with tqdm(total=total, unit=" sessions", desc="playing and scoring") as bar:
        for agent in AGENTS:

            def played(agent: str = agent) -> Iterator[ek.Trajectory]:
                for d, rows in levels.items():
                    episodes = [ek.Episode.from_row(row) for row in rows]
                    for index, episode in enumerate(episodes):
                        neighbour = episodes[index - 1] if len(episodes) > 1 else None
                        bar.update()
                        if agent == "neighbour" and neighbour is None:
                            continue
                        trajectory = ek.play(agent, episode, catalog, neighbour=neighbour)
                        score = ek.score(trajectory, episode, catalog)
                        scores.append(
                            {
                                "episode_id": episode.episode_id,
                                "agent": agent,
                                "difficulty": d,
                                "reward": score.reward,
                                "passed": score.passed,
                                "termination": score.termination,
                                "steps": score.steps,
                                "par_turns": score.par_turns,
                                "verdict": score.verdict,
                            }
                        )
                        yield trajectory

            ek.write_trajectories(played(), out / "trajectories" / f"{agent}.jsonl")
    return scores


def print_tables(scores: list[dict[str, Any]]) -> None:
    """Pass rate and mean reward by agent and difficulty."""
    import polars as pl

    table = pl.DataFrame(scores)
    for title, column, form in (
        ("pass rate, %", pl.col("passed").mean() * 100, "{:.0f}"),
        ("mean reward", pl.col("reward").mean(), "{:.2f}"),
    ):
        cells = table.group_by("agent", "difficulty").agg(column.alias("value"))
        found = {(row["agent"], row["difficulty"]): row["value"] for row in cells.to_dicts()}
        rows = [
            {title: agent}
            | {
                f"d{d}": form.format(found[agent, d]) if (agent, d) in found else "–"
                for d in LEVELS
            }
            for agent in AGENTS
        ]
        print("\n" + show.render_table(rows, width=200))
    print(f"\n{len(scores):,} sessions scored; {(table['verdict'] != 'valid').sum()} not valid.")


def main() -> int:
    """Runs all steps; 0 if all went well."""
    options = arguments()
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
    print(
        f"\nThat took {time.perf_counter() - started:.0f} seconds. Everything lies in {out}:\n"
        "  catalog/       the products          embeddings/      vectors and search index\n"
        "  episodes/      the tasks             trajectories/    what each agent did\n"
        "  scores.parquet one row a session\n\n"
        "Look at an episode, be the agent, look at a trajectory:\n"
        f"  .venv/bin/ecomkit show {episodes} --difficulty 3\n"
        f"  .venv/bin/ecomkit play --episodes {episodes} --catalog {catalog}\n"
        f"  .venv/bin/ecomkit show {out}/trajectories/honest.jsonl --row 0"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
