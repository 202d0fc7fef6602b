"""Originals in a row, and below them what each of several decoders gives back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from phispace.errors import InputError
from phispace.maps.image_rows import draw_image_rows

_FEW, _FEW_TILE = 12, 72


def draw_reconstructions(
    originals: np.ndarray,
    reconstructions: Mapping[str, np.ndarray],
    path: Path | str,
    *,
    title: str = "Images and their reconstructions",
    subtitle: str = "",
    notes: Mapping[str, str] | None = None,
    columns: tuple[str, ...] = (),
) -> Path:
    """Draw images above their reconstructions, a row for each label.

    Args:
        originals: (N, H, W, 1 or 3), uint8 or floats in [0, 1].
        reconstructions: label -> the same images given back, each of the same shape; uint8 or floats.
        path: a .png or .svg file.
        notes: label -> a softer line under it, for example its error.
        columns: names of the images, N or none.

    Raises:
        InputError: nothing to compare with, or other shapes.
    """
    originals = np.asarray(originals)
    if not reconstructions:
        raise InputError("There are no reconstructions to draw beside the images.")
    for label, images in reconstructions.items():
        if np.shape(images) != originals.shape:
            raise InputError(
                f"The reconstructions {label!r} have shape {np.shape(images)}; {originals.shape} is expected, that of "
                "the images."
            )
    rows = [_bytes(originals), *(_bytes(np.asarray(images)) for images in reconstructions.values())]
    told = notes or {}
    tile = _FEW_TILE if len(originals) <= _FEW else None
    return draw_image_rows(
        np.stack(rows), path, title=title, subtitle=subtitle, rows=["original", *reconstructions], columns=columns,
        notes=["", *(told.get(label, "") for label in reconstructions)] if told else (), tile=tile,
    )  # fmt: skip


def _bytes(images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    return np.asarray(np.clip(images, 0, 1) * 255 + 0.5).astype(np.uint8)
