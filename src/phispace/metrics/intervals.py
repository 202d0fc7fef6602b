"""Intervals: how far a number could be off because the test set is finite.

They speak of the choice of test images only, not of the choice of seeds.
Sources: Wilson, JASA 1927; Clopper and Pearson, Biometrika 1934; Efron's percentile bootstrap, 1979; McNemar, 1947.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from phispace.errors import InputError
from phispace.metrics.arrays import as_labels

Interval = tuple[float, float]
_CELLS = 1 << 22  # of draws that are held at a time
UNDEFINED: Interval = (float("nan"), float("nan"))


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion; `nan` for n = 0.

    Raises:
        InputError: successes not between 0 and n.
    """
    return _proportion(successes, n, level, "wilson")


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> Interval:
    """The exact interval of a proportion, which covers at least `level`; `nan` for n = 0."""
    return _proportion(successes, n, level, "exact")


def _proportion(successes: int, n: int, level: float, method: str) -> Interval:
    if n == 0 and successes == 0:
        return UNDEFINED
    if not 0 <= successes <= n:
        raise InputError(f"Successes must be between 0 and n; got {successes} of {n}.")
    found = stats.binomtest(int(successes), int(n)).proportion_ci(level, method=method)
    return float(found.low), float(found.high)


def percentile(values: np.ndarray, level: float = 0.95) -> Interval:
    """The middle `level` of bootstrap values, those that are not finite left out; `nan` if none is."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return UNDEFINED
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap(
    statistic: Callable[[np.ndarray], float], n: int, rng: np.random.Generator, repeats: int = 1000, level: float = 0.95
) -> Interval:
    """Percentile interval of any statistic of n items.

    Args:
        statistic: positions int64 (n,), drawn with replacement -> value.
        n: number of items; fewer than two give `nan`.
    """
    if n < 2:
        return UNDEFINED
    return percentile(np.array([statistic(rng.integers(0, n, n)) for _ in range(repeats)]), level)


def bootstrap_mean(values: Any, rng: np.random.Generator, repeats: int = 1000, level: float = 0.95) -> Interval:
    """Percentile interval of the mean of values (N,); fewer than two give `nan`."""
    values = np.asarray(values, np.float64)
    n = len(values)
    if n < 2:
        return UNDEFINED
    step = max(1, _CELLS // n)
    sizes = [min(step, repeats - start) for start in range(0, repeats, step)]
    return percentile(np.concatenate([values[rng.integers(0, n, (size, n))].mean(1) for size in sizes]), level)


def mean_interval(values: Any, level: float = 0.95) -> Interval:
    """Student's interval of the mean of values (N,) that were drawn independently; fewer than two give `nan`."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return UNDEFINED
    reach = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - reach, float(values.mean()) + reach


def bootstrap_counts(
    statistic: Callable[[np.ndarray], np.ndarray],
    counts: np.ndarray,
    rng: np.random.Generator,
    repeats: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of what depends on counts only, such as a confusion matrix.

    Drawing n items with replacement is one multinomial draw of the counts: the same bootstrap, without the items.

    Args:
        statistic: int64 (R, *counts.shape) -> (R,).
        counts: int64, any shape.
    """
    counts = np.asarray(counts)
    n = int(counts.sum())
    if n < 2:
        return UNDEFINED
    share = counts.reshape(-1) / n
    step = max(1, _CELLS // counts.size)
    drawn = [
        statistic(rng.multinomial(n, share, size=min(step, repeats - start)).reshape(-1, *counts.shape))
        for start in range(0, repeats, step)
    ]
    return percentile(np.concatenate(drawn), level)


@dataclass(frozen=True)
class PairedDifference:
    """Accuracy of a minus accuracy of b on the same items.

    Attributes:
        difference: a - b.
        interval: 95 % bootstrap interval over the items.
        p_value: McNemar's exact two-sided test that both are equally often right.
        n: items.
        only_a, only_b: items that only a, only b gets right.
    """

    difference: float
    interval: Interval
    p_value: float
    n: int
    only_a: int
    only_b: int


def paired_difference(
    true: Any, predicted_a: Any, predicted_b: Any, rng: np.random.Generator, repeats: int = 1000
) -> PairedDifference:
    """Compare two classifiers on the same items (N,)."""
    true = as_labels(true, len(true), "true")
    right_a = as_labels(predicted_a, len(true), "predicted_a") == true
    right_b = as_labels(predicted_b, len(true), "predicted_b") == true
    n, only_a, only_b = len(true), int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    if n == 0:
        return PairedDifference(float("nan"), UNDEFINED, float("nan"), 0, 0, 0)
    counts = np.array([only_a, only_b, n - only_a - only_b])
    interval = bootstrap_counts(lambda c: (c[:, 0] - c[:, 1]) / n, counts, rng, repeats)
    p_value = float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return PairedDifference((only_a - only_b) / n, interval, p_value, n, only_a, only_b)
