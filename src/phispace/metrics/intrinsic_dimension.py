"""How many dimensions the items themselves have, wherever they lie in the space of vectors.

Both estimators look at the distances to near neighbours, assume that the density hardly changes within them, and do not
depend on scale or rotation. Towards many dimensions they fall short, because near neighbours are then far: of 4,000
items uniform in a ball of 5, 10, 20 and 50 dimensions TwoNN finds 4.7, 8.9, 16.5 and 33, the likelihood 4.7, 8.8, 15.6
and 31. Above ten or so only comparisons at equal n are meant. Items on a regular lattice (every combination of factors
rendered once) break the assumption, and the numbers are then far too high.

Sources: TwoNN, Facco et al., Scientific Reports 7, 2017, equation 5; the likelihood of k neighbours, Levina and Bickel,
NIPS 2004, equations 8 to 10; its average over the items as MacKay and Ghahramani correct it, 2005 (note on the web).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from phispace.metrics.arrays import as_matrix
from phispace.metrics.knn import nearest

LEAST_ITEMS = 20
_ROWS = 1 << 22  # numbers held at a time when distances are taken in float64


def distinct(x: Any) -> np.ndarray:
    """The rows of x (N, D) that differ from all earlier ones, as float32 (n, D) of order one, about their mean.

    A repeated vector has a neighbour at no distance, which says nothing about dimension.
    """
    x = as_matrix(x)
    if not len(x):
        return x.astype(np.float32)
    scale = float(np.abs(x - x[0]).max()) or 1.0
    z = np.ascontiguousarray(((x.astype(np.float64) - x[0]) / scale).astype(np.float32) + np.float32(0))
    _, first = np.unique(z.view(np.dtype((np.void, z.itemsize * z.shape[1]))).ravel(), return_index=True)
    return z[np.sort(first)]


def neighbour_distances(x: np.ndarray, k: int) -> np.ndarray:
    """Euclidean distances float64 (N, k) to the k nearest others, ascending; x as `distinct` gives it, N > k."""
    position = nearest(x, x, k, "euclidean", exclude_self=True)[1]
    found = np.empty((len(x), k))
    rows = max(1, _ROWS // (k * x.shape[1]))
    for start in range(0, len(x), rows):
        here = slice(start, start + rows)
        gap = x[position[here]].astype(np.float64) - x[here, None]
        found[here] = np.sqrt(np.einsum("nkd,nkd->nk", gap, gap))
    return np.sort(found, axis=1)


def two_nn_of_ratios(ratios: np.ndarray, discard: float = 0.1) -> float:
    """The slope d of -log(1 - F) over log mu through the origin, F the share of items whose mu is not larger.

    Args:
        ratios: (n,) mu, second over first neighbour distance, at least 1.
        discard: share of the largest ratios that are left out, as in the paper.

    Returns:
        `nan` if all ratios are 1 (every item's two neighbours are equally far).
    """
    n = len(ratios)
    kept = min(int(n * (1 - discard)), n - 1)
    x = np.log(np.sort(ratios)[:kept])
    y = -np.log1p(-np.arange(1, kept + 1) / n)
    below = float((x * x).sum())
    return float((x * y).sum()) / below if below > 0 else float("nan")


def two_nn(x: Any, discard: float = 0.1) -> float:
    """TwoNN dimension of x (N, D); `nan` with fewer than 20 distinct rows, or vectors that are not finite."""
    x = as_matrix(x)
    x = distinct(x) if np.isfinite(x).all() else x[:0]
    if len(x) < LEAST_ITEMS:
        return float("nan")
    distance = neighbour_distances(x, 2)
    return two_nn_of_ratios(distance[:, 1] / distance[:, 0], discard)


def levina_bickel_of_distances(distance: np.ndarray, first: int = 10, last: int = 20) -> float:
    """Mean over k = first ... last of d_k, 1 / d_k = mean over items of 1/(k-1) sum_{j<k} log(T_k / T_j).

    The inverses are averaged over the items (MacKay and Ghahramani), which is the maximum of their joint likelihood;
    Levina and Bickel average the estimates themselves, which is biased upwards at small k.

    Args:
        distance: (n, >= last) T_j, ascending and positive.

    Returns:
        `nan` if all neighbours of every item are equally far.
    """
    logs = np.log(distance)
    k = np.arange(first, last + 1)
    inverse = np.array([(logs[:, j - 1, None] - logs[:, : j - 1]).mean() for j in k])
    return float((1 / inverse).mean()) if (inverse > 0).all() else float("nan")


def levina_bickel(x: Any, first: int = 10, last: int = 20) -> float:
    """Maximum-likelihood dimension of x (N, D) by `first` to `last` neighbours; `nan` with fewer than 20 distinct
    rows or not more than `last`, or vectors that are not finite."""
    x = as_matrix(x)
    x = distinct(x) if np.isfinite(x).all() else x[:0]
    if len(x) < max(LEAST_ITEMS, last + 1):
        return float("nan")
    return levina_bickel_of_distances(neighbour_distances(x, last), first, last)
