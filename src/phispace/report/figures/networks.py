"""Looking into a network: its first filters, and what chosen images become in a layer. Takes arrays, not models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from phispace.errors import InputError
from phispace.report.style import Theme, label, new, plain_axes, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def filters(weights: np.ndarray, path: Path | str, *, title: str = "", columns: int | None = None) -> Path:
    """The filters of a first convolution as small pictures, each scaled by its own largest weight, zero in the middle.

    Args:
        weights: (N, C, h, w) with C = 1 (drawn in grey) or 3 (in colour); other C are averaged to grey.

    Raises:
        InputError: not of that shape, or not finite.
    """
    weights = np.asarray(weights, float)
    if weights.ndim != 4 or not len(weights) or not np.isfinite(weights).all():
        raise InputError(f"Filters are finite weights (N, C, h, w); got {weights.shape}.")
    if weights.shape[1] not in (1, 3):
        weights = weights.mean(1, keepdims=True)
    peak = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    pictures = 0.5 + 0.5 * weights / np.where(peak > 0, peak, 1.0)
    across = columns or max(1, min(16, int(np.ceil(np.sqrt(len(weights) * 2)))))
    sheet = _sheet(np.moveaxis(pictures, 1, -1), across)

    def draw(theme: Theme) -> Figure:
        height, width = sheet[LIGHT_FILL].shape[:2]
        figure, axes = new((6.4, 6.4 * height / width + (0.35 if title else 0.0)))
        axes.imshow(sheet["dark" if theme.name == "dark" else LIGHT_FILL], interpolation="nearest")
        plain_axes(axes)
        axes.set_title(label(title, 80))
        return figure

    return save(draw, path)


def feature_maps(
    images: np.ndarray,
    maps: np.ndarray | Mapping[str, np.ndarray],
    names: Sequence[str],
    path: Path | str,
    *,
    title: str = "",
    channels: int = 12,
) -> Path:
    """Chosen images and some channels of their maps, a row an image and layer.

    The channels are the same for all images: those whose activation varies most over the images shown.

    Args:
        images: uint8 (B, H, W, C) or floats in [0, 1].
        maps: one layer's (B, D, h, w), or layer -> such an array.
        names: B names for people, or none.

    Raises:
        InputError: maps that are not of the images, or no maps.
    """
    images = np.asarray(images)
    maps = maps if isinstance(maps, Mapping) else {"": np.asarray(maps)}
    wrong = [n for n, m in maps.items() if np.ndim(m) != 4 or len(m) != len(images)]
    if images.ndim != 4 or not len(images) or wrong or not maps:
        raise InputError(
            f"Images (B, H, W, C) and maps (B, D, h, w) of the same B are expected; wrong: {wrong or 'images'}."
        )
    shown = images / 255.0 if images.dtype == np.uint8 else images
    picked = {n: _lively(np.asarray(m, float), channels) for n, m in maps.items()}
    rows = len(images) * len(maps)

    def draw(theme: Theme) -> Figure:
        figure, grid = new((8.4, 0.35 + rows * 8.4 / (channels + 2.2)), rows, channels + 1)
        grid = np.asarray(grid).reshape(rows, channels + 1)
        for b in range(len(images)):
            for r, (name, layer) in enumerate(picked.items()):
                row = grid[b * len(maps) + r]
                for axes in row:
                    plain_axes(axes)
                if r == 0:
                    row[0].imshow(np.squeeze(shown[b]), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
                    if names:
                        row[0].set_title(label(names[b], 14), fontsize=8, fontweight="normal")
                row[1].set_ylabel(label(name, 14), fontsize=8, rotation=90)
                for axes, picture in zip(row[1:], layer[b], strict=False):
                    axes.imshow(picture, cmap="magma", interpolation="nearest")
        if title:
            figure.suptitle(label(title, 80), x=0.01, ha="left", fontsize=10, fontweight="bold", color=theme.ink)
        return figure

    return save(draw, path)


LIGHT_FILL = "light"


def _sheet(pictures: np.ndarray, across: int) -> dict[str, np.ndarray]:
    """(N, h, w, C) side by side with a gap of one pixel, for light and for dark pages."""
    n, h, w, c = pictures.shape
    down = -(-n // across)
    out = {}
    for theme, fill in ((LIGHT_FILL, 0.985), ("dark", 0.085)):
        canvas = np.full((down * (h + 1) + 1, across * (w + 1) + 1, 3), fill)
        for i in range(n):
            y, x = (i // across) * (h + 1) + 1, (i % across) * (w + 1) + 1
            canvas[y : y + h, x : x + w] = pictures[i] if c == 3 else np.repeat(pictures[i], 3, -1)
        out[theme] = canvas
    return out


def _lively(maps: np.ndarray, channels: int) -> np.ndarray:
    """The channels (B, D, h, w) -> (B, channels, h, w) with the largest variance over images and places."""
    order = np.argsort(-maps.var(axis=(0, 2, 3)), kind="stable")[:channels]
    return maps[:, np.sort(order)]
