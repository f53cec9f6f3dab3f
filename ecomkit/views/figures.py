"""Figures for notebooks: one look, intervals on every rate, colours that the colour-blind can tell.

matplotlib is imported when a figure is made, not before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ecomkit.views.plots import COLORS as COLORS

if TYPE_CHECKING:
    from ecomkit.study.stats import Estimate

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LOOK: dict[str, Any] = {
    "figure.dpi": 90,
    "savefig.dpi": 90,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.hashsalt": "ecomkit",
}


def panels(
    rows: int = 1, columns: int = 1, width: float = 0.0, height: float = 0.0, **options: Any
) -> Any:
    """A figure and its axes in the kit's look, as ``plt.subplots`` gives them.

    Args:
        rows: of panels.
        columns: of panels.
        width: inches; 0 takes a width that fits a notebook.
        height: inches; 0 takes three a row.
        options: for ``plt.subplots``, such as ``sharey=True``.
    """
    import matplotlib.pyplot as plt

    plt.rcParams.update(_LOOK)
    size = (width or min(10.0, 2.4 + 3.4 * columns), height or 3.1 * rows)
    return plt.subplots(rows, columns, figsize=size, **options)


def rates(
    axes: Any,
    series: Mapping[str, Sequence[tuple[float, Estimate]]],
    x: str,
    y: str = "share passed",
    apart: float = 0.12,
    legend: bool = True,
) -> None:
    """Lines of shares with their intervals, a little apart so that none hides another.

    Args:
        axes: one panel.
        series: name → (place on the x axis, estimate), in order.
        x: label of the x axis, with its unit.
        y: label of the y axis.
        apart: distance between the series at the same place, in units of x.
        legend: name the series.
    """
    middle = (len(series) - 1) / 2
    for number, (name, points) in enumerate(series.items()):
        shift = (number - middle) * apart
        values = [found.value for _, found in points]
        axes.errorbar(
            [place + shift for place, _ in points],
            values,
            yerr=[
                [max(0.0, found.value - found.low) for _, found in points],
                [max(0.0, found.high - found.value) for _, found in points],
            ],
            color=COLORS[number % len(COLORS)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=5,
            linewidth=1.4,
            elinewidth=1,
            capsize=2,
            label=name,
            clip_on=False,
        )
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if legend and len(series) > 1:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def bars(
    axes: Any, names: Sequence[str], found: Sequence[Estimate], x: str, color: str = COLORS[0]
) -> None:
    """Horizontal bars with intervals, the first on top, each with its n."""
    places = list(range(len(names)))[::-1]
    values = [one.value for one in found]
    axes.barh(places, values, color=color, height=0.6, alpha=0.75)
    axes.errorbar(
        values,
        places,
        xerr=[
            [max(0.0, one.value - one.low) for one in found],
            [max(0.0, one.high - one.value) for one in found],
        ],
        fmt="none",
        ecolor="black",
        elinewidth=1,
        capsize=2,
    )
    labels = [f"{name} (n = {one.n})" for name, one in zip(names, found, strict=True)]
    axes.set_yticks(places, labels)
    axes.set_xlabel(x)
    axes.tick_params(axis="y", length=0)


def heat(
    axes: Any,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float]],
    x: str,
    y: str,
    form: str = "{:.0%}",
    marked: Sequence[tuple[int, int]] = (),
) -> None:
    """A table of shares in [0, 1] as shades, each with its figure; ``marked`` cells are framed.

    NaN is left blank.
    """
    import math

    from matplotlib.patches import Rectangle

    axes.imshow(values, cmap="Blues", vmin=0, vmax=1.25, aspect="auto")
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            if not math.isnan(value) and value > 0:
                shade = "white" if value > 0.7 else "black"
                axes.text(
                    j, i, form.format(value), ha="center", va="center", fontsize=8, color=shade
                )
    for i, j in marked:
        frame = Rectangle(
            (j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=COLORS[1], linewidth=1.8, clip_on=False
        )
        axes.add_patch(frame)
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
