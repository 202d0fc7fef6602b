"""Sparsity of codes: closed forms, and the formulas written out."""

from __future__ import annotations

import numpy as np
import pytest

from phispace.metrics.sparsity import hoyer, lifetime_sparseness, population_sparseness


def test_written_out() -> None:
    x = np.random.default_rng(0).normal(size=(30, 12))
    one, two = np.abs(x).sum(1), np.sqrt((x**2).sum(1))
    np.testing.assert_allclose(hoyer(x), (np.sqrt(12) - one / two) / (np.sqrt(12) - 1), rtol=1e-12)
    a = np.abs(x)
    np.testing.assert_allclose(
        population_sparseness(x), (1 - a.mean(1) ** 2 / (a**2).mean(1)) / (1 - 1 / 12), rtol=1e-12
    )
    np.testing.assert_allclose(lifetime_sparseness(x), (1 - a.mean(0) ** 2 / (a**2).mean(0)) / (1 - 1 / 30), rtol=1e-12)


def test_ends_of_the_scale() -> None:
    signs = np.where(np.random.default_rng(1).random((20, 8)) < 0.5, -3.0, 3.0)
    one_hot = np.eye(8) * -2
    for measure in (hoyer, population_sparseness, lifetime_sparseness):
        np.testing.assert_allclose(measure(signs), 0, atol=1e-12)
        np.testing.assert_allclose(measure(one_hot), 1, atol=1e-12)


def test_gaussian_values() -> None:
    x = np.random.default_rng(2).normal(size=(200, 5000))
    assert hoyer(x).mean() == pytest.approx(1 - np.sqrt(2 / np.pi), abs=0.01)
    assert population_sparseness(x).mean() == pytest.approx(1 - 2 / np.pi, abs=0.01)


@pytest.mark.parametrize("scale", [1e-18, 1e18])
def test_scale_and_sign_do_not_matter(scale: float) -> None:
    x = np.random.default_rng(3).normal(size=(20, 6)).astype(np.float32)
    for measure in (hoyer, population_sparseness, lifetime_sparseness):
        np.testing.assert_allclose(measure(-scale * x), measure(x), rtol=1e-6)


def test_degenerate() -> None:
    x = np.array([[0.0, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(np.isnan(hoyer(x)), [True, False])
    np.testing.assert_array_equal(np.isnan(population_sparseness(x)), [True, False])
    np.testing.assert_array_equal(np.isnan(lifetime_sparseness(x)), [False, True, True])
    assert np.isnan(hoyer(np.ones((4, 1)))).all()
    assert np.isnan(lifetime_sparseness(np.ones((1, 4)))).all()
    assert len(hoyer(np.zeros((0, 3)))) == 0
    for measure in (hoyer, population_sparseness, lifetime_sparseness):
        assert np.isnan(measure(np.full((3, 3), np.nan))).all()
