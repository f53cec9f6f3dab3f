"""The audit of an episode set (SPEC §9): who passes what, and what attackers reach.

Every episode is played by the reference, the honest agent, every near miss, the cheap policies,
the naive policy and the attackers. The result is one row for each environment, difficulty and
policy, with whole-number totals, so that any split of the work gives the same table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ecomkit.agents.attackers import ATTACKERS, attack
from ecomkit.agents.scripted import CHEAP_POLICIES, play_session, run_actions
from ecomkit.core.records import Episode, Score
from ecomkit.envs import environment
from ecomkit.session.session import Session

if TYPE_CHECKING:
    import polars as pl

    from ecomkit.catalog import Catalog

GROUPS = ("solver", "near_miss", "cheap", "naive", "attacker")


@dataclass
class Tally:
    """Totals of one policy in one cell. Rewards are in millionths."""

    attempts: int = 0
    passes: int = 0
    perfect: int = 0
    """Sessions with r_task exactly 1.0."""
    reward_micros: int = 0
    best_micros: int = -1_000_000
    passed_ids: list[str] = field(default_factory=list)
    """The first few episodes that it passed, to look at."""

    def add(self, score: Score) -> None:
        """Count one session."""
        micros = round(score.reward * 1_000_000)
        self.attempts += 1
        self.passes += score.passed
        self.perfect += score.r_task == 1.0
        self.reward_micros += micros
        self.best_micros = max(self.best_micros, micros)
        if score.passed and len(self.passed_ids) < 5:
            self.passed_ids.append(score.episode_id)


Key = tuple[str, int, str, str]
"""(environment, difficulty, group, policy)."""


def audit_episodes(
    episodes: Sequence[Episode],
    catalog: Catalog,
    fit: Sequence[Episode] = (),
    totals: dict[Key, Tally] | None = None,
) -> dict[Key, Tally]:
    """Play everything on each episode and add it to ``totals``.

    Args:
        episodes: of one cell, in order; the neighbour of one is the one before it.
        catalog: with its search engine.
        fit: episodes of another split, from which the fitted attacker takes its constant.
        totals: totals to add to; a new dict if None.
    """
    totals = {} if totals is None else totals

    def note(episode: Episode, group: str, policy: str, session: Session) -> None:
        key = (episode.environment, episode.difficulty, group, policy)
        totals.setdefault(key, Tally()).add(session.score())

    for index, episode in enumerate(episodes):
        env = environment(episode.environment)
        for agent in ("reference", "honest"):
            note(episode, "solver", agent, play_session(agent, episode, catalog, record=False))
        session = Session(episode, catalog, record=False)
        for miss in env.near_misses(episode.goal, episode.world, episode.axes, catalog):
            session.reset()
            note(episode, "near_miss", miss.kind, run_actions(session, miss.actions))
        for policy in (*CHEAP_POLICIES, "naive"):
            if policy == "neighbour" and len(episodes) < 2:
                continue
            played = play_session(policy, episode, catalog, episodes[index - 1], record=False)
            note(episode, "naive" if policy == "naive" else "cheap", policy, played)
        for name in (*ATTACKERS, *env.attackers()):
            if name == "fitted_constant" and not fit:
                continue
            note(episode, "attacker", name, attack(name, episode, catalog, fit))
    return totals


def to_frame(totals: Mapping[Key, Tally]) -> pl.DataFrame:
    """The audit as a table: one row a key, sorted, with rates and mean and best reward."""
    import polars as pl

    rows: list[dict[str, Any]] = []
    for (name, d, group, policy), tally in totals.items():
        rows.append(
            {
                "environment": name,
                "difficulty": d,
                "group": group,
                "policy": policy,
                "attempts": tally.attempts,
                "passes": tally.passes,
                "perfect": tally.perfect,
                "mean_reward": round(tally.reward_micros / tally.attempts / 1e6, 6),
                "best_reward": round(tally.best_micros / 1e6, 6),
                "passed_ids": tally.passed_ids,
            }
        )
    frame = pl.DataFrame(rows, schema_overrides={"passed_ids": pl.List(pl.String)})
    order = pl.col("group").replace_strict({g: i for i, g in enumerate(GROUPS)}).alias("_group")
    return (
        frame.with_columns(order)
        .sort("environment", "difficulty", "_group", "policy")
        .drop("_group")
    )


def merge(parts: Iterable[Mapping[Key, Tally]]) -> dict[Key, Tally]:
    """The sum of several totals, in the order given."""
    out: dict[Key, Tally] = {}
    for part in parts:
        for key, tally in part.items():
            mine = out.setdefault(key, Tally())
            mine.attempts += tally.attempts
            mine.passes += tally.passes
            mine.perfect += tally.perfect
            mine.reward_micros += tally.reward_micros
            mine.best_micros = max(mine.best_micros, tally.best_micros)
            mine.passed_ids = (mine.passed_ids + tally.passed_ids)[:5]
    return out


def to_markdown(frame: pl.DataFrame) -> str:
    """The audit as two Markdown tables: by environment and group, and by policy."""
    import polars as pl

    total = frame.group_by("environment", "group", maintain_order=True).agg(
        pl.col("attempts").sum(), pl.col("passes").sum(), pl.col("best_reward").max()
    )
    lines = ["| environment | group | attempts | passed | best reward |", "|---|---|--:|--:|--:|"]
    for row in total.iter_rows(named=True):
        lines.append(
            f"| {row['environment']} | {row['group']} | {row['attempts']:,} | "
            f"{_share(row['passes'], row['attempts'])} | {row['best_reward']:.2f} |"
        )
    by_policy = frame.group_by("environment", "group", "policy", maintain_order=True).agg(
        pl.col("attempts").sum(),
        pl.col("passes").sum(),
        ((pl.col("mean_reward") * pl.col("attempts")).sum() / pl.col("attempts").sum()).alias(
            "mean_reward"
        ),
        pl.col("best_reward").max(),
    )
    lines += [
        "",
        "| environment | group | policy | attempts | passed | mean reward | best reward |",
        "|---|---|---|--:|--:|--:|--:|",
    ]
    for row in by_policy.iter_rows(named=True):
        lines.append(
            f"| {row['environment']} | {row['group']} | {row['policy']} | {row['attempts']:,} | "
            f"{_share(row['passes'], row['attempts'])} | {row['mean_reward']:.2f} | "
            f"{row['best_reward']:.2f} |"
        )
    naive = frame.filter(pl.col("policy") == "naive")
    levels = sorted(set(naive["difficulty"]))
    lines += [
        "",
        "Naive policy, share passed by difficulty:",
        "",
        "| environment | " + " | ".join(f"d{d:02d}" for d in levels) + " |",
        "|---|" + "--:|" * len(levels),
    ]
    for name in dict.fromkeys(naive["environment"]):
        cells = {
            row["difficulty"]: f"{row['passes'] / row['attempts']:.0%}"
            for row in naive.filter(pl.col("environment") == name).iter_rows(named=True)
        }
        lines.append(f"| {name} | " + " | ".join(cells.get(d, "") for d in levels) + " |")
    return "\n".join(lines) + "\n"


def _share(passes: int, attempts: int) -> str:
    share = passes / attempts
    return f"{passes:,} (100 %)" if passes == attempts else f"{passes:,} ({share:.2%})"
