"""What a table of scores says: the tables and charts of the report, as data (SPEC §14).

A row counts in every figure whatever its verdict: what is not valid has not passed. Rows without
a known episode belong to no environment; they are counted and named, and stand in no rate.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

from ecomkit.core.difficulty import AXIS_NAMES, LEVELS, difficulty
from ecomkit.core.errors import TrajectoryError
from ecomkit.scores.failures import LABELS
from ecomkit.study.stats import (
    Estimate,
    holm,
    mean_pass_k,
    paired_test,
    pooled,
    pooled_share,
    wilson,
)

if TYPE_CHECKING:
    import polars as pl

NEEDED = ("episode_id", "passed", "reward")
"""Columns without which there is nothing to report."""

SCALE = ("null", "empty", "talk_only", "constant", "everything", "neighbour", "random", "naive",
         "honest", "reference")  # fmt: skip
"""Agents that are the scale's ends, low end first; all others are under study."""
_ROLES = {
    "null": "does nothing",
    "empty": "answers at once with nothing",
    "talk_only": "talks, does nothing",
    "constant": "always gives the same answer",
    "everything": "takes all that it sees",
    "neighbour": "plays another episode's solution",
    "random": "acts at random",
    "naive": "takes the first of everything, asks nothing",
    "honest": "sees only what an agent sees; code",
    "reference": "reads the goal; code",
}
RESAMPLES = 1000
AGENTS_COMPARED = 6
AXIS_BINS = 5
AXIS_LABELS = 8
_ID = re.compile(r"^([A-Za-z_]+)-d(\d\d)-")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: text for any medium, and what a richer one may draw of it."""

    text: str
    estimate: Estimate | None = None
    """Drawn as a dot with its interval, over the range of the grid."""
    heat: float | None = None
    """A share from 0 to 1, drawn as a shade."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. The first cell of a row names it."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    folded: bool = False
    span: tuple[float, float] = (0.0, 1.0)
    """The range over which estimates are drawn."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Pass rates along the difficulty, a line an agent."""

    title: str
    lines: tuple[tuple[str, tuple[tuple[int, Estimate], ...]], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report."""

    key: str
    title: str
    lead: str
    grids: tuple[Grid, ...] = ()
    charts: tuple[Chart, ...] = ()


def percent(share: float) -> str:
    """A share in per cent: one decimal where it is near an end, none elsewhere."""
    if math.isnan(share):
        return "–"
    near = 0 < share < 0.0995 or 0.9005 < share < 1
    return f"{share:.1%}" if near else f"{share:.0%}"


def _n(found: Estimate) -> str:
    if found.n == found.clusters:
        return f"n {found.n:,}"
    return f"n {found.n:,} on {found.clusters:,} ep."


def share_cell(found: Estimate) -> Cell:
    """A share with its interval and n."""
    if not found.n:
        return Cell("–")
    low, high = 100 * found.low, 100 * found.high
    return Cell(f"{percent(found.value)} ({low:.0f}–{high:.0f}) {_n(found)}", found)


def mean_cell(found: Estimate, digits: int = 2) -> Cell:
    """A mean with its interval and n."""
    if not found.n:
        return Cell("–")
    if math.isnan(found.low):
        return Cell(f"{found.value:.{digits}f} {_n(found)}")
    ends = f"{found.low:.{digits}f} to {found.high:.{digits}f}"
    return Cell(f"{found.value:.{digits}f} ({ends}) {_n(found)}", found)


@dataclass
class Scores:
    """A table of scores, made uniform, with the groupings that the report needs.

    Args:
        frame: one row a trajectory, as ``score_many`` gives it. ``environment`` and
            ``difficulty`` are read from the episode id where the columns are missing.
        axes: one row an episode, ``episode_id`` and the twelve axes; None to take the axes
            that the difficulty sets.

    Raises:
        TrajectoryError: if a column of :data:`NEEDED` is missing, or there is no row.
    """

    frame: pl.DataFrame
    axes: pl.DataFrame | None = None
    missing: tuple[str, ...] = field(init=False, default=())
    unplaced: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        import polars as pl

        frame = self.frame
        lacking = [name for name in NEEDED if name not in frame.columns]
        if lacking:
            raise TrajectoryError(
                f"the scores lack the column(s) {', '.join(lacking)}; write them with ecomkit score"
            )
        if frame.is_empty():
            raise TrajectoryError("the scores hold no row")
        wanted = {
            "environment": pl.String, "difficulty": pl.Int32, "agent": pl.String,
            "trial": pl.Int32, "r_task": pl.Float64, "r_eff": pl.Float64, "r_hall": pl.Float64,
            "termination": pl.String, "verdict": pl.String, "steps": pl.Int32,
            "effective_steps": pl.Int32, "par_turns": pl.Int32, "message": pl.String,
            "first_decisive_step": pl.Int32,
        }  # fmt: skip
        self.missing = tuple(
            name for name in (*wanted, "labels", "failed_checks") if name not in frame.columns
        )
        try:
            frame = frame.with_columns(
                pl.col("episode_id").cast(pl.String).fill_null(""),
                pl.col("passed").cast(pl.Boolean).fill_null(False),
                pl.col("reward").cast(pl.Float64).fill_nan(None).fill_null(-1.0),
                *(
                    pl.col(name).cast(kind) if name in frame.columns
                    else pl.lit(None, dtype=kind).alias(name)
                    for name, kind in wanted.items()
                ),
            )  # fmt: skip
            frame = frame.with_columns(
                _lists(frame, "labels"),
                _lists(frame, "failed_checks"),
                *(pl.col(name).fill_nan(None) for name in ("r_task", "r_eff", "r_hall")),
            )
        except pl.exceptions.PolarsError as error:
            reason = str(error).splitlines()[0]
            raise TrajectoryError(f"the scores have a column of another type: {reason}") from None
        known = pl.col("episode_id").str.extract(_ID.pattern, 1)
        level = pl.col("episode_id").str.extract(_ID.pattern, 2).cast(pl.Int32, strict=False)
        frame = frame.with_columns(
            pl.col("agent").fill_null("").replace("", "unnamed"),
            pl.col("trial").fill_null(0),
            pl.col("verdict").fill_null("valid"),
            pl.col("environment").fill_null(known),
            pl.col("difficulty").fill_null(level),
        ).with_row_index("row")
        self.every = frame
        off = pl.col("environment").is_null() | pl.col("difficulty").is_null()
        self.unplaced = int(frame.select((off | (pl.col("verdict") == "unknown_episode")).sum())
                            .item())  # fmt: skip
        self.frame = frame.filter(~off & (pl.col("verdict") != "unknown_episode"))

    # --- names -------------------------------------------------------------------------------

    @cached_property
    def agents(self) -> list[str]:
        """All agents: those under study by name, then the scale's ends, low end first."""
        found = sorted(self.frame["agent"].unique().to_list())
        return [a for a in found if a not in SCALE] + [a for a in SCALE if a in found]

    @cached_property
    def studied(self) -> list[str]:
        """The agents under study; the scale's ends where there are no others."""
        return [a for a in self.agents if a not in SCALE] or self.agents

    @cached_property
    def environments(self) -> list[str]:
        """Environments in the order of SPEC §1, unknown names last."""
        order = "discovery substitution cart returns tracking policy bundle journey".split()
        found = sorted(self.frame["environment"].unique().to_list())
        return [e for e in order if e in found] + [e for e in found if e not in order]

    @cached_property
    def levels(self) -> list[int]:
        """Difficulties that occur."""
        return sorted(self.frame["difficulty"].unique().to_list())

    # --- figures -----------------------------------------------------------------------------

    @cached_property
    def _cells(self) -> dict[tuple[str, str, int], list[tuple[int, int]]]:
        """(passed, trials) of each episode, by agent, environment and difficulty."""
        import polars as pl

        grouped = (
            self.frame.group_by("agent", "environment", "difficulty", "episode_id")
            .agg(pl.col("passed").sum().alias("c"), pl.len().alias("n"))
            .sort("agent", "environment", "difficulty", "episode_id")
        )
        cells: dict[tuple[str, str, int], list[tuple[int, int]]] = {}
        for agent, name, level, _, c, n in grouped.iter_rows():
            cells.setdefault((agent, name, level), []).append((c, n))
        return cells

    def trials(
        self, agent: str, environment: str | None = None, level: int | None = None
    ) -> list[tuple[int, int]]:
        """``(passed, trials)`` of each episode that the agent played, in a fixed order."""
        return [
            pair
            for (a, e, d), pairs in self._cells.items()
            if a == agent and environment in (None, e) and level in (None, d)
            for pair in pairs
        ]

    def pass_rate(
        self, agent: str, environment: str | None = None, level: int | None = None
    ) -> Estimate:
        """The agent's pass rate with its interval."""
        pairs = self.trials(agent, environment, level)
        if not pairs:
            return wilson(0, 0)
        passed, counts = zip(*pairs, strict=True)
        return pooled_share(passed, counts, "pass", agent, environment, level, resamples=RESAMPLES)

    def mean(self, column: str, agent: str, environment: str | None = None) -> Estimate:
        """The mean of a column over the agent's rows that have it, clustered by episode."""
        import polars as pl

        part = self.frame.filter(pl.col("agent") == agent, pl.col(column).is_not_null())
        if environment is not None:
            part = part.filter(pl.col("environment") == environment)
        if part.is_empty():
            return wilson(0, 0)
        sums = part.group_by("episode_id").agg(pl.col(column).sum().alias("t"), pl.len())
        return pooled(
            sums["t"].to_numpy(), sums["len"].to_numpy(), column, agent, environment,
            resamples=RESAMPLES,
        )  # fmt: skip

    def share(self, column: str, agent: str) -> Estimate:
        """The share of the agent's rows that are true in a column, of those that have it."""
        import polars as pl

        part = self.frame.filter(pl.col("agent") == agent, pl.col(column).is_not_null())
        sums = part.group_by("episode_id").agg(pl.col(column).sum(), pl.len()).sort("episode_id")
        return pooled_share(
            sums[column].to_numpy(), sums["len"].to_numpy(), column, agent, resamples=RESAMPLES
        )

    def outcomes(self, agent: str, environment: str | None) -> dict[str, list[bool]]:
        """Outcomes by episode id, for a paired test."""
        import polars as pl

        part = self.frame.filter(pl.col("agent") == agent)
        if environment is not None:
            part = part.filter(pl.col("environment") == environment)
        grouped = part.group_by("episode_id").agg(pl.col("passed"))
        return dict(zip(grouped["episode_id"], grouped["passed"].to_list(), strict=True))


def _lists(frame: pl.DataFrame, name: str) -> pl.Expr:
    """A column of lists of text, also from text with commas as a CSV has it."""
    import polars as pl

    kind = pl.List(pl.String)
    if name not in frame.columns:
        return pl.lit(None, dtype=kind).fill_null([]).alias(name)
    if frame.schema[name] == pl.String:
        split = pl.col(name).fill_null("").str.strip_chars(" []").str.split(",")
        return split.list.eval(
            pl.element().str.strip_chars(" '\"").filter(pl.element().str.strip_chars(" '\"") != "")
        )
    return pl.col(name).cast(kind).fill_null([])


# --- sections --------------------------------------------------------------------------------


def sections(scores: Scores) -> list[Section]:
    """Every section of the report that the scores allow, in order."""
    made = [
        _overview(scores),
        _by_environment(scores),
        _by_difficulty(scores),
        _reward_parts(scores),
        _repeated(scores),
        _efficiency(scores),
        _endings(scores),
        _labels(scores),
        _along_axes(scores),
        _comparison(scores),
    ]
    return [section for section in made if section]


def _overview(scores: Scores) -> Section:
    rows = []
    for agent in scores.agents:
        role = _ROLES.get(agent, "under study")
        rows.append(
            (
                Cell(agent),
                share_cell(scores.pass_rate(agent)),
                mean_cell(scores.mean("reward", agent)),
                Cell(role),
            )
        )
    there = [a for a in scores.agents if a in SCALE]
    low = [a for a in there if a not in ("naive", "honest", "reference")]
    absent = [
        words
        for words, has in (
            ("a null agent (empty)", bool(low)),
            ("a naive or random one", bool({"naive", "random"} & set(there))),
            ("the honest agent", "honest" in there),
            ("the reference", "reference" in there),
        )
        if not has
    ]
    lead = (
        f"{len(scores.every):,} trajectories of {len(scores.agents)} agent(s) on "
        f"{scores.frame['episode_id'].n_unique():,} episodes. "
    )
    if scores.unplaced:
        lead += f"Rows of no known episode, in no rate: {scores.unplaced:,}. "
    if absent:
        lead += (
            f"The scale's ends are not complete: {', '.join(absent)} missing. Play and score "
            "them on the same episodes, and give the report both files."
        )
    shares = tuple((name, share, role) for name, share, _, role in rows)
    rewards = tuple((name, mean) for name, _, mean, _ in rows)
    return Section(
        "overview",
        "Agents and the scale's ends",
        lead,
        (
            Grid("Pass rate over all episodes", ("agent", "pass rate, 95 %", "what it is"), shares),
            Grid("Reward over all episodes", ("agent", "reward, 95 %"), rewards, span=(-1, 1)),
        ),
    )


def _by_environment(scores: Scores) -> Section:
    rows = [
        (Cell(name), *(share_cell(scores.pass_rate(agent, name)) for agent in scores.agents))
        for name in scores.environments
    ]
    heads = ("environment", *scores.agents)
    return Section(
        "environments",
        "Pass rate by environment",
        "Share of trajectories that passed, its 95 % interval, and n.",
        (Grid("Pass rate by environment and agent", heads, tuple(rows)),),
    )


def _by_difficulty(scores: Scores) -> Section:
    drawn = scores.studied[:AGENTS_COMPARED]
    charts, grids = [], []
    for name in scores.environments:
        table = {
            (agent, d): scores.pass_rate(agent, name, d)
            for agent in scores.agents
            for d in scores.levels
        }
        lines = [
            (agent, tuple((d, table[agent, d]) for d in scores.levels if table[agent, d].n))
            for agent in (*drawn, *(a for a in ("naive", "honest") if a in scores.agents))
        ]
        charts.append(Chart(name, tuple(dict(line for line in lines if line[1]).items())))
        levels = [d for d in scores.levels if any(table[agent, d].n for agent in scores.agents)]
        rows = [
            (Cell(f"d{d:02d}"), *(share_cell(table[agent, d]) for agent in scores.agents))
            for d in levels
        ]
        grids.append(
            Grid(
                f"{name}: pass rate by difficulty",
                ("difficulty", *scores.agents),
                tuple(rows),
                folded=True,
            )
        )
    lead = "Whiskers are 95 % intervals; the tables below the charts hold the figures and n."
    if len(scores.studied) > AGENTS_COMPARED:
        lead += f" The charts show the first {AGENTS_COMPARED} agents, the tables all."
    return Section("difficulty", "Pass rate by difficulty", lead, tuple(grids), tuple(charts))


def _reward_parts(scores: Scores) -> Section | None:
    parts = [p for p in ("reward", "r_task", "r_eff", "r_hall") if p not in scores.missing]
    if parts == ["reward"]:
        return None
    named = {"reward": "reward", "r_task": "task", "r_eff": "efficiency", "r_hall": "unseen ids"}
    heads = tuple(named[p] for p in parts)
    whole = [
        (Cell(agent), *(mean_cell(scores.mean(p, agent)) for p in parts)) for agent in scores.agents
    ]
    grids = [Grid("Reward and its parts, all environments", ("agent", *heads), tuple(whole),
                  span=(-1, 1))]  # fmt: skip
    for agent in scores.studied:
        rows = [
            (Cell(name), *(mean_cell(scores.mean(p, agent, name)) for p in parts))
            for name in scores.environments
        ]
        grids.append(Grid(f"{agent}: reward and its parts by environment",
                          ("environment", *heads), tuple(rows), folded=True,
                          span=(-1, 1)))  # fmt: skip
    return Section(
        "reward",
        "Reward and its parts",
        "reward = 0.75·task + 0.15·efficiency + 0.10·unseen ids, cut to [−1, 1]; −1 where the "
        "output could not be read, a call was illegal or the row could not be judged.",
        tuple(grids),
    )


def _repeated(scores: Scores) -> Section | None:
    most = {a: max((n for _, n in scores.trials(a)), default=0) for a in scores.agents}
    top = min(8, max(most.values(), default=0))
    if top < 2:
        return Section(
            "passk",
            "Reliability: pass^k",
            "Every episode was played once, so that pass^k is known for k = 1 alone: the pass "
            "rate. Play several trials of each episode to see it.",
        )
    ks = [k for k in (1, 2, 3, 4, 6, 8) if k <= top]
    grids = []
    for at, title in ((False, "pass^k: all of k trials pass"), (True, "pass@k: one of k passes")):
        rows = []
        for agent in scores.agents:
            if most[agent] < 2:
                continue
            pairs = [(n, c) for c, n in scores.trials(agent)]
            cells = []
            for k in ks:
                found = mean_pass_k(pairs, k, "passk", agent, k, at, at=at, resamples=RESAMPLES)
                cells.append(share_cell(found))
            rows.append((Cell(agent), *cells))
        heads = ("agent", *(f"k = {k}" for k in ks))
        grids.append(Grid(title, heads, tuple(rows), folded=at))
    pieces = []
    for agent in scores.studied:
        k = min(most[agent], top)
        if k < 2:
            continue
        for name in scores.environments:
            pairs = [(n, c) for c, n in scores.trials(agent, name)]
            means = [
                mean_pass_k(pairs, i, "passk", agent, name, i, resamples=RESAMPLES)
                for i in ks if i <= k
            ]  # fmt: skip
            blank: list[Cell] = [Cell("–")] * (len(ks) - len(means))
            pieces.append((Cell(f"{agent} · {name}"), *(share_cell(f) for f in means), *blank))
    if pieces:
        heads = ("agent · environment", *(f"k = {k}" for k in ks))
        grids.append(Grid("pass^k by environment", heads, tuple(pieces), folded=True))
    return Section(
        "passk",
        "Reliability: pass^k",
        "C(c, k) / C(n, k), averaged over the episodes with at least k trials; n counts those "
        "episodes.",
        tuple(grids),
    )


def _efficiency(scores: Scores) -> Section | None:
    import polars as pl

    if {"steps", "par_turns"} & set(scores.missing):
        return None
    usable = pl.col("passed") & (pl.col("par_turns") > 0)
    scores.frame = scores.frame.with_columns(
        pl.when(usable).then(pl.col("steps") / pl.col("par_turns")).alias("_ratio"),
        pl.when(usable).then(pl.col("steps") <= pl.col("par_turns")).alias("_at_par"),
        pl.when(usable).then(pl.col("effective_steps").cast(pl.Float64)).alias("_counted"),
    )
    rows = []
    for agent in scores.agents:
        under = scores.share("_at_par", agent)
        rows.append(
            (
                Cell(agent),
                Cell(mean_cell(scores.mean("_ratio", agent)).text),
                Cell(share_cell(under).text),
                Cell(mean_cell(scores.mean("_counted", agent)).text),
            )
        )
    heads = ("agent", "steps / par", "at or under par", "steps counted")
    by_name = [
        (Cell(name), *(Cell(mean_cell(scores.mean("_ratio", a, name)).text) for a in scores.agents))
        for name in scores.environments
    ]
    return Section(
        "efficiency",
        "Efficiency against par",
        "Of passing trajectories only. Par is the number of steps of the reference, which knows "
        "the goal; 1.00 is as short. Steps counted leave out those that drew a confirmation or an "
        "answer to a good question.",
        (
            Grid("Steps against par", heads, tuple(rows)),
            Grid("Steps / par by environment", ("environment", *scores.agents), tuple(by_name),
                 folded=True),
        ),
    )  # fmt: skip


def _endings(scores: Scores) -> Section | None:
    grids: list[Grid] = []
    for column, title in (("termination", "How sessions ended"), ("verdict", "Verdicts")):
        if column in scores.missing:
            continue
        counted = scores.every.group_by(column, "agent").len().sort(column, "agent").iter_rows()
        found: dict[str, dict[str, int]] = {}
        for name, agent, n in counted:
            found.setdefault(str(name or "–"), {})[agent] = n
        agents = sorted({a for by in found.values() for a in by}, key=_agent_order(scores))
        totals = {a: sum(by.get(a, 0) for by in found.values()) for a in agents}
        rows = []
        for name, by in sorted(found.items(), key=lambda item: (-sum(item[1].values()), item[0])):
            cells = []
            for agent in agents:
                share = by.get(agent, 0) / totals[agent]
                text = f"{by[agent]:,} ({percent(share)})" if agent in by else "·"
                cells.append(Cell(text, heat=share))
            rows.append((Cell(name.replace("_", " ")), *cells))
        grids.append(Grid(title, (column, *agents), tuple(rows)))
    if not grids:
        return None
    return Section(
        "endings",
        "How sessions ended",
        "Every row of the scores. Only a valid one can pass; a tampered log, or one that cannot be "
        "read, counts as failed.",
        tuple(grids),
    )


def _agent_order(scores: Scores) -> Any:
    place = {agent: i for i, agent in enumerate(scores.agents)}
    return lambda agent: (place.get(agent, len(place)), agent)


def _counts(frame: pl.DataFrame, by: str) -> dict[str, dict[Any, int]]:
    """Trajectories with each label, by the value of a column."""
    import polars as pl

    exploded = (
        frame.select("row", by, pl.col("labels").list.unique())
        .explode("labels")
        .drop_nulls("labels")
        .group_by("labels", by)
        .len()
    )
    found: dict[str, dict[Any, int]] = {}
    for label, value, n in exploded.sort("labels", by).iter_rows():
        found.setdefault(label, {})[value] = n
    order = {name: i for i, name in enumerate(LABELS)}
    return dict(
        sorted(
            found.items(),
            key=lambda item: (-sum(item[1].values()), order.get(item[0], 99), item[0]),
        )
    )


def _of_studied(scores: Scores) -> pl.DataFrame:
    import polars as pl

    return scores.frame.filter(pl.col("agent").is_in(scores.studied))


def _labels(scores: Scores) -> Section | None:
    if "labels" in scores.missing:
        return None
    frame = _of_studied(scores)
    grids = []
    for by, names, title in (
        ("environment", scores.environments, "Failure labels by environment"),
        ("agent", scores.studied, "Failure labels by agent"),
    ):
        totals = dict(frame.group_by(by).len().iter_rows())
        names = [name for name in names if name in totals]
        rows = []
        for label, counts in _counts(frame, by).items():
            cells = []
            for name in names:
                share = counts.get(name, 0) / totals[name]
                text = f"{percent(share)} ({counts[name]:,})" if name in counts else "·"
                cells.append(Cell(text, heat=share))
            rows.append((Cell(label.replace("_", " ")), *cells))
        heads = ("label", *(f"{name}, n\N{NO-BREAK SPACE}{totals[name]:,}" for name in names))
        grids.append(Grid(title, heads, tuple(rows)))
    if not grids[0].rows:
        lead = "No trajectory carries a label."
        if int(frame["passed"].sum()) < len(frame):
            lead += " The scores were made without diagnosis: score again with --diagnose."
        return Section("labels", "Why trajectories failed", lead)
    said = [name for name in _counts(frame, "agent") if name in LABELS]
    rules = tuple((Cell(name.replace("_", " ")), Cell(LABELS[name].rule)) for name in said)
    grids.append(Grid("What the labels mean", ("label", "rule"), rules, folded=True))
    return Section(
        "labels",
        "Why trajectories failed",
        "Share of all trajectories that carry a label, and how many; one can carry several."
        + _who(scores),
        tuple(grids),
    )


def _who(scores: Scores) -> str:
    if len(scores.studied) == len(scores.agents):
        return ""
    return " The scale's ends are left out."


def _along_axes(scores: Scores) -> Section | None:
    import polars as pl

    frame = _of_studied(scores)
    axes = scores.axes
    if axes is None:
        levels = [d for d in scores.levels if d in LEVELS]
        axes = pl.DataFrame([{"difficulty": d, **difficulty(d).to_dict()} for d in levels])
        source = "The axes are those that the difficulty sets; give --episodes for the true ones."
        key = "difficulty"
    else:
        source = "The axes are each episode's own."
        key = "episode_id"
    if axes.is_empty():
        return None
    kept = [key, *(name for name in AXIS_NAMES if name in axes.columns)]
    joined = frame.join(axes.select(kept).unique(key), on=key, how="inner")
    if joined.is_empty():
        return None
    overall = list(_counts(joined, "agent"))[:AXIS_LABELS]
    grids: list[Grid] = []
    still: list[str] = []
    for axis in kept[1:]:
        bins = _bins(joined[axis])
        if len(bins) < 2:
            still.append(axis)
            continue
        edges = [high for _, high in bins[:-1]]
        value = pl.lit(0, dtype=pl.Int32)
        for edge in edges:
            value = value + (pl.col(axis) > edge).cast(pl.Int32)
        part = joined.with_columns(value.alias("_bin"))
        totals = dict(part.group_by("_bin").len().iter_rows())
        places = [i for i in range(len(bins)) if i in totals]
        rows = [(Cell("passed"), *(_binned_rate(part, i, axis) for i in places))]
        counts = _counts(part, "_bin")
        for label in overall:
            cells = []
            for i in places:
                share = counts.get(label, {}).get(i, 0) / totals[i]
                cells.append(Cell(percent(share) if share else "·", heat=share))
            rows.append((Cell(label.replace("_", " ")), *cells))
        heads = (axis, *(_range(*bins[i]) for i in places))
        grids.append(Grid(f"Along {axis}", heads, tuple(rows), folded=len(grids) > 1))
    shown = "Pass rate."
    if overall:
        shown = f"Pass rate, and share of trajectories with the {len(overall)} commonest labels."
    lead = (
        f"{shown} {source} Axes move together with the difficulty unless episodes were drawn "
        "otherwise, so that one table alone shows no cause."
    )
    if still:
        lead += f" The same in all episodes: {', '.join(still)}."
    return Section("axes", "Failures along each axis", lead + _who(scores), tuple(grids))


def _binned_rate(part: pl.DataFrame, i: int, axis: str) -> Cell:
    import polars as pl

    chosen = part.filter(pl.col("_bin") == i)
    sums = chosen.group_by("episode_id").agg(pl.col("passed").sum(), pl.len()).sort("episode_id")
    return share_cell(
        pooled_share(sums["passed"].to_numpy(), sums["len"].to_numpy(), "axis", axis, i,
                     resamples=RESAMPLES)
    )  # fmt: skip


def _bins(values: pl.Series) -> list[tuple[float, float]]:
    """At most :data:`AXIS_BINS` ranges of neighbouring values, about equally full."""
    counted = values.drop_nulls().value_counts().sort(values.name)
    found = list(counted.iter_rows())
    if len(found) <= AXIS_BINS + 1:
        return [(value, value) for value, _ in found]
    target = sum(n for _, n in found) / AXIS_BINS
    bins: list[tuple[float, float]] = []
    start, held, done = found[0][0], 0, 0
    for place, (value, n) in enumerate(found):
        held += n
        last = place == len(found) - 1
        if last or held + done >= target * (len(bins) + 1):
            bins.append((start, value))
            done, held = done + held, 0
            if not last:
                start = found[place + 1][0]
    return bins


def _range(low: float, high: float) -> str:
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def _comparison(scores: Scores) -> Section:
    title = "Agents on the same episodes"
    agents = scores.studied[:AGENTS_COMPARED]
    if len(agents) < 2:
        return Section("compared", title, "One agent under study: nothing to compare.")
    grids: list[Grid] = []
    outcomes = {
        (agent, name): scores.outcomes(agent, name)
        for agent in agents
        for name in (None, *scores.environments)
    }
    families: list[tuple[list[Any], str]] = [
        ([None], "All environments"),
        (list(scores.environments), "By environment"),
    ]
    for names, called in families:
        found = []
        for first, second in combinations(agents, 2):
            for name in names:
                result = paired_test(
                    outcomes[first, name], outcomes[second, name], first, second, name
                )
                if result.n:
                    alone = [len(outcomes[one, name]) - result.n for one in (first, second)]
                    found.append((first, second, name, result, alone))
        adjusted = holm([result.p_value for *_, result, _ in found])
        rows = []
        for (first, second, name, result, alone), p in zip(found, adjusted, strict=True):
            sure = " *" if p <= 0.05 else ""
            gap = f"{100 * result.difference:+.1f}"
            if not math.isnan(result.low):
                gap += f" ({100 * result.low:+.1f} to {100 * result.high:+.1f})"
            rows.append(
                (
                    Cell(f"{first} − {second}" + (f" · {name}" if name else "")),
                    Cell(gap),
                    Cell(f"{result.first_better:,} / {result.second_better:,}"),
                    Cell(f"{result.n:,}"),
                    Cell(f"{alone[0]:,} / {alone[1]:,}"),
                    Cell(_p(result.p_value)),
                    Cell(_p(p) + sure),
                )
            )
        if rows:
            heads = (
                "agents",
                "difference, points",
                "better on",
                "n episodes",
                "played by one alone",
                "p",
                "p, Holm",
            )
            grids.append(Grid(called, heads, tuple(rows)))
    if not grids:
        return Section("compared", title, "No two agents played the same episode.")
    lead = (
        "Difference of pass rates on the episodes that both played, each episode counting once, "
        "with its 95 % interval; on how many episodes the first and the second did better; how "
        "many episodes only the first and only the second played, which are left out here; p of a "
        "two-sided paired permutation test, and after Holm's correction over the rows of its "
        "table (* where at most 0.05)."
    )
    if len(scores.studied) > AGENTS_COMPARED:
        lead += f" The first {AGENTS_COMPARED} agents by name are compared."
    return Section("compared", title, lead, tuple(grids))


def _p(value: float) -> str:
    return "–" if math.isnan(value) else "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def worst(scores: Scores, n: int = 20) -> list[dict[str, Any]]:
    """The rows to look at first: the lowest reward, then the easiest episode.

    Trajectories under study that failed, at most one of an agent on an episode; ties go by episode
    id, agent and trial.
    """
    import polars as pl

    return (
        _of_studied(scores)
        .filter(~pl.col("passed"))
        .sort("reward", "difficulty", "episode_id", "agent", "trial", "row")
        .unique(["episode_id", "agent"], keep="first", maintain_order=True)
        .head(n)
        .to_dicts()
    )


def notes(scores: Scores) -> list[str]:
    """How the figures were made, for the end of the report."""
    said = [
        "Intervals of shares are Wilson's where each episode was played once; otherwise, and for "
        f"means, a seeded bootstrap that draws whole episodes ({RESAMPLES:,} samples, expanded "
        "percentiles). The same scores give the same report.",
        "What is not valid has not passed. Rows that belong to no known episode stand in no rate.",
        "Worst trajectories: failed, lowest reward first, then the lowest difficulty; of several "
        "trials of an agent on an episode the worst.",
    ]
    if scores.missing:
        said.append(
            f"The scores lack the column(s) {', '.join(scores.missing)}; what needs them was left "
            "out."
        )
    return said


def axes_frame(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> pl.DataFrame:
    """Axes by episode, for :class:`Scores`, from pairs of episode id and axes."""
    import polars as pl

    kinds: Sequence[tuple[str, Any]] = [("episode_id", pl.String)]
    kinds = [*kinds, *((name, pl.Float64) for name in AXIS_NAMES)]
    made = [
        {"episode_id": name, **{axis: float(axes[axis]) for axis in AXIS_NAMES}}
        for name, axes in rows
    ]
    return pl.DataFrame(made, schema=dict(kinds))
