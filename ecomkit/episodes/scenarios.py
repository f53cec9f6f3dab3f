"""Scenarios: one environment in one department, ``cart@chargers`` (SPEC §1).

What a scenario can do depends on the catalog: a department with few products may not give enough
to choose from at a high difficulty. :func:`check_scenario` finds out by drawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecomkit.core.errors import DrawFailed, UnknownName
from ecomkit.envs import REGISTRY, environment
from ecomkit.episodes.draw import draw, draw_goal

if TYPE_CHECKING:
    import polars as pl

    from ecomkit.catalog import Catalog

LEVELS_CHECKED = (0, 6, 12)


@dataclass(frozen=True, slots=True)
class Scenario:
    """An environment in a department."""

    environment: str
    department: str

    @property
    def name(self) -> str:
        """``environment@department``."""
        return f"{self.environment}@{self.department}"

    @classmethod
    def parse(cls, name: str) -> Scenario:
        """The inverse of :attr:`name`. Raises ValueError if there is no ``@``."""
        env, found, department = name.partition("@")
        if not found or not env or not department:
            raise ValueError(f"a scenario reads environment@department, got {name!r}")
        return cls(env, department)


@dataclass(frozen=True, slots=True)
class ScenarioReport:
    """What a scenario gives on a catalog."""

    scenario: Scenario
    products: int
    """Products of the department."""
    problems: tuple[tuple[int, str], ...]
    """(difficulty, why no certified episode came; empty if one did), for each one checked."""
    redraws: int
    """Dead ends met on the way to the certified episodes."""
    seeds: int
    """Seeds from which goals were drawn."""
    drawn: int
    """How many of them gave one."""
    goals: int
    """Distinct goals among these."""

    @property
    def complete(self) -> bool:
        """True if a certified episode came at every difficulty checked."""
        return not any(why for _, why in self.problems)


def list_scenarios(
    catalog: Catalog,
    environments: Iterable[str] | None = None,
    departments: Iterable[str] | None = None,
) -> list[Scenario]:
    """Every environment that the catalog allows in each of its departments, sorted by name.

    Args:
        catalog: where episodes would be drawn.
        environments: only these; all registered ones if None.
        departments: only these; all of the catalog if None.

    Raises:
        UnknownName: for an environment or a department that does not exist.
    """
    chosen = sorted(REGISTRY) if environments is None else sorted(set(environments))
    places = sorted(catalog.departments) if departments is None else sorted(set(departments))
    for place in places:
        if place not in catalog.departments:
            raise UnknownName("department", place, catalog.departments)
    return [
        Scenario(name, place)
        for name in chosen
        if not environment(name).available(catalog)
        for place in places
    ]


def check_scenario(
    scenario: Scenario,
    catalog: Catalog,
    *,
    levels: Sequence[int] = LEVELS_CHECKED,
    certified: int = 1,
    seeds: int = 1000,
    goals_at: int = 6,
) -> ScenarioReport:
    """Draw certified episodes at some difficulties, and count the distinct goals of many seeds.

    Args:
        scenario: what to draw.
        catalog: with a search engine, which certifying needs.
        levels: difficulties at which certified episodes are drawn.
        certified: episodes a difficulty.
        seeds: uncertified draws, from which goals are counted; 0 for none.
        goals_at: the difficulty of these.
    """
    where: dict[str, Any] = {"department": scenario.department}
    problems = []
    redraws = 0
    for d in levels:
        why = ""
        try:
            for seed in range(certified):
                redraws += len(draw(scenario.environment, d, seed, catalog, **where).redraws)
        except DrawFailed as error:
            why = str(error).partition("tries: ")[2] or str(error)
        problems.append((d, why))
    goals = []
    for seed in range(seeds):
        try:
            goals.append(draw_goal(scenario.environment, goals_at, seed, catalog, **where))
        except DrawFailed:
            continue
    return ScenarioReport(
        scenario=scenario,
        products=len(catalog.rows(department=scenario.department)),
        problems=tuple(problems),
        redraws=redraws,
        seeds=seeds,
        drawn=len(goals),
        goals=len(set(goals)),
    )


def to_frame(reports: Iterable[ScenarioReport]) -> pl.DataFrame:
    """One row a scenario: ``d06`` is true if certified episodes came; else ``d06_why`` says."""
    import polars as pl

    rows = []
    for report in reports:
        row: dict[str, str | int | bool] = {
            "scenario": report.scenario.name,
            "environment": report.scenario.environment,
            "department": report.scenario.department,
            "products": report.products,
        }
        for d, why in report.problems:
            row[f"d{d:02d}"] = not why
        row["redraws"] = report.redraws
        row |= {"seeds": report.seeds, "drawn": report.drawn, "goals": report.goals}
        for d, why in report.problems:
            row[f"d{d:02d}_why"] = why
        rows.append(row)
    return pl.DataFrame(rows).sort("scenario") if rows else pl.DataFrame()


def summary(reports: Sequence[ScenarioReport]) -> str:
    """A Markdown table: for each environment how many scenarios draw, and goals by seeds drawn."""
    groups: dict[str, list[ScenarioReport]] = {}
    for report in sorted(reports, key=lambda one: one.scenario.name):
        groups.setdefault(report.scenario.environment, []).append(report)
    levels = [d for d, _ in reports[0].problems] if reports else []
    lines = [
        "| environment | scenarios | "
        + " | ".join(f"d = {d}" for d in levels)
        + " | at every d | goals drawn | distinct | least distinct |",
        "| --- |" + " ---: |" * (len(levels) + 5),
    ]
    total = [0] * (len(levels) + 4)
    for name, group in groups.items():
        works = [sum(not dict(one.problems)[d] for one in group) for d in levels]
        sums = [len(group), *works, sum(one.complete for one in group)]
        sums += [sum(one.drawn for one in group), sum(one.goals for one in group)]
        total = [a + b for a, b in zip(total, sums, strict=True)]
        least = min(group, key=lambda one: (one.goals / max(1, one.drawn), one.scenario.name))
        told = f"{least.goals} of {least.drawn} ({least.scenario.department})"
        cells = " | ".join(f"{number:,}" for number in sums)
        lines.append(f"| {name} | {cells} | {told if least.drawn else ''} |")
    lines.append(f"| **all** | {' | '.join(f'{number:,}' for number in total)} | |")
    return "\n".join(lines)
