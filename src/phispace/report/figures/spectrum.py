"""How the variance is spread over the directions: eigenvalues by rank, both axes logarithmic, with the fitted decay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from phispace.errors import InputError
from phispace.report.style import HALF, Theme, label, new, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FLOOR = 1e-7  # shares of variance below are rounding


@dataclass(frozen=True)
class Spectrum:
    """One representation's.

    Attributes:
        name: of the representation.
        shares: share of the variance along each principal direction, descending.
        alpha, scale, first, last: variance_i = scale * i^-alpha on the ranks first to last; `nan` draws no line.
        baseline: drawn in grey, without the fitted line.
    """

    name: str
    shares: Sequence[float]
    alpha: float = float("nan")
    scale: float = float("nan")
    first: int = 1
    last: int = 1
    baseline: bool = False


def spectra(rows: Sequence[Spectrum], path: Path | str, *, title: str = "", size: tuple[float, float] = HALF) -> Path:
    """Draw the spectra and write them to `path` (.png).

    Raises:
        InputError: no spectrum with a positive share.
    """
    shown = [(row, np.asarray(row.shares, float)) for row in rows]
    kept = [(row, shares[: int((shares > _FLOOR).sum())]) for row, shares in shown if (shares > _FLOOR).any()]
    if not kept:
        raise InputError("A chart of spectra needs at least one representation that varies; got none.")

    def draw(theme: Theme) -> Figure:
        figure, axes = new(size)
        axes.set_xscale("log")
        axes.set_yscale("log")
        loud = iter(theme.series * (1 + len(kept) // len(theme.series)))
        dashes = iter([(None, None), (4, 1.5), (1.5, 1.5), (5, 1.5, 1.5, 1.5)] * len(kept))
        for row, shares in kept:
            colour = theme.soft if row.baseline else next(loud)
            style = {"dashes": next(dashes)} if row.baseline else {}
            note = "" if np.isnan(row.alpha) else f", α {row.alpha:.2f}"
            axes.plot(
                np.arange(1, len(shares) + 1), shares, color=colour, label=f"{label(row.name)}{note}",
                linewidth=1.3 if row.baseline else 1.9, zorder=2 if row.baseline else 3,
                marker="o" if len(shares) == 1 else None, markersize=4, **style,
            )  # fmt: skip
            if not (np.isnan(row.alpha) or row.baseline):
                rank = np.array([row.first, row.last], float)
                axes.plot(rank, row.scale * rank**-row.alpha, color=theme.ink, linewidth=0.8, alpha=0.7, zorder=4)
        axes.set_title(label(title, 80))
        axes.set_xlabel("rank of the direction")
        axes.set_ylabel("share of the variance")
        _plain_ranks(axes)
        axes.legend(loc="lower left", fontsize=8, handlelength=2.4, labelcolor=theme.ink)
        return figure

    return save(draw, path)


def _plain_ranks(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    axes.xaxis.set_major_locator(LogLocator(10))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.yaxis.set_minor_locator(NullLocator())
