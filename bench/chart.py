"""Draws curves as SVG: small multiples, sizes on a logarithmic axis, readable on light and dark backgrounds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 300, 215  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 44, 16, 60, 34  # margins of a panel
COLUMNS = 3
# The panels of growth.py, in the order in which they are drawn.
PANELS = ("threads", "topics", "members", "tenancies", "clients", "streams")
STYLE = """
text { font: 11px system-ui, sans-serif; fill: #424a53; }
.title { font-size: 13px; font-weight: 600; fill: #1f2328; }
.grid { stroke: #d8dee4; stroke-width: 1; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.c0 { stroke: #0969da; } .c1 { stroke: #bc4c00; } .c2 { stroke: #1a7f37; }
circle.c0 { fill: #0969da; } circle.c1 { fill: #bc4c00; } circle.c2 { fill: #1a7f37; }
text.c0, text.c1, text.c2 { stroke: none; }
text.c0 { fill: #0969da; } text.c1 { fill: #bc4c00; } text.c2 { fill: #1a7f37; }
@media (prefers-color-scheme: dark) {
  text { fill: #c9d1d9; } .title { fill: #f0f6fc; } .grid { stroke: #3d444d; }
  .c0 { stroke: #58a6ff; } .c1 { stroke: #f0883e; } .c2 { stroke: #56d364; }
  circle.c0, text.c0 { fill: #58a6ff; } circle.c1, text.c1 { fill: #f0883e; } circle.c2, text.c2 { fill: #56d364; }
}
"""


@dataclass(frozen=True)
class Curve:
    name: str
    points: list[tuple[int, float]]


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    curves: list[Curve]


def draw(panels: Sequence[Panel]) -> str:
    """The panels as the source of one SVG file."""
    rows = math.ceil(len(panels) / COLUMNS)
    parts = [
        f'<g transform="translate({number % COLUMNS * WIDTH} {number // COLUMNS * HEIGHT})">{_panel(panel)}</g>'
        for number, panel in enumerate(panels)
    ]
    size = f"{COLUMNS * WIDTH} {rows * HEIGHT}"
    titles = ", ".join(panel.title.lower() for panel in panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img" '
        f'aria-label="Growth: {escape(titles)}">'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>\n"
    )


def _panel(panel: Panel) -> str:
    sizes = sorted({size for curve in panel.curves for size, _ in curve.points})
    top = _round_up(max(value for curve in panel.curves for _, value in curve.points))
    low, high = math.log10(sizes[0]), math.log10(sizes[-1])

    def x(size: int) -> float:
        return LEFT + (math.log10(size) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<text class="title" x="{LEFT}" y="16">{escape(panel.title)}</text>',
        f'<text x="{LEFT}" y="31">{escape(panel.unit)}</text>',
    ]
    for share in (0, 0.5, 1):
        value = share * top
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:,.4g}</text>')
    for size in (sizes[0], sizes[(len(sizes) - 1) // 2], sizes[-1]):
        anchor = "end" if size == sizes[-1] else "middle"
        parts.append(f'<text x="{x(size):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}">{size:,}</text>')
    for number, curve in enumerate(panel.curves):
        points = [(x(size), y(value)) for size, value in curve.points]
        line = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
        parts.append(f'<polyline class="curve c{number}" points="{line}"/>')
        parts += [f'<circle class="c{number}" cx="{across:.1f}" cy="{down:.1f}" r="2.5"/>' for across, down in points]
        parts.append(f'<text class="c{number}" x="{LEFT + 80 * number}" y="46">{escape(curve.name)}</text>')
    return "".join(parts)


def _round_up(value: float) -> float:
    """The next higher number that is 1, 1.2, 1.5, 2, 3, 5 or 8 times a power of ten."""
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.2, 1.5, 2, 3, 5, 8, 10) if step * power >= value)
