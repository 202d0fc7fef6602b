"""Scores side by side: a dot and its interval a row, baselines apart and in grey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from phispace.errors import InputError
from phispace.report.document import Number
from phispace.report.numerals import write
from phispace.report.style import HALF, Theme, label, new, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Dot:
    """One row: `nan` values are shown as n/a; `low` and `high` are the interval or both None."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    baseline: bool = False


def dots(
    rows: Sequence[Dot],
    path: Path | str,
    *,
    title: str = "",
    xlabel: str = "",
    form: Literal["share", "number"] = "share",
    width: float = HALF[0],
) -> Path:
    """Draw the rows from top to bottom, results before baselines, and write them to `path` (.png).

    A dot on a line from the worst possible place would invite to compare lengths; accuracies near one differ by
    little, so the axis is free and only positions and intervals are compared.

    Raises:
        InputError: no rows.
    """
    if not rows:
        raise InputError("A chart of scores needs at least one row; got none.")
    ordered = [r for r in rows if not r.baseline] + [r for r in rows if r.baseline]
    results = sum(not r.baseline for r in ordered)
    places = np.array([-i - (0.6 if i >= results > 0 else 0.0) for i in range(len(ordered))])
    factor = 100.0 if form == "share" else 1.0

    def draw(theme: Theme) -> Figure:
        figure, axes = new((width, 0.95 + 0.34 * (len(ordered) + 0.6)))
        axes.grid(False)
        axes.grid(True, axis="x")
        for row, place in zip(ordered, places, strict=True):
            colour = theme.soft if row.baseline else theme.series[0]
            if row.low is not None and row.high is not None:
                axes.plot(
                    [row.low * factor, row.high * factor], [place, place], color=colour, linewidth=2.2, alpha=0.55
                )
            if np.isfinite(row.value):
                axes.plot([row.value * factor], [place], "o", color=colour, markersize=6.5)
            text = write(Number(value=row.value, low=row.low, high=row.high, form=form), unit=False)[0]
            axes.annotate(
                text, (1, place), xycoords=("axes fraction", "data"), xytext=(8, 0), textcoords="offset points",
                va="center", color=theme.soft if row.baseline else theme.ink,
                fontweight="normal" if row.baseline else "bold", annotation_clip=False,
            )  # fmt: skip
        axes.set_yticks(places, [label(row.name) for row in ordered])
        axes.tick_params(axis="y", labelcolor=theme.ink)
        axes.set_ylim(places[-1] - 0.6, 0.6)
        axes.spines["left"].set_visible(False)
        axes.margins(x=0.08)
        axes.set_title(label(title, 80))
        axes.set_xlabel(label(xlabel, 80))
        if form == "share":
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        return figure

    return save(draw, path)
