"""What neighbours say: of the same items in two spaces, and of the items' classes.

Sources: neighbourhood preservation, Venna and Kaski 2001; mutual kNN, Huh et al., The Platonic Representation
Hypothesis, ICML 2024 (arXiv 2405.07987), section 2; neighbourhood hit, Paulovich et al., IEEE TVCG 2008.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from phispace.errors import InputError
from phispace.metrics.arrays import as_labels, as_matrix
from phispace.metrics.knn import Metric, nearest


def _shared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Number of neighbours (N,) that rows of a and b (N, k) share; a row holds each item once."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] == 0:
        raise InputError(f"Two neighbour tables (N, k) of one shape are needed; got {a.shape} and {b.shape}.")
    merged = np.sort(np.concatenate([a, b], axis=1), axis=1)
    return (merged[:, 1:] == merged[:, :-1]).sum(1)


def knn_recall(a: np.ndarray, b: np.ndarray) -> float:
    """Mean share of the neighbours of a that are neighbours in b; positions (N, k); `nan` without items."""
    shared = _shared(a, b)
    return float(shared.mean() / np.shape(a)[1]) if len(shared) else float("nan")


def churn(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 - Jaccard similarity of each item's neighbours in a and b (N, k): float64 (N,), 0 = the same, 1 = all new."""
    shared = _shared(a, b)
    return 1 - shared / (2 * np.shape(a)[1] - shared)


def mutual_knn(x: Any, y: Any, k: int = 10, metric: Metric = "cosine") -> float:
    """Mean share of the k nearest others that two representations of the same items have in common.

    Args:
        x, y: (N, D1), (N, D2), row i of both the same item.
        k: 1 to N - 1.
    """
    x, y = as_matrix(x), as_matrix(y, "y")
    if len(x) != len(y):
        raise InputError(f"x has {len(x)} items, y has {len(y)}; they must be the same items.")
    positions = [nearest(z, z, k, metric, exclude_self=True)[1] for z in (x, y)]
    return knn_recall(*positions)


def class_agreement(positions: np.ndarray, labels: Any) -> float:
    """Neighbourhood hit: mean share of an item's neighbours (N, k) that have its class; `nan` without items.

    Items of unknown class (-1) do not count, and are left out as neighbours; an item with no known neighbour too.
    """
    labels = as_labels(labels, len(positions))
    around = labels[positions]
    known = around >= 0
    hits = ((around == labels[:, None]) & known).sum(1)
    counted = (labels >= 0) & known.any(1)
    return float((hits[counted] / known[counted].sum(1)).mean()) if counted.any() else float("nan")
