"""LiDAR: the effective rank of what tells images apart from their own views.

Source: Thilak et al., LiDAR: Sensing Linear Probing Performance in Joint Embedding SSL Architectures, ICLR 2024
(arXiv 2312.04000), equations 1 to 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phispace.errors import InputError
from phispace.metrics.eigen import eigenvalues
from phispace.metrics.spectrum import rank_of_spectrum

_VALUES = 1 << 23  # numbers held at a time: 64 MB in float64


@dataclass(frozen=True)
class Lidar:
    """What `lidar` found.

    Attributes:
        lidar: exp of the entropy of the eigenvalues of W^-1/2 B W^-1/2, B the covariance of the items' mean vectors, W
            the mean covariance of an item's views; from 1 to min(n - 1, D). `nan` if views or items do not vary.
        corrected: the same without the part of B that is only W / q, the noise of a mean of q views: what LiDAR tends
            to with many views. Of an eigenvalue 1 / q is subtracted, and those that noise alone can reach are left out.
            `nan` if none is left, or if n (q - 1) <= D, where W cannot be told from noise.
        eigenvalues: of W^-1/2 B W^-1/2, float64 (D,), descending.
    """

    lidar: float
    corrected: float
    eigenvalues: np.ndarray


def lidar(views: Sequence[np.ndarray], delta: float = 1e-4) -> Lidar:
    """LiDAR of q views of n items.

    Both covariances have their unbiased denominators, which cancel in the rank. Departure: delta is relative to the
    mean variance of the views (in the paper it is absolute, 1e-4), so that the scale of the vectors does not matter.

    Args:
        views: q >= 2 arrays (n, D), row i of each the same item; finite.
        delta: added to the diagonal of W, in units of its mean diagonal element.

    Raises:
        InputError: fewer than two views, or shapes that differ.
    """
    shapes = {v.shape for v in views}
    if len(views) < 2 or len(shapes) != 1:
        raise InputError(f"LiDAR needs at least two views of the same items; got {len(views)}, of shapes {shapes}.")
    (n, d), q = views[0].shape, len(views)
    undefined = Lidar(float("nan"), float("nan"), np.full(d, np.nan))
    if n < 2:
        return undefined
    # Of order one, so that no sum overflows; counted from a vector of the data, so that equal ones give exactly zero.
    origin = views[0][0].astype(np.float64)
    scale = max(float(np.abs(v - views[0][0]).max()) for v in views)
    within, between, total = np.zeros((d, d)), np.zeros((d, d)), np.zeros(d)
    if not (np.isfinite(scale) and scale > 0):
        return undefined
    rows = max(1, _VALUES // (q * d))
    for start in range(0, n, rows):
        block = np.stack([(v[start : start + rows] - origin) / scale for v in views])  # (q, rows, D)
        mean = block.mean(0)
        away = (block - mean).reshape(-1, d)
        within += away.T @ away
        between += mean.T @ mean
        total += mean.sum(0)
    within /= n * (q - 1)
    between = (between - np.outer(total, total) / n) / (n - 1)
    ridge = delta * float(np.trace(within)) / d
    if not ridge > 0 or not np.trace(between) > 0:
        return undefined
    within[np.diag_indices(d)] += ridge
    values = np.maximum(_whitened(between, within), 0)
    signal = np.where(values > _noise_edge(n, q, d), values - 1 / q, 0)
    return Lidar(rank_of_spectrum(values), rank_of_spectrum(signal), values)


def _noise_edge(n: int, q: int, d: int) -> float:
    """What no eigenvalue of W^-1/2 B W^-1/2 reaches where items do not differ at all.

    The upper end, for large n and D, of Wachter's distribution over q (Annals of Statistics 1980), raised by 4 D^(-2/3)
    of itself, since the largest of D values scatters about that end by a share of the order D^(-2/3) (Tracy and Widom).
    """
    a, b = d / (n - 1), d / (n * (q - 1))
    if b >= 1:
        return float("inf")
    return float((1 + 4 * d ** (-2 / 3)) * ((1 + np.sqrt(a + b - a * b)) / (1 - b)) ** 2 / q)


def _whitened(between: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Eigenvalues of within^-1/2 between within^-1/2, descending; those of L^-1 between L^-T, within = L L^T."""
    from scipy.linalg import cholesky, solve_triangular

    factor = cholesky(within, lower=True)
    half = solve_triangular(factor, between, lower=True)
    whole = solve_triangular(factor, half.T, lower=True)
    return eigenvalues((whole + whole.T) / 2)[::-1]
