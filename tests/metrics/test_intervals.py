"""Intervals: their formulas, and that they cover a truth that is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from phispace.errors import InputError
from phispace.metrics.classification import balanced_accuracy, confusion, per_class_recall
from phispace.metrics.intervals import (
    bootstrap,
    bootstrap_counts,
    bootstrap_mean,
    clopper_pearson,
    mean_interval,
    paired_difference,
    percentile,
    wilson,
)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (7, 10), (930, 1000), (1, 1)])
def test_proportions_by_their_formulas(successes: int, n: int) -> None:
    z, p = stats.norm.ppf(0.975), successes / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert wilson(successes, n) == pytest.approx((max(middle - half, 0), min(middle + half, 1)), abs=1e-12)
    low = stats.beta.ppf(0.025, successes, n - successes + 1) if successes else 0.0
    high = stats.beta.ppf(0.975, successes + 1, n - successes) if successes < n else 1.0
    assert clopper_pearson(successes, n) == pytest.approx((low, high), abs=1e-9)


def covered(intervals: list[tuple[float, float]], truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in intervals]))


@pytest.mark.parametrize(("p", "n"), [(0.9, 100), (0.5, 40), (0.97, 360)])
def test_proportions_cover(p: float, n: int) -> None:
    # The share of repeats is computed exactly: each count weighs with its binomial probability.
    weight = stats.binom.pmf(np.arange(n + 1), n, p)
    for interval, least in ((wilson, 0.90), (clopper_pearson, 0.95)):
        inside = [low <= p <= high for low, high in (interval(k, n) for k in range(n + 1))]
        assert least <= float(weight @ inside) <= 0.99


def test_the_bootstrap_of_a_mean_covers() -> None:
    rng = np.random.default_rng(0)
    found = [bootstrap_mean(rng.exponential(2.0, 100), rng, repeats=300) for _ in range(300)]
    assert 0.90 <= covered(found, 2.0) <= 0.98


def test_the_bootstrap_of_balanced_accuracy_covers() -> None:
    rng = np.random.default_rng(1)
    recall = np.array([0.95, 0.8, 0.6])

    def statistic(counts: np.ndarray) -> np.ndarray:
        return per_class_recall(counts).mean(-1)

    found = []
    for _ in range(300):
        true = rng.choice(3, 400, p=[0.5, 0.3, 0.2])
        predicted = np.where(rng.uniform(size=400) < recall[true], true, (true + 1) % 3)
        found.append(bootstrap_counts(statistic, confusion(true, predicted, 3), rng, repeats=300))
    assert 0.90 <= covered(found, float(recall.mean())) <= 0.98


def test_the_paired_bootstrap_covers() -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(300):
        true = np.zeros(300, int)
        hard = rng.uniform(size=300)  # both classifiers miss the same hard images
        a, b = (hard + 0.05 * rng.normal(size=(2, 300)) > [[0.2], [0.25]]).astype(int)
        found.append(paired_difference(true, 1 - a, 1 - b, rng, repeats=300).interval)
    assert 0.90 <= covered(found, 0.05) <= 0.98


def test_drawing_counts_is_drawing_items() -> None:
    rng = np.random.default_rng(3)
    true = rng.integers(0, 3, 200)
    predicted = np.where(rng.uniform(size=200) < 0.8, true, 0)
    by_counts = bootstrap_counts(
        lambda c: per_class_recall(c).mean(-1), confusion(true, predicted, 3), rng, repeats=4000
    )
    by_items = bootstrap(lambda i: balanced_accuracy(confusion(true[i], predicted[i], 3)), 200, rng, repeats=4000)
    assert by_counts == pytest.approx(by_items, abs=0.01)


def test_paired_difference_by_hand() -> None:
    true = np.array([0, 0, 0, 0, 1, 1])
    a = np.array([0, 0, 0, 1, 1, 1])
    b = np.array([0, 1, 1, 0, 1, 0])
    found = paired_difference(true, a, b, np.random.default_rng(0))
    assert found.difference == pytest.approx(5 / 6 - 3 / 6)
    assert (found.only_a, found.only_b, found.n) == (3, 1, 6)
    assert found.p_value == pytest.approx(stats.binomtest(3, 4).pvalue)
    same = paired_difference(true, a, a, np.random.default_rng(0))
    assert (same.difference, same.interval, same.p_value) == (0, (0, 0), 1)


def test_degenerate() -> None:
    rng = np.random.default_rng(4)
    for interval in (
        wilson(0, 0),
        percentile(np.array([np.nan])),
        bootstrap_mean([1.0], rng),
        bootstrap_counts(lambda c: c.sum(-1), np.array([1, 0]), rng),
        paired_difference([], [], [], rng).interval,
    ):
        assert np.isnan(interval).all()
    with pytest.raises(InputError, match="between 0 and n"):
        wilson(5, 4)


def test_the_interval_of_a_mean_is_students_and_covers() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=7)
    expected = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    assert mean_interval(values) == pytest.approx(expected)
    covered = sum(low <= 0 <= high for low, high in (mean_interval(rng.normal(size=5)) for _ in range(1000)))
    assert 0.93 <= covered / 1000 <= 0.97
    assert all(np.isnan(v) for v in (*mean_interval([1.0]), *mean_interval([])))
    assert mean_interval([0.5, 0.5]) == (0.5, 0.5)
