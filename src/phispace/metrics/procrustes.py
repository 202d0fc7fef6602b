"""Orthogonal Procrustes: how far apart two representations of the same items are when one may be turned onto the other.

With X (N, D1) and Y (N, D2) centred and scaled to a Frobenius norm of 1,

    d(X, Y) = min_R ||X R - Y||_F^2 = 2 - 2 ||X'Y||_*,    R orthogonal (the narrower filled up with zeros).

Sources: Schönemann, Psychometrika 1966; as a distance of representations Ding, Denain and Steinhardt, Grounding
Representation Similarity with Statistical Testing, NeurIPS 2021 (arXiv 2108.01661), section 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from phispace.metrics.cka import centred_pair


def procrustes_similarity(x: Any, y: Any) -> float:
    """||X'Y||_* (the sum of its singular values), from 0 to 1: 1 = the same up to rotation, reflection and scale.

    With more dimensions than items any two representations are alike by it; read it for N well above D.

    Args:
        x, y: (N, D1), (N, D2), row i of both the same item.

    Returns:
        `nan` if either does not vary or is not finite.

    Raises:
        InputError: different numbers of items.
    """
    x, y = centred_pair(x, y)
    lengths = [float(np.linalg.norm(z)) for z in (x, y)]
    if not len(x) or not all(np.isfinite(length) and length > 0 for length in lengths):
        return float("nan")
    product = narrow(x / lengths[0]).T @ narrow(y / lengths[1])
    return min(float(np.linalg.svd(product, compute_uv=False).sum()), 1.0)


def procrustes_distance(x: Any, y: Any) -> float:
    """2 - 2 `procrustes_similarity`, from 0 (the same up to rotation, reflection and scale) to 2."""
    return 2 - 2 * procrustes_similarity(x, y)


def narrow(x: np.ndarray) -> np.ndarray:
    """x (N, D) turned into at most N dimensions: with x' = QR it is R'.

    Inner products of the items stay, and with them linear CKA, the Procrustes similarity (X'Y has the singular values
    of R Y) and neighbours, by cosine or Euclidean distance.
    """
    return np.asarray(np.linalg.qr(x.T, mode="r")).T if x.shape[1] > x.shape[0] else x
