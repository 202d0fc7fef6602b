"""Mutual information of codes and factors, as studies of disentanglement count it: over equal-width bins, in nats."""

from __future__ import annotations

from typing import Any

import numpy as np

from phispace.errors import InputError
from phispace.metrics.arrays import as_matrix

BINS = 20


def as_factors(factors: Any, n: int) -> np.ndarray:
    """Factors as whole numbers int64 (n, K): each column's values are numbered from 0 in their order.

    Raises:
        InputError: another shape, or values that are not finite.
    """
    factors = as_matrix(factors, "factors")
    if len(factors) != n:
        raise InputError(f"factors must be ({n}, K), one row for each item; got shape {factors.shape}.")
    if not np.isfinite(factors).all():
        raise InputError("Factors must be finite; some are not.")
    return np.stack([np.unique(column, return_inverse=True)[1] for column in factors.T], axis=1).astype(np.int64)


def binned(codes: Any, bins: int = BINS) -> np.ndarray:
    """Each dimension cut into equal-width bins between its least and largest value: int64 (N, D), 0 .. bins - 1.

    A dimension that does not vary has one bin.

    Source: Locatello et al. 2019, disentanglement_lib: `np.digitize(x, np.histogram(x, 20)[1][:-1])`.
    """
    codes = as_matrix(codes).astype(np.float64)
    out = np.zeros(codes.shape, np.int64)
    for d, column in enumerate(codes.T):
        edges = np.histogram_bin_edges(column, bins)
        out[:, d] = np.digitize(column, edges[:-1]) - 1
    return out


def mutual_informations(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """I(code d; factor k) in nats, float64 (D, K), of whole numbers (N, D) and (N, K).

    scikit-learn's estimate from joint counts: it is above 0 also for independent ones, by about (cells - 1) / 2N.
    """
    from sklearn.metrics import mutual_info_score

    return np.array([[float(mutual_info_score(f, c)) for f in factors.T] for c in codes.T])


def entropies(factors: np.ndarray) -> np.ndarray:
    """Entropy of each column of whole numbers (N, K), numbered from 0, in nats: float64 (K,)."""
    from scipy.stats import entropy

    return np.array([float(entropy(np.bincount(column))) for column in factors.T])


def top_two_gap(scores: np.ndarray) -> np.ndarray:
    """Largest minus second largest of each column of (D, K): (K,). With one dimension the second is 0."""
    if len(scores) == 1:
        return scores[0].copy()
    ordered = np.sort(scores, axis=0)
    gap: np.ndarray = ordered[-1] - ordered[-2]
    return gap
