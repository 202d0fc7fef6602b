"""Features on a common scale: mean 0 and deviation 1 on the training part, by dimension or by channel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_ROWS = 8192
_CELLS = 1 << 22  # a block of the wide ones: 16 MB in float32
_BLOCK = 1 << 17  # a block that stays in the processor's cache: 1 MB in float64


class Scaling:
    """The affine map that standardises the training part; a dimension that does not vary there becomes 0.

    Args:
        x: float32 (n, D), the training part, n > 0.
        channels: of stored maps (C, H, W), D = C H W: one mean and deviation a channel. None = one a dimension.

    Attributes:
        varying: number of dimensions (or channels) that vary.
    """

    def __init__(self, x: np.ndarray, channels: int | None = None) -> None:
        self._channels = channels or x.shape[1]
        # Counted from an item of the data: a dimension that is constant has a deviation of exactly zero, and of others
        # the mean square is not much larger than the variance, so that their difference loses nothing.
        self._origin = x[0].reshape(self._channels, -1)[:, :1].copy()
        n = len(x) * (x.shape[1] // self._channels)
        total, squares = np.zeros((2, self._channels, 1))
        for rows in blocks(x, _BLOCK):
            wide = rows.astype(np.float64).reshape(len(rows), self._channels, -1) - self._origin
            total += wide.sum((0, 2))[:, None]
            squares += np.einsum("ncp,ncp->c", wide, wide)[:, None]
        self._mean = total / n
        square = (squares / n - self._mean**2).clip(0)
        # Below float32's resolution of the values themselves a spread is rounding.
        varies = np.sqrt(square) > 1e-6 * np.abs(self._origin + self._mean)
        self._scale = np.divide(1.0, np.sqrt(square), out=np.zeros_like(square), where=varies)
        self.varying = int(varies.sum())

    def terms(self, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Origin, mean and factor, each float32 (d,): z = (x - origin - mean) * factor, in this order."""
        places = d // self._channels
        origin, mean, factor = (
            np.repeat(t, places).astype(np.float32) for t in (self._origin, self._mean, self._scale)
        )
        return origin, mean, factor

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Standardised float32 copies (m, D) of items (m, D)."""
        z = x.reshape(len(x), self._channels, -1) - self._origin
        z -= self._mean.astype(np.float32)
        z *= self._scale.astype(np.float32)
        return z.reshape(x.shape)


def blocks(x: np.ndarray, cells: int | None = None) -> Iterator[np.ndarray]:
    """The rows of x (n, D) in views that are small enough to compute with, of about `cells` values."""
    step = max(1, min(_ROWS, (cells or _CELLS) // x.shape[1]))
    for start in range(0, len(x), step):
        yield x[start : start + step]
