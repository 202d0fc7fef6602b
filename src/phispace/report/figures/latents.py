"""Figures of variational autoencoders: what each dimension of the code carries, and the losses of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from phispace.errors import InputError
from phispace.report.style import HALF, Theme, label, new, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = tuple[Sequence[float], Sequence[float]]
_MOST_BARS = 128


def kl_bars(
    kl: np.ndarray, active: np.ndarray, path: Path | str, *, title: str = "", size: tuple[float, float] = HALF
) -> Path:
    """KL of each dimension of a code in nats, the largest first; dimensions that are not in use in grey.

    Args:
        kl: (D,), means over images.
        active: bool (D,).

    Raises:
        InputError: other shapes.
    """
    kl, active = np.asarray(kl, float), np.asarray(active, bool)
    if kl.ndim != 1 or kl.shape != active.shape or not len(kl):
        raise InputError(f"KL and activity must be (D,) each; got {kl.shape} and {active.shape}.")
    order = np.argsort(-kl, kind="stable")[:_MOST_BARS]

    def draw(theme: Theme) -> Figure:
        figure, axes = new(size)
        places = np.arange(len(order))
        colours = np.where(active[order], theme.series[0], theme.soft)
        axes.bar(places, kl[order], width=0.82, color=colours.tolist())
        few = len(order) <= 24
        axes.set_xlim(-0.7, max(len(order), 6) - 0.3)  # two bars need not fill the width
        axes.set_xticks(places if few else [], [str(d) for d in order] if few else [])
        axes.set_xlabel("dimension" if few else f"dimensions, the largest of {len(kl)} first")
        axes.set_ylabel("KL to the prior, nats")
        used = int(active.sum())
        named = "all" if used == len(kl) else "none" if not used else str(used)
        axes.set_title(label(title or f"{named} of {len(kl)} dimensions in use, {kl.sum():.1f} nats in all", 80))
        return figure

    return save(draw, path)


def loss_curves(
    runs: Mapping[str, Mapping[str, Curve]],
    path: Path | str,
    *,
    title: str = "",
    names: Mapping[str, str] | None = None,
) -> Path:
    """Losses of several runs over iterations: a panel for the total and one for each term, a line a run.

    Args:
        runs: run -> term -> (steps, values); the panels are the terms in the order in which they first appear.
        names: term -> its name for people.

    Raises:
        InputError: no runs, no terms, or a line whose lengths differ.
    """
    terms = list(dict.fromkeys(term for curves in runs.values() for term in curves))
    if not terms:
        raise InputError("Loss curves need at least one run with one term; got none.")
    for run, curves in runs.items():
        for term, (steps, values) in curves.items():
            if len(steps) != len(values):
                raise InputError(f"{term} of {run}: {len(values)} values for {len(steps)} steps; one each is expected.")
    across = 2 if len(terms) == 4 else min(3, len(terms))
    down = -(-len(terms) // across)

    def draw(theme: Theme) -> Figure:
        figure, grid = new((3.5 * across + 0.4, 2.75 * down + 0.3 + 0.2 * len(runs) / max(across, 1)), down, across)
        panels: list[Axes] = list(np.atleast_1d(grid).ravel())
        colours = dict(zip(runs, theme.series * (1 + len(runs) // len(theme.series)), strict=False))
        for panel, term in zip(panels, terms, strict=False):
            values = []
            for run, curves in runs.items():
                if term in curves:
                    steps, height = (np.asarray(v, float) for v in curves[term])
                    panel.plot(steps, height, color=colours[run], linewidth=1.4, label=label(run))
                    values.append(height[np.isfinite(height)])
            _scale(panel, np.concatenate(values) if values else np.zeros(0))
            panel.set_title(label((names or {}).get(term, term.replace("_", " ")), 40))
            panel.set_xlabel("iterations")
        for panel in panels[len(terms) :]:
            panel.set_visible(False)
        lines = {text: line for p in panels for line, text in zip(*p.get_legend_handles_labels(), strict=True)}
        figure.legend(list(lines.values()), list(lines), loc="outside lower left", ncols=min(len(runs), across + 1))
        if title:
            figure.suptitle(label(title, 90), x=0.01, ha="left", fontsize=11, fontweight="bold", color=theme.ink)
        return figure

    return save(draw, path)


def _scale(panel: Axes, values: np.ndarray) -> None:
    """Logarithmic where the values are positive and span more than a factor of 50: the first steps hide the rest."""
    if len(values) and values.min() > 0 and values.max() > 50 * values.min():
        panel.set_yscale("log")
        # matplotlib writes powers of ten as mathematics, which is off here so that foreign names are read as they are.
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
