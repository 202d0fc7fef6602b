"""Few-label curves of several runs in one figure: accuracy over the number of labelled items a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phispace.errors import InputError
from phispace.report.style import WIDE, Theme, label, new, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DASHES = ((0, ()), (0, (5, 2)), (0, (1.5, 1.8)), (0, (6, 2, 1.5, 2)))
_ROOM = 1.12  # two numbers on the axis closer than this factor to each other would touch


def few_label_curves(
    runs: Mapping[str, Mapping[str, Any]],
    path: Path | str,
    *,
    classifier: str = "linear",
    baselines: Sequence[str] = (),
    chance: float | None = None,
    title: str = "",
    size: tuple[float, float] = WIDE,
) -> Path:
    """Draw the curves with their 95 % intervals and write them to `path` (.png) and its dark twin.

    Args:
        runs: name -> details of the scores of `few-labels`, as they come or out of scores.json.
        classifier: `linear`, `centroid` or `propagation`.
        baselines: names among `runs` that are context: drawn in grey, each with its own dashes.
        chance: accuracy of guessing, drawn as a line; None = none.
        title: by default the classifier's name.

    Returns:
        `path`. The legend lies outside, in the order of the curves' right ends.

    Raises:
        InputError: no run, or one without a curve of this classifier; its name and those there are.
    """
    curves = {name: _curve(name, details, classifier) for name, details in runs.items()}
    if not curves:
        raise InputError("There are no few-label curves to draw: no run was given.")
    sizes = sorted({float(v) for x, _, _, _ in curves.values() for v in x})

    def draw(theme: Theme) -> Figure:
        figure, axes = new(size)
        loud = iter(theme.series * (1 + len(curves) // len(theme.series)))
        dashes = iter(_DASHES * (1 + len(curves) // len(_DASHES)))
        ends = []
        for name, (x, mean, low, high) in curves.items():
            quiet = name in baselines
            colour = theme.soft if quiet else next(loud)
            axes.fill_between(x, 100 * low, 100 * high, color=colour, alpha=0.10 if quiet else 0.18, linewidth=0)
            (line,) = axes.plot(
                x, 100 * mean, color=colour, marker="o", markersize=3.4, linewidth=1.3 if quiet else 1.8,
                linestyle=next(dashes) if quiet else "-", label=label(name, 40), zorder=2 if quiet else 3,
            )  # fmt: skip
            ends.append((float(mean[-1]), line))
        if chance is not None:
            line = axes.axhline(100 * chance, color=theme.soft, linewidth=0.9, linestyle=(0, (1, 2.5)), zorder=1)
            line.set_label("chance")
            ends.append((-1.0, line))
        axes.set_xscale("log")
        shown = _apart(sizes)
        axes.set_xticks(shown, [f"{v:,g}" for v in shown])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("labelled items a class")
        axes.set_ylabel("accuracy on test")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        axes.set_title(label(title or f"Few labels: {classifier}", 80))
        lines = [line for _, line in sorted(ends, key=lambda pair: -pair[0])]
        axes.legend(handles=lines, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0, labelspacing=0.7)
        return figure

    return save(draw, path)


def _curve(name: str, details: Mapping[str, Any], classifier: str) -> tuple[np.ndarray, ...]:
    """Sizes, mean, and ends of the interval (the mean where there was one draw), float64 (n,) each."""
    rows = (details.get("curves") or {}).get(classifier)
    if not rows:
        there = ", ".join(details.get("curves") or {}) or "none"
        raise InputError(f"{name!r} has no few-label curve of {classifier!r}; its curves: {there}.")
    mean = np.array([row["mean"] for row in rows], np.float64)
    ends = [[m if row[end] is None else row[end] for row, m in zip(rows, mean, strict=True)] for end in ("low", "high")]
    return np.array([row["per_class"] for row in rows], np.float64), mean, np.array(ends[0]), np.array(ends[1])


def _apart(sizes: Sequence[float]) -> list[float]:
    """The sizes whose numbers fit beside each other on a logarithmic axis; the last one always does."""
    kept: list[float] = []
    gap = max(_ROOM, (sizes[-1] / sizes[0]) ** (1 / 22))
    for value in reversed(sizes):
        if not kept or kept[-1] / value >= gap:
            kept.append(value)
    return kept[::-1]
