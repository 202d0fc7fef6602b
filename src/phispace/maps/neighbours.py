"""Exact nearest neighbours of all items among all items, for affinities and for quality."""

from __future__ import annotations

import numpy as np


def neighbours(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest other items of each item, exactly, by Euclidean distance.

    Args:
        vectors: float32 (N, D), centred (distances come from a matrix product, which cancels far from the origin).
        k: at most N - 1.

    Returns:
        positions int64 (N, k) and distances float32 (N, k), nearest first.
    """
    import faiss

    vectors = np.ascontiguousarray(vectors, np.float32)
    squared, index = faiss.knn(vectors, vectors, k + 1, metric=faiss.METRIC_L2)
    # An item is its own nearest, but duplicates can come first or even push it off the list: then the last one goes.
    own = index == np.arange(len(vectors))[:, None]
    own[~own.any(axis=1), -1] = True
    others = ~own
    index = index[others].reshape(len(vectors), k)
    squared = squared[others].reshape(len(vectors), k)
    return index.astype(np.int64), np.sqrt(np.maximum(squared, 0))
