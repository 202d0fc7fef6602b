"""Means and differences over several seeds and the same test items: what would another seed and other images give?

Seed s gives item i the value r_si (1 where the class is right). Seeds and items are crossed random effects: a mean is
off because the seeds were few and because the images were few. With the mean squares of the two-way layout (Searle,
Casella and McCulloch, Variance Components, 1992, section 4.3) the mean over S seeds and n items has the variance

    V = V_seeds + V_items,   V_seeds = MS_seeds / (S n),   V_items = (MS_items - MS_interaction) / (S n), at least 0.

The parts have very different degrees of freedom, so each gets its own t quantile and the half widths are added by their
squares (Zou and Donner, Statistics in Medicine 2008); the seeds of two methods are put together as by Welch. A
percentile bootstrap over seeds and items (Owen, Annals of Applied Statistics 2007) was measured beside it: for few
seeds it draws from too few values and its 95 % intervals cover 80 to 92 %, these 95 to 99 %
(tests/metrics/test_seeds.py). With one seed each, items alone vary: then the paired bootstrap and McNemar's test of
`phispace.metrics.intervals`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from phispace.errors import InputError
from phispace.metrics.intervals import UNDEFINED, Interval

NAN = float("nan")


@dataclass(frozen=True)
class Estimate:
    """A mean, or a difference of means, with what it rests on.

    Attributes:
        value: the estimate.
        interval: 95 %; `nan` where it has none.
        p_value: two-sided, of a true value of 0; `nan` where there is no test.
        seeds: how many of the first, and for a difference of the second.
        n: items; 0 where only the seeds' own values are known.
        test: what the interval and the p-value are.
    """

    value: float
    interval: Interval
    p_value: float
    seeds: tuple[int, ...]
    n: int
    test: str


def mean_over_seeds(values: np.ndarray) -> Estimate:
    """The mean of values (S,) of a metric without items, S >= 2: t over the seeds.

    Raises:
        InputError: no value.
    """
    values = _finite(values, 1)
    parts = [(_seed_variance(values), len(values) - 1)] if len(values) > 1 else []
    return _estimate(float(values.mean()), parts, (len(values),), 0, "t over seeds")


def mean_over_seeds_and_items(values: np.ndarray) -> Estimate:
    """The mean of values (S, n), S >= 2 seeds on the same n >= 2 items.

    Raises:
        InputError: another shape, or values that are not finite.
    """
    values = _finite(values, 2)
    parts = [*_seed_part(values), _item_part(values.mean(0))]
    return _estimate(
        float(values.mean()), parts, (len(values),), values.shape[1], "t over seeds and items", _interaction(values)
    )


def difference_over_seeds(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Mean of a (S,) minus mean of b (T,), S, T >= 2, of a metric without items: Welch's t over the seeds."""
    a, b = _finite(a, 1), _finite(b, 1)
    parts = [(_seed_variance(x), len(x) - 1) for x in (a, b) if len(x) > 1]
    if len(parts) < 2:
        return Estimate(float(a.mean() - b.mean()), UNDEFINED, NAN, (len(a), len(b)), 0, "none: one seed")
    return _estimate(float(a.mean() - b.mean()), parts, (len(a), len(b)), 0, "Welch's t over seeds")


def difference_over_seeds_and_items(a: np.ndarray, b: np.ndarray) -> Estimate:
    """Mean of a (S, n) minus mean of b (T, n) on the same items, at least one of S, T >= 2.

    The items are paired; seeds are not, for the same seed means nothing to two methods.

    Raises:
        InputError: other shapes, or values that are not finite.
    """
    a, b = _finite(a, 2), _finite(b, 2)
    if a.shape[1] != b.shape[1]:
        raise InputError(f"The items must be the same; got {a.shape[1]} and {b.shape[1]}.")
    parts = [*_seed_part(a), *_seed_part(b), _item_part(a.mean(0) - b.mean(0))]
    twice = _interaction(a) + _interaction(b)
    seeds = (len(a), len(b))
    return _estimate(float(a.mean() - b.mean()), parts, seeds, a.shape[1], "t over seeds and items", twice)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's step-down correction (Scandinavian Journal of Statistics 1979) of p-values (m,); `nan` stays and does not
    count."""
    p = np.asarray(p_values, np.float64)
    found = np.full(len(p), NAN)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    found[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return found


def _finite(values: np.ndarray, ndim: int) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != ndim or values.size == 0 or not np.isfinite(values).all():
        raise InputError(f"Finite values of {ndim} dimensions are expected; got the shape {values.shape}.")
    return values


def _seed_variance(means: np.ndarray) -> float:
    return float(means.var(ddof=1) / len(means))


def _seed_part(values: np.ndarray) -> list[tuple[float, int]]:
    """(variance of the mean that the seeds bring, degrees of freedom); nothing for one seed."""
    return [(_seed_variance(values.mean(1)), len(values) - 1)] if len(values) > 1 else []


def _item_part(means: np.ndarray) -> tuple[float, int]:
    n = len(means)
    return (float(means.var(ddof=1) / n), n - 1) if n > 1 else (0.0, 1)


def _interaction(values: np.ndarray) -> float:
    """MS_interaction / (S n): what both parts contain."""
    seeds, n = values.shape
    if seeds < 2 or n < 2:
        return 0.0
    rest = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    return float((rest**2).sum() / ((seeds - 1) * (n - 1)) / (seeds * n))


def _estimate(
    value: float,
    parts: list[tuple[float, int]],
    seeds: tuple[int, ...],
    n: int,
    test: str,
    twice: float = 0.0,
) -> Estimate:
    """t interval and p-value of a value whose variance is the sum of these parts less what they count twice."""
    if not parts:
        return Estimate(value, UNDEFINED, NAN, seeds, n, "none: one seed")
    own = [*_welch(parts[:-1]), (max(parts[-1][0] - twice, 0.0), float(parts[-1][1]))] if n else _welch(parts)
    if sum(v for v, _ in own) <= 0:
        return Estimate(value, (value, value), 1.0 if value == 0 else 0.0, seeds, n, test)
    half = _half_width(own, 0.05)
    # The p-value is the level at which the interval ends at 0.
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _half_width(own, middle) > abs(value) else (low, middle)
    return Estimate(value, (value - half, value + half), (low + high) / 2, seeds, n, test)


def _welch(parts: list[tuple[float, int]]) -> list[tuple[float, float]]:
    """Two variances of means over seeds as one, with Welch's degrees of freedom."""
    total = sum(v for v, _ in parts)
    return [(total, total**2 / sum(v**2 / df for v, df in parts))] if total > 0 else []


def _half_width(parts: list[tuple[float, float]], alpha: float) -> float:
    """sqrt(sum of t(1 - alpha/2; df)^2 V): each part's own interval, put together by their squares."""
    return math.sqrt(sum(v * float(special.stdtrit(df, alpha / 2)) ** 2 for v, df in parts))
