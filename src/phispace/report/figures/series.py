"""Quantities over epochs (or anything else): lines, each named at its end with its last value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from phispace.errors import InputError
from phispace.report.document import Number
from phispace.report.numerals import write
from phispace.report.style import HALF, Theme, label, new, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pair = tuple[Sequence[float], Sequence[float]]


def lines(
    x: Sequence[float],
    series: Mapping[str, Sequence[float] | Pair],
    path: Path | str,
    *,
    title: str = "",
    xlabel: str = "epoch",
    ylabel: str = "",
    form: Literal["share", "number"] = "number",
    quiet: Sequence[str] = (),
    mark: float | None = None,
    mark_label: str = "",
    bands: Mapping[str, Pair] | None = None,
    names: Sequence[str] = (),
    size: tuple[float, float] = HALF,
) -> Path:
    """Draw lines and write them to `path` (.png).

    Args:
        x: positions shared by all series.
        series: name -> values at `x` (`nan` leaves a gap), or a pair (own x, values).
        form: `share` writes parts of one as percentages.
        quiet: names of series that are context and are drawn in grey.
        mark: position of a vertical line, for example the chosen epoch.
        bands: name -> (low, high) at `x`, drawn as a shade around that series.
        names: of the positions, where these are only places in a row.

    Returns:
        `path`.

    Raises:
        InputError: a series whose length differs from x's.
    """
    data: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, values in series.items():
        own = isinstance(values, tuple) and len(values) == 2 and not np.isscalar(values[0])
        pair = values if own else (x, values)
        xs, ys = np.asarray(pair[0], float), np.asarray(pair[1], float)
        if xs.shape != ys.shape or xs.ndim != 1:
            raise InputError(f"The line {name!r} has {ys.size} values for {xs.size} positions; one each is expected.")
        data[name] = (xs, ys)
    factor = 100.0 if form == "share" else 1.0

    def draw(theme: Theme) -> Figure:
        figure, axes = new(size)
        loud = iter(theme.series * (1 + len(data) // len(theme.series)))
        ends: list[tuple[float, float, str, str]] = []
        for name, (xs, ys) in data.items():
            colour = theme.soft if name in quiet else next(loud)
            few = np.isfinite(ys).sum() <= 12
            axes.plot(
                xs,
                ys * factor,
                color=colour,
                marker="o" if few else None,
                markersize=3.2,
                zorder=2 + (name not in quiet),
            )
            if bands and name in bands:
                low, high = (np.asarray(b, float) * factor for b in bands[name])
                axes.fill_between(xs, low, high, color=colour, alpha=0.16, linewidth=0)
            known = np.flatnonzero(np.isfinite(ys))
            if len(known):
                last = known[-1]
                text = write(Number(value=float(ys[last]), form=form))[0]
                ends.append((float(xs[last]), float(ys[last] * factor), f"{label(name)} {text}".strip(), colour))
        axes.set_title(label(title, 80))
        axes.set_xlabel(label(xlabel, 60))
        axes.set_ylabel(label(ylabel, 60))
        if form == "share":
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        if names:
            axes.set_xticks(list(x), [label(name) for name in names])
        else:
            _whole_ticks(axes)
        if mark is not None:
            axes.axvline(mark, color=theme.soft, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
            # Names of the lines stand at the right; there the mark's name goes to the left of it.
            left = mark > np.mean(axes.get_xlim())
            axes.annotate(
                label(mark_label), (mark, 1), xycoords=("data", "axes fraction"), xytext=(-3 if left else 3, -2),
                textcoords="offset points", va="top", ha="right" if left else "left", fontsize=8, color=theme.soft,
            )  # fmt: skip
        _name_ends(axes, ends, size[1])
        return figure

    return save(draw, path)


def _whole_ticks(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=1))


def _name_ends(axes: Axes, ends: Sequence[tuple[float, float, str, str]], inches: float) -> None:
    """Names right of the lines' ends, moved apart so that none covers another."""
    if not ends:
        return
    low, high = axes.get_ylim()
    # Points of a line of text over points of the axes' height, of which title and labels take about a quarter.
    gap = (high - low) * 11.5 / (inches * 72 * 0.74)
    order = sorted(range(len(ends)), key=lambda i: ends[i][1])
    wanted = np.array([ends[i][1] for i in order])
    places = wanted.copy()
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + gap)
    places += (wanted - places).mean()
    # The stack stays inside the axes if it fits.
    places -= max(0.0, places[-1] - high)
    places += max(0.0, low - places[0])
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + gap)
    right = max(end[0] for end in ends)
    for place, i in zip(places, order, strict=True):
        axes.annotate(
            ends[i][2], (right, place), xytext=(7, 0), textcoords="offset points", va="center", ha="left",
            color=ends[i][3], fontsize=8.5, annotation_clip=False,
        )  # fmt: skip
