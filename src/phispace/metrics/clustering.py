"""Do clusters agree with classes? All from the table of counts (K clusters, C classes).

Sources: accuracy under the best one-to-one matching, Kuhn, Naval Research Logistics 1955 (as in Xie, Girshick and
Farhadi, DEC, ICML 2016, equation 10); normalised mutual information, arithmetic mean, Vinh, Epps and Bailey, JMLR 2010;
adjusted Rand index, Hubert and Arabie, J. Classification 1985; jackknife, Efron and Stein, Ann. Stat. 1981.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from phispace.errors import InputError
from phispace.metrics.arrays import as_labels
from phispace.metrics.intervals import UNDEFINED, Interval

UNMATCHED = -1
_NORMAL = 1.959963984540054  # 97.5 % of the standard normal distribution


def contingency(clusters: Any, labels: Any, n_clusters: int, n_classes: int) -> np.ndarray:
    """Counts int64 (K, C): items of each cluster and class.

    Raises:
        InputError: numbers out of range, or lengths that differ.
    """
    clusters = as_labels(clusters, len(clusters), "clusters")
    labels = as_labels(labels, len(clusters), "labels")
    for what, values, n in (("clusters", clusters, n_clusters), ("labels", labels, n_classes)):
        if len(values) and (values.min() < 0 or values.max() >= n):
            raise InputError(f"{what} run from {values.min()} to {values.max()}; 0 to {n - 1} are expected.")
    return np.bincount(clusters * n_classes + labels, minlength=n_clusters * n_classes).reshape(n_clusters, n_classes)


def match(counts: np.ndarray) -> np.ndarray:
    """The class of each cluster under the one-to-one matching that names most items right, int64 (K,).

    With more clusters than classes the rest is `UNMATCHED`, and so is a cluster that shares no item with its class.
    """
    from scipy.optimize import linear_sum_assignment

    counts = np.asarray(counts)
    found = np.full(len(counts), UNMATCHED, np.int64)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    shared = counts[rows, columns] > 0
    found[rows[shared]] = columns[shared]
    return found


def matched_accuracy(counts: np.ndarray) -> float:
    """Share of the items whose cluster is matched to their class; `nan` without items."""
    counts = np.asarray(counts)
    classes, total = match(counts), counts.sum()
    rows = np.flatnonzero(classes != UNMATCHED)
    return float(counts[rows, classes[rows]].sum() / total) if total else float("nan")


def purity(counts: np.ndarray) -> float:
    """Share of the items that are of their cluster's commonest class; `nan` without items. Grows with K."""
    counts = np.asarray(counts)
    total = counts.sum()
    return float(counts.max(1).sum() / total) if total else float("nan")


def normalised_mutual_information(counts: np.ndarray) -> float:
    """2 I(U, V) / (H(U) + H(V)), 0 to 1; `nan` without items, or with one class and one cluster."""
    n, *sums = _entropy_sums(np.asarray(counts))
    return float(_nmi(n, *sums))


def adjusted_rand_index(counts: np.ndarray) -> float:
    """(RI - E RI) / (max RI - E RI), 1 for the same partition, about 0 by chance.

    `nan` without pairs, or where both partitions are one group or both are single items.
    """
    n, *sums = _pair_sums(np.asarray(counts))
    return float(_ari(n, *sums))


def nmi_interval(counts: np.ndarray) -> Interval:
    """95 % interval of the normalised mutual information, by the jackknife over the items.

    A bootstrap would be off: resampled items occur twice, and twins always agree.
    """
    return _jackknife(np.asarray(counts), _entropy_sums, _nmi, 0.0)


def ari_interval(counts: np.ndarray) -> Interval:
    """95 % interval of the adjusted Rand index, by the jackknife over the items."""
    return _jackknife(np.asarray(counts), _pair_sums, _ari, -1.0)


def _x_log_x(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    return x * np.log(np.maximum(x, 1))


def _pairs(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    return x * (x - 1) / 2


def _entropy_sums(counts: np.ndarray) -> tuple[float, float, float, float]:
    return _sums(counts, _x_log_x)


def _pair_sums(counts: np.ndarray) -> tuple[float, float, float, float]:
    return _sums(counts, _pairs)


def _sums(counts: np.ndarray, of: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float, float, float]:
    """Number of items, and the sums of f over clusters, over classes and over cells."""
    # numpy's numbers: what is divided by zero becomes nan, and does not raise.
    return np.float64(counts.sum()), of(counts.sum(1)).sum(), of(counts.sum(0)).sum(), of(counts).sum()


def _nmi(n: Any, rows: Any, columns: Any, cells: Any) -> Any:
    """From N and sum x log x; entropies are log N - sum / N."""
    with np.errstate(divide="ignore", invalid="ignore"):
        both = 2 * np.log(n) - (rows + columns) / n
        shared = np.log(n) + (cells - rows - columns) / n
        return np.where(both > 1e-12, np.clip(2 * shared / both, 0, 1), np.nan)


def _ari(n: Any, rows: Any, columns: Any, cells: Any) -> Any:
    """From N and numbers of pairs."""
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = rows * columns / (n * (n - 1) / 2)
        most = (rows + columns) / 2
        return np.where(most - expected > 1e-12, (cells - expected) / (most - expected), np.nan)


def _jackknife(
    counts: np.ndarray,
    sums: Callable[[np.ndarray], tuple[float, float, float, float]],
    statistic: Callable[[Any, Any, Any, Any], Any],
    lowest: float,
) -> Interval:
    """value +- 1.96 standard errors. Leaving out an item of one cell changes one term of each sum."""
    n, rows, columns, cells = sums(counts)
    value = float(statistic(n, rows, columns, cells))
    if n < 3 or not np.isfinite(value):
        return UNDEFINED
    of = _x_log_x if sums is _entropy_sums else _pairs
    i, j = np.nonzero(counts)
    many = counts[i, j]

    def less(total: float, group: np.ndarray) -> np.ndarray:
        return total - of(group) + of(group - 1)

    without = statistic(
        n - 1, less(rows, counts.sum(1)[i]), less(columns, counts.sum(0)[j]), less(cells, many)
    )  # one value a cell
    if not np.isfinite(without).all():
        return UNDEFINED
    mean = (many * without).sum() / n
    error = np.sqrt((n - 1) / n * (many * (without - mean) ** 2).sum())
    return max(lowest, value - _NORMAL * float(error)), min(1.0, value + _NORMAL * float(error))
