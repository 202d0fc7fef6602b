"""Square tables as colour: confusions between classes, similarities between layers or checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phispace.errors import InputError
from phispace.report.style import LIGHT, Theme, new, save
from phispace.report.style import label as short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_CLASSES = 40


def confusion(
    counts: np.ndarray | Sequence[Sequence[int]],
    classes: Sequence[str],
    path: Path | str,
    *,
    title: str = "",
    given: str = "true class",
    said: str = "predicted class",
) -> Path:
    """A confusion matrix: each row's shares in per cent, with the diagonal in grey so that the errors stand out.

    Args:
        counts: (K, K), rows are the true class.
        classes: K names.

    Raises:
        InputError: shapes that do not fit, or more classes than can be told apart.
    """
    table = np.asarray(counts, float)
    if table.shape != (len(classes), len(classes)):
        raise InputError(f"A confusion matrix of {len(classes)} classes is square; got {table.shape}.")
    if len(classes) > MAX_CLASSES:
        raise InputError(
            f"A confusion matrix of {len(classes)} classes cannot be read; at most {MAX_CLASSES} are drawn."
        )
    totals = table.sum(1, keepdims=True)
    share = 100 * np.divide(table, totals, out=np.full_like(table, np.nan), where=totals > 0)
    off = share.copy()
    np.fill_diagonal(off, np.nan)
    top = max(float(np.nanmax(off)) if np.isfinite(off).any() else 0.0, 1.0)

    def draw(theme: Theme) -> Figure:
        side = 2.1 + 0.36 * len(classes)
        figure, axes = new((min(8.5, side + 0.5), min(8.0, side)))
        axes.grid(False)
        axes.imshow(off, cmap=one_sided(theme), vmin=0, vmax=top)
        names = [short(c, 16) for c in classes]
        axes.set_xticks(range(len(classes)), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(classes)), names)
        axes.tick_params(length=0, labelcolor=theme.ink)
        if len(classes) <= 20:
            for i, j in np.ndindex(*share.shape):
                if not np.isfinite(share[i, j]) or (i != j and share[i, j] < 0.05):
                    continue
                colour = theme.soft if i == j else readable(theme, share[i, j] / top)
                text = f"{share[i, j]:.0f}" if i == j or share[i, j] >= 9.95 else f"{share[i, j]:.1f}"
                axes.text(j, i, text, ha="center", va="center", fontsize=7.5, color=colour)
        axes.set_xlabel(short(said, 60))
        axes.set_ylabel(short(given, 60))
        axes.set_title(short(title, 80))
        for spine in axes.spines.values():
            spine.set_visible(False)
        return figure

    return save(draw, path)


def heat(
    values: np.ndarray | Sequence[Sequence[float]],
    rows: Sequence[str],
    columns: Sequence[str],
    path: Path | str,
    *,
    title: str = "",
    xlabel: str = "",
    ylabel: str = "",
    label: str = "",
    bounds: tuple[float, float] = (0.0, 1.0),
    decimals: int = 2,
    most: int = 20,
) -> Path:
    """Any table of similarities (linear CKA of layers or checkpoints), numbers inside while they can be read.

    Args:
        values: (R, C); `nan` stays empty.
        label: what the colour stands for.
        bounds: what the ends of the colour scale stand for.
        most: characters of a name; longer ones are cut.

    Raises:
        InputError: shapes that do not fit.
    """
    table = np.asarray(values, float)
    if table.shape != (len(rows), len(columns)):
        raise InputError(f"The table is {table.shape}; ({len(rows)}, {len(columns)}) is expected for these names.")
    low, high = bounds

    def draw(theme: Theme) -> Figure:
        figure, axes = new((min(8.5, 2.6 + 0.42 * len(columns)), min(8.0, 1.7 + 0.36 * len(rows))))
        axes.grid(False)
        shown = axes.imshow(table, cmap=one_sided(theme), vmin=low, vmax=high, aspect="auto")
        every = max(1, -(-len(columns) // 20))
        slanted = max((len(str(c)) for c in columns), default=0) > 4
        turn: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
        axes.set_xticks(range(0, len(columns), every), [short(c, most - 2) for c in columns][::every], **turn)
        every = max(1, -(-len(rows) // 24))
        axes.set_yticks(range(0, len(rows), every), [short(r, most) for r in rows][::every])
        axes.tick_params(length=0, labelcolor=theme.ink)
        if table.size <= 200:
            for i, j in np.ndindex(*table.shape):
                if np.isfinite(table[i, j]):
                    colour = readable(theme, float(table[i, j] - low) / (high - low))
                    axes.text(j, i, f"{table[i, j]:.{decimals}f}", ha="center", va="center", fontsize=7.5, color=colour)
        else:
            bar = figure.colorbar(shown, ax=axes, shrink=0.85, pad=0.02)
            bar.outline.set_visible(False)
            bar.set_label(short(label, 40), color=theme.soft)
        axes.set_xlabel(short(xlabel, 60))
        axes.set_ylabel(short(ylabel, 60))
        axes.set_title(short(title, 80))
        for spine in axes.spines.values():
            spine.set_visible(False)
        return figure

    return save(draw, path)


def one_sided(theme: Theme) -> Any:
    """A colour map from the page's own colour to the accent; what is undefined has the colour of lines."""
    from matplotlib.colors import LinearSegmentedColormap

    middle, deep = ("#86aacb", "#174572") if theme is LIGHT else ("#34608f", "#b4d4f3")
    scale = LinearSegmentedColormap.from_list("phispace", [theme.page, middle, deep])
    return scale.with_extremes(bad=theme.line)


def readable(theme: Theme, strength: float) -> str:
    """A text colour that is read on the scale at this strength (0 to 1)."""
    return theme.page if strength > 0.62 else theme.ink
