"""The singular values of a representation: how many directions it uses.

Sources: effective rank, Roy and Vetterli, EUSIPCO 2007, definition 1; RankMe, Garrido et al., ICML 2023
(arXiv 2210.02885), equation 1; stable rank, Rudelson and Vershynin, J. ACM 2007; participation ratio, Gao et al.,
bioRxiv 214262, 2017, equation 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from phispace.metrics.arrays import as_matrix
from phispace.metrics.eigen import eigenvalues

_ROWS = 8192


def singular_values(x: Any, centre: bool = False) -> np.ndarray:
    """Singular values of x, float64 (min(N, D),), descending; empty if x has no rows.

    The roots of the eigenvalues of the smaller Gram matrix, summed in float64 over blocks: many times faster than
    a decomposition of x itself. Values below about 1e-7 of the largest, the rounding of float32, come out as zero.

    Args:
        x: (N, D), finite.
        centre: subtract the mean of each dimension first.
    """
    x = as_matrix(x)
    n, d = x.shape
    if n == 0:
        return np.zeros(0)
    # Counted from a row of the data first: items that are all equal give exactly zero.
    origin = x[0].astype(np.float64)
    mean = origin + (x - x[0]).mean(0, dtype=np.float64) if centre else np.zeros(d)
    if n <= d:
        rows = x.astype(np.float64) - mean
        gram = rows @ rows.T
    else:
        gram = np.zeros((d, d))
        for start in range(0, n, _ROWS):
            rows = x[start : start + _ROWS].astype(np.float64) - mean
            gram += rows.T @ rows
    values = eigenvalues(gram)[::-1]
    noise = len(values) * np.finfo(np.float64).eps * max(float(values[0]), 0.0)
    return np.sqrt(np.where(values > noise, values, 0.0))


def rank_of_spectrum(sigma: np.ndarray) -> float:
    """exp(-sum p log p), p = sigma / sum sigma: the effective rank, from 1 to the number of values.

    `nan` if all are zero or any is not finite.
    """
    total = float(sigma.sum())
    if not np.isfinite(total) or total <= 0:
        return float("nan")
    p = sigma[sigma > 0] / total
    return float(np.exp(-(p * np.log(p)).sum()))


def effective_rank(x: Any, centre: bool = False) -> float:
    """Effective rank of x (N, D), which is RankMe when x are embeddings: between 1 and min(N, D).

    RankMe does not centre, so vectors that are all equal have rank 1. Departure: RankMe adds 1e-7 to each p against
    log 0; zeros are left out here instead.

    Returns:
        `nan` if x is empty, all zero or not finite.
    """
    x = as_matrix(x)
    return rank_of_spectrum(singular_values(x, centre)) if np.isfinite(x).all() else float("nan")


def stable_rank(x: Any, centre: bool = False) -> float:
    """||x||_F^2 / ||x||_2^2 of x (N, D): between 1 and the rank; `nan` if x is empty, all zero or not finite."""
    x = as_matrix(x)
    return stable_rank_of_spectrum(singular_values(x, centre)) if np.isfinite(x).all() else float("nan")


def stable_rank_of_spectrum(sigma: np.ndarray) -> float:
    """sum sigma^2 / max sigma^2; `nan` if all are zero."""
    if not len(sigma) or not sigma[0] > 0:
        return float("nan")
    return float(((sigma / sigma[0]) ** 2).sum())


def participation_ratio(x: Any) -> float:
    """(sum lambda)^2 / sum lambda^2 over the eigenvalues lambda of the covariance of x (N, D): the number of directions
    that share the variance, from 1 to min(N - 1, D); `nan` if x does not vary or is not finite."""
    x = as_matrix(x)
    return participation_ratio_of_spectrum(singular_values(x, centre=True)) if np.isfinite(x).all() else float("nan")


def participation_ratio_of_spectrum(sigma: np.ndarray) -> float:
    """(sum sigma^2)^2 / sum sigma^4 of centred singular values; `nan` if all are zero."""
    if not len(sigma) or not sigma[0] > 0:
        return float("nan")
    variance = (sigma / sigma[0]) ** 2
    return float(variance.sum() ** 2 / (variance**2).sum())


def spectrum(x: Any) -> np.ndarray:
    """Share of the variance along each principal direction of x (N, D), float64 (min(N, D),), descending.

    All `nan` if x does not vary or is not finite.
    """
    x = as_matrix(x)
    if not np.isfinite(x).all():
        return np.full(min(x.shape), np.nan)
    variance = singular_values(x, centre=True) ** 2
    total = variance.sum()
    return variance / total if total > 0 else np.full(len(variance), np.nan)


def per_dimension_std(x: Any, normalise: bool = False) -> np.ndarray:
    """Standard deviation of each dimension of x (N, D) over the items, float64 (D,); `nan` where not defined.

    Args:
        normalise: of the vectors scaled to length 1 (zero vectors stay zero). For directions that are spread evenly
            each is 1/sqrt(D), for collapsed ones 0 (Chen and He, SimSiam, CVPR 2021, section 4.1).
    """
    x = as_matrix(x)
    if not len(x):
        return np.full(x.shape[1], np.nan)
    if normalise:
        length = np.linalg.norm(x, axis=1, keepdims=True)
        x = x / np.where(length > 0, length, 1)
    # Two passes from a row of the data: a dimension that is constant has a deviation of exactly zero.
    deviation = x.astype(np.float64) - x[0]
    return deviation.std(0)
