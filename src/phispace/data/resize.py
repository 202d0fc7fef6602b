"""One square size for all images: scaled as a whole until it fits, antialiased, centred on black. Nothing is distorted
and nothing is cut off."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image

DEFAULT_LARGEST = 64
SMALLEST, LARGEST = 4, 1024


def default_size(sizes: Mapping[tuple[int, int], int]) -> int:
    """The longer side of the commonest (width, height), at most 64; of equally common ones the largest."""
    if not sizes:
        return DEFAULT_LARGEST
    (width, height), _ = max(sizes.items(), key=lambda item: (item[1], max(item[0]), item[0]))
    return max(SMALLEST, min(DEFAULT_LARGEST, max(width, height)))


def fit(pixels: np.ndarray, size: int) -> np.ndarray:
    """uint8 (h, w) or (h, w, 3) -> uint8 (size, size) or (size, size, 3).

    Bicubic with the support widened for downscaling (Pillow), padding is black.
    """
    height, width = pixels.shape[:2]
    if (height, width) == (size, size):
        return pixels
    scale = size / max(height, width)
    new_width, new_height = (max(1, min(size, round(side * scale))) for side in (width, height))
    image = Image.fromarray(pixels).resize((new_width, new_height), Image.Resampling.BICUBIC, reducing_gap=3.0)
    out = np.zeros((size, size, *pixels.shape[2:]), np.uint8)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    out[top : top + new_height, left : left + new_width] = np.asarray(image)
    return out


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """uint8 (h, w) or (h, w, 3) -> (h, w, channels); colour becomes grey by ITU-R 601 luma, grey becomes three
    equal channels."""
    if channels == 1:
        grey = pixels if pixels.ndim == 2 else np.asarray(Image.fromarray(pixels).convert("L"))
        return grey[:, :, None]
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
