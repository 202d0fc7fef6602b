"""Alignment and uniformity on the unit sphere.

Source: Wang and Isola, ICML 2020 (arXiv 2005.10242), equations for L_align and L_uniform.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from phispace.errors import InputError
from phispace.metrics.arrays import as_labels, as_matrix


def _directions(x: np.ndarray) -> np.ndarray:
    """float64 unit vectors; rows without a direction (zero vectors) become nan."""
    x = x.astype(np.float64)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, np.nan)


def uniformity(x: Any, rng: np.random.Generator | None = None, t: float = 2.0, max_items: int = 2048) -> float:
    """log of the mean of exp(-t ||x_i - x_j||^2) over pairs i < j of unit vectors; lower is more uniform.

    0 when all directions are equal; about -2t for many dimensions spread evenly.

    Args:
        x: (N, D); scaled to length 1 here. Zero vectors have no direction and are left out.
        rng: draws the items when there are more than `max_items`; without it the first ones are taken.
        t: as in the paper, 2.
        max_items: all pairs of so many items are used.

    Returns:
        `nan` with fewer than two vectors that have a direction, or if any is not finite.
    """
    x = as_matrix(x)
    if not np.isfinite(x).all():
        return float("nan")
    x = x[np.abs(x).max(axis=1, initial=0) > 0]
    if len(x) > max_items:
        x = x[:max_items] if rng is None else x[np.sort(rng.choice(len(x), max_items, replace=False))]
    if len(x) < 2:
        return float("nan")
    z = _directions(x)
    above = np.triu_indices(len(z), 1)
    squared = np.maximum(2 - 2 * (z @ z.T)[above], 0)
    return float(np.log(np.exp(-t * squared).mean()))


def alignment(x: Any, y: Any, alpha: float = 2.0) -> float:
    """Mean of ||x_i - y_i||^alpha over positive pairs of unit vectors; 0 is perfect, 2 for alpha 2 is unrelated.

    Args:
        x, y: (N, D), row i of both a pair of views; scaled to length 1 here. Pairs with a zero vector are left out.
        alpha: as in the paper, 2.

    Returns:
        `nan` without a pair, or if any vector is not finite.

    Raises:
        InputError: the shapes differ.
    """
    x, y = as_matrix(x), as_matrix(y, "y")
    if x.shape != y.shape:
        raise InputError(f"Pairs are needed: x has shape {x.shape}, y has {y.shape}.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    distance = np.linalg.norm(_directions(x) - _directions(y), axis=1)
    distance = distance[np.isfinite(distance)]
    return float((distance**alpha).mean()) if len(distance) else float("nan")


def class_alignment(x: Any, labels: Any) -> float:
    """Mean of ||x_i - x_j||^2 over an item i of known class and another j of its class, unit vectors: alignment with
    classes in place of views. All pairs, in closed form: 2 - 2 (||sum z||^2 - n) / (n (n - 1)) in a class of n items.

    Args:
        x: (N, D); scaled to length 1 here. Zero vectors are left out.
        labels: int (N,), -1 = unknown, which are left out.

    Returns:
        `nan` if no class has two items, or if any vector is not finite.
    """
    x = as_matrix(x)
    labels = as_labels(labels, len(x))
    if not np.isfinite(x).all():
        return float("nan")
    kept = (labels >= 0) & x.any(axis=1)
    z, codes = _directions(x[kept]), labels[kept]
    total, items = 0.0, 0
    for label in np.unique(codes):
        inside = z[codes == label]
        n = len(inside)
        if n < 2:
            continue
        similarity = (float((inside.sum(0) ** 2).sum()) - n) / (n * (n - 1))
        total += n * max(2 - 2 * similarity, 0.0)
        items += n
    return total / items if items else float("nan")
