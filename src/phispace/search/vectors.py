"""Stored vectors as an index needs them: of unit length for the cosine, centred for the Euclidean distance."""

from __future__ import annotations

from typing import Literal, cast, get_args

import numpy as np

from phispace.errors import InputError

Metric = Literal["cosine", "euclidean"]

_ROUNDING = 2.0**-20  # of the vectors' scale; float32 sums of some thousand products stay below it
_ROWS = 16384


def check_metric(metric: str) -> Metric:
    """The metric, if it is one.

    Raises:
        InputError: an unknown name.
    """
    if metric not in get_args(Metric):
        raise InputError(f"The metric {metric!r} is not known; expected {' or '.join(get_args(Metric))}.")
    return cast(Metric, metric)


class Space:
    """The vectors of a store (N, D), prepared block by block when they are needed; nothing is copied.

    Distances do not change when everything moves, and near the origin float32 loses the least: hence the centring.
    """

    def __init__(self, vectors: np.ndarray, metric: Metric) -> None:
        self._vectors = vectors
        self.metric = metric
        self.dim = int(vectors.shape[1])
        self._centre = np.zeros(self.dim, np.float32)
        self._largest = 0.0
        if metric == "euclidean":
            total = np.zeros(self.dim)
            for start in range(0, len(vectors), _ROWS):
                total += vectors[start : start + _ROWS].sum(0, dtype=np.float64)
            self._centre = (total / max(1, len(vectors))).astype(np.float32)
            for start in range(0, len(vectors), _ROWS):
                lengths = (self.block(start, start + _ROWS).astype(np.float64) ** 2).sum(1)
                self._largest = max(self._largest, float(lengths.max()))

    def __len__(self) -> int:
        return len(self._vectors)

    def block(self, start: int, stop: int) -> np.ndarray:
        """Prepared vectors of these positions, float32 (B, D)."""
        return self.prepare(self._vectors[start:stop])

    def rows(self, positions: np.ndarray) -> np.ndarray:
        """Prepared vectors of any positions, float32 (B, D)."""
        return self.prepare(self._vectors[positions])

    def prepare(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors (B, D) as they are compared, float32."""
        x = np.asarray(vectors, np.float32)
        if self.metric == "euclidean":
            return np.ascontiguousarray(x - self._centre)
        # Divided by the largest value first: squares of very small or large values would leave float32's range.
        largest = np.abs(x).max(axis=1, keepdims=True)
        scaled = (x / np.where(largest > 0, largest, 1)).astype(np.float64)
        length = np.sqrt((scaled**2).sum(1, keepdims=True))
        return np.ascontiguousarray(scaled / np.where(length > 0, length, 1), np.float32)

    def check(self, vectors: np.ndarray) -> np.ndarray:
        """Queries (Q, D) or (D,), prepared.

        Raises:
            InputError: another number of dimensions, or values that are not finite.
        """
        try:
            x = np.atleast_2d(np.asarray(vectors, np.float32))
        except (TypeError, ValueError) as error:
            raise InputError(f"Queries must be numbers (Q, {self.dim}): {error}.") from error
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise InputError(f"Queries must be (Q, {self.dim}), as the store's vectors are; got {np.shape(vectors)}.")
        if not np.isfinite(x).all():
            raise InputError("Queries must be finite; at least one has a value that is NaN or infinite.")
        return self.prepare(x)

    def similarity(self, query: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Float64 similarities of one prepared query (D,) and stored items (M,): cosine, or minus the distance."""
        out = np.empty(len(positions))
        q = query.astype(np.float64)
        for start in range(0, len(positions), _ROWS):
            stored = self.rows(positions[start : start + _ROWS]).astype(np.float64)
            out[start : start + _ROWS] = (
                (stored * q).sum(1) if self.metric == "cosine" else -np.sqrt(((stored - q) ** 2).sum(1))
            )
        return out

    def at_most(self, query: np.ndarray, value: float) -> float:
        """The largest similarity that FAISS's value can stand for, its float32 rounding considered.

        Args:
            query: prepared (D,).
            value: FAISS's inner product, or squared distance.
        """
        if self.metric == "cosine":
            return value + 2 * _ROUNDING
        slack = 4 * _ROUNDING * (float((query.astype(np.float64) ** 2).sum()) + self._largest)
        return -float(np.sqrt(max(0.0, value - slack))) * (1 - _ROUNDING)
