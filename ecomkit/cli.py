"""The command line: ``ecomkit play``, ``ecomkit show``, ``ecomkit score``, ``ecomkit report``."""

from __future__ import annotations

import argparse
import io
import itertools
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ecomkit
from ecomkit.core.difficulty import LEVELS
from ecomkit.core.errors import EcomkitError, EpisodeError, TrajectoryError
from ecomkit.scores.trajectories import read_rows, trajectory_from
from ecomkit.views import show

if TYPE_CHECKING:
    from ecomkit.catalog import Catalog
    from ecomkit.core.records import Episode

TRAJECTORY_SUFFIXES = (".jsonl", ".json", ".ndjson", ".parquet")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status (2 for a user's error, 130 for Ctrl-C)."""
    arguments = build_parser().parse_args(argv)
    # Read when datasets is imported, which is later: a split opens too fast to need a bar.
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    run: Callable[[argparse.Namespace], int] = arguments.run
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            # What a terminal cannot show, or sends that is no text, must not end a session.
            stream.reconfigure(errors="replace")
    try:
        status = run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader left (as with "| head"): nothing more to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except (EcomkitError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="ecomkit", description=ecomkit.__doc__)
    parser.add_argument("--version", action="version", version=f"ecomkit {ecomkit.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    play = commands.add_parser("play", help="be the agent, in the terminal")
    play.add_argument("--episodes", required=True, metavar="FOLDER", help="folder or Hub id")
    play.add_argument("--catalog", required=True, metavar="FOLDER", help="folder or Hub id")
    play.add_argument(
        "--search", metavar="FOLDER", help="embeddings and index, where not beside the catalog"
    )
    _episode_options(play)
    play.set_defaults(run=_play)

    look = commands.add_parser("show", help="an episode or a trajectory, readable")
    look.add_argument("path", help="episodes (folder or Hub id) or trajectories (.jsonl, .parquet)")
    _episode_options(look)
    look.add_argument("--row", type=int, default=0, metavar="N", help="trajectory number, from 0")
    look.add_argument("--reveal", action="store_true", help="also what the agent must not see")
    look.add_argument("--catalog", metavar="FOLDER", help="to name the goal's products")
    look.add_argument("--episodes", metavar="FOLDER", help="of a trajectory, for its facts")
    look.set_defaults(run=_show)

    score = commands.add_parser("score", help="replay trajectories and score them")
    score.add_argument(
        "path",
        metavar="LOGS",
        help="trajectories or logs (.jsonl, .parquet, .json, .eval), or a folder of them",
    )
    score.add_argument("--episodes", required=True, metavar="FOLDER", help="folder or Hub id")
    score.add_argument("--catalog", required=True, metavar="FOLDER", help="folder or Hub id")
    score.add_argument(
        "--search", metavar="FOLDER", help="embeddings and index, where not beside the catalog"
    )
    score.add_argument("--out", metavar="FILE", help="the table to write (.parquet, .csv, .jsonl)")
    score.add_argument(
        "--verify",
        choices=("writes", "full"),
        default="writes",
        help="full also recomputes every search; default: %(default)s",
    )
    score.add_argument("--workers", type=int, default=1, metavar="N", help="processes; default: 1")
    score.add_argument(
        "--diagnose", action="store_true", help="also why each failed and at which step"
    )
    score.set_defaults(run=_score)
    info = commands.add_parser("info", help="what a catalog, embeddings or episodes hold")
    info.add_argument("path", help="folder or Hub id")
    info.add_argument("--revision", help="branch, tag or commit, for a Hub id")
    info.add_argument(
        "--catalog", metavar="FOLDER", help="check that it belongs to this catalog (or Hub id)"
    )
    info.set_defaults(run=_info)
    tell = commands.add_parser("report", help="scores as a page: rates, failures, conversations")
    tell.add_argument(
        "scores",
        nargs="+",
        metavar="SCORES",
        help="tables of ecomkit score (.parquet, .csv, .jsonl); add those of scripted agents",
    )
    tell.add_argument("--trajectories", metavar="LOGS", help="what was scored, to read the worst")
    tell.add_argument("--episodes", metavar="FOLDER", help="folder or Hub id, for goals and axes")
    tell.add_argument("--out", metavar="FILE", default="report.html", help="default: %(default)s")
    tell.add_argument("--markdown", metavar="FILE", help="default: --out with the ending .md")
    tell.add_argument("--title", default="Scores", help="default: %(default)s")
    tell.set_defaults(run=_report)
    return parser


def _episode_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--environment", default="cart", help="default: %(default)s")
    levels = f"{LEVELS[0]}-{LEVELS[-1]}"
    parser.add_argument(
        "--difficulty", type=int, default=0, choices=LEVELS, metavar=levels, help="default: 0"
    )
    parser.add_argument("--index", type=int, default=0, metavar="N", help="episode number, from 0")
    parser.add_argument("--id", metavar="EPISODE_ID", help="episode by id")


class Episodes:
    """Episodes of a folder or Hub id by id; each split is opened once."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._splits: dict[tuple[str, str], Any] = {}
        self._places: dict[str, tuple[tuple[str, str], int]] = {}

    def split(self, config: str, difficulty: int) -> Any:
        """One split as a ``datasets.Dataset``."""
        key = (config, f"d{difficulty:02d}")
        if key not in self._splits:
            rows = ecomkit.load_episodes(self.path, config, split=key[1])
            self._splits[key] = rows
            for index, episode_id in enumerate(rows["episode_id"]):
                self._places.setdefault(episode_id, (key, index))
        return self._splits[key]

    def at(self, config: str, difficulty: int, index: int) -> Episode:
        """The episode at a position.

        Raises:
            EpisodeError: if the split is shorter; it names the range.
        """
        rows = self.split(config, difficulty)
        if not 0 <= index < len(rows):
            raise EpisodeError(
                f"no episode {index} in {config} d{difficulty:02d} of {self.path}; "
                f"choose from 0 to {len(rows) - 1}"
            )
        return ecomkit.Episode.from_row(rows[index])

    def by_id(self, episode_id: str) -> Episode:
        """The episode with an id, which names its config and split (``cart-d06-train-000123``).

        Raises:
            EpisodeError: if there is none.
        """
        match = re.match(r"(\w+)-d(\d\d)-(\w+)-", episode_id)
        if match and int(match[2]) in LEVELS:
            config = match[1] if match[3] == "train" else f"{match[1]}_{match[3]}"
            self.split(config, int(match[2]))
        if episode_id not in self._places:
            raise EpisodeError(f"no episode {episode_id!r} in {self.path}")
        key, index = self._places[episode_id]
        return ecomkit.Episode.from_row(self._splits[key][index])

    def chosen(self, arguments: argparse.Namespace) -> Episode:
        """The episode that the options name."""
        if arguments.id:
            return self.by_id(arguments.id)
        return self.at(arguments.environment, arguments.difficulty, arguments.index)


def _play(arguments: argparse.Namespace) -> int:
    from ecomkit.views.terminal import Player

    episode = Episodes(arguments.episodes).chosen(arguments)
    catalog = ecomkit.load_catalog(arguments.catalog, search=arguments.search)
    Player(episode, catalog, sys.stdin, sys.stdout).run()
    return 0


def _show(arguments: argparse.Namespace) -> int:
    path = Path(arguments.path)
    if path.suffix in TRAJECTORY_SUFFIXES and not path.is_dir():
        row = next(itertools.islice(read_rows(path), max(0, arguments.row), None), None)
        if row is None or arguments.row < 0:
            raise TrajectoryError(f"{path} has no row {arguments.row}")
        if isinstance(row, TrajectoryError):
            raise row
        trajectory = trajectory_from(row)
        episode = None
        if arguments.episodes:
            episode = Episodes(arguments.episodes).by_id(trajectory.episode_id)
        print(show.render_trajectory(trajectory, episode))
        return 0
    catalog = None
    if arguments.catalog:
        catalog = ecomkit.load_catalog(arguments.catalog, search=False)
    episode = Episodes(arguments.path).chosen(arguments)
    print(show.render_episode(episode, catalog, arguments.reveal))
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from ecomkit.data.loading import check_fit, kind_at
    from ecomkit.release.hub import describe

    for line in describe(arguments.path, arguments.revision):
        print(line)
    if arguments.catalog:
        _, manifest = kind_at(arguments.path, arguments.revision)
        catalog = ecomkit.load_catalog(arguments.catalog, search=False)
        check_fit(manifest, catalog)
        print(f"fits the catalog {catalog.name} ({catalog.hash[:12]}…)")
    return 0


def _score(arguments: argparse.Namespace) -> int:
    from ecomkit.scores.scoring import score_file

    search: str | bool = False
    if arguments.verify == "full":
        search = arguments.search or True
    catalog = ecomkit.load_catalog(arguments.catalog, search)
    _check_fit(arguments.episodes, catalog)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(arguments.out) if arguments.out else Path(scratch) / "scores.parquet"
        with _bar() as told:
            count = score_file(
                arguments.path,
                arguments.episodes,
                catalog,
                out,
                verify=arguments.verify,
                workers=max(1, arguments.workers),
                diagnose=arguments.diagnose,
                progress=told,
            )
        if not count:
            raise TrajectoryError(f"{arguments.path} holds no trajectory")
        _summary(out)
    return 0


def _check_fit(path: str, catalog: Catalog) -> None:
    """Say it before anything is scored if the episodes were made on another catalog."""
    from ecomkit.data.loading import check_fit, kind_at
    from ecomkit.data.manifests import is_hub_id

    if is_hub_id(path) or (Path(path) / "manifest.json").exists():
        _, manifest = kind_at(path)
        check_fit(manifest, catalog)


@contextmanager
def _bar() -> Iterator[Callable[[int, float], None]]:
    """A progress bar on a terminal, nothing elsewhere; fed with rows done and the share done."""
    from tqdm import tqdm

    with tqdm(unit=" trajectories", disable=not sys.stderr.isatty()) as bar:

        def tell(done: int, share: float) -> None:
            bar.total = round(done / share) if share else None
            bar.update(done - bar.n)

        yield tell


def _summary(out: Path) -> None:
    """Pass rates by agent and the first rows that could not be judged, read a part at a time."""
    import polars as pl

    if out.suffix == ".parquet":
        table = pl.scan_parquet(out)
    elif out.suffix == ".csv":
        table = pl.scan_csv(out, infer_schema_length=None)
    else:
        table = pl.scan_ndjson(out)
    summary = (
        table.group_by("agent")
        .agg(
            pl.len().alias("n"),
            pl.col("passed").mean().alias("pass_rate"),
            pl.col("reward").mean().alias("mean_reward"),
            (pl.col("verdict") != "valid").sum().alias("not_valid"),
        )
        .sort("agent")
        .collect()
    )
    print(show.render_table(summary.to_dicts()))
    odd = table.select("verdict", "message").with_row_index("row")
    odd = odd.filter(pl.col("verdict") != "valid").head(10)
    for row in odd.collect().iter_rows(named=True):
        print(f"row {row['row']}: {row['verdict']}: {show.clean(row['message'])}")


def _report(arguments: argparse.Namespace) -> int:
    from ecomkit.views.report import report

    out = Path(arguments.out)
    markdown = Path(arguments.markdown) if arguments.markdown else out.with_suffix(".md")
    if out == markdown:
        raise TrajectoryError(f"{out}: the page and the summary need two names")
    report(
        arguments.scores,
        trajectories=arguments.trajectories,
        episodes=arguments.episodes,
        out=out,
        markdown=markdown,
        title=arguments.title,
    )
    print(f"wrote {out} and {markdown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
