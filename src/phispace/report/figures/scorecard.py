"""The scorecard: a panel a prior, a bar a representation, from the prior's low control to its high one.

Bars in panels and not a radar: the area of a radar depends on the order of its axes, and its axes do not compare.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from phispace.errors import InputError
from phispace.report.document import Number
from phispace.report.numerals import write
from phispace.report.style import WIDE, Theme, label, new, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 3
_BEYOND = -0.25  # how far beyond the low control a bar is drawn; further is cut there, and its number says the rest


@dataclass(frozen=True)
class Bar:
    """One representation under one prior.

    Attributes:
        name: of the representation.
        value: the score as it was measured; `nan` is shown as n/a.
        position: where it stands, 0 the low control and 1 the high one.
        low, high: ends of its interval as positions, or None.
        baseline: drawn in grey.
    """

    name: str
    value: float
    position: float
    low: float | None = None
    high: float | None = None
    baseline: bool = False


@dataclass(frozen=True)
class Panel:
    """One prior.

    Attributes:
        title, measure: the prior, and what was measured.
        low, high: what the two controls are.
        bars: the representations, the same in all panels.
    """

    title: str
    measure: str
    low: str
    high: str
    bars: tuple[Bar, ...]


def scorecard(panels: Sequence[Panel], path: Path | str) -> Path:
    """Draw the panels and write them to `path` (.png).

    Raises:
        InputError: no panel, or panels of different representations.
    """
    if not panels or not panels[0].bars:
        raise InputError("A scorecard needs at least one prior and one representation; got none.")
    names = [b.name for b in panels[0].bars]
    if any([b.name for b in p.bars] != names for p in panels):
        raise InputError("All panels of a scorecard must show the same representations in the same order.")
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    below = any(b.position < 0 or (b.low or 0) < 0 for p in panels for b in p.bars)
    left = _BEYOND - 0.02 if below else -0.02

    def draw(theme: Theme) -> Figure:
        width = WIDE[0] * columns / _COLUMNS + (0 if columns == _COLUMNS else 1.0)
        figure, grid = new((width, rows * (1.2 + 0.225 * len(names))), rows, columns)
        places = [grid] if len(panels) == 1 else list(grid.flat)
        for i, axes in enumerate(places):
            if i < len(panels):
                _panel(axes, panels[i], theme, left, named=i % columns == 0)
            else:
                axes.set_visible(False)
        return figure

    return save(draw, path)


def _panel(axes: Axes, panel: Panel, theme: Theme, left: float, named: bool) -> None:
    axes.grid(False)
    for place in (0.0, 1.0):
        axes.axvline(place, color=theme.soft, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
    results = [b.name for b in panel.bars if not b.baseline]
    for row, bar in enumerate(panel.bars):
        colour = theme.soft if bar.baseline else theme.series[results.index(bar.name) % len(theme.series)]
        text = write(Number(value=bar.value))[0]
        known = math.isfinite(bar.position)
        if known:
            shown = max(bar.position, _BEYOND)
            axes.barh(-row, shown, height=0.66, color=colour, alpha=0.55 if bar.baseline else 0.9, zorder=2)
            if bar.low is not None and bar.high is not None:
                ends = [max(bar.low, _BEYOND), max(bar.high, _BEYOND)]
                axes.plot(ends, [-row, -row], color=theme.ink, linewidth=1.1, zorder=3)
        right = max([0.0, bar.position if known else 0.0, bar.high if known and bar.high is not None else 0.0])
        axes.annotate(
            text, (right, -row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8,
            color=theme.soft if bar.baseline or not known else theme.ink, zorder=4,
            fontweight="bold" if known and not bar.baseline else "normal",
            bbox={"facecolor": theme.page, "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip
    axes.set_xlim(left, 1.22)
    axes.set_ylim(0.6 - len(panel.bars), 0.6)
    names = [label(b.name, 28) for b in panel.bars] if named else [""] * len(panel.bars)
    axes.set_yticks([-i for i in range(len(panel.bars))], names)
    axes.tick_params(axis="y", labelcolor=theme.ink)
    axes.set_xticks([0, 1], [label(panel.low, 40), f"\n{label(panel.high, 40)}"], fontsize=7.5)
    low, high = axes.get_xticklabels()
    low.set_horizontalalignment("left")
    high.set_horizontalalignment("right")
    axes.spines["left"].set_visible(False)
    axes.set_title(label(panel.title, 40), pad=17)
    axes.annotate(
        label(panel.measure, 60), (0, 1), xycoords="axes fraction", xytext=(0, 5), textcoords="offset points",
        fontsize=8, color=theme.soft,
    )  # fmt: skip
