"""What accuracy costs: a score against minutes, and the methods that nothing beats at their cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from phispace.errors import InputError
from phispace.report.style import Theme, label, new, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE = 7.8
_DECADE = 8.0  # a range of costs above this factor is drawn on a logarithmic axis


@dataclass(frozen=True)
class Cost:
    """A method: its cost (above 0), its score, and the score's interval or None."""

    name: str
    cost: float
    value: float
    low: float | None = None
    high: float | None = None


def frontier(points: Sequence[Cost]) -> list[Cost]:
    """Those that no other point beats: none is as cheap and better, or as good and cheaper; by cost."""
    best, found = -math.inf, []
    for point in sorted(points, key=lambda p: (p.cost, -p.value)):
        if point.value > best:
            best = point.value
            found.append(point)
    return found


def pareto(
    points: Sequence[Cost],
    path: Path | str,
    *,
    title: str = "",
    xlabel: str = "minutes of training",
    form: Literal["share", "number"] = "share",
    level: tuple[str, float] | None = None,
    size: tuple[float, float] = (9.6, 4.6),
) -> Path:
    """Draw the points with their intervals, and the frontier as steps.

    Args:
        level: name and score of what costs no training, drawn as a line across.

    Raises:
        InputError: no point, or one without a finite positive cost and a finite value.
    """
    if not points:
        raise InputError("A picture of score against cost needs at least one point; got none.")
    for point in points:
        if not (math.isfinite(point.cost) and point.cost > 0 and math.isfinite(point.value)):
            raise InputError(f"{point.name!r} has cost {point.cost} and value {point.value}; finite ones are expected.")
    factor = 100.0 if form == "share" else 1.0
    best = frontier(points)

    def draw(theme: Theme) -> Figure:
        figure, axes = new(size)
        axes.grid(True, axis="both")
        costs = np.array([p.cost for p in points])
        if costs.max() / costs.min() > _DECADE:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.xaxis.set_minor_formatter(lambda value, _: "")
        for point in points:
            on = point in best
            colour = theme.series[0] if on else theme.soft
            if point.low is not None and point.high is not None:
                axes.plot([point.cost] * 2, [point.low * factor, point.high * factor], color=colour, alpha=0.5)
            axes.plot([point.cost], [point.value * factor], "o", color=colour, markersize=6.5, zorder=3)
        axes.margins(x=0.12, y=0.12)
        low, high = axes.get_xlim()
        if level is not None:
            axes.axhline(level[1] * factor, color=theme.soft, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
            axes.annotate(
                label(level[0], 40), (1, level[1] * factor), xycoords=("axes fraction", "data"), xytext=(-2, 3),
                textcoords="offset points", ha="right", fontsize=8, color=theme.soft,
            )  # fmt: skip
        steps = [*best, Cost("", high, best[-1].value)]
        axes.step(
            [p.cost for p in steps], [p.value * factor for p in steps], where="post", color=theme.series[0],
            linewidth=1.1, alpha=0.6, zorder=2,
        )  # fmt: skip
        axes.set_xlim(low, high)
        _name(figure, axes, points, best, theme, factor)
        axes.set_title(label(title, 80))
        axes.set_xlabel(label(xlabel, 60))
        if form == "share":
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        return figure

    return save(draw, path)


def _name(
    figure: Figure, axes: Axes, points: Sequence[Cost], best: Sequence[Cost], theme: Theme, factor: float
) -> None:
    """Names beside the points, settings in a second line: towards the middle, apart where they would cover others."""
    from matplotlib.patheffects import withStroke

    figure.draw_without_rendering()
    places = [axes.transData.transform((p.cost, p.value * factor)) for p in points]
    inverse, scale = axes.transAxes.inverted(), figure.dpi / 72
    taken = [(x - 5 * scale, y - 5 * scale, x + 5 * scale, y + 5 * scale) for x, y in places]
    for i in sorted(range(len(points)), key=lambda i: -points[i].value):
        head, _, rest = points[i].name.partition(" (")
        lines = [label(head, 44), *([label(f"({rest}", 44)] if rest else [])]
        (x, y), line = places[i], _SIZE * 1.25 * scale
        width, height = max(map(len, lines)) * _SIZE * 0.56 * scale, len(lines) * line
        rightward = inverse.transform((x, y))[0] <= 0.55
        shifts = [sign * 0.6 * step for step in range(1, 11) for sign in (1, -1)]
        for shift, left in [(s, side) for s in shifts for side in (not rightward, rightward)] + [(0.0, not rightward)]:
            start = x - 9 * scale - width if left else x + 9 * scale
            middle = y + shift * 2 * line
            box = (start, middle - height / 2, start + width, middle + height / 2)
            corners = inverse.transform([box[:2], box[2:]])
            across, along = (corners.min(0) >= 0) & (corners.max(0) <= 1)
            free = not any(_overlap(box, other) for j, other in enumerate(taken) if j != i)
            if free and along and (across or left != rightward):
                break
        taken.append(box)
        line_to = {"arrowstyle": "-", "color": theme.soft, "linewidth": 0.6, "shrinkB": 4} if abs(shift) > 1.2 else None
        axes.annotate(
            "\n".join(lines), (points[i].cost, points[i].value * factor),
            xytext=(-9 if left else 9, shift * 2 * line / scale), textcoords="offset points",
            ha="right" if left else "left", va="center", fontsize=_SIZE, linespacing=1.15,
            color=theme.ink if points[i] in best else theme.soft, annotation_clip=False, zorder=2.5,
            path_effects=[withStroke(linewidth=2.5, foreground=theme.page)],
            arrowprops=line_to,
        )  # fmt: skip


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
