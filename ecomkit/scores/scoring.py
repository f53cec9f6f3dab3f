"""Scoring by replay: exact, tamper-proof, and never stopped by bad input (SPEC §11).

Every write and every user reply is recomputed from the episode. Logged results that differ make
the verdict ``tampered``, never a pass. :func:`score` takes one trajectory, :func:`score_many` any
number in memory, :func:`score_file` any number on disk.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecomkit.core.errors import (
    CatalogError,
    EcomkitError,
    EpisodeError,
    SearchUnavailable,
    TrajectoryError,
)
from ecomkit.core.records import Episode, Score, Trajectory
from ecomkit.core.version import GENERATOR_VERSION
from ecomkit.scores import failures
from ecomkit.scores.episodeset import EpisodeSet
from ecomkit.scores.readers import BadRow, Batch, BrokenRun, Place, open_log, to_trajectory
from ecomkit.scores.verification import Tampered, Verify, follow
from ecomkit.session.actions import Unparseable, parse_action
from ecomkit.session.session import Session
from ecomkit.shop.tools import constraints_from, resolve, validate
from ecomkit.shop.tools.catalog import find_category, find_department

if TYPE_CHECKING:
    import polars as pl

    from ecomkit.catalog import Catalog

VERDICTS = ("valid", "tampered", "search_drift", "unreadable", "unknown_episode", "error")
"""``valid`` alone can have passed. ``search_drift``: search results are another index's though
every card is true (``verify="full"``). ``error``: the kit itself failed on the row; a defect."""

KEPT_SESSIONS = 256
PART_ROWS = 1024


def score(
    trajectory: Trajectory | Mapping[str, Any],
    episode: Episode | Mapping[str, Any],
    catalog: Catalog,
    *,
    verify: Verify = "writes",
    diagnose: bool = False,
) -> Score:
    """Replay a trajectory and score it.

    Args:
        trajectory: a :class:`Trajectory` or a row of any format that
            :func:`ecomkit.scores.readers.to_trajectory` takes.
        episode: the episode it was played on.
        catalog: the episode's catalog.
        verify: ``writes`` takes the search results from the log, after checking each card
            against the catalog, and needs no index; ``full`` recomputes them too.
        diagnose: also say why it failed (``labels``) and from which step on it could no longer
            pass (``first_decisive_step``).

    Returns:
        A :class:`Score`. Its ``verdict`` is one of :data:`VERDICTS`; the message says where.
        Only a valid one can have passed.

    Raises:
        EpisodeError: if the episode row is damaged.
        CatalogError: if the catalog is not the episode's.
        SearchUnavailable: if searches are to be recomputed and the catalog has no search engine.
        ValueError: if ``verify`` is neither of the two.
    """
    _check_verify(verify)
    if not isinstance(episode, Episode):
        if not isinstance(episode, Mapping):
            raise EpisodeError(f"an episode is a row or an Episode, not {type(episode).__name__}")
        episode = Episode.from_row(episode)
    try:
        trajectory = to_trajectory(trajectory)
    except (TrajectoryError, RecursionError) as error:
        return _unreadable(error, episode, diagnose)
    if not trajectory.episode_id:
        trajectory = replace(trajectory, episode_id=episode.episode_id)
    session = Session(episode, catalog, record=False, trace=diagnose)
    return _judge(session, trajectory, verify)


def _unreadable(
    error: TrajectoryError | RecursionError, episode: Episode | None, diagnose: bool
) -> Score:
    if isinstance(error, RecursionError):
        return rejected("unreadable", "the row is nested too deeply", episode)
    if not isinstance(error, BadRow):
        return rejected("unreadable", str(error), episode)
    known = Trajectory(error.episode_id, (), error.agent, error.trial)
    if not isinstance(error, BrokenRun):
        return rejected("unreadable", str(error), episode, known)
    found = rejected("unreadable", str(error), episode, known, termination="infra_error")
    return replace(found, labels=("infra_error",) if diagnose else ())


def _check_verify(verify: str) -> None:
    if verify not in ("writes", "full"):
        raise ValueError(f"verify must be 'writes' or 'full', got {verify!r}")


def _judge(session: Session, trajectory: Trajectory, verify: Verify) -> Score:
    """The score of a trajectory, given its episode's session, just reset."""
    episode = session.episode
    if trajectory.episode_id != episode.episode_id:
        return rejected(
            "unknown_episode",
            f"the trajectory is of episode {trajectory.episode_id!r}",
            episode,
            trajectory,
        )
    other = _other_version(trajectory, episode)
    if other:
        return rejected("unknown_episode", other, episode, trajectory)
    only = trajectory.metadata.get("actions_only") is True
    try:
        drift = follow(session, trajectory.messages, verify, only)
    except Tampered as problem:
        return rejected("tampered", str(problem), episode, trajectory, session.steps)
    except TrajectoryError as error:
        return rejected("unreadable", str(error), episode, trajectory, session.steps)
    except RecursionError:
        reason = "a message is nested too deeply"
        return rejected("unreadable", reason, episode, trajectory, session.steps)
    if drift:
        engine = session.context.search
        played = trajectory.metadata.get("search_hash")
        known = [
            ("loaded", engine.hash if engine is not None else ""),
            ("the episode's", episode.search_hash),
            ("the log's", played if isinstance(played, str) else ""),
        ]
        hashes = ", ".join(f"{name} {value[:12]}" for name, value in known if value)
        drift += (
            f"; every card is true, so another index was searched ({hashes}): load that one, or "
            "take the results as logged with verify='writes'"
        )
        return rejected("search_drift", drift, episode, trajectory, session.steps)
    broke = trajectory.metadata.get("error")
    if not session.done and isinstance(broke, str) and broke:
        session.termination, session.message = "infra_error", broke[:500]
    why = failures.diagnose(session) if session.traced else failures.Diagnosis()
    return replace(
        session.score(),
        agent=trajectory.agent,
        trial=trajectory.trial,
        labels=why.labels,
        first_decisive_step=why.first_decisive_step,
    )


def _other_version(trajectory: Trajectory, episode: Episode) -> str:
    """Why the trajectory can't be replayed on this episode, with what to load; empty if it can."""
    if episode.generator_version != GENERATOR_VERSION:
        return (
            f"the episode is of generator version {episode.generator_version}, this ecomkit "
            f"replays {GENERATOR_VERSION}: load the episodes' revision of {GENERATOR_VERSION}, or "
            f"the ecomkit that made {episode.generator_version}"
        )
    for name, what in (("generator_version", "generator version"), ("catalog_hash", "catalog")):
        played, have = trajectory.metadata.get(name), getattr(episode, name)
        if isinstance(played, str) and played and played != have:
            return (
                f"it was played on the {what} {played[:64]}, the episode is of {have[:64]}: load "
                f"the revision of episodes and catalog with {name} {played[:64]}"
            )
    return ""


def rejected(
    verdict: str,
    message: str,
    episode: Episode | None = None,
    trajectory: Trajectory | None = None,
    steps: int = 0,
    termination: str = "unfinished",
) -> Score:
    """The score of a trajectory that can't be judged: reward -1, not passed."""
    episode_id = episode.episode_id if episode else trajectory.episode_id if trajectory else ""
    return Score(
        reward=-1.0,
        r_task=-1.0,
        r_eff=0.0,
        r_hall=0.0,
        passed=False,
        termination=termination,
        steps=steps,
        effective_steps=steps,
        par_turns=episode.par_turns if episode else 0,
        verdict=verdict,
        episode_id=episode_id,
        agent=trajectory.agent if trajectory else "",
        trial=trajectory.trial if trajectory else 0,
        message=message,
    )


# --- many ---------------------------------------------------------------------------------------


def score_schema() -> dict[str, Any]:
    """The columns of a table of scores, as polars types."""
    import polars as pl

    return {
        "episode_id": pl.String,
        "environment": pl.String,
        "difficulty": pl.Int32,
        "agent": pl.String,
        "trial": pl.Int32,
        "reward": pl.Float64,
        "r_task": pl.Float64,
        "r_eff": pl.Float64,
        "r_hall": pl.Float64,
        "passed": pl.Boolean,
        "termination": pl.String,
        "verdict": pl.String,
        "steps": pl.Int32,
        "effective_steps": pl.Int32,
        "par_turns": pl.Int32,
        "honest_turns": pl.Int32,
        "failed_checks": pl.List(pl.String),
        "labels": pl.List(pl.String),
        "first_decisive_step": pl.Int32,
        "message": pl.String,
    }


class Scorer:
    """Scores trajectories against an episode set: sessions are made once an episode.

    Args:
        episodes: what :class:`EpisodeSet` takes.
        catalog: the episodes' catalog.
        verify: as in :func:`score`.
        diagnose: as in :func:`score`.

    Raises:
        SearchUnavailable: for ``full`` without a search engine.
    """

    def __init__(
        self, episodes: Any, catalog: Catalog, verify: Verify = "writes", diagnose: bool = False
    ) -> None:
        _check_verify(verify)
        if verify == "full" and catalog.search_engine is None:
            raise SearchUnavailable(
                "verify='full' recomputes searches: load the catalog with "
                "load_catalog(path, search=folder)"
            )
        self.episodes = EpisodeSet(episodes)
        self.catalog = catalog
        self.verify: Verify = verify
        self.diagnose = diagnose
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def score(self, row: Any) -> tuple[Score, Episode | None]:
        """The score of one row, readable or not, and its episode if it was found.

        Never raises for what stands in the row; a failure of the kit's own is the verdict
        ``error``.
        """
        try:
            trajectory = to_trajectory(row)
        except (TrajectoryError, RecursionError) as error:
            episode = self._known(error.episode_id) if isinstance(error, BadRow) else None
            return _unreadable(error, episode, self.diagnose), episode
        try:
            episode = self.episodes.match(trajectory)
        except EpisodeError as error:
            return rejected("unknown_episode", str(error), None, trajectory), None
        if not trajectory.episode_id:
            trajectory = replace(trajectory, episode_id=episode.episode_id)
        try:
            return _judge(self._session(episode), trajectory, self.verify), episode
        except CatalogError as error:
            return rejected("unknown_episode", str(error), episode, trajectory), episode
        except SearchUnavailable as error:
            return rejected("unreadable", str(error), episode, trajectory), episode
        except Exception as error:  # a defect must not cost a million other rows
            self._sessions.pop(episode.episode_id, None)
            said = f"ecomkit failed on this row: {type(error).__name__}: {error}"
            return rejected("error", said, episode, trajectory), episode

    def rows(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        """Flat rows of scores, one for each row given, in order."""
        trajectories = [self._read(row) for row in rows]
        places = [
            self.episodes.place(row.episode_id)
            if isinstance(row, Trajectory) and row.episode_id
            else (-1, -1, -1)
            for row in trajectories
        ]
        # Episodes that lie together are read together, each parsed once.
        order = sorted(range(len(rows)), key=places.__getitem__)
        if self.verify == "full":
            self._search_ahead([trajectories[i] for i in order])
        out: list[dict[str, Any]] = [{}] * len(rows)
        for i in order:
            out[i] = flat(*self.score(trajectories[i]))
        return out

    @staticmethod
    def _read(row: Any) -> Any:
        try:
            return to_trajectory(row)
        except TrajectoryError as error:
            return error
        except RecursionError:
            return TrajectoryError("the row is nested too deeply")

    def _known(self, episode_id: str) -> Episode | None:
        try:
            return self.episodes[episode_id] if episode_id else None
        except EpisodeError:
            return None

    def _session(self, episode: Episode) -> Session:
        session = self._sessions.get(episode.episode_id)
        if session is None:
            session = Session(episode, self.catalog, record=False, trace=self.diagnose)
            self._sessions[episode.episode_id] = session
            if len(self._sessions) > KEPT_SESSIONS:
                self._sessions.popitem(last=False)
        else:
            self._sessions.move_to_end(episode.episode_id)
            session.reset()
        return session

    def _search_ahead(self, trajectories: Sequence[Any]) -> None:
        """Run the searches of many trajectories together, so that replay finds them done."""
        engine = self.catalog.search_engine
        assert engine is not None
        groups: dict[tuple[Any, ...], dict[str, None]] = {}
        for trajectory in trajectories:
            if not isinstance(trajectory, Trajectory):
                continue
            episode = self._known(trajectory.episode_id)
            if episode is None:
                continue
            for query, filters in _searches(trajectory.messages):
                constraints, department = constraints_from(filters)
                if department is not None:
                    department = find_department(self.catalog, department)
                    if department is None:
                        continue
                if "category" in filters:
                    choices = (
                        self.catalog.categories_of(department)
                        if department
                        else self.catalog.categories
                    )
                    category = find_category(choices, filters["category"])
                    if category is None:
                        continue
                    constraints[0] = replace(constraints[0], value=category)
                key = (tuple(constraints), department, episode.axes.search_depth)
                groups.setdefault(key, {})[query] = None
        for (asked, department, depth), queries in groups.items():
            engine.search_many(list(queries), depth=depth, filters=asked, department=department)


def _searches(messages: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The query and filters of every legal search call of a log."""
    for message in messages:
        if message.get("role") != "assistant":
            continue
        calls = message.get("tool_calls") or (message.get("content") or "")[:1] in ("{", "`")
        if not calls or (isinstance(calls, (list, tuple)) and not any(map(_is_search, calls))):
            continue
        try:
            action = parse_action(message)
        except (Unparseable, RecursionError):
            continue
        for call in action.tool_calls:
            tool = resolve(call.name)
            if tool is not None and tool.name == "catalog_search":
                if not validate(tool, call.arguments):
                    yield call.arguments["query"], call.arguments.get("filters") or {}


def _is_search(call: Any) -> bool:
    inner = call.get("function", call) if isinstance(call, Mapping) else None
    tool = resolve(inner.get("name")) if isinstance(inner, Mapping) else None
    return tool is not None and tool.name == "catalog_search"


def flat(found: Score, episode: Episode | None) -> dict[str, Any]:
    """A score as one row of a table: the columns of :func:`score_schema`."""
    return {
        "episode_id": _plain(found.episode_id, 200),
        "environment": episode.environment if episode else None,
        "difficulty": episode.difficulty if episode else None,
        "agent": _plain(found.agent, 200),
        "trial": found.trial,
        "reward": found.reward,
        "r_task": found.r_task,
        "r_eff": found.r_eff,
        "r_hall": found.r_hall,
        "passed": found.passed,
        "termination": found.termination,
        "verdict": found.verdict,
        "steps": found.steps,
        "effective_steps": found.effective_steps,
        "par_turns": episode.par_turns if episode else None,
        "honest_turns": episode.honest_turns if episode else None,
        "failed_checks": [check.name for check in found.checks if not check.passed],
        "labels": list(found.labels),
        "first_decisive_step": found.first_decisive_step,
        "message": _plain(found.message, 500),
    }


def _plain(text: str, limit: int) -> str:
    """Text that any file can hold: cut, and without lone surrogates."""
    text = text[:limit]
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def score_many(
    trajectories: Any,
    episodes: Any,
    catalog: Catalog,
    *,
    verify: Verify = "writes",
    workers: int = 1,
    diagnose: bool = False,
    progress: Callable[[int], None] | None = None,
) -> pl.DataFrame:
    """Score any number of trajectories; one row for each, in order.

    Args:
        trajectories: trajectories, rows of any accepted format, a ``datasets.Dataset``, a polars
            frame, or the path of a log (see :func:`ecomkit.scores.readers.open_log`).
        episodes: a folder or Hub id, a ``datasets.Dataset``, a frame or rows.
        catalog: the episodes' catalog, opened from a folder if ``workers`` is above 1.
        verify: ``writes`` or ``full``; see :func:`score`.
        workers: processes.
        diagnose: fill ``labels`` and ``first_decisive_step``.
        progress: called with the number of rows done since the last call.

    Returns:
        A polars frame with the columns of :func:`score_schema`. A row that can't be judged has
        another verdict than ``valid``, a reward of -1 and a message.

    Raises:
        TrajectoryError: if the log can't be opened at all.
        EpisodeError: if there are no episodes there.
        SearchUnavailable: for ``full`` without a search engine.
    """
    import polars as pl

    tables = []
    batches = open_log(trajectories).batches()
    for table, _ in _score_batches(batches, episodes, catalog, verify, workers, diagnose):
        tables.append(table)
        if progress:
            progress(table.num_rows)
    if not tables:
        return pl.DataFrame(schema=score_schema())
    import pyarrow as pa

    return pl.DataFrame(pa.concat_tables(tables), schema=score_schema())


def _table(rows: list[dict[str, Any]]) -> Any:
    """An Arrow table of flat rows."""
    import polars as pl

    return pl.DataFrame(rows, schema=score_schema()).to_arrow(compat_level=pl.CompatLevel.oldest())


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Python's search for reference cycles put off: the many objects of parsed logs set it off
    again and again, a fifth of the time, though counting references frees nearly all of them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _scores(scorer: Scorer, batch: Batch) -> Any:
    """An Arrow table of the scores of a batch."""
    with _collector_paused():
        return _table(scorer.rows(batch.rows()))


def _score_batches(
    batches: Iterator[Batch],
    episodes: Any,
    catalog: Catalog,
    verify: Verify,
    workers: int,
    diagnose: bool,
) -> Iterator[tuple[Any, Batch]]:
    """(Arrow table of scores, its batch without the payload), in order, however many workers."""
    if workers <= 1:
        scorer = Scorer(episodes, catalog, verify, diagnose)
        for batch in batches:
            table = _scores(scorer, batch)
            batch.payload = []
            yield table, batch
        return
    with ExitStack() as stack:
        source = EpisodeSet(episodes)
        folder = source.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            source.save(folder)
        engine = catalog.search_engine if verify == "full" else None
        if verify == "full" and engine is None:
            Scorer(source, catalog, verify)  # says what is missing
        search = getattr(engine, "folder", None)
        start = _Start(str(catalog.path), str(search or ""), str(folder), verify, diagnose)
        yield from _in_processes(batches, start, workers)


@dataclass(frozen=True, slots=True)
class _Start:
    """What a worker opens."""

    catalog: str
    search: str
    episodes: str
    verify: Verify
    diagnose: bool


_worker: dict[str, Scorer] = {}


def _start_worker(start: _Start) -> None:
    from ecomkit.data.loading import load_catalog
    from ecomkit.episodes.generate import quiet_worker

    quiet_worker()
    search: str | bool = start.search or False
    if start.verify == "full" and not search:
        search = True
    catalog = load_catalog(start.catalog, search)
    _worker["scorer"] = Scorer(start.episodes, catalog, start.verify, start.diagnose)


def _work(batch: Batch) -> Any:
    return _scores(_worker["scorer"], batch)


def _in_processes(
    batches: Iterator[Batch], start: _Start, workers: int
) -> Iterator[tuple[Any, Batch]]:
    others = set(active_children())
    # "spawn": a fork would copy FAISS's and polars' threads in an unknown state.
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (start,)) as pool:
        running: deque[tuple[Future[Any], Batch]] = deque()
        try:
            ended = False
            while running or not ended:
                while not ended and len(running) < workers * 2:
                    batch = next(batches, None)
                    if batch is None:
                        ended = True
                        break
                    running.append((pool.submit(_work, batch), replace(batch, payload=[])))
                if running:
                    future, batch = running.popleft()
                    yield future.result(), batch
        except BaseException as error:
            for process in set(active_children()) - others:
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise EcomkitError(
                    "a worker process died (out of memory?); run again to go on from the last "
                    "part, with fewer workers"
                ) from None
            raise


# --- files --------------------------------------------------------------------------------------


def score_file(
    logs: Any,
    episodes: Any,
    catalog: Catalog,
    out: str | os.PathLike[str],
    *,
    verify: Verify = "writes",
    workers: int = 1,
    diagnose: bool = False,
    progress: Callable[[int, float], None] | None = None,
    part_rows: int = PART_ROWS,
) -> int:
    """Score a log of any length in constant memory; goes on where an interrupted run stopped.

    Parts are written to ``OUT.parts`` with a manifest that says how far the log was read, and
    joined under a temporary name at the end, so that ``out`` appears whole or not at all.

    Args:
        logs: what :func:`ecomkit.scores.readers.open_log` takes.
        episodes: what :class:`EpisodeSet` takes.
        catalog: the episodes' catalog.
        out: the table to write: ``.parquet``, ``.csv`` or ``.jsonl``.
        verify, workers, diagnose: as in :func:`score_many`.
        progress: called with (rows done, share of the log done from 0 to 1; 0 if unknown).
        part_rows: rows of one part.

    Returns:
        The number of rows written: as many as the log has.

    Raises:
        TrajectoryError: if the log can't be read at all, ``out`` is of another kind, or the
            parts there are of another run.
        EpisodeError, CatalogError, SearchUnavailable: if what is needed is missing.
    """
    out = Path(out)
    if out.suffix not in (".parquet", ".csv", ".jsonl"):
        raise TrajectoryError(f"{out}: scores are written to .parquet, .csv or .jsonl")
    _check_verify(verify)
    log = open_log(logs)
    source = EpisodeSet(episodes)
    _check_catalog(source, catalog)
    settings = {
        "logs": list(log.names) or ["rows"],
        "episodes": str(source.folder or "rows"),
        "catalog_hash": catalog.hash,
        "generator_version": GENERATOR_VERSION,
        "verify": verify,
        "diagnose": diagnose,
    }
    if verify == "full" and catalog.search_engine is not None:
        settings["search_hash"] = catalog.search_engine.hash
    parts = out.with_name(out.name + ".parts")
    manifest = _claim_parts(parts, settings)
    done = sum(part["rows"] for part in manifest["parts"])
    start = Place(*manifest["parts"][-1]["next"]) if manifest["parts"] else Place()
    total_bytes, read_bytes = log.size, int(manifest.get("bytes", 0))
    waiting: list[Any] = []
    place = start

    def flush() -> None:
        nonlocal waiting
        rows = _write_part(parts, len(manifest["parts"]), waiting)
        manifest["parts"].append({"rows": rows, "next": list(asdict(place).values())})
        manifest["bytes"] = read_bytes
        _write_json(parts / "manifest.json", manifest)
        waiting = []

    pending = 0
    batches = log.batches(start)
    for table, batch in _score_batches(batches, source, catalog, verify, workers, diagnose):
        waiting.append(table)
        place = batch.next
        read_bytes += batch.size
        pending += table.num_rows
        done += table.num_rows
        if progress:
            progress(done, min(1.0, read_bytes / total_bytes) if total_bytes else 0.0)
        if pending >= part_rows:
            flush()
            pending = 0
    if waiting:
        flush()
    _join_parts(parts, len(manifest["parts"]), out)
    shutil.rmtree(parts)
    return done


def _check_catalog(source: EpisodeSet, catalog: Catalog) -> None:
    """Say at once, not in every row, that the catalog is another one's."""
    if source.folder is None or not (source.folder / "manifest.json").exists():
        return
    try:
        text = (source.folder / "manifest.json").read_text(encoding="utf-8")
        made_on = json.loads(text).get("catalog_hash")
    except (OSError, ValueError, AttributeError):
        return
    if isinstance(made_on, str) and made_on != catalog.hash:
        raise CatalogError(
            f"the episodes in {source.folder} were made on the catalog {made_on[:12]}…, this one "
            f"is {catalog.hash[:12]}…; load the catalog that was published with them"
        )


def _claim_parts(parts: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    stamp = parts / "manifest.json"
    if stamp.exists():
        try:
            have = json.loads(stamp.read_text(encoding="utf-8"))
        except ValueError:
            have = {}
        if have.get("settings") != settings:
            raise TrajectoryError(
                f"{parts} holds parts of another run (other log, episodes, catalog or options); "
                "delete it or write to another file"
            )
        return dict(have)
    parts.mkdir(parents=True, exist_ok=True)
    manifest = {"settings": dict(settings), "parts": [], "bytes": 0}
    _write_json(stamp, manifest)
    return manifest


def _write_json(path: Path, value: Any) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, sort_keys=True), encoding="utf-8")
    os.replace(temporary, path)


def _part(parts: Path, number: int) -> Path:
    return parts / f"part-{number:06d}.parquet"


def _write_part(parts: Path, number: int, tables: list[Any]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.concat_tables(tables).combine_chunks()
    temporary = parts / "part.tmp"
    pq.write_table(table, temporary, compression="zstd")
    os.replace(temporary, _part(parts, number))
    return int(table.num_rows)


def _join_parts(parts: Path, count: int, out: Path) -> None:
    """The parts as one file, a part at a time in memory."""
    import polars as pl
    import pyarrow.parquet as pq

    temporary = out.with_name(out.name + ".tmp")
    try:
        if out.suffix == ".parquet":
            empty = _table([])
            with pq.ParquetWriter(temporary, empty.schema, compression="zstd") as writer:
                for number in range(count):
                    writer.write_table(pq.read_table(_part(parts, number)).cast(empty.schema))
                if not count:
                    writer.write_table(empty)
        else:
            with temporary.open("wb") as file:
                for number in range(max(1, count)):
                    frame = pl.DataFrame(schema=score_schema())
                    if count:
                        frame = pl.read_parquet(_part(parts, number))
                    if out.suffix == ".jsonl":
                        frame.write_ndjson(file)
                        continue
                    lists = [n for n, kind in frame.schema.items() if kind == pl.List(pl.String)]
                    frame = frame.with_columns(pl.col(name).list.join(" ") for name in lists)
                    frame.write_csv(file, include_header=number == 0)
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
