"""Unit vectors, of values of any size."""

from __future__ import annotations

import numpy as np

_ROWS = 4096


def unit_vectors(x: np.ndarray) -> np.ndarray:
    """x (N, D) scaled to length 1, float32; zero vectors stay zero.

    Divided by the largest value first: squares of very small or large values would leave float32's range. Block by
    block: of many pixels a temporary copy is large.
    """
    unit = np.empty(x.shape, np.float32)
    for start in range(0, len(x), _ROWS):
        rows = np.asarray(x[start : start + _ROWS])
        largest = np.abs(rows).max(axis=1, keepdims=True)
        rows = rows / np.where(largest > 0, largest, 1)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        unit[start : start + _ROWS] = rows / np.where(length > 0, length, 1)
    return unit
