"""Accuracy under corruptions: kinds by severities, one panel a representation, the clean images beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from phispace.errors import InputError
from phispace.report.figures.matrices import one_sided, readable
from phispace.report.style import Theme, new, save
from phispace.report.style import label as short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_PANELS = 5
_WIDEST = 9.0  # inches


@dataclass(frozen=True)
class Panel:
    """One representation.

    Attributes:
        name: for its title.
        clean: accuracy on clean images, 0 to 1.
        accuracy: (kinds, severities), 0 to 1; None or `nan` where it was not measured.
    """

    name: str
    clean: float
    accuracy: Sequence[Sequence[float | None]]


def robustness(
    panels: Sequence[Panel],
    kinds: Sequence[str],
    severities: Sequence[int],
    path: Path | str,
    *,
    title: str = "",
) -> Path:
    """Tables of accuracies in per cent as colours, all on one scale, with the mean of each row at its end.

    Args:
        panels: 1 to 5 representations.
        kinds: names of the rows.
        severities: names of the columns.

    Raises:
        InputError: no panel or too many, or a table of another shape.
    """
    if not 1 <= len(panels) <= MAX_PANELS:
        raise InputError(f"1 to {MAX_PANELS} representations fit into the figure; got {len(panels)}.")
    tables = [_table(panel, kinds, severities) for panel in panels]
    top = max((float(np.nanmax(t)) for t in tables if np.isfinite(t).any()), default=1.0)

    def draw(theme: Theme) -> Figure:
        # Cells keep their width whatever the number of panels, as long as the page is wide enough.
        width = min(_WIDEST, 1.5 + len(panels) * (0.34 * (len(severities) + 2) + 0.3))
        figure, axes = new((width, 1.5 + 0.27 * len(kinds)), 1, len(panels))
        columns = ["clean", *(str(s) for s in severities), "mean"]
        for i, (panel, table, ax) in enumerate(zip(panels, tables, np.atleast_1d(axes), strict=True)):
            ax.grid(False)
            ax.imshow(table, cmap=one_sided(theme), vmin=0, vmax=top, aspect="auto")
            ax.set_xticks(range(len(columns)), columns)
            ax.set_yticks(range(len(kinds)), [short(k.replace("-", " "), 20) for k in kinds] if i == 0 else [])
            ax.tick_params(length=0, labelcolor=theme.ink, labelsize=7.5)
            for row, column in np.ndindex(*table.shape):
                value = table[row, column]
                if np.isfinite(value):
                    ax.text(
                        column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=7,
                        color=readable(theme, float(value / top) if top > 0 else 0.0),
                    )  # fmt: skip
            for between in (0.5, len(severities) + 0.5):
                ax.axvline(between, color=theme.page, linewidth=3)
            ax.set_title(short(panel.name, 24), fontsize=9)
            for spine in ax.spines.values():
                spine.set_visible(False)
        figure.supxlabel("severity; accuracy in per cent", fontsize=8.5, color=theme.soft)
        if title:
            figure.suptitle(short(title, 90), x=0.01, ha="left", fontsize=10, fontweight="bold", color=theme.ink)
        return figure

    return save(draw, path)


def _table(panel: Panel, kinds: Sequence[str], severities: Sequence[int]) -> np.ndarray:
    """(kinds, 1 + severities + 1): clean, the table, means."""
    inside = np.array([[np.nan if v is None else float(v) for v in row] for row in panel.accuracy], np.float64)
    if inside.shape != (len(kinds), len(severities)):
        raise InputError(
            f"The table of {panel.name!r} is {inside.shape}; ({len(kinds)}, {len(severities)}), kinds by severity, is "
            "expected."
        )
    counted = np.isfinite(inside).sum(1)
    mean = np.divide(np.nansum(inside, axis=1), counted, out=np.full(len(kinds), np.nan), where=counted > 0)
    return np.column_stack([np.full(len(kinds), panel.clean), inside, mean])
