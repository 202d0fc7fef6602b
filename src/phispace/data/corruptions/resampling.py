"""What coarser storage does: larger pixels, and JPEG."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from phispace.data.corruptions.base import Draws, bytes_of, floats

_COARSE = (0.95, 0.9, 0.85, 0.75, 0.65)
_QUALITY = (80, 65, 58, 50, 40)


def pixelate(images: np.ndarray, severity: int, draws: Draws) -> np.ndarray:
    """Averaged over areas to floor(c H) x floor(c W) pixels, and brought back by the nearest pixel."""
    height, width = images.shape[1:3]
    rows, columns = coarse(height, _COARSE[severity - 1]), coarse(width, _COARSE[severity - 1])
    # One product an image and channel, so that an image's rounding does not depend on the company it is in.
    made = rows @ floats(images).transpose(0, 3, 1, 2) @ columns.T
    return bytes_of(made.transpose(0, 2, 3, 1))


def coarse(side: int, share: float) -> np.ndarray:
    """Down to floor(share * side) cells, each the mean of what it covers, and up again: float32 (side, side)."""
    few = max(1, int(side * share))
    edges = np.arange(few + 1) * side / few
    pixel = np.arange(side)
    covered = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    down = np.clip(covered, 0, None) / (side / few)
    return down[((pixel + 0.5) * few / side).astype(int)].astype(np.float32)


def jpeg(images: np.ndarray, severity: int, draws: Draws) -> np.ndarray:
    """Written as JPEG of quality c (colours at half the resolution, as is usual) and read again."""
    made = np.empty_like(images)
    for i, pixels in enumerate(images):
        stream = BytesIO()
        Image.fromarray(pixels[..., 0] if images.shape[3] == 1 else pixels).save(
            stream, "JPEG", quality=_QUALITY[severity - 1]
        )
        with Image.open(stream) as read:
            made[i] = np.asarray(read).reshape(pixels.shape)
    return made
