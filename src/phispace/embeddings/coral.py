"""Correlation alignment (CORAL): the vectors of a labelled domain made to vary together as those of another domain do.

    D_s ← D_s C_s^(-1/2) C_t^(1/2),   C = cov(D) + λ I

D_s and D_t are the vectors of both domains, each standardised by its own mean and deviation, so that their means agree
too. The labelled domain is moved, not the other: the classifier that is fitted afterwards sees the other's covariance.

Source: Sun, Feng and Saenko, "Return of Frustratingly Easy Domain Adaptation", AAAI 2016, algorithm 1, λ = 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from phispace.embeddings.baselines import inherited
from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.metrics.eigen import eigenvectors

MOST_DIMS = 4096


def coral(
    embeddings: Embeddings,
    *,
    source: Sequence[str] = ("train", "val"),
    target: Sequence[str] = ("unlabelled",),
    regularise: float = 1.0,
) -> Embeddings:
    """A store whose items of the splits `source` are moved to the covariance of those of `target`.

    Items of other splits are taken for the target domain's: they are standardised as the target is, and have no part
    in the statistics. No label is used.

    Args:
        embeddings: (N, D), both domains; see `phispace.data.domains.adaptation_set`.
        source, target: splits.
        regularise: λ, in units of a standardised dimension's variance.

    Returns:
        float32 (N, D), items in the same order.

    Raises:
        InputError: fewer than two items in one of the two, λ <= 0, or more than 4,096 dimensions.
    """
    if regularise <= 0:
        raise InputError(f"CORAL's regularise must be above 0, or a covariance has no inverse; got {regularise}.")
    if embeddings.dim > MOST_DIMS:
        raise InputError(f"CORAL needs covariances of at most {MOST_DIMS:,} dimensions; these have {embeddings.dim:,}.")
    moved = np.isin(embeddings.splits, source)
    reference = np.isin(embeddings.splits, target)
    for rows, splits in ((moved, source), (reference, target)):
        if rows.sum() < 2:
            raise InputError(f"CORAL needs at least 2 items of {' or '.join(splits)}; got {int(rows.sum())}.")
    vectors = np.asarray(embeddings.vectors, np.float64)
    ours, theirs = _standardise(vectors, moved), _standardise(vectors, reference)
    move = _power(_covariance(ours[moved], regularise), -0.5) @ _power(_covariance(theirs[reference], regularise), 0.5)
    found = np.where(moved[:, None], ours @ move, theirs).astype(np.float32)
    manifest = inherited(embeddings.manifest) | {
        "name": "coral",
        "layer": f"coral of {embeddings.manifest.get('layer', 'vectors')}",
        "regularise": regularise,
    }
    return Embeddings(found, embeddings.items, manifest)


def _standardise(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """All vectors by the mean and deviation of some; dimensions that are constant in those are centred only."""
    deviation = vectors[rows].std(0)
    return (vectors - vectors[rows].mean(0)) / np.where(deviation > 0, deviation, 1.0)


def _covariance(vectors: np.ndarray, regularise: float) -> np.ndarray:
    return np.atleast_2d(np.cov(vectors, rowvar=False)) + regularise * np.eye(vectors.shape[1])


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Of a symmetric positive definite matrix."""
    values, directions = eigenvectors(matrix)
    return (directions * values**exponent) @ directions.T
