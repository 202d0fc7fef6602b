"""How sparse a code is: few values that matter in an item, few items that matter to a dimension.

All three look at magnitudes |x|: a negative value is as active as a positive one. They depend on the axes (a rotation
changes them) and on the origin (a common offset makes any code dense), and not on scale.

Sources: Hoyer, JMLR 2004, section 3.1; population and lifetime sparseness, Treves and Rolls 1991 in the form of Vinje
and Gallant, Science 287, 2000, note 20.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from phispace.metrics.arrays import as_matrix


def _magnitudes(x: Any) -> np.ndarray:
    """|x| over its largest value, float64; all `nan` if any value is not finite."""
    x = as_matrix(x)
    if not np.isfinite(x).all():
        return np.full(x.shape, np.nan)
    size = np.abs(x).astype(np.float64)
    return size / (size.max(initial=0.0) or 1.0)


def hoyer(x: Any) -> np.ndarray:
    """(sqrt(D) - ||x||_1 / ||x||_2) / (sqrt(D) - 1) of each row of x (N, D): float64 (N,).

    0 when all magnitudes are equal, 1 when one value is not zero; about 0.20 for Gaussian values. `nan` for zero
    vectors, and in one dimension.
    """
    size = _magnitudes(x)
    root = np.sqrt(size.shape[1])
    length = np.sqrt((size**2).sum(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((root - size.sum(1) / length) / (root - 1))


def population_sparseness(x: Any) -> np.ndarray:
    """(1 - mean(|x|)^2 / mean(x^2)) / (1 - 1/D) over the dimensions of each row of x (N, D): float64 (N,).

    0 when all magnitudes are equal, 1 when one value is not zero; 1 - 2/pi = 0.36 for Gaussian values and many
    dimensions. `nan` for zero vectors, and in one dimension.
    """
    return _treves_rolls(_magnitudes(x))


def lifetime_sparseness(x: Any) -> np.ndarray:
    """The same over the items, of each dimension of x (N, D): float64 (D,). 1 for a dimension that answers to a single
    item; `nan` for one that is always zero, and for a single item."""
    return _treves_rolls(_magnitudes(x).T)


def _treves_rolls(size: np.ndarray) -> np.ndarray:
    count = size.shape[1]
    if count < 2:
        return np.full(len(size), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        activity = size.mean(1) ** 2 / (size**2).mean(1)
    return np.asarray((1 - activity) / (1 - 1 / count))
