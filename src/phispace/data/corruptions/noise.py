"""Noise of each value by itself: normal, Poisson, impulses."""

from __future__ import annotations

import numpy as np

from phispace.data.corruptions.base import Draws, bytes_of, floats

_DEVIATION = (0.04, 0.06, 0.08, 0.09, 0.10)
_PHOTONS = (500, 250, 100, 75, 50)
_SHARE = (0.01, 0.02, 0.03, 0.05, 0.07)


def gaussian_noise(images: np.ndarray, severity: int, draws: Draws) -> np.ndarray:
    """x + c e with e standard normal."""
    noise = draws.normal(*images.shape[1:])
    noise *= np.float32(_DEVIATION[severity - 1])
    return bytes_of(floats(images) + noise)


def shot_noise(images: np.ndarray, severity: int, draws: Draws) -> np.ndarray:
    """Poisson(c x) / c: c is the number of photons that white stands for."""
    photons = _PHOTONS[severity - 1]
    counts = [g.poisson(x * photons) for g, x in zip(draws.generators(), floats(images), strict=True)]
    return bytes_of(np.stack(counts).astype(np.float32) / photons)


def impulse_noise(images: np.ndarray, severity: int, draws: Draws) -> np.ndarray:
    """A share c of the values is set, half of it to 0 and half to 255; colours are hit one channel at a time."""
    drawn, share = draws.uniform(*images.shape[1:]), _SHARE[severity - 1]
    salted = np.where(drawn < share / 2, np.uint8(0), images)
    return np.where(drawn > 1 - share / 2, np.uint8(255), salted)
