"""Brightness, contrast and saturation, without a detour through another colour space."""

from __future__ import annotations

import numpy as np

from phispace.data.corruptions.base import Draws, bytes_of, floats

_BRIGHTER = (0.05, 0.1, 0.15, 0.2, 0.3)
_CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)
_SATURATION = ((0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2))  # factor, summand


def brightness(images: np.ndarray, severity: int, draws: Draws) -> np.ndarray:
    """HSV's value V raised by c, up to 1: the colour times min(V + c, 1) / V; black becomes grey."""
    x = floats(images)
    value = x.max(axis=3, keepdims=True)
    raised = np.minimum(value + np.float32(_BRIGHTER[severity - 1]), 1)
    return bytes_of(np.where(value > 0, x * (raised / np.where(value > 0, value, 1)), raised))


def contrast(images: np.ndarray, severity: int, draws: Draws) -> np.ndarray:
    """m + c (x - m), with the image's mean m of each colour."""
    x = floats(images)
    mean = x.mean(axis=(1, 2), keepdims=True)
    return bytes_of((x - mean) * np.float32(_CONTRAST[severity - 1]) + mean)


def saturate(images: np.ndarray, severity: int, draws: Draws) -> np.ndarray:
    """HSV's saturation S becomes min(a S + b, 1): V - (V - x) S' / S.

    Departure: what is grey has no hue and stays grey; the original gives it the hue 0, red.
    """
    factor, summand = _SATURATION[severity - 1]
    x = floats(images)
    value = x.max(axis=3, keepdims=True)
    range_ = value - x.min(axis=3, keepdims=True)
    coloured = range_ > 0
    saturation = range_ / np.where(value > 0, value, 1)
    wanted = np.minimum(saturation * np.float32(factor) + np.float32(summand), 1)
    change = np.where(coloured, wanted / np.where(coloured, saturation, 1), 1)
    return bytes_of(value - (value - x) * change)
