"""Pixels that are made when they are asked for: an array as far as images are read, without its memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_BLOCK = 1024

Change = Callable[[np.ndarray], np.ndarray]
"""Positions int64 (B,) -> the changed images uint8 (B, H, W, C) of these positions."""


class ChangedPixels:
    """Stands in for the uint8 array (N, H, W, C) of an `ImageSet`: it has a shape, and rows can be taken.

    Args:
        shape: (N, H, W, C).
        change: makes the rows of some positions; which others are asked for with them must not matter.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, shape: tuple[int, ...], change: Change) -> None:
        self.shape = tuple(shape)
        self._change = change
        self._remembered: np.ndarray | None = None
        self._rows: np.ndarray | None = None

    def remember(self, positions: np.ndarray) -> None:
        """Keep the rows of these positions (ascending) once they are made: they will be asked for more than once."""
        self._remembered, self._rows = positions, None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """Rows by position, slice, positions or bool (N,), with further indices into the rows as of an array."""
        rows, *inside = index if isinstance(index, tuple) else (index,)
        chosen = np.arange(len(self))[rows]
        made = self._made(np.atleast_1d(chosen).ravel()).reshape(*np.shape(chosen), *self.shape[1:])
        return made[(*(slice(None),) * np.ndim(chosen), *inside)] if inside else made

    def take(self, indices: Any, axis: int = 0) -> np.ndarray:
        """numpy's `take` along the first axis."""
        if axis != 0:
            return np.asarray(self).take(indices, axis=axis)
        return self[np.asarray(indices)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self._made(np.arange(len(self)))
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def _made(self, positions: np.ndarray) -> np.ndarray:
        kept = self._remembered
        if kept is None or not len(kept):
            return self._make(positions)
        place = np.minimum(np.searchsorted(kept, positions), len(kept) - 1)
        if not np.array_equal(kept[place], positions):
            return self._make(positions)
        if self._rows is None:
            self._rows = self._make(kept)
        return self._rows[place]

    def _make(self, positions: np.ndarray) -> np.ndarray:
        made = np.empty((len(positions), *self.shape[1:]), np.uint8)
        for start in range(0, len(positions), _BLOCK):
            made[start : start + _BLOCK] = self._change(positions[start : start + _BLOCK])
        return made
