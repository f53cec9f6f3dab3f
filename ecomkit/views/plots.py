"""Small plots as SVG text: the same numbers give the same bytes, and no library is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
"""The palette of Okabe and Ito (2008), the darker ones first; yellow is left out on white."""
WIDTH, HEIGHT = 680, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 40, 50


def _frame(title: str, content: Sequence[str], height: int = HEIGHT) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'font-family="sans-serif" font-size="12" fill="#333" role="img">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
            f'<text x="{LEFT}" y="22" font-size="14">{escape(title)}</text>',
            *content,
            "</svg>",
            "",
        ]
    )


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def bars(title: str, names: Sequence[str], values: Sequence[int]) -> str:
    """A bar for each name, its share above it."""
    top = max([*values, 1])
    total = max(1, sum(values))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(values))
    low = HEIGHT - BOTTOM
    out = []
    for i, (name, value) in enumerate(zip(names, values, strict=True)):
        height = (low - TOP - 16) * value / top
        x = LEFT + i * step
        out.append(
            f'<rect x="{x + 4:.1f}" y="{low - height:.1f}" width="{step - 8:.1f}" '
            f'height="{height:.1f}" fill="{COLORS[0]}"/>'
        )
        out.append(_text(x + step / 2, low - height - 4, f"{value / total:.0%}"))
        out.append(_text(x + step / 2, low + 18, name))
    return _frame(title, out)


def lines(title: str, names: Sequence[str], series: Mapping[str, Mapping[str, float]]) -> str:
    """A line of shares in [0, 1] for each series over ``names``, with a legend below."""
    rows = -(-len(series) // 4)
    low = HEIGHT - BOTTOM
    step = (WIDTH - LEFT - RIGHT) / max(1, len(names) - 1)
    out = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = low - (low - TOP) * share
        out.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        )
        out.append(_text(LEFT - 8, y + 4, f"{share:.0%}", "end"))
    out += [_text(LEFT + i * step, low + 18, name) for i, name in enumerate(names)]
    for number, (name, values) in enumerate(series.items()):
        color = COLORS[number % len(COLORS)]
        points = " ".join(
            f"{LEFT + i * step:.1f},{low - (low - TOP) * values[at]:.1f}"
            for i, at in enumerate(names)
            if at in values
        )
        out.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        x = LEFT + (number % 4) * 150
        y = HEIGHT - 14 + (number // 4) * 20
        out.append(f'<rect x="{x}" y="{y - 9}" width="14" height="10" fill="{color}"/>')
        out.append(_text(x + 20, y, name, "start"))
    return _frame(title, out, HEIGHT + 20 * (rows - 1) + 8)
