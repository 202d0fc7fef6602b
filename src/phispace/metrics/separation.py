"""How well classes separate in a representation.

Sources: silhouette, Rousseeuw 1987; Davies and Bouldin 1979; Calinski and Harabasz 1974, all as scikit-learn has them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from phispace.metrics.arrays import as_labels, as_matrix
from phispace.metrics.knn import Metric


def sample_items(n: int, max_items: int, rng: np.random.Generator) -> np.ndarray:
    """Positions int64, ascending: all n, or a random `max_items` of them."""
    return np.arange(n) if n <= max_items else np.sort(rng.choice(n, max_items, replace=False))


def silhouettes(x: Any, labels: Any, metric: Metric = "euclidean") -> np.ndarray:
    """Silhouette of each item, float64 (N,): (b - a) / max(a, b) with a the mean distance to its own class and b to
    the nearest other class. An item that is alone in its class has 0, as in scikit-learn.

    All `nan` with fewer than two classes, or when each item is a class of its own. Time and memory grow with N^2.
    """
    from sklearn.metrics import silhouette_samples

    x = as_matrix(x)
    labels = as_labels(labels, len(x))
    if not 2 <= len(np.unique(labels)) <= len(x) - 1 or not np.isfinite(x).all():
        return np.full(len(x), np.nan)
    return np.asarray(silhouette_samples(x.astype(np.float64), labels, metric=metric), np.float64)


def silhouette(
    x: Any, labels: Any, rng: np.random.Generator, metric: Metric = "euclidean", max_items: int = 5000
) -> float:
    """Mean silhouette, from -1 to 1, of at most `max_items` items; `nan` where undefined (see `silhouettes`)."""
    x = as_matrix(x)
    labels = as_labels(labels, len(x))
    chosen = sample_items(len(x), max_items, rng)
    values = silhouettes(x[chosen], labels[chosen], metric)
    return float(values.mean()) if len(values) else float("nan")


def between_class_share(x: Any, labels: Any) -> float:
    """Share of the variance that lies between the classes, trace(S_between) / trace(S_total), from 0 to 1.

    `nan` with fewer than two classes, or if x does not vary.
    """
    x = as_matrix(x)
    labels = as_labels(labels, len(x))
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2 or not np.isfinite(x).all():
        return float("nan")
    z = (x - x[0]).astype(np.float64)
    z -= z.mean(0)
    total = float((z**2).sum())
    sums = np.zeros((len(classes), z.shape[1]))
    np.add.at(sums, codes, z)
    between = float(((sums**2).sum(1) / np.bincount(codes)).sum())
    return between / total if total > 0 else float("nan")


def cluster_indices(x: Any, labels: Any) -> dict[str, float]:
    """`davies_bouldin` (lower is better) and `calinski_harabasz` (higher is better) of the classes.

    `nan` with fewer than two classes, when each item is a class of its own, or if x does not vary.
    """
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

    x = as_matrix(x).astype(np.float64)
    labels = as_labels(labels, len(x))
    varies = bool(np.isfinite(x).all()) and len(x) > 0 and bool((x != x[0]).any())
    if not varies or not 2 <= len(np.unique(labels)) <= len(x) - 1:
        return {"davies_bouldin": float("nan"), "calinski_harabasz": float("nan")}
    return {
        "davies_bouldin": float(davies_bouldin_score(x, labels)),
        "calinski_harabasz": float(calinski_harabasz_score(x, labels)),
    }
