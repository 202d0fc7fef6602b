"""The scatter of a code in its own units: two of its dimensions, the prior's circles, a bar of the classes' colours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from phispace.embeddings.store import UNKNOWN
from phispace.errors import InputError
from phispace.maps.figure import INK, SOFT, heading, new_figure, plain, save_figure
from phispace.maps.palette import NAMED_CLASSES, class_colours
from phispace.maps.scatter import draw_points, point_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHARE = 99.5  # per cent of the codes in sight; single far ones are said, not shown


def draw_latent_scatter(
    codes: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...],
    path: Path | str,
    *,
    title: str,
    subtitle: str = "",
    dims: tuple[int, int] = (0, 1),
    prior: bool = False,
    dpi: int = 160,
) -> Path:
    """Draw two dimensions of a code as they are, one scale for both, coloured by class.

    Args:
        codes: (N, D), D > 1.
        labels: int64 (N,), -1 = unknown, drawn in grey.
        classes: names of the labels.
        dims: the two dimensions.
        prior: draw the circles that hold 50 % and 95 % of a standard normal in these two dimensions.

    Raises:
        InputError: a code of one dimension, labels of another number, or another suffix.
    """
    codes = np.asarray(codes, np.float64)
    if codes.ndim != 2 or codes.shape[1] < 2 or len(codes) != len(labels) or not len(codes):
        raise InputError(
            "A scatter needs codes (N, D) of two dimensions or more with N labels; "
            f"got {codes.shape} and {len(labels)}."
        )
    if max(dims) >= codes.shape[1] or min(dims) < 0:
        raise InputError(f"The code has the dimensions 0 to {codes.shape[1] - 1}; got {dims[0]} and {dims[1]}.")
    xy = codes[:, dims]
    figure = new_figure(8.2, 7.3)
    axes = figure.add_axes((0.085, 0.085, 0.72, 0.8))
    far = _limits(axes, xy, prior)
    size, alpha = point_style(len(xy))
    draw_points(axes, xy, labels, len(classes), size, alpha)
    if prior:
        _circles(axes)
    axes.set_xlabel(f"dimension {dims[0]}", color=SOFT, fontsize=9.5)
    axes.set_ylabel(f"dimension {dims[1]}", color=SOFT, fontsize=9.5)
    axes.tick_params(colors=SOFT, labelsize=9, length=3)
    for spine in axes.spines.values():
        spine.set_color("#dfe3e7")
    known = labels[labels != UNKNOWN]
    if len(known) and len(classes) <= NAMED_CLASSES:
        _class_bar(figure, classes, sorted(set(known.tolist())))
    words = [subtitle, f"{len(xy):,} images" + (f", {far} far outside not shown" if far else "")]
    if prior:
        words.append("circles: 50 % and 95 % of the prior")
    heading(figure, title, " · ".join(w for w in words if w), left=0.03)
    return save_figure(figure, path, dpi)


def _limits(axes: Axes, xy: np.ndarray, prior: bool) -> int:
    """One scale for both directions, nearly all points in sight; returns how many are not."""
    low, high = np.percentile(xy, [(100 - _SHARE) / 2, 100 - (100 - _SHARE) / 2], axis=0)
    if prior:
        low, high = np.minimum(low, -2.6), np.maximum(high, 2.6)
    middle, half = (low + high) / 2, max(float((high - low).max()) / 2 * 1.08, 1e-6)
    axes.set_xlim(middle[0] - half, middle[0] + half)
    axes.set_ylim(middle[1] - half, middle[1] + half)
    axes.set_aspect("equal")
    return int((np.abs(xy - middle) > half).any(axis=1).sum())


def _circles(axes: Axes) -> None:
    """Circles around 0 that hold these shares of a standard normal in the plane: radius sqrt(-2 log(1 - share))."""
    from matplotlib.patches import Circle

    for share in (0.5, 0.95):
        radius = float(np.sqrt(-2 * np.log(1 - share)))
        axes.add_patch(
            Circle(
                (0, 0), radius, fill=False, edgecolor=INK, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.55, zorder=3
            )
        )


def _class_bar(figure: Figure, classes: tuple[str, ...], present: list[int]) -> None:
    """A bar of the colours of the classes that are there, named beside it, first class at the bottom."""
    from matplotlib.colors import ListedColormap

    colours = class_colours(len(classes))
    bar = figure.add_axes((0.835, 0.085, 0.022, 0.8))
    bar.imshow(
        np.arange(len(present))[:, None], cmap=ListedColormap([colours[k] for k in present]), aspect="auto",
        origin="lower", interpolation="nearest", vmin=-0.5, vmax=len(present) - 0.5,
    )  # fmt: skip
    bar.set_xticks([])
    bar.yaxis.tick_right()
    bar.set_yticks(range(len(present)), [""] * len(present))
    bar.tick_params(length=0)
    for place, label in enumerate(present):
        bar.text(
            0.9, place, plain(classes[label], 12), va="center", ha="left", fontsize=9.5, color=INK, parse_math=False
        )
    for spine in bar.spines.values():
        spine.set_visible(False)
