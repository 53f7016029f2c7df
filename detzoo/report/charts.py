"""Curves and bars as shapes in a frame of fixed size, which the page's templates draw as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 460.0, 270.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 12.0, 10.0, 40.0  # margins, for ticks and labels
MOST_TICKS = 6
_LOOKS = {"plain": (1.6, ""), "bold": (3.0, ""), "thin": (0.7, ""), "dashed": (1.8, "5 4")}


@dataclass(frozen=True, slots=True)
class Line:
    """A curve.

    Attributes:
        name: what stands in the legend; empty for none.
        points: x and y.
        look: ``plain``, ``bold``, ``thin`` or ``dashed``.
        color: as CSS has it; empty: that of its place in the chart.
    """

    name: str
    points: Sequence[tuple[float, float]]
    look: str = "plain"
    color: str = ""


def line_chart(
    title: str,
    x_label: str,
    lines: Sequence[Line],
    *,
    x: tuple[float, float] | None = None,
    y: tuple[float, float] | None = None,
    mark: tuple[float, str] | None = None,
) -> dict[str, Any]:
    """A chart for the macro ``chart`` in ``templates/parts.html``.

    Args:
        title: of the chart.
        x_label: below the axis.
        lines: later ones lie on top.
        x, y: ends of the axes; None: those of the data, and 0 for y.
        mark: an x with a vertical line and the words at it.
    """
    points = [point for line in lines for point in line.points]
    across = x or _ends([point[0] for point in points])
    up = y or _ends([0.0, *(point[1] for point in points)])
    frame = _frame(title, x_label, across, up)
    for number, line in enumerate(lines):
        width, dash = _LOOKS[line.look]
        corners = " ".join(f"{_x(px, across):.1f},{_y(py, up):.1f}" for px, py in line.points)
        color = line.color or f"hsl({(210 + number * 137.5) % 360:.0f} 70% 50%)"
        frame["lines"].append({"name": line.name, "points": corners, "color": color, "width": width, "dash": dash})
    if mark is not None:
        frame["mark"] = {"x": _x(mark[0], across), "words": mark[1]}
    return frame


def bar_chart(title: str, x_label: str, names: Sequence[str], values: Sequence[float]) -> dict[str, Any]:
    """Bars side by side with a name below each."""
    up = _ends([0.0, *values])
    frame = _frame(title, x_label, (0.0, float(max(len(values), 1))), up)
    step = (WIDTH - LEFT - RIGHT) / max(len(values), 1)
    frame["x_ticks"] = [(LEFT + (number + 0.5) * step, name) for number, name in enumerate(names)]
    for number, value in enumerate(values):
        top = _y(value, up)
        bar = {"x": LEFT + (number + 0.08) * step, "y": top, "width": step * 0.84, "height": HEIGHT - BOTTOM - top}
        frame["bars"].append(bar | {"words": f"{names[number]}: {value:g}"})
    return frame


def ticks(low: float, high: float, most: int = MOST_TICKS) -> list[tuple[float, str]]:
    """Round numbers from ``low`` to ``high`` and how they are written: at most ``most``, whatever the range."""
    rough = (high - low) / max(most - 1, 1)
    if not rough > 0 or not math.isfinite(rough):
        return []
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(number * step, f"{number * step:.6g}") for number in range(first, last + 1)]


def _frame(title: str, x_label: str, across: tuple[float, float], up: tuple[float, float]) -> dict[str, Any]:
    return {
        "title": title,
        "x_label": x_label,
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "top": TOP,
        "bottom": HEIGHT - BOTTOM,
        "x_ticks": [(_x(value, across), text) for value, text in ticks(*across)],
        "y_ticks": [(_y(value, up), text) for value, text in ticks(*up)],
        "lines": [],
        "bars": [],
        "mark": None,
    }


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low, low + 1.0)


def _x(value: float, ends: tuple[float, float]) -> float:
    return LEFT + (value - ends[0]) / (ends[1] - ends[0]) * (WIDTH - LEFT - RIGHT)


def _y(value: float, ends: tuple[float, float]) -> float:
    inside = min(max(value, ends[0]), ends[1])
    return HEIGHT - BOTTOM - (inside - ends[0]) / (ends[1] - ends[0]) * (HEIGHT - TOP - BOTTOM)
