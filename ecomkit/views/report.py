"""The report of a table of scores: one HTML file that needs nothing else, and Markdown (SPEC §14).

The page loads nothing: its style and its charts are in it, and its policy forbids the rest. What
comes from logs is escaped. The same input gives the same bytes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecomkit.core.errors import EpisodeError, TrajectoryError
from ecomkit.core.records import Episode, Trajectory
from ecomkit.study.analysis import (
    RESAMPLES,
    Cell,
    Chart,
    Grid,
    Scores,
    Section,
    axes_frame,
    notes,
    percent,
    sections,
    share_cell,
    worst,
)
from ecomkit.study.stats import pooled_share
from ecomkit.views import html

if TYPE_CHECKING:
    import polars as pl

WORST = 20

_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--panel:#f6f7f9;
--c0:#0072b2;--c1:#c65102;--c2:#00795b;--c3:#a8417c;--c4:#5b5b00;--c5:#6a3fb5;--c6:#6b7280;
--c7:#111}
@media (prefers-color-scheme:dark){:root{--bg:#15181c;--fg:#e6e9ed;--panel:#1d2126;
--c0:#56b4e9;--c1:#ff9a4d;--c2:#35c9a0;--c3:#ee9cc9;--c4:#e6d94c;--c5:#b9a1ff;--c6:#9aa3ad;
--c7:#fff}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main{max-width:1180px;margin:0 auto;padding:1rem clamp(.8rem,3vw,2rem) 4rem}
h1{font-size:1.7rem;line-height:1.2;margin:.6rem 0 .2rem}
h2{font-size:1.25rem;margin:2.4rem 0 .3rem;padding-top:.6rem;border-top:1px solid var(--ek-line)}
h3{font-size:1rem;margin:.6rem 0 .2rem}
p{max-width:72ch;margin:.3rem 0 .6rem}
a{color:var(--ek-accent)}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;padding:0;margin:.6rem 0}
.ek table.ek-t{font-size:.9rem;margin:.2rem 0 .8rem}
.ek table.ek-t caption{color:inherit;font-weight:600}
.ek table.ek-t td{white-space:nowrap}
.ek table.ek-t td.text{white-space:normal;min-width:14rem;max-width:60ch}
.ek table.ek-t th[scope=row]{font-weight:500;white-space:nowrap}
@media (max-width:600px){.ek section table.ek-t th[scope=row]{white-space:normal;
min-width:6.5rem;max-width:9rem;overflow-wrap:break-word}.ek table.ek-t td.text{min-width:9rem}}
.ek section table.ek-t th[scope=row]{position:sticky;left:0;background:var(--bg);z-index:1}
.ek .case table.ek-t th[scope=row]{position:static;background:none}
.ek table.ek-t thead th{vertical-align:bottom}
.grids{display:flex;flex-wrap:wrap;gap:0 2.5rem}.grids>details{flex:0 0 100%;min-width:0}
.rest{color:var(--ek-dim);font-size:.9em}
svg.bar{display:block;width:7.5rem;height:.7rem;overflow:visible}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr));
gap:.8rem 1.4rem;margin:.6rem 0}
figure{margin:0}figcaption{font-weight:600;font-size:.95rem}
svg.plot{display:block;width:100%;height:auto}
svg text{fill:var(--ek-dim);font-size:12px;font-family:inherit}
svg .grid{stroke:var(--ek-line);stroke-width:.6}
svg .axis{stroke:var(--ek-dim);stroke-width:1}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;list-style:none;padding:0;margin:.3rem 0}
.legend svg{width:2.4rem;height:.9rem;vertical-align:middle;margin-right:.3rem}
details{margin:.3rem 0}
details.case{border:1px solid var(--ek-line);border-radius:6px;margin:.6rem 0;
background:var(--panel)}
details.case>summary{padding:.5rem .8rem}
details.case>div{padding:0 .8rem .6rem}
.two{display:grid;gap:0 1.6rem}
@media (min-width:900px){.two{grid-template-columns:minmax(0,3fr) minmax(0,2fr)}
.two>aside{border-left:1px solid var(--ek-line);padding-left:1.2rem;max-height:80vh;
overflow:auto;position:sticky;top:1rem}}
.two>*{min-width:0;font-size:.93rem}
.chip{display:inline-block;border:1px solid var(--ek-line);border-radius:3px;padding:0 .4em;
margin:.1em .3em .1em 0;font-size:.86em}
:focus-visible{outline:2px solid var(--ek-accent);outline-offset:2px}
"""
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 3", "10 4", "4 2", "")


# --- reading ---------------------------------------------------------------------------------


def read_scores(source: Any) -> pl.DataFrame:
    """A table of scores from a file (.parquet, .csv, .jsonl), several files, or a frame.

    Several are put one after another; a column that one lacks is null there.

    Raises:
        TrajectoryError: if a file is missing, damaged or of another kind.
    """
    import polars as pl

    if isinstance(source, pl.DataFrame):
        return source
    if isinstance(source, str | os.PathLike):
        source = [source]
    frames = []
    for item in source:
        if isinstance(item, pl.DataFrame):
            frames.append(item)
            continue
        path = Path(item)
        readers: Mapping[str, Any] = {
            ".parquet": pl.read_parquet,
            ".csv": pl.read_csv,
            ".jsonl": pl.read_ndjson,
        }
        if not path.exists():
            raise TrajectoryError(f"{path} does not exist")
        if path.suffix not in readers:
            raise TrajectoryError(f"{path}: scores are .parquet, .csv or .jsonl files")
        try:
            frames.append(readers[path.suffix](path))
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise TrajectoryError(f"{path} is no readable table of scores: {reason}") from None
    if not frames:
        raise TrajectoryError("no scores were given")
    if len(frames) == 1:
        return frames[0]
    try:
        return pl.concat(frames, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise TrajectoryError(f"the score files do not fit together: {reason}") from None


def read_axes(episodes: Any, ids: Iterable[str]) -> pl.DataFrame | None:
    """The axes of the episodes with these ids; those not found are left out.

    Args:
        episodes: an :class:`~ecomkit.scores.episodeset.EpisodeSet`.
    """
    import polars as pl

    wanted = sorted(set(ids))
    if episodes.folder is not None:
        parts = []
        for file in sorted(Path(episodes.folder).rglob("d??.parquet")):
            try:
                part = pl.read_parquet(file, columns=["episode_id", "axes"])
            except (pl.exceptions.PolarsError, OSError):
                continue
            parts.append(part.filter(pl.col("episode_id").is_in(wanted)))
        rows = [row for part in parts for row in part.iter_rows()]
        return axes_frame(rows) if rows else None
    found = [(name, episodes[name].axes.to_dict()) for name in wanted if name in episodes]
    return axes_frame(found) if found else None


def find_trajectories(logs: Any, rows: Sequence[Mapping[str, Any]]) -> dict[int, Trajectory]:
    """The trajectories of some rows of the scores, by row number; one pass over the log.

    Episode, agent and trial must be the same; of several such rows of the log, the one at the same
    place as the row of the scores is taken, or else the first.

    Args:
        logs: what :func:`ecomkit.scores.readers.open_log` takes.
        rows: rows of the scores, with their number in ``row``.
    """
    from ecomkit.scores.readers import read_logs

    by_row = {row["row"]: row for row in rows}
    by_key = {(row["episode_id"], row["agent"], row["trial"]): row["row"] for row in rows}
    in_place: dict[int, Trajectory] = {}
    alike: dict[int, Trajectory] = {}
    for number, item in enumerate(read_logs(logs)):
        if not isinstance(item, Trajectory):
            continue
        name = (item.episode_id, item.agent[:200] or "unnamed", item.trial)
        row = by_row.get(number)
        if row is not None and name in (
            ("", row["agent"], row["trial"]),
            (row["episode_id"], row["agent"], row["trial"]),
        ):
            in_place[number] = item
        if name in by_key:
            alike.setdefault(by_key[name], item)
    return {**alike, **in_place}


# --- rows in and out of the rates --------------------------------------------------------------


def accounted(scores: Scores) -> Section:
    """Which rows the rates count, agent by agent: none may be left out without a word.

    A row of a known episode is in every rate. Where it could not be judged (tampered, drifted,
    unreadable), or the run itself broke, it counts as failed; how many do and what the rate is
    without them stands beside. Only rows of no known episode are left out.
    """
    import polars as pl

    every, placed = scores.every, scores.frame
    # A run that broke before its first message can't be read either: the run is the cause.
    broke = (pl.col("termination") == "infra_error").fill_null(False)
    judged = (pl.col("verdict") == "valid") & ~broke
    failed = placed.filter(~judged).with_columns(
        pl.when(broke).then(pl.lit("infra_error")).otherwise(pl.col("verdict")).alias("cause")
    )
    outside = every.join(placed.select("row"), on="row", how="anti").with_columns(
        pl.when(pl.col("verdict") == "valid")
        .then(pl.lit("no environment or difficulty known"))
        .when(pl.col("verdict") == "unknown_episode")
        .then(pl.lit("unknown_episode"))
        .otherwise(pl.col("verdict") + " without an episode")
        .alias("cause")
    )
    rows = []
    left = sorted(set(every["agent"].unique()) - set(scores.agents))
    for agent in (*scores.agents, *left):
        mine = pl.col("agent") == agent
        sums = (
            placed.filter(mine & judged)
            .group_by("episode_id")
            .agg(pl.col("passed").sum(), pl.len())
            .sort("episode_id")
        )
        rate = Cell("–")
        if sums.height:
            rate = share_cell(
                pooled_share(
                    sums["passed"].to_numpy(), sums["len"].to_numpy(), "judged", agent,
                    resamples=RESAMPLES,
                )
            )  # fmt: skip
        rows.append(
            (
                Cell(agent),
                Cell(f"{every.filter(mine).height:,}"),
                Cell(f"{placed.filter(mine).height:,}"),
                Cell(_causes(failed.filter(mine))),
                Cell(_causes(outside.filter(mine))),
                rate,
            )
        )
    lead = f"The rates count {placed.height:,} of {every.height:,} rows. "
    if failed.height:
        lead += f"{failed.height:,} of them could not be judged and count as failed. "
    if outside.height:
        lead += (
            f"{outside.height:,} are of no known episode and in no rate: {_causes(outside)}. "
            "Score them with their episodes, or mind that the rates may be too high. "
        )
    if not failed.height and not outside.height:
        lead += "All of them could be judged."
    heads = ("agent", "rows", "in the rates", "not judged, counted as failed",
             "left out of the rates", "pass rate without the not judged, 95 %")  # fmt: skip
    return Section(
        "rows",
        "Rows that the rates count",
        lead.strip(),
        (Grid("Rows in and out of the rates", heads, tuple(rows)),),
    )


def _causes(rows: pl.DataFrame) -> str:
    """How many rows for each cause, most first; a dash for none."""
    counted = sorted(rows["cause"].value_counts().iter_rows(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in counted) or "–"


def _all_sections(scores: Scores) -> list[Section]:
    """The sections of the report: the rows counted come right after the first."""
    first, *others = sections(scores)
    return [first, accounted(scores), *others]


# --- HTML ------------------------------------------------------------------------------------


def bar(estimate: Any, span: tuple[float, float]) -> str:
    """A small drawing of an estimate: its interval as a line and its value as a dot."""

    def place(value: float) -> float:
        return 100 * min(1.0, max(0.0, (value - span[0]) / (span[1] - span[0])))

    x = place(estimate.value)
    line = ""
    if not math.isnan(estimate.low):
        low, high = place(estimate.low), place(estimate.high)
        line = (
            f"<line x1='{low:.1f}' x2='{high:.1f}' y1='6' y2='6' stroke='var(--c0)' "
            "stroke-width='3' stroke-opacity='.55' vector-effect='non-scaling-stroke'/>"
        )
    zero = ""
    if span[0] < 0:
        at = place(0)
        zero = (
            f"<line x1='{at:.1f}' x2='{at:.1f}' y1='1' y2='11' class='grid' "
            "vector-effect='non-scaling-stroke'/>"
        )
    # Text says the same beside it; the drawing is for the eye alone.
    return (
        "<svg class='bar' viewBox='0 0 100 12' preserveAspectRatio='none' aria-hidden='true'>"
        "<line x1='0' x2='100' y1='6' y2='6' class='grid' vector-effect='non-scaling-stroke'/>"
        f"{zero}{line}<line x1='{x:.1f}' x2='{x:.1f}' y1='1' y2='11' stroke='var(--c0)' "
        "stroke-width='3' vector-effect='non-scaling-stroke'/></svg>"
    )


def _cell(cell: Cell, span: tuple[float, float]) -> str:
    text = html.esc(cell.text)
    if cell.estimate is not None:
        figure, _, count = text.partition(" n ")
        head, _, ends = figure.partition(" ")
        return (
            f"<td><b>{head}</b> <span class='rest'>{ends}</span>{bar(cell.estimate, span)}"
            f"<span class='rest'>n {count}</span></td>"
        )
    figure, _, count = text.partition(" n ")
    if count and count[0].isdigit():
        head, _, ends = figure.partition(" ")
        return (
            f"<td><b>{head}</b> <span class='rest'>{ends}</span><br>"
            f"<span class='rest'>n {count}</span></td>"
        )
    if cell.heat is not None:
        share = round(45 * min(1.0, max(0.0, cell.heat)))
        shade = f" style='background:color-mix(in srgb,var(--c0) {share}%,transparent)'"
        return f"<td{shade if share else ''}>{text}</td>"
    return f"<td class='text'>{text}</td>" if len(cell.text) > 24 else f"<td>{text}</td>"


def _grid(grid: Grid) -> str:
    heads = "".join(f"<th scope='col'>{html.esc(head)}</th>" for head in grid.heads)
    body = "".join(
        f"<tr><th scope='row'>{html.esc(row[0].text)}</th>"
        f"{''.join(_cell(cell, grid.span) for cell in row[1:])}</tr>"
        for row in grid.rows
    )
    caption = "" if grid.folded else f"<caption>{html.esc(grid.title)}</caption>"
    made = (
        f"<div class='ek-wide' tabindex='0' role='group' aria-label='{html.esc(grid.title)}'>"
        f"<table class='ek-t'>{caption}<thead><tr>{heads}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )
    if grid.folded:
        return f"<details><summary>{html.esc(grid.title)}</summary>{made}</details>"
    return made


def _marker(shape: int, x: float, y: float) -> str:
    """A point of one of six shapes, so that colour is not all that tells the lines apart."""
    r = 4.0
    shapes = (
        f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{r}'",
        f"<rect x='{x - r + 0.5:.1f}' y='{y - r + 0.5:.1f}' width='7' height='7'",
        f"<path d='M{x:.1f} {y - r - 1:.1f}l5 9h-10z'",
        f"<path d='M{x:.1f} {y - r - 1:.1f}l5 5l-5 5l-5 -5z'",
        f"<path d='M{x:.1f} {y + r + 1:.1f}l5 -9h-10z'",
        f"<path d='M{x - 4:.1f} {y - 1.5:.1f}h8v3h-8z'",
    )
    return f"{shapes[shape % 6]} fill='var(--c{shape % 8})'/>"


def _chart(chart: Chart, styles: Mapping[str, int]) -> str:
    """Pass rate along the difficulty as SVG; the table below it says the same."""
    width, height, left, bottom, top, right = 360, 220, 40, 30, 10, 10
    levels = sorted({d for _, points in chart.lines for d, _ in points})
    low, high = (levels[0], levels[-1]) if levels else (0, 1)

    def at(d: float) -> float:
        inner = width - left - right - 24
        return left + 12 + (inner * (d - low) / (high - low) if high > low else inner / 2)

    def up(share: float) -> float:
        return top + (height - top - bottom) * (1 - share)

    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = up(share)
        parts.append(f"<line class='grid' x1='{left}' x2='{width - right}' y1='{y}' y2='{y}'/>")
        if share in (0, 0.5, 1):
            parts.append(f"<text x='{left - 6}' y='{y + 4}' text-anchor='end'>{share:.0%}</text>")
    # Half the figures where there is no room for all.
    for place, d in enumerate(levels):
        if len(levels) <= 9 or place % 2 == 0:
            y = height - bottom + 16
            parts.append(f"<text x='{at(d):.1f}' y='{y}' text-anchor='middle'>d{d}</text>")
    for place, (name, points) in enumerate(chart.lines):
        shape = styles[name]
        colour = f"var(--c{shape % 8})"
        shift = 3.0 * (place - (len(chart.lines) - 1) / 2)
        spots = [(at(d) + shift, up(e.value), e) for d, e in points]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in spots)
        dash = _DASHES[shape % 8]
        parts.append(
            f"<path d='{path}' fill='none' stroke='{colour}' stroke-width='1.8'"
            + (f" stroke-dasharray='{dash}'" if dash else "")
            + "/>"
        )
        for x, y, e in spots:
            if not math.isnan(e.low):
                parts.append(
                    f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{up(e.low):.1f}' y2='{up(e.high):.1f}' "
                    f"stroke='{colour}' stroke-width='1.2' stroke-opacity='.7'/>"
                )
            parts.append(_marker(shape, x, y))
    said = "; ".join(
        f"{name}: " + ", ".join(f"d{d} {percent(e.value)}" for d, e in points)
        for name, points in chart.lines
    )
    title = html.esc(chart.title)
    return (
        f"<figure><figcaption>{title}</figcaption><svg class='plot' viewBox='0 0 {width} {height}'"
        f" role='img' aria-label='Pass rate by difficulty, {title}. {html.esc(said)}'>"
        f"{''.join(parts)}</svg></figure>"
    )


def _legend(styles: Mapping[str, int]) -> str:
    items = []
    for name, shape in styles.items():
        dash = f" stroke-dasharray='{_DASHES[shape % 8]}'" if _DASHES[shape % 8] else ""
        items.append(
            "<li><svg viewBox='0 0 38 14' aria-hidden='true'>"
            f"<line x1='0' x2='38' y1='7' y2='7' stroke='var(--c{shape % 8})' stroke-width='1.8'"
            f"{dash}/>{_marker(shape, 19, 7)}</svg>{html.esc(name, 120)}</li>"
        )
    return f"<ul class='legend' role='list'>{''.join(items)}</ul>"


def _section(section: Section) -> str:
    parts = [f"<section id='{section.key}'><h2>{html.esc(section.title)}</h2>"]
    parts.append(f"<p>{html.esc(section.lead)}</p>")
    if section.charts:
        names = list(dict.fromkeys(name for chart in section.charts for name, _ in chart.lines))
        styles = {name: i for i, name in enumerate(names)}
        parts.append(_legend(styles))
        drawn = "".join(_chart(chart, styles) for chart in section.charts)
        parts.append(f"<div class='charts'>{drawn}</div>")
    parts.append(f"<div class='grids'>{''.join(_grid(grid) for grid in section.grids)}</div>")
    return "".join(parts) + "</section>"


def _chips(row: Mapping[str, Any]) -> str:
    chips = "".join(
        f"<span class='chip'>{html.esc(name.replace('_', ' '), 60)}</span>"
        for name in row["labels"][:20]
    )
    failed = ", ".join(row["failed_checks"][:20])
    said = f" <span class='ek-dim'>failed checks: {html.esc(failed, 400)}</span>" if failed else ""
    return f"<p>{chips}{said}</p>" if chips or said else ""


def _ended(row: Mapping[str, Any]) -> str:
    ended = str(row["termination"] or "ended").replace("_", " ")
    return ended if row["verdict"] == "valid" else f"{row['verdict']}"


def _case(
    place: int,
    row: Mapping[str, Any],
    trajectory: Trajectory | None,
    episode: Episode | None,
) -> str:
    """One of the worst trajectories: the conversation, and beside it what was wanted."""
    head = (
        f"<b>{place}. {html.esc(row['episode_id'], 120)}</b> · {html.esc(row['agent'], 120)}, "
        f"trial {row['trial']} · reward {row['reward']:.2f} · {html.esc(_ended(row), 60)}"
    )
    step = row["first_decisive_step"]
    parts = [_chips(row)]
    if row["message"]:
        parts.append(f"<p class='ek-dim'>{html.esc(row['message'], 500)}</p>")
    titles: dict[str, str] = {}
    if trajectory is None:
        talk = "<p class='ek-dim'>The log of this trajectory was not given or not found.</p>"
    else:
        titles = html.product_titles(trajectory.messages)
        why = "decisive step: from here on it could not pass"
        talk = html.conversation(trajectory.messages, step, why)
        if step is None:
            said = "After its last step it could still have passed."
            if not row["labels"]:
                said = "No decisive step is known: the scores were made without --diagnose."
            talk = f"<p class='ek-dim'>{said}</p>{talk}"
    wanted = (
        html.goal(episode, titles) + html.episode_facts(episode)
        if episode is not None
        else "<p class='ek-dim'>The goal is in the episode, which was not given or not found.</p>"
    )
    label = f"What was wanted in {html.esc(row['episode_id'], 120)}"
    parts.append(
        f"<div class='two'><div>{talk}</div>"
        f"<aside tabindex='0' aria-label='{label}'>{wanted}</aside></div>"
    )
    opened = " open" if place == 1 else ""
    return (
        f"<details class='case'{opened}><summary>{head}</summary><div>{''.join(parts)}</div>"
        "</details>"
    )


def to_html(
    scores: Scores,
    made: Sequence[Section],
    cases: Sequence[tuple[Mapping[str, Any], Trajectory | None, Episode | None]] = (),
    title: str = "Scores",
) -> str:
    """The whole report as one HTML page that needs no other file and no network."""
    links = [*((section.key, section.title) for section in made), ("worst", "Worst trajectories")]
    menu = "".join(f"<li><a href='#{key}'>{html.esc(name)}</a></li>" for key, name in links)
    body = [f"<h1>{html.esc(title, 200)}</h1>"]
    body.append(f"<nav aria-label='Sections'><ul role='list'>{menu}</ul></nav>")
    body += [_section(section) for section in made]
    body.append(f"<section id='worst'><h2>The worst {len(cases)} trajectories</h2>")
    if cases:
        body.append(
            "<p>Failed, lowest reward first, then the lowest difficulty. First the conversation, "
            "its decisive step marked; beside it, or below on a narrow screen, the goal. Tool "
            "results unfold.</p>"
        )
    else:
        body.append("<p>No trajectory under study failed.</p>")
    body += [_case(place, *case) for place, case in enumerate(cases, 1)]
    said = "".join(f"<li>{html.esc(note)}</li>" for note in notes(scores))
    body.append(f"</section><section id='notes'><h2>Notes</h2><ul>{said}</ul></section>")
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; "
        "style-src 'unsafe-inline'\">"
        f"<title>{html.esc(title, 200)}</title><style>{html.STYLE}{_STYLE}</style></head>"
        f"<body><main class='ek'>{''.join(body)}</main></body></html>\n"
    )


# --- Markdown --------------------------------------------------------------------------------


def _plain(text: Any) -> str:
    """Text that Markdown shows as it is, on one line."""
    out = html.clean(text, 500).replace("\n", " ").replace("\\", "\\\\")
    for mark in "|`*_[]#":
        out = out.replace(mark, "\\" + mark)
    return out.replace("&", "&amp;").replace("<", "&lt;")


def _pipe_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(_plain(head) for head in heads) + " |"]
    lines.append("|" + "---|" * len(heads))
    lines += ["| " + " | ".join(_plain(cell) for cell in row) + " |" for row in rows]
    return lines


def to_markdown(
    scores: Scores,
    made: Sequence[Section],
    cases: Sequence[tuple[Mapping[str, Any], Any, Any]] = (),
    title: str = "Scores",
) -> str:
    """The report's tables as Markdown; conversations are in the HTML alone."""
    lines = [f"# {_plain(title)}"]
    for section in made:
        lines += ["", f"## {_plain(section.title)}", "", _plain(section.lead)]
        for grid in section.grids:
            lines += ["", f"**{_plain(grid.title)}**", ""]
            lines += _pipe_table(grid.heads, [[cell.text for cell in row] for row in grid.rows])
    lines += ["", f"## The worst {len(cases)} trajectories", ""]
    if cases:
        heads = ("episode", "agent", "trial", "reward", "ended", "decisive step", "labels")
        lines += _pipe_table(
            heads,
            [
                (
                    row["episode_id"], row["agent"], str(row["trial"]), f"{row['reward']:.2f}",
                    _ended(row), str(row["first_decisive_step"] or "–"),
                    ", ".join(name.replace("_", " ") for name in row["labels"]) or "–",
                )
                for row, *_ in cases
            ],
        )  # fmt: skip
    else:
        lines.append("No trajectory under study failed.")
    lines += ["", "## Notes", "", *(f"- {_plain(note)}" for note in notes(scores))]
    return "\n".join(lines) + "\n"


# --- all of it -------------------------------------------------------------------------------


def report(
    scores: Any,
    *,
    trajectories: Any = None,
    episodes: Any = None,
    out: str | os.PathLike[str] | None = None,
    markdown: str | os.PathLike[str] | None = None,
    title: str = "Scores",
    worst_count: int = WORST,
) -> str:
    """Write the report of a table of scores.

    Args:
        scores: a frame of ``score_many``, or one or several files of ``ecomkit score``. Give the
            scores of the scripted agents as well: they are the scale's ends.
        trajectories: the log that was scored, for the conversations of the worst.
        episodes: the episodes (folder, Hub id, dataset, rows), for goals and axes.
        out: where to write the HTML page; None to write none.
        markdown: where to write the Markdown summary; None to write none.
        title: the report's heading.
        worst_count: trajectories to show as conversations.

    Returns:
        The Markdown summary.

    Raises:
        TrajectoryError: if the scores or the log can't be read, naming what is missing.
        EpisodeError: if there are no episodes at ``episodes``.
    """
    frame = read_scores(scores)
    known = None
    if episodes is not None:
        from ecomkit.scores.episodeset import EpisodeSet

        known = EpisodeSet(episodes)
    table = Scores(frame)
    if known is not None:
        table.axes = read_axes(known, table.frame["episode_id"].unique().to_list())
    rows = worst(table, worst_count)
    logs: dict[int, Trajectory] = {}
    if trajectories is not None and out is not None:
        logs = find_trajectories(trajectories, rows)
    cases = [(row, logs.get(row["row"]), _episode(known, row["episode_id"])) for row in rows]
    made = _all_sections(table)
    summary = to_markdown(table, made, cases, title)
    if out is not None:
        _write(out, to_html(table, made, cases, title))
    if markdown is not None:
        _write(markdown, summary)
    return summary


def _episode(known: Any, episode_id: str) -> Episode | None:
    if known is None:
        return None
    try:
        found: Episode = known[episode_id]
        return found
    except EpisodeError:
        return None


def _write(path: str | os.PathLike[str], text: str) -> None:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


__all__ = [
    "accounted",
    "find_trajectories",
    "read_axes",
    "read_scores",
    "report",
    "to_html",
    "to_markdown",
]
