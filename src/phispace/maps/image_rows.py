"""Rows of small images with names at the left and values below: grids, traversals, interpolations, samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from phispace.errors import InputError
from phispace.maps.figure import INK, SOFT, heading, new_figure, plain, save_figure

if TYPE_CHECKING:
    from matplotlib.patches import Rectangle

_DPI = 160
_LEAST_TILE = 48  # pixels of the picture
_GAP = 3  # pixels of the picture
_LABEL = 1.35  # inches for the names of the rows


def draw_image_rows(
    images: np.ndarray,
    path: Path | str,
    *,
    title: str,
    subtitle: str = "",
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    notes: Sequence[str] = (),
    below: str = "",
    beside: str = "",
    marked: Sequence[tuple[int, int]] = (),
    gap: int = _GAP,
    tile: int | None = None,
) -> Path:
    """Draw images side by side, pixel by pixel: each is enlarged by a whole number.

    Args:
        images: uint8 or floats in [0, 1], (R, C, H, W, 1 or 3).
        path: a .png or .svg file.
        rows, columns: names, R and C of them or none.
        notes: a softer line under the name of each row, R of them or none.
        below, beside: what the columns and the rows run over.
        marked: (row, column) of images that get a frame, for example originals.
        gap: pixels between the images; 0 lets a grid of a smooth space run together.
        tile: side of an image in pixels of the picture, rounded down to a whole multiple; by default about 48.

    Raises:
        InputError: another shape, or another number of names.
    """
    images = np.asarray(images)
    if images.ndim != 5 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise InputError(f"Images in rows must be (R, C, H, W, 1 or 3); got shape {images.shape}.")
    down, across, side_y, side_x = images.shape[:4]
    for what, names, count in (("rows", rows, down), ("columns", columns, across), ("rows", notes, down)):
        if names and len(names) != count:
            raise InputError(f"There are {count} {what} and {len(names)} names; one each is expected.")
    canvas, corners = _canvas(images, max(1, round((tile or _LEAST_TILE) / max(side_y, side_x))), gap)
    left = 0.3 + (_LABEL if rows else 0.22 if beside else 0.0)
    head, foot = 0.86, 0.2 + 0.2 * bool(columns) + 0.22 * bool(below)
    across_inches, down_inches = canvas.shape[1] / _DPI, canvas.shape[0] / _DPI
    width = max(left + across_inches + 0.3, 0.125 * len(plain(title, 80)) + 0.7, 0.078 * len(subtitle) + 0.5)
    height = head + down_inches + foot
    figure = new_figure(width, height)
    axes = figure.add_axes((left / width, foot / height, across_inches / width, down_inches / height))
    axes.imshow(canvas, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    ends_y, ends_x = corners
    for row, name in enumerate(rows):
        note = plain(notes[row], 30) if notes else ""
        lift = 10 if note else 0
        axes.text(-6, ends_y[row].mean() - lift, plain(name, 26), ha="right", va="center", fontsize=8.5, color=INK,
                  parse_math=False)  # fmt: skip
        axes.text(-6, ends_y[row].mean() + lift, note, ha="right", va="center", fontsize=7.5, color=SOFT,
                  parse_math=False)  # fmt: skip
    for column, name in enumerate(columns):
        axes.text(ends_x[column].mean(), canvas.shape[0] + 6, plain(name, 10), ha="center", va="top", fontsize=8,
                  color=SOFT, parse_math=False)  # fmt: skip
    if below:
        under = canvas.shape[0] + 6 + 32 * bool(columns)
        axes.text(canvas.shape[1] / 2, under, plain(below, 80), ha="center", va="top", fontsize=8.5, color=SOFT,
                  parse_math=False)  # fmt: skip
    if beside and not rows:
        axes.text(-8, canvas.shape[0] / 2, plain(beside, 60), ha="right", va="center", rotation=90, fontsize=8.5,
                  color=SOFT, parse_math=False)  # fmt: skip
    for row, column in marked:
        (top, bottom), (start, stop) = ends_y[row], ends_x[column]
        axes.add_patch(_frame(start, top, stop - start, bottom - top))
    heading(figure, title, subtitle, left=0.3 / width)
    return save_figure(figure, path, _DPI)


def _canvas(images: np.ndarray, scale: int, gap: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """All images on one white uint8 (H, W, 3), and where each row and column begins and ends: (R, 2), (C, 2)."""
    if images.dtype != np.uint8:
        images = (np.clip(images, 0, 1) * 255 + 0.5).astype(np.uint8)
    down, across, height, width = images.shape[:4]
    height, width = height * scale, width * scale
    canvas = np.full((down * (height + gap) - gap, across * (width + gap) - gap, 3), 255, np.uint8)
    starts_y, starts_x = np.arange(down) * (height + gap), np.arange(across) * (width + gap)
    for row, y in enumerate(starts_y):
        for column, x in enumerate(starts_x):
            big = images[row, column].repeat(scale, 0).repeat(scale, 1)
            canvas[y : y + height, x : x + width] = big
    return canvas, (np.stack([starts_y, starts_y + height], 1), np.stack([starts_x, starts_x + width], 1))


def _frame(x: float, y: float, width: float, height: float) -> Rectangle:
    from matplotlib.patches import Rectangle

    return Rectangle(
        (x - 1.5, y - 1.5), width + 2, height + 2, fill=False, edgecolor="#d55e00", linewidth=1.6, clip_on=False
    )
