"""Ways of many networks through the space of functions, in the plane: colour is time, the mark is the group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phispace.errors import InputError
from phispace.report.style import Theme, label, new, plain_axes, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = ("o", "^", "s", "D")


def trajectories(
    panels: Mapping[str, np.ndarray],
    network: np.ndarray | Sequence[int],
    time: np.ndarray | Sequence[float],
    group: np.ndarray | Sequence[int],
    groups: Sequence[str],
    path: Path | str,
    *,
    title: str = "",
    time_label: str = "training step",
) -> Path:
    """Draw one panel a projection and write them to `path` (.png).

    Points of a network are joined in the order of time; the last one is ringed. Colour is the rank of the moment, so
    that early steps, which follow each other closely, can be told apart.

    Args:
        panels: title -> positions (M, 2).
        network: (M,), which network a point belongs to; numbers are not shared between groups.
        time: (M,), not below 0.
        group: (M,), indices of `groups`.

    Raises:
        InputError: no panel, or arrays of different lengths.
    """
    network, time, group = np.asarray(network), np.asarray(time, float), np.asarray(group, int)
    lengths = {len(network), len(time), len(group), *(len(xy) for xy in panels.values())}
    if not panels or len(lengths) != 1 or len(groups) > len(MARKS) or not len(network):
        raise InputError(
            f"Trajectories need panels of as many points as there are networks, times and groups, and at most "
            f"{len(MARKS)} groups; got lengths {sorted(lengths)} and {len(groups)} groups."
        )
    moments, rank = np.unique(time, return_inverse=True)

    def draw(theme: Theme) -> Figure:
        figure, all_axes = new((5.0 * len(panels) + 0.7, 5.1), 1, len(panels))
        shown: Any = None
        for axes, (name, xy) in zip(np.atleast_1d(all_axes), panels.items(), strict=True):
            shown = _panel(axes, np.asarray(xy, float), network, rank, group, len(moments), theme)
            axes.set_title(label(name, 60))
        _key(np.atleast_1d(all_axes)[0], groups, theme)
        bar = figure.colorbar(shown, ax=list(np.atleast_1d(all_axes)), shrink=0.75, pad=0.01)
        ticks = np.unique(np.linspace(0, len(moments) - 1, min(6, len(moments))).round().astype(int))
        bar.set_ticks(ticks.tolist(), labels=[f"{moments[t]:,.0f}" for t in ticks])
        bar.set_label(label(time_label, 40), color=theme.soft)
        bar.outline.set_visible(False)
        figure.suptitle(label(title, 100), x=0.01, ha="left", fontsize=11, fontweight="bold", color=theme.ink)
        return figure

    return save(draw, path)


def _panel(
    axes: Axes, xy: np.ndarray, network: np.ndarray, rank: np.ndarray, group: np.ndarray, moments: int, theme: Theme
) -> Any:
    shown: Any = None
    for number in np.unique(network):
        rows = np.flatnonzero(network == number)
        rows = rows[np.argsort(rank[rows], kind="stable")]
        axes.plot(*xy[rows].T, color=theme.line, linewidth=0.8, zorder=1)
        axes.plot(
            *xy[rows[-1]], "o", markersize=9, markerfacecolor="none", markeredgecolor=theme.soft, markeredgewidth=0.7,
            zorder=2,
        )  # fmt: skip
    for kind in np.unique(group):
        rows = group == kind
        shown = axes.scatter(
            xy[rows, 0], xy[rows, 1], c=rank[rows], cmap="viridis", vmin=0, vmax=max(moments - 1, 1), s=17,
            marker=MARKS[kind], linewidths=0.25, edgecolors=theme.page, zorder=3,
        )  # fmt: skip
    plain_axes(axes)
    axes.set_aspect("equal", adjustable="datalim")
    return shown


def _key(axes: Axes, groups: Sequence[str], theme: Theme) -> None:
    """What the marks mean, under the first panel."""
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], linestyle="", marker=MARKS[i], color=theme.soft, markersize=5.5, label=label(name, 40))
        for i, name in enumerate(groups)
    ]
    axes.legend(handles=marks, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=len(groups), fontsize=8.5)
