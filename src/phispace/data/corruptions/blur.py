"""Blur that is the same in all directions. Beyond the border lies the image's reflection."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from phispace.data.corruptions.base import Draws, bytes_of, floats, scale

_SIGMA = (0.4, 0.6, 0.7, 0.8, 1.0)
_DISC = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))  # radius, deviation of its soft edge
_NOTHING = 1e-6  # of a kernel's sum of 1: less than a byte can show


def gaussian_blur(images: np.ndarray, severity: int, draws: Draws) -> np.ndarray:
    """A Gaussian of deviation c pixels."""
    sigma = _SIGMA[severity - 1] * scale(images)
    return bytes_of(ndimage.gaussian_filter(floats(images), (0, sigma, sigma, 0), mode="reflect"))


def defocus_blur(images: np.ndarray, severity: int, draws: Draws) -> np.ndarray:
    """A disc of radius r on the pixel grid, its edge softened by a Gaussian of deviation s."""
    factor = scale(images)
    kernel = disc(*(c * factor for c in _DISC[severity - 1]))
    half = len(kernel) // 2
    height, width = images.shape[1:3]
    x = np.pad(floats(images), ((0, 0), (half, half), (half, half), (0, 0)), mode="reflect")
    total = np.zeros(images.shape, np.float32)
    for (row, column), weight in np.ndenumerate(kernel):
        if weight > _NOTHING:
            total += weight * x[:, row : row + height, column : column + width]
    return bytes_of(total)


def disc(radius: float, soft: float) -> np.ndarray:
    """The kernel, float32 (K, K), K odd, of sum 1."""
    half = int(np.ceil(radius)) + max(1, int(np.ceil(2 * soft)))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    kernel = ndimage.gaussian_filter((x**2 + y**2 <= radius**2).astype(np.float64), soft, mode="constant")
    return (kernel / kernel.sum()).astype(np.float32)
