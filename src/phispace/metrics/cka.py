"""Linear CKA: how alike two representations of the same items are, up to rotation and scale.

CKA(X, Y) = HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y)).
Sources: Kornblith et al., ICML 2019 (arXiv 1905.00414), equation for feature space; the unbiased HSIC_1 of Song et al.,
JMLR 2012, equation 5; minibatches as in Nguyen, Raghu and Kornblith, ICLR 2021 (arXiv 2010.15327), equation 2.

From features everything is computed in feature space: memory grows with N D and D^2, never with N^2. Where many
representations of a few items are compared with each other, `centred_gram` keeps each as (N, N), however wide it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from phispace.errors import InputError
from phispace.metrics.arrays import as_matrix


def centred_pair(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Centred float64 copies, scaled to a largest absolute value of 1 (CKA does not change, overflow does)."""
    x, y = as_matrix(x), as_matrix(y, "y")
    if len(x) != len(y):
        raise InputError(f"x has {len(x)} items, y has {len(y)}; they must be the same items.")

    def centred(z: np.ndarray) -> np.ndarray:
        if not len(z):
            return z.astype(np.float64)
        z = (z - z[0]).astype(np.float64)
        z -= z.mean(0)
        largest = np.abs(z).max()
        return z / largest if largest > 0 else z

    return centred(x), centred(y)


def _cross(x: np.ndarray, y: np.ndarray) -> float:
    """||x'y||_F^2 = sum_ij k_ij l_ij, through whichever of the two products is smaller."""
    if len(x) ** 2 < x.shape[1] * y.shape[1]:
        return float(((x @ x.T) * (y @ y.T)).sum())
    return float(((x.T @ y) ** 2).sum())


def _unbiased_hsic(x: np.ndarray, y: np.ndarray) -> float:
    """HSIC_1 of the linear kernels K = xx', L = yy' with their diagonals set to zero; needs 4 items."""
    n = len(x)
    k_diagonal, l_diagonal = (x**2).sum(1), (y**2).sum(1)
    k_rows = x @ x.sum(0) - k_diagonal
    l_rows = y @ y.sum(0) - l_diagonal
    trace = _cross(x, y) - float(k_diagonal @ l_diagonal)
    product = float(k_rows.sum() * l_rows.sum()) / ((n - 1) * (n - 2))
    return (trace + product - 2 / (n - 2) * float(k_rows @ l_rows)) / (n * (n - 3))


def _ratio(xy: float, xx: float, yy: float) -> float:
    return float(xy / np.sqrt(xx * yy)) if xx > 0 and yy > 0 and np.isfinite(xy) else float("nan")


def linear_cka(x: Any, y: Any, debiased: bool = False) -> float:
    """Linear CKA of x (N, D1) and y (N, D2), from 0 to 1.

    Args:
        debiased: with the unbiased HSIC_1; then unrelated representations give about 0 also when D is larger than
            N, and the value may be slightly negative. Needs at least 4 items.

    Returns:
        `nan` if either does not vary, is not finite, or has too few items.

    Raises:
        InputError: different numbers of items.
    """
    x, y = centred_pair(x, y)
    if len(x) < (4 if debiased else 2):
        return float("nan")
    hsic = _unbiased_hsic if debiased else _cross
    return _ratio(hsic(x, y), hsic(x, x), hsic(y, y))


def minibatch_cka(batches: Iterable[tuple[Any, Any]]) -> float:
    """Debiased linear CKA from batches (x, y) of the same items, each HSIC_1 averaged over the batches.

    Batches with fewer than 4 items are left out; `nan` if nothing is left. All batches must be on one scale: unlike
    `linear_cka`, nothing is scaled here.
    """
    sums = np.zeros(3)
    for left, right in batches:
        x, y = as_matrix(left).astype(np.float64), as_matrix(right, "y").astype(np.float64)
        if len(x) != len(y):
            raise InputError(f"x has {len(x)} items, y has {len(y)}; they must be the same items.")
        if len(x) >= 4:
            x, y = x - x.mean(0), y - y.mean(0)
            sums += [_unbiased_hsic(x, y), _unbiased_hsic(x, x), _unbiased_hsic(y, y)]
    return _ratio(*sums.tolist())


def minibatch_cka_matrix(batches: Iterable[Sequence[Any]]) -> np.ndarray:
    """`minibatch_cka` of S representations with each other, float64 (S, S), 1 on the diagonal.

    Each representation's Gram matrix of a batch is made once, whatever its width: memory holds S of (B, B).

    Args:
        batches: of each batch the S representations (B, D_s) of the same items, every time in the same order.

    Returns:
        `nan` in rows and columns of what does not vary; everywhere if no batch has 4 items.

    Raises:
        InputError: different numbers of items in a batch.
    """
    total, count = np.zeros((0, 0)), 0
    for batch in batches:
        count = len(batch)
        if len({len(x) for x in batch}) > 1:
            raise InputError(f"Items in a batch: {', '.join(str(len(x)) for x in batch)}; they must be the same items.")
        if len(batch) and len(batch[0]) >= 4:
            found = _hsic_matrix([_gram(x) for x in batch])
            total = total + found if len(total) else found
    if not len(total):
        return np.full((count, count), np.nan)
    own = np.sqrt(np.where(np.diagonal(total) > 0, np.diagonal(total), np.nan))
    return np.asarray(total / own[:, None] / own)


def _gram(x: Any) -> np.ndarray:
    """Inner products (B, B) of the centred rows, float64, the diagonal set to zero."""
    x = as_matrix(x).astype(np.float64)
    x = x - x.mean(0)
    gram = x @ x.T
    np.fill_diagonal(gram, 0)
    return gram


def _hsic_matrix(grams: Sequence[np.ndarray]) -> np.ndarray:
    """HSIC_1 (S, S) of Gram matrices (B, B) with zero diagonals."""
    n = len(grams[0])
    flat = np.stack([g.ravel() for g in grams])
    rows = np.stack([g.sum(1) for g in grams])
    whole = rows.sum(1)
    product = np.outer(whole, whole) / ((n - 1) * (n - 2))
    return np.asarray((flat @ flat.T + product - 2 / (n - 2) * (rows @ rows.T)) / (n * (n - 3)))


def centred_gram(x: Any) -> np.ndarray:
    """The centred linear Gram matrix of x (N, D), float64 (N, N), scaled to a Frobenius norm of 1 (0 stays 0)."""
    x, _ = centred_pair(x, x)
    gram = x @ x.T
    norm = np.linalg.norm(gram)
    return gram / norm if norm > 0 else gram


def cka_of_grams(a: np.ndarray, b: np.ndarray) -> float:
    """Linear CKA of two representations from their centred Gram matrices (N, N): that of `linear_cka`.

    Raises:
        InputError: different numbers of items.
    """
    if a.shape != b.shape:
        raise InputError(f"The Gram matrices have shapes {a.shape} and {b.shape}; they must be of the same items.")
    return _ratio(float((a * b).sum()), float((a * a).sum()), float((b * b).sum()))
