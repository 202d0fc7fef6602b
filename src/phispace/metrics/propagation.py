"""Label propagation over a graph of nearest neighbours: a few labels, many items without.

With W_ij = max(cos(x_i, x_j), 0)^gamma for the k nearest neighbours j of i, made symmetric by W + W', and
S = D^-1/2 W D^-1/2, the scores of the items are the solution of (I - alpha S) F = Y, Y being 1 at the labelled items.
Sources: Zhou et al., Learning with Local and Global Consistency, NIPS 2003, equation 4; the graph and conjugate
gradients, Iscen et al., CVPR 2019 (arXiv 1904.04717), section 3. New items take the weighted scores of their k nearest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from phispace.errors import InputError
from phispace.metrics.knn import nearest

UNREACHED = -1


class Graph:
    """The graph of one set of items.

    Args:
        x: (N, D), compared by the cosine.
        k: neighbours of each item, at most N - 1 are used.
        gamma: exponent of the cosines.

    Attributes:
        matrix: S, a sparse float32 (N, N).

    Raises:
        InputError: fewer than two items.
    """

    def __init__(self, x: np.ndarray, k: int = 15, gamma: float = 3.0) -> None:
        from scipy import sparse

        if len(x) < 2:
            raise InputError(f"A graph needs at least two items; got {len(x)}.")
        self._x, self._k, self._gamma = x, min(k, len(x) - 1), gamma
        similarity, position = nearest(x, x, self._k, exclude_self=True)
        rows = np.repeat(np.arange(len(x)), self._k)
        one_way = sparse.csr_matrix(
            (self._weight(similarity).ravel(), (rows, position.ravel())), shape=(len(x), len(x)), dtype=np.float32
        )
        both = one_way + one_way.T
        degree = np.asarray(both.sum(1)).ravel()
        scale = sparse.diags(np.divide(1, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0))
        self.matrix: Any = (scale @ both @ scale).tocsr().astype(np.float32)

    def _weight(self, similarity: np.ndarray) -> np.ndarray:
        return np.maximum(similarity, 0) ** self._gamma

    def neighbours_of(self, queries: np.ndarray) -> Any:
        """The weights of new items (Q, D) on those of the graph, a sparse float32 (Q, N)."""
        from scipy import sparse

        similarity, position = nearest(queries, self._x, min(self._k, len(self._x)))
        rows = np.repeat(np.arange(len(queries)), similarity.shape[1])
        return sparse.csr_matrix(
            (self._weight(similarity).ravel(), (rows, position.ravel())),
            shape=(len(queries), len(self._x)),
            dtype=np.float32,
        )


def propagate(
    matrix: Any, seeds: np.ndarray, alpha: float = 0.8, tolerance: float = 1e-4, most: int = 200
) -> np.ndarray:
    """F of (I - alpha S) F = Y by conjugate gradients, all columns at once, float32 (N, C).

    Args:
        matrix: S, sparse (N, N), with eigenvalues in [-1, 1].
        seeds: Y, (N, C).
        alpha: 0 to 1, 1 excluded: how far a label reaches.
        tolerance: each column ends when its residual is below this times that of Y.
        most: iterations.
    """
    y = np.asarray(seeds, np.float32)
    f, residual = np.zeros_like(y), y.copy()
    direction, energy = residual.copy(), (residual**2).sum(0)
    enough = tolerance**2 * energy
    for _ in range(most):
        if (energy <= enough).all():
            break
        bent = direction - alpha * (matrix @ direction)
        curvature = (direction * bent).sum(0)
        step = np.divide(energy, curvature, out=np.zeros_like(energy), where=curvature > 0)
        f += step * direction
        residual -= step * bent
        before, energy = energy, (residual**2).sum(0)
        direction = residual + np.divide(energy, before, out=np.zeros_like(energy), where=before > 0) * direction
    return f


def spread(weights: Any, scores: np.ndarray) -> np.ndarray:
    """Classes int64 (Q,) of new items by the weighted mean of their neighbours' shares.

    Args:
        weights: sparse (Q, N).
        scores: F, (N, C); each row is divided by its sum.

    Returns:
        column of the largest share; `UNREACHED` where no label has come to any neighbour.
    """
    scores = np.maximum(scores, 0)
    total = scores.sum(1, keepdims=True)
    share = weights @ np.divide(scores, total, out=np.zeros_like(scores), where=total > 0)
    return np.where(share.max(1) > 0, share.argmax(1), UNREACHED)
