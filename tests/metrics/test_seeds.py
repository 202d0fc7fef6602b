"""Means and differences over seeds and items: against scipy where it has the case, and by coverage where it has not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from phispace.errors import InputError
from phispace.metrics.seeds import (
    difference_over_seeds,
    difference_over_seeds_and_items,
    holm,
    mean_over_seeds,
    mean_over_seeds_and_items,
)


def test_seeds_alone_are_scipys_t() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.8, 0.02, 4), rng.normal(0.77, 0.05, 3)
    mean = mean_over_seeds(a)
    expected = stats.ttest_1samp(a, 0)
    assert mean.value == pytest.approx(a.mean())
    assert mean.interval == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)
    found = difference_over_seeds(a, b)
    welch = stats.ttest_ind(a, b, equal_var=False)
    assert found.interval == pytest.approx(tuple(welch.confidence_interval()), rel=1e-9)
    assert found.p_value == pytest.approx(welch.pvalue, rel=1e-6)
    assert found.seeds == (4, 3)


def test_seeds_that_agree_leave_the_items() -> None:
    rng = np.random.default_rng(1)
    one = (rng.random(500) < 0.8).astype(float)
    found = mean_over_seeds_and_items(np.stack([one, one, one]))
    expected = stats.ttest_1samp(one, 0).confidence_interval()
    assert found.interval == pytest.approx(tuple(expected), rel=1e-9)


def test_the_variance_is_that_of_the_two_way_layout() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(3, 1)) + 2 * rng.normal(size=(1, 40)) + 0.1 * rng.normal(size=(3, 40))
    s, n = values.shape
    grand = values.mean()
    ms_seeds = n * ((values.mean(1) - grand) ** 2).sum() / (s - 1)
    ms_items = s * ((values.mean(0) - grand) ** 2).sum() / (n - 1)
    rest = values - values.mean(0)[None] - values.mean(1)[:, None] + grand
    ms_rest = (rest**2).sum() / ((s - 1) * (n - 1))
    half = np.sqrt(
        ms_seeds / (s * n) * stats.t.ppf(0.975, s - 1) ** 2
        + (ms_items - ms_rest) / (s * n) * stats.t.ppf(0.975, n - 1) ** 2
    )
    found = mean_over_seeds_and_items(values)
    assert found.interval == pytest.approx((grand - half, grand + half), rel=1e-9)


def test_degenerate() -> None:
    assert np.isnan(mean_over_seeds(np.array([0.5])).interval[0])
    assert np.isnan(difference_over_seeds(np.array([0.5]), np.array([0.1, 0.2])).p_value)
    equal = difference_over_seeds_and_items(np.ones((2, 9)), np.ones((3, 9)))
    assert (equal.value, equal.p_value, equal.interval) == (0.0, 1.0, (0.0, 0.0))
    sure = difference_over_seeds_and_items(np.ones((2, 9)), np.zeros((2, 9)))
    assert (sure.value, sure.p_value) == (1.0, 0.0)
    single = difference_over_seeds_and_items(np.array([[1.0, 0.0, 1.0]]), np.array([[0.0, 0.0, 1.0]] * 2))
    assert single.seeds == (1, 2)
    assert single.interval[0] < 1 / 3 < single.interval[1]
    for bad in (np.zeros((2, 0)), np.zeros(3), np.array([[np.nan, 1.0]])):
        with pytest.raises(InputError):
            mean_over_seeds_and_items(bad)
    with pytest.raises(InputError, match="must be the same"):
        difference_over_seeds_and_items(np.zeros((2, 3)), np.zeros((2, 4)))


def test_the_order_of_seeds_and_items_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random((3, 50)), rng.random((4, 50))
    first = difference_over_seeds_and_items(a, b)
    order = rng.permutation(50)
    other = difference_over_seeds_and_items(a[::-1][:, order], b[:, order])
    turned = difference_over_seeds_and_items(b, a)
    assert other.interval == pytest.approx(first.interval)
    assert turned.interval == pytest.approx((-first.interval[1], -first.interval[0]))
    assert turned.p_value == pytest.approx(first.p_value)


def test_holm_is_the_textbooks() -> None:
    p = np.array([0.01, 0.04, 0.03, 0.005])
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    found = holm(np.array([0.02, np.nan, 0.9]))
    assert found[0] == pytest.approx(0.04)
    assert np.isnan(found[1])


def _answers(rng: np.random.Generator, seeds: int, mean: float, items: np.ndarray, spread: float) -> np.ndarray:
    logits = mean + items + rng.normal(0, spread, (seeds, 1)) + rng.normal(0, 0.5, (seeds, len(items)))
    return (rng.random(logits.shape) < expit(logits)).astype(float)


@pytest.mark.parametrize(("seeds", "n", "spread"), [(2, 300, 0.2), (3, 500, 0.2), (3, 300, 0.02), (5, 500, 0.1)])
def test_intervals_cover_a_known_truth(seeds: int, n: int, spread: float) -> None:
    """New seeds and new images each time; the truth is the mean over all of both."""
    rng = np.random.default_rng(4)
    whole = np.sqrt(1.5**2 + 0.5**2 + spread**2)
    z = rng.normal(0, whole, 400_000)
    truths = [expit(m + z).mean() for m in (1.5, 1.8)]
    repeats, of_mean, of_difference = 300, 0, 0
    for _ in range(repeats):
        items = rng.normal(0, 1.5, n)
        a, b = (_answers(rng, seeds, m, items, spread) for m in (1.5, 1.8))
        low, high = mean_over_seeds_and_items(a).interval
        of_mean += low <= truths[0] <= high
        low, high = difference_over_seeds_and_items(b, a).interval
        of_difference += low <= truths[1] - truths[0] <= high
    assert 0.9 <= of_mean / repeats <= 0.995
    assert 0.9 <= of_difference / repeats <= 0.995


def test_why_not_a_bootstrap_over_three_seeds() -> None:
    """Its percentile intervals are too narrow, which is why they are not used."""
    rng = np.random.default_rng(5)
    truth = expit(1.5 + rng.normal(0, np.sqrt(1.5**2 + 0.5**2 + 0.8**2), 400_000)).mean()
    covered = {"bootstrap": 0, "ours": 0}
    repeats = 150
    for _ in range(repeats):
        values = _answers(rng, 3, 1.5, rng.normal(0, 1.5, 400), 0.8)
        weights = rng.multinomial(3, [1 / 3] * 3, 300) / 3
        drawn = [w @ values @ (rng.multinomial(400, np.full(400, 1 / 400)) / 400) for w in weights]
        low, high = np.quantile(drawn, [0.025, 0.975])
        covered["bootstrap"] += low <= truth <= high
        low, high = mean_over_seeds_and_items(values).interval
        covered["ours"] += low <= truth <= high
    assert covered["bootstrap"] / repeats < 0.9 < covered["ours"] / repeats
