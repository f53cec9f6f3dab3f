"""Adaptive difficulty: which cell a learner trains on next, and at which d (SPEC §13).

Every cell (an environment, ``cart``, or a scenario, ``cart@chargers``) keeps a window of
difficulties that widens as the learner passes. :func:`advance` is the rule itself, a pure function;
:class:`Curriculum` keeps it for many cells, says what to play next, and can be saved, loaded and
rebuilt from a log of outcomes; :class:`Sampler` turns its choices into episodes of a published set.

    curriculum = Curriculum(collection("C4"), seed=1)
    sampler = Sampler("path/or/hub-id", curriculum)
    task = sampler.next()                       # cell, difficulty, episode_id
    curriculum.record(task.cell, task.difficulty, passed=True)
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecomkit.core.difficulty import LEVELS
from ecomkit.core.errors import EcomkitError, EpisodeError, UnknownName
from ecomkit.core.records import Episode
from ecomkit.core.seeds import rng
from ecomkit.envs import REGISTRY

if TYPE_CHECKING:
    import polars as pl

    from ecomkit.catalog import Catalog

TOP = max(LEVELS)

COLLECTIONS: dict[str, tuple[str, ...]] = {
    "C1": ("discovery",),
    "C2": ("discovery", "substitution"),
    "C4": ("discovery", "substitution", "cart", "returns"),
    "C8": (
        "discovery",
        "substitution",
        "cart",
        "returns",
        "tracking",
        "policy",
        "bundle",
        "journey",
    ),
}
"""Environments trained jointly, each collection within the next."""

SCHEDULES: dict[str, tuple[int, int] | None] = {
    "adaptive": None,
    "easy": (0, 0),
    "hard": (TOP, TOP),
    "uniform": (0, TOP),
}
"""Schedule → its fixed window, None for the one that adapts."""

FORMAT = 1


def collection(name: str, departments: Iterable[str] = ()) -> tuple[str, ...]:
    """The cells of a collection: ``C1``, ``C2``, ``C4``, ``C8`` or ``C400``.

    Args:
        name: the collection.
        departments: for ``C400``, the catalog's (``catalog.departments``): every environment in
            each of them, some 400 scenarios with the built-in taxonomy.

    Raises:
        UnknownName: if there is no such collection.
        ValueError: for ``C400`` without departments.
    """
    if name == "C400":
        shelves = sorted(set(departments))
        if not shelves:
            raise ValueError("C400 needs the departments: collection('C400', catalog.departments)")
        return tuple(f"{env}@{shelf}" for env in COLLECTIONS["C8"] for shelf in shelves)
    if name not in COLLECTIONS:
        raise UnknownName("collection", name, [*COLLECTIONS, "C400"])
    return COLLECTIONS[name]


# --- the rule ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """When a window moves. The defaults are SPEC §13's."""

    rollouts: int = 32
    """Rollouts at the upper end before it is judged."""
    percent: int = 90
    """How many per cent of them must have passed for the upper end to rise."""
    width: int = 4
    """The most that the upper end is above the lower one."""
    top: int = TOP
    """The highest difficulty."""

    def __post_init__(self) -> None:
        if self.rollouts < 1 or not 0 <= self.percent <= 100:
            raise ValueError(f"needs rollouts >= 1 and percent from 0 to 100, got {self}")
        if self.width < 0 or self.top not in LEVELS:
            raise ValueError(f"needs width >= 0 and top from 0 to {TOP}, got {self}")


@dataclass(frozen=True, slots=True)
class Window:
    """The difficulties ``low`` to ``high`` of a cell, and the count at ``high`` since it last
    moved or was judged."""

    low: int = 0
    high: int = 0
    rollouts: int = 0
    passes: int = 0


def advance(window: Window, difficulty: int, passed: bool, rule: Rule | None = None) -> Window:
    """The window after one more outcome: the whole rule of SPEC §13, and nothing else.

    Only outcomes at the upper end count. After ``rule.rollouts`` of them the end rises by one if
    enough passed (compared in whole numbers), the lower end follows so that the window stays
    narrow, and the counts start over either way.
    """
    rule = rule or Rule()
    if difficulty != window.high:
        return window
    rollouts, passes = window.rollouts + 1, window.passes + bool(passed)
    if rollouts < rule.rollouts:
        return replace(window, rollouts=rollouts, passes=passes)
    rises = passes * 100 >= rule.percent * rollouts and window.high < rule.top
    high = window.high + rises
    return Window(max(window.low, high - rule.width), high)


@dataclass(frozen=True, slots=True)
class Judged:
    """One time that the upper end of a window was judged: a point of the curriculum's history."""

    outcome: int
    """Outcomes recorded by then, over all cells."""
    cell: str
    cell_outcome: int
    """Outcomes of this cell by then."""
    high: int
    """The upper end that was judged."""
    passes: int
    rollouts: int
    low_after: int
    high_after: int


@dataclass(frozen=True, slots=True)
class Task:
    """What to play next. ``episode_id`` is empty where a :class:`Curriculum` alone was asked."""

    cell: str
    difficulty: int
    number: int
    """How many tasks of this cell were given out before it."""
    episode_id: str = ""


# --- the curriculum ------------------------------------------------------------------------------


@dataclass(slots=True)
class _Cell:
    window: Window
    tasks: int = 0
    outcomes: int = 0
    tally: list[list[int]] | None = None
    """By difficulty: [outcomes, passes]."""


class Curriculum:
    """The windows of several cells, and what to play next.

    Args:
        cells: environments or scenarios, such as :func:`collection` gives.
        schedule: ``adaptive``; or for comparison ``easy`` (d = 0), ``hard`` (d = 12) and
            ``uniform`` (0 to 12), or a fixed window ``(low, high)``.
        seed: of the draws.
        rule: when an adaptive window moves.

    Raises:
        UnknownName: for an environment or schedule that does not exist.
        ValueError: for no cell, or a window out of range.
    """

    def __init__(
        self,
        cells: Sequence[str],
        schedule: str | tuple[int, int] = "adaptive",
        seed: int = 0,
        rule: Rule | None = None,
    ) -> None:
        if isinstance(cells, str):
            cells = (cells,)
        self.cells = tuple(dict.fromkeys(cells))
        if not self.cells:
            raise ValueError("a curriculum needs at least one cell")
        for cell in self.cells:
            if cell.partition("@")[0] not in REGISTRY:
                raise UnknownName("environment", cell.partition("@")[0], REGISTRY)
        self.rule = rule or Rule()
        self.seed = seed
        self.schedule = schedule if isinstance(schedule, str) else list(schedule)
        if isinstance(schedule, str):
            if schedule not in SCHEDULES:
                raise UnknownName("schedule", schedule, SCHEDULES)
            low, high = SCHEDULES[schedule] or (0, 0)
        else:
            low, high = schedule
        if not (low in LEVELS and high in LEVELS and low <= high):
            raise ValueError(f"a window lies within 0 to {TOP}, got {low} to {high}")
        self.adaptive = schedule == "adaptive"
        self.tasks = 0
        self.outcomes = 0
        self.history: list[Judged] = []
        """Each time an upper end was judged, in order; empty for a fixed schedule."""
        self._cells = {
            cell: _Cell(Window(int(low), int(high)), tally=[[0, 0] for _ in LEVELS])
            for cell in self.cells
        }

    def __repr__(self) -> str:
        ends = [self.window(cell).high for cell in self.cells]
        return (
            f"Curriculum({len(self.cells)} cells, {self.schedule}, {self.outcomes} outcomes, "
            f"highest d {min(ends)} to {max(ends)})"
        )

    def window(self, cell: str) -> Window:
        """The present window of a cell. Raises UnknownName if it is none of the curriculum's."""
        return self._cell(cell).window

    def _cell(self, cell: str) -> _Cell:
        if cell not in self._cells:
            raise UnknownName("cell", cell, self.cells)
        return self._cells[cell]

    def next(self, cell: str | None = None) -> Task:
        """What to play next: a cell, and a difficulty drawn uniformly from its window.

        Cells come in shuffled rounds that hold each of them once, so that none is starved. The
        draws depend on the seed and on how many tasks were given out, not on how they came out
        (that moves the window alone).

        Args:
            cell: only from this cell; the next of the round if None.
        """
        if cell is None:
            turn, place = divmod(self.tasks, len(self.cells))
            cell = rng("curriculum", "round", self.seed, turn).shuffled(self.cells)[place]
            self.tasks += 1
        state = self._cell(cell)
        draw = rng("curriculum", "difficulty", self.seed, cell, state.tasks)
        task = Task(cell, draw.between(state.window.low, state.window.high), state.tasks)
        state.tasks += 1
        return task

    def record(self, cell: str, difficulty: int, passed: bool) -> Judged | None:
        """Take in one outcome. Returns what was judged if this one completed a count.

        Raises:
            UnknownName: for a cell that is none of the curriculum's.
            ValueError: for a difficulty out of range, or an outcome that is no bool.
        """
        state = self._cell(cell)
        if isinstance(difficulty, bool) or difficulty not in LEVELS:
            raise ValueError(f"difficulty must be a whole number from 0 to 12, got {difficulty!r}")
        if passed not in (True, False):
            raise ValueError(f"an outcome is True or False, got {passed!r}")
        self.outcomes += 1
        state.outcomes += 1
        assert state.tally is not None
        state.tally[difficulty][0] += 1
        state.tally[difficulty][1] += bool(passed)
        if not self.adaptive:
            return None
        before = state.window
        state.window = after = advance(before, difficulty, bool(passed), self.rule)
        if difficulty != before.high or after.rollouts:
            return None
        judged = Judged(
            self.outcomes,
            cell,
            state.outcomes,
            before.high,
            before.passes + bool(passed),
            before.rollouts + 1,
            after.low,
            after.high,
        )
        self.history.append(judged)
        return judged

    def counts(self, cell: str) -> dict[int, tuple[int, int]]:
        """Difficulty → (outcomes, passes) of a cell so far."""
        tally = self._cell(cell).tally or []
        return {d: (n, passes) for d, (n, passes) in enumerate(tally) if n}

    # --- the state, kept and rebuilt ---------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The whole state, ready for JSON."""
        return {
            "format": FORMAT,
            "schedule": self.schedule,
            "seed": self.seed,
            "rule": asdict(self.rule),
            "tasks": self.tasks,
            "outcomes": self.outcomes,
            "cells": [
                {
                    "cell": name,
                    **asdict(state.window),
                    "tasks": state.tasks,
                    "outcomes": state.outcomes,
                    "tally": [list(pair) for pair in state.tally or ()],
                }
                for name, state in self._cells.items()
            ],
            "history": [asdict(judged) for judged in self.history],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Curriculum:
        """The inverse of :meth:`to_dict`.

        Raises:
            EcomkitError: if it is no state of a curriculum.
        """
        try:
            if data["format"] != FORMAT:
                raise EcomkitError(f"the curriculum's format is {data['format']!r}, not {FORMAT}")
            schedule = data["schedule"]
            made = cls(
                [cell["cell"] for cell in data["cells"]],
                schedule if isinstance(schedule, str) else (schedule[0], schedule[1]),
                data["seed"],
                Rule(**data["rule"]),
            )
            made.tasks, made.outcomes = int(data["tasks"]), int(data["outcomes"])
            made.history = [Judged(**judged) for judged in data["history"]]
            for cell in data["cells"]:
                window = Window(cell["low"], cell["high"], cell["rollouts"], cell["passes"])
                tally = [[int(n), int(passes)] for n, passes in cell["tally"]]
                made._cells[cell["cell"]] = _Cell(window, cell["tasks"], cell["outcomes"], tally)
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise EcomkitError(f"this is no state of a curriculum: {error!r}") from None
        return made

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state as JSON, by a temporary name, so that it is whole or not there."""
        _save(self.to_dict(), path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Curriculum:
        """The state that :meth:`save` wrote. Raises EcomkitError if the file is none."""
        return cls.from_dict(_load(path))

    def replay(self, outcomes: Any) -> Curriculum:
        """Take in a log of outcomes, in order; windows, counts and history come out as they were.

        Args:
            outcomes: ``(cell, difficulty, passed)`` triples, or a table of scores (a polars frame
                or its rows, as :func:`ecomkit.score_many` gives): every row with a verdict of
                ``valid`` or ``tampered`` (which is no pass) counts, the rest say nothing of the
                learner. Rows of scenarios are told by their ``department``, or by the one in the
                episode id.

        Returns:
            The curriculum itself. How many tasks were given out is taken to be the number of
            different episodes in the log (outcomes, if it names none), so that a run with one
            task an episode goes on as if it had never stopped.
        """
        episodes: dict[str, set[str]] = {}
        for cell, difficulty, passed, episode_id in self._read(outcomes):
            self.record(cell, difficulty, passed)
            known = episodes.setdefault(cell, set())
            known.add(episode_id or f"#{len(known)}")
        for cell, known in episodes.items():
            self._cells[cell].tasks += len(known)
            self.tasks += len(known)
        return self

    def _read(self, outcomes: Any) -> Iterator[tuple[str, int, bool, str]]:
        rows = outcomes.iter_rows(named=True) if hasattr(outcomes, "iter_rows") else outcomes
        for row in rows:
            if not isinstance(row, Mapping):
                cell, difficulty, passed = row
                yield cell, difficulty, passed, ""
                continue
            verdict = row.get("verdict") or "valid"
            if verdict not in ("valid", "tampered") or row.get("termination") == "infra_error":
                continue
            passed = bool(row["passed"]) and verdict == "valid"
            yield self.cell_of(row), int(row["difficulty"]), passed, str(row.get("episode_id", ""))

    def cell_of(self, row: Mapping[str, Any] | Episode) -> str:
        """The cell that an episode, or a row about one, belongs to.

        Raises:
            UnknownName: if it is none of the curriculum's.
        """
        if isinstance(row, Episode):
            row = {
                "environment": row.environment,
                "department": row.department,
                "episode_id": row.episode_id,
            }
        name = str(row["environment"])
        if name in self._cells:
            return name
        department = row.get("department")
        if department and f"{name}@{department}" in self._cells:
            return f"{name}@{department}"
        # cart-d06-train-000123-power_banks: the id spells the department with letters alone.
        parts = str(row.get("episode_id") or "").split("-")
        if len(parts) > 4:
            for cell in self.cells:
                env, _, shelf = cell.partition("@")
                if env == name and spelled(shelf) == parts[4]:
                    return cell
        raise UnknownName("cell", f"{name}@{department}" if department else name, self.cells)

    def progress(self) -> pl.DataFrame:
        """The upper end of each cell over the outcomes, for plots: one row each time it was
        judged, and one for the start and the present of each cell.

        Columns: cell, outcome (over all cells), cell_outcome, low, high, passes, rollouts (of the
        count judged; null at start and end).
        """
        import polars as pl

        rows: list[dict[str, Any]] = []
        first = SCHEDULES.get(self.schedule) if isinstance(self.schedule, str) else None
        for cell, state in self._cells.items():
            low, high = (0, 0) if self.adaptive else (state.window.low, state.window.high)
            if first is not None:
                low, high = first
            blank = {"passes": None, "rollouts": None}
            start = {"outcome": 0, "cell_outcome": 0, "low": low, "high": high}
            rows.append({"cell": cell, **start, **blank})
            for judged in self.history:
                if judged.cell == cell:
                    rows.append(
                        {
                            "cell": cell,
                            "outcome": judged.outcome,
                            "cell_outcome": judged.cell_outcome,
                            "low": judged.low_after,
                            "high": judged.high_after,
                            "passes": judged.passes,
                            "rollouts": judged.rollouts,
                        }
                    )
            now = {"outcome": self.outcomes, "cell_outcome": state.outcomes}
            rows.append(
                {"cell": cell, **now, "low": state.window.low, "high": state.window.high, **blank}
            )
        schema = {
            "cell": pl.String,
            **dict.fromkeys(("outcome", "cell_outcome", "low", "high"), pl.Int64),
            **dict.fromkeys(("passes", "rollouts"), pl.Int64),
        }
        return pl.DataFrame(rows, schema=schema)


def spelled(department: str) -> str:
    """A department as an episode id spells it."""
    return "".join(c if c.isalnum() else "_" for c in department.casefold())


# --- over a published episode set ----------------------------------------------------------------


class CellDry(EpisodeError):
    """Every episode of a cell at a difficulty has been given out."""

    def __init__(self, cell: str, difficulty: int, used: int) -> None:
        self.cell, self.difficulty, self.used = cell, difficulty, used
        super().__init__(
            f"no unused episode of {cell!r} at d = {difficulty} is left ({used} given out): "
            "draw new seeds with sampler.draw(cell, difficulty, count, catalog), or make the "
            "sampler with catalog=… (draws by itself) or repeat=True (starts the cell over)"
        )

    def __reduce__(self) -> tuple[type[CellDry], tuple[str, int, int]]:
        return CellDry, (self.cell, self.difficulty, self.used)


class Sampler:
    """A curriculum's choices as episodes of a published set, none of them twice.

    Args:
        episodes: a folder or Hub id; a ``datasets.Dataset``, a frame or rows with at least
            ``episode_id``, ``environment``, ``difficulty`` and ``seed`` (``department`` for
            scenarios). Rows of other cells are passed over.
        curriculum: says the cell and the difficulty.
        catalog: draw new seeds from it when a cell runs dry; with its search engine.
        repeat: start a dry cell over, in another order, instead.
        revision: for a Hub id.

    Raises:
        EpisodeError: if there are no episodes of any of the cells there.
    """

    def __init__(
        self,
        episodes: Any,
        curriculum: Curriculum,
        *,
        catalog: Catalog | None = None,
        repeat: bool = False,
        revision: str | None = None,
    ) -> None:
        self.curriculum = curriculum
        self.catalog = catalog
        self.repeat = repeat
        self.drawn: dict[str, Episode] = {}
        """Episodes drawn because a cell ran dry, by id; those are in no published set."""
        self._ids: dict[tuple[str, int], list[str]] = {}
        self._used: dict[tuple[str, int], int] = {}
        self._orders: dict[tuple[str, int], tuple[int, list[str]]] = {}
        self._next_seed: dict[tuple[str, int], int] = {}
        for row in _rows(episodes, curriculum, revision):
            try:
                cell = curriculum.cell_of(row)
            except UnknownName:
                continue
            key = cell, int(row["difficulty"])
            self._ids.setdefault(key, []).append(str(row["episode_id"]))
            self._next_seed[key] = max(self._next_seed.get(key, 0), int(row["seed"]) + 1)
        if not self._ids and catalog is None:
            raise EpisodeError(f"no episodes of {', '.join(curriculum.cells[:8])} are there")

    def left(self) -> dict[str, dict[int, int]]:
        """Cell → difficulty → episodes not yet given out."""
        out: dict[str, dict[int, int]] = {cell: {} for cell in self.curriculum.cells}
        for (cell, d), ids in sorted(self._ids.items()):
            out[cell][d] = max(0, len(ids) - self._used.get((cell, d), 0))
        return out

    def next(self, cell: str | None = None) -> Task:
        """The next task, with its episode.

        Raises:
            CellDry: if the cell has no unused episode at the difficulty drawn, and the sampler was
                given neither ``catalog`` nor ``repeat``. The choice is not lost: the next call
                takes it up again, so that it is enough to ``draw`` and ask again.
        """
        saved = self.curriculum.tasks
        task = self.curriculum.next(cell)
        key = task.cell, task.difficulty
        if self._used.get(key, 0) >= len(self._ids.get(key, ())) and not (
            self.repeat and self._ids.get(key)
        ):
            if self.catalog is None:
                self.curriculum.tasks = saved
                self.curriculum._cells[task.cell].tasks -= 1
                raise CellDry(task.cell, task.difficulty, self._used.get(key, 0))
            self.draw(task.cell, task.difficulty, 1, self.catalog)
        return replace(task, episode_id=self._take(key))

    def _take(self, key: tuple[str, int]) -> str:
        ids = self._ids[key]
        used = self._used.get(key, 0)
        self._used[key] = used + 1
        turn, place = divmod(used, len(ids))
        if turn == 0 and ids[place] in self.drawn:
            return ids[place]  # drawn ones come after those published, as they came
        kept = self._orders.get(key)
        if kept is None or kept[0] != turn:
            pool = ids if turn else [name for name in ids if name not in self.drawn]
            order = rng("curriculum", "episodes", self.curriculum.seed, *key, turn)
            kept = self._orders[key] = turn, order.shuffled(pool)
        return kept[1][place]

    def draw(self, cell: str, difficulty: int, count: int, catalog: Catalog) -> list[Episode]:
        """Draw new episodes of a cell, with seeds after the largest there, and add them.

        Raises:
            DrawFailed: if none can be drawn there.
        """
        from ecomkit.episodes.draw import draw_episode

        name, _, department = cell.partition("@")
        self.curriculum.window(cell)
        key = cell, difficulty
        made = []
        for _ in range(count):
            seed = self._next_seed.get(key, 0)
            episode = draw_episode(name, difficulty, seed, catalog, department=department or None)
            self._next_seed[key] = seed + 1
            self._ids.setdefault(key, []).append(episode.episode_id)
            self.drawn[episode.episode_id] = episode
            made.append(episode)
        return made

    def to_dict(self) -> dict[str, Any]:
        """The state, ready for JSON: the curriculum's, and which episodes were given out."""
        return {
            "format": FORMAT,
            "curriculum": self.curriculum.to_dict(),
            "used": [[cell, d, n] for (cell, d), n in sorted(self._used.items())],
            "drawn": [
                [cell, d, self.drawn[name].seed]
                for (cell, d), ids in sorted(self._ids.items())
                for name in ids
                if name in self.drawn
            ],
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state as JSON, by a temporary name."""
        _save(self.to_dict(), path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        episodes: Any,
        *,
        catalog: Catalog | None = None,
        repeat: bool = False,
        revision: str | None = None,
    ) -> Sampler:
        """The sampler that :meth:`save` wrote, over the same episodes.

        Episodes that had been drawn are drawn again from their seeds, which needs the catalog.

        Raises:
            EcomkitError: if the file is no state of a sampler, or a catalog is needed.
        """
        data = _load(path)
        try:
            curriculum = Curriculum.from_dict(data["curriculum"])
            used = {(str(cell), int(d)): int(n) for cell, d, n in data["used"]}
            drawn = [(str(cell), int(d), int(seed)) for cell, d, seed in data["drawn"]]
        except (KeyError, TypeError, ValueError) as error:
            raise EcomkitError(f"{path} holds no state of a sampler: {error!r}") from None
        if drawn and catalog is None:
            raise EcomkitError(f"{len(drawn)} episodes had been drawn anew: give the catalog")
        made = cls(episodes, curriculum, catalog=catalog, repeat=repeat, revision=revision)
        for cell, d, seed in drawn:
            assert catalog is not None
            made._next_seed[cell, d] = seed
            made.draw(cell, d, 1, catalog)
        made._used = used
        return made


_COLUMNS = ("episode_id", "environment", "department", "difficulty", "seed")


def _rows(
    episodes: Any, curriculum: Curriculum, revision: str | None
) -> Iterator[Mapping[str, Any]]:
    """The few columns that are needed, of whatever holds episodes."""
    if isinstance(episodes, (str, os.PathLike)):
        yield from _published(episodes, curriculum, revision)
    elif hasattr(episodes, "iter_rows"):
        names = [name for name in _COLUMNS if name in episodes.columns]
        yield from episodes.select(names).iter_rows(named=True)
    elif hasattr(episodes, "select_columns"):
        names = [name for name in _COLUMNS if name in episodes.column_names]
        yield from episodes.select_columns(names)
    else:
        for row in episodes:
            if isinstance(row, Episode):
                yield {name: getattr(row, name) for name in _COLUMNS}
            else:
                yield row


def _published(
    source: str | os.PathLike[str], curriculum: Curriculum, revision: str | None
) -> Iterator[Mapping[str, Any]]:
    from ecomkit.data.loading import configs_of, kind_at, load_episodes

    _, manifest = kind_at(source, revision)
    found = configs_of(manifest)
    for name in dict.fromkeys(cell.partition("@")[0] for cell in curriculum.cells):
        if name in found:
            splits = "+".join(sorted(found[name]))
            rows = load_episodes(source, name, splits, revision=revision)
            yield from rows.select_columns(list(_COLUMNS))


def _save(data: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".part")
    partial.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    partial.replace(file)


def _load(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise EcomkitError(f"cannot read the state at {path}: {error}") from None
    if not isinstance(data, dict):
        raise EcomkitError(f"{path} holds no state of a curriculum")
    return data
