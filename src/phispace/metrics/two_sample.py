"""Do two samples of vectors come from one distribution? Three tests that ask in different ways.

    mmd          unbiased squared maximum mean discrepancy under a Gaussian kernel; p by permutation
    ks           Kolmogorov-Smirnov component by component, p corrected after Bonferroni
    classifier   can a logistic regression tell held-out items of the two apart? p by the rank-sum test of its scores

Sources: Gretton et al., "A Kernel Two-Sample Test", JMLR 13, 2012, eq. 3; Phipson and Smyth, "Permutation P-values
should never be zero", 2010, (b + 1) / (m + 1); Rabanser, Günnemann and Lipton, "Failing Loudly", NeurIPS 2019;
Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017, with Mann and Whitney's test in place of the
accuracy's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phispace.errors import InputError

TINY = 1e-12


@dataclass(frozen=True)
class TwoSample:
    """A test's statistic (larger = further apart) and its p-value under the same distribution."""

    statistic: float
    p_value: float


def mmd(x: np.ndarray, y: np.ndarray, draws: np.random.Generator, permutations: int = 199) -> TwoSample:
    """MMD² = mean k(x, x') + mean k(y, y') - 2 mean k(x, y), without the diagonals; k = exp(-d² / (2 s²)).

    s² is the median of the squared distances among all items, so that it depends on no labels.

    Args:
        x: float (n, D).
        y: float (m, D).
        draws: for the permutations.
        permutations: of which items are x's.

    Raises:
        InputError: fewer than 2 items on a side, or vectors of different widths.
    """
    _check(x, y)
    pooled = np.concatenate([x, y]).astype(np.float64)
    pooled -= pooled.mean(0)
    squares = np.einsum("nd,nd->n", pooled, pooled)
    distance = np.maximum(squares[:, None] + squares[None] - 2 * pooled @ pooled.T, 0)
    scale = float(np.median(distance[np.triu_indices(len(pooled), 1)]))
    kernel = np.exp(-distance / (2 * max(scale, TINY)))
    np.fill_diagonal(kernel, 0)
    sides = np.zeros((permutations + 1, len(pooled)))
    sides[0, : len(x)] = 1
    for row in sides[1:]:
        row[draws.permutation(len(pooled))[: len(x)]] = 1
    inner = sides @ kernel
    xx = np.einsum("pn,pn->p", inner, sides)
    xy = inner.sum(1) - xx
    yy = kernel.sum() - xx - 2 * xy
    n, m = len(x), len(y)
    values = xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)
    beyond = int((values[1:] >= values[0] - TINY).sum())
    return TwoSample(float(values[0]), (beyond + 1) / (permutations + 1))


def ks(x: np.ndarray, y: np.ndarray) -> TwoSample:
    """The largest Kolmogorov-Smirnov statistic of the D components; p = min(1, D times the smallest component's p).

    Args:
        x: float (n, D).
        y: float (m, D).

    Raises:
        InputError: as for `mmd`.
    """
    from scipy import stats

    _check(x, y)
    n, m = len(x), len(y)
    order = np.argsort(np.concatenate([x, y]), axis=0, kind="stable")
    pooled = np.take_along_axis(np.concatenate([x, y]), order, axis=0)
    gap = np.where(order < n, 1 / n, -1 / m).cumsum(0)
    last = np.ones_like(gap, bool)  # of equal values only the last one closes a step of both distribution functions
    last[:-1] = pooled[1:] > pooled[:-1]
    largest = float(np.abs(np.where(last, gap, 0)).max())
    # All components have the same n and m, so the largest distance has the smallest p.
    smallest = float(stats.kstwo.sf(largest, round(n * m / (n + m))))
    return TwoSample(largest, min(1.0, smallest * x.shape[1]))


def classifier(x: np.ndarray, y: np.ndarray, draws: np.random.Generator) -> TwoSample:
    """The area under the ROC curve of a logistic regression fitted on half of the items and asked about the others.

    Under one distribution the scores of the held-out items are exchangeable, so the one-sided Mann-Whitney test holds
    whatever the classifier is.

    Args:
        x: float (n, D).
        y: float (m, D).
        draws: for the halves.

    Raises:
        InputError: as for `mmd`.
    """
    from scipy import stats
    from sklearn.linear_model import LogisticRegression

    _check(x, y)
    halves = [draws.permutation(len(side)) for side in (x, y)]
    fitted = [side[order[: len(side) // 2]] for side, order in zip((x, y), halves, strict=True)]
    asked = [side[order[len(side) // 2 :]] for side, order in zip((x, y), halves, strict=True)]
    seen = np.concatenate(fitted).astype(np.float64)
    mean, spread = seen.mean(0), np.maximum(seen.std(0), TINY)
    told = np.repeat([0, 1], [len(part) for part in fitted])
    model = LogisticRegression(C=0.1, class_weight="balanced", max_iter=200).fit((seen - mean) / spread, told)
    scores = [model.decision_function((part - mean) / spread) for part in asked]
    tested: Any = stats.mannwhitneyu(scores[1], scores[0], alternative="greater")
    return TwoSample(float(tested.statistic) / (len(scores[0]) * len(scores[1])), float(tested.pvalue))


def _check(x: np.ndarray, y: np.ndarray) -> None:
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise InputError(f"Two samples of vectors of one width are compared; got {x.shape} and {y.shape}.")
    if min(len(x), len(y)) < 4:
        raise InputError(f"A two-sample test needs at least 4 items on each side; got {len(x)} and {len(y)}.")
