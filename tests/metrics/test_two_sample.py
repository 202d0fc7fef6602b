"""Two-sample tests: the statistics by their definitions, p-values that hold without a difference, power with one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from phispace.errors import InputError
from phispace.metrics.two_sample import classifier, ks, mmd

TESTS = {
    "mmd": lambda x, y, draws: mmd(x, y, draws, 99),
    "ks": lambda x, y, draws: ks(x, y),
    "classifier": classifier,
}


def test_mmd_by_its_definition():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(5, 3)) + 0.5
    pooled = np.concatenate([x, y])
    squares = [((a - b) ** 2).sum() for i, a in enumerate(pooled) for b in pooled[i + 1 :]]

    def k(a, b):
        return np.exp(-((a - b) ** 2).sum() / (2 * np.median(squares)))

    xx = np.mean([k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    yy = np.mean([k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    xy = np.mean([k(a, b) for a in x for b in y])
    assert mmd(x, y, rng).statistic == pytest.approx(xx + yy - 2 * xy, abs=1e-10)


def test_ks_is_scipys_component_by_component_after_bonferroni():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 4)), rng.normal(size=(50, 4)) * [1, 1, 1.8, 1]
    x, y = x.round(1), y.round(1)  # with ties
    each = [stats.ks_2samp(x[:, d], y[:, d], method="asymp") for d in range(4)]
    found = ks(x, y)
    assert found.statistic == pytest.approx(max(e.statistic for e in each))
    assert found.p_value == pytest.approx(min(1, 4 * min(e.pvalue for e in each)))


@pytest.mark.parametrize("name", TESTS)
def test_false_alarms_are_as_often_as_stated(name):
    """300 pairs of equal distributions: at most alpha = 0.1 of them alarm, within 4 standard errors."""
    alarms = 0
    for number in range(300):
        rng = np.random.default_rng(number)
        x, y = rng.standard_t(4, size=(60, 6)), rng.standard_t(4, size=(30, 6))
        alarms += TESTS[name](x, y, rng).p_value <= 0.1
    assert alarms / 300 <= 0.1 + 4 * np.sqrt(0.09 / 300)
    assert alarms > 0


@pytest.mark.parametrize("name", TESTS)
def test_a_shift_is_found_and_the_p_value_is_never_zero(name):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(200, 6)), rng.normal(size=(100, 6)) + 1
    found = TESTS[name](x, y, rng)
    assert 0 < found.p_value <= 0.02


@pytest.mark.parametrize("name", TESTS)
@pytest.mark.parametrize(("a", "b"), [((3, 2), (9, 2)), ((9, 2), (9, 3)), ((9,), (9,))])
def test_samples_that_cannot_be_compared(name, a, b):
    with pytest.raises(InputError, match=r"two-sample|one width"):
        TESTS[name](np.zeros(a), np.zeros(b), np.random.default_rng(0))
