"""Ranks and deviations, against numpy's decomposition, scikit-learn and constructed spectra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from phispace.metrics.spectrum import (
    effective_rank,
    participation_ratio,
    per_dimension_std,
    singular_values,
    spectrum,
    stable_rank,
)


def with_spectrum(sigma: list[float], n: int, d: int, seed: int = 0) -> np.ndarray:
    """A matrix (n, d) with these singular values and no others."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.normal(size=(n, len(sigma))))[0]
    right = np.linalg.qr(rng.normal(size=(d, len(sigma))))[0]
    return (left * sigma) @ right.T


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (40, 8), (8, 40), (20_000, 12)])
@pytest.mark.parametrize("centre", [False, True])
def test_singular_values_of_numpy(shape: tuple[int, int], centre: bool) -> None:
    x = np.random.default_rng(0).normal(size=shape) + 2
    reference = np.linalg.svd(x - x.mean(0) * centre, compute_uv=False)
    np.testing.assert_allclose(singular_values(x, centre), reference, rtol=1e-8, atol=1e-6 * reference[0] + 1e-12)


@pytest.mark.parametrize(("n", "d"), [(100, 30), (30, 100)])
def test_effective_rank_of_constructed_spectra(n: int, d: int) -> None:
    assert effective_rank(with_spectrum([3.0] * 7, n, d)) == pytest.approx(7, rel=1e-6)
    sigma = np.array([5, 2, 1, 0.5])
    p = sigma / sigma.sum()
    assert effective_rank(with_spectrum(sigma.tolist(), n, d)) == pytest.approx(
        np.exp(-(p * np.log(p)).sum()), rel=1e-6
    )
    assert stable_rank(with_spectrum(sigma.tolist(), n, d)) == pytest.approx((sigma**2).sum() / 25, rel=1e-9)


def test_the_direct_formula_on_noise() -> None:
    x = np.random.default_rng(1).normal(size=(500, 64)).astype(np.float32)
    sigma = np.linalg.svd(x.astype(np.float64), compute_uv=False)
    p = sigma / sigma.sum() + 1e-7  # as RankMe writes it
    assert effective_rank(x) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-3)
    assert stable_rank(x) == pytest.approx((np.linalg.norm(x) / np.linalg.norm(x, 2)) ** 2, rel=1e-5)


def test_degenerate() -> None:
    equal = np.full((50, 6), 0.1, np.float32)
    assert effective_rank(equal) == pytest.approx(1)
    assert stable_rank(equal) == pytest.approx(1)
    assert np.isnan(effective_rank(equal, centre=True))
    for x in (np.zeros((5, 3)), np.zeros((0, 3)), np.full((5, 3), np.nan), np.full((5, 3), np.inf)):
        assert np.isnan(effective_rank(x))
        assert np.isnan(stable_rank(x))
    assert np.isnan(spectrum(equal)).all()
    assert np.isnan(spectrum(np.full((5, 3), np.nan))).all()


def test_spectrum_of_scikit_learn() -> None:
    x = np.random.default_rng(2).normal(size=(200, 10)) * np.arange(1, 11) + 5
    np.testing.assert_allclose(spectrum(x), PCA().fit(x).explained_variance_ratio_, rtol=1e-9)
    assert len(spectrum(x[:4])) == 4


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(2, 20), st.floats(1e-3, 1e3))
def test_order_rotation_and_scale_do_not_matter(seed: int, n: int, d: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    turned = scale * x[rng.permutation(n)] @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    for measure in (effective_rank, stable_rank):
        value = measure(x)
        assert measure(turned) == pytest.approx(value, rel=1e-6)
        assert 1 - 1e-9 <= value <= min(n, d) + 1e-9


def test_deviation_per_dimension() -> None:
    x = np.random.default_rng(3).normal(size=(300, 7)).astype(np.float32) * 3 + 10
    np.testing.assert_allclose(per_dimension_std(x), x.std(0, dtype=np.float64), rtol=1e-6)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(per_dimension_std(x, normalise=True), unit.std(0, dtype=np.float64), rtol=1e-5)
    assert per_dimension_std(np.full((1000, 2), 0.1, np.float32)).tolist() == [0, 0]
    assert np.isnan(per_dimension_std(np.zeros((0, 2)))).all()
    assert per_dimension_std(np.zeros((4, 2)), normalise=True).tolist() == [0, 0]


def test_even_directions_have_unit_spread() -> None:
    x = np.random.default_rng(4).normal(size=(20_000, 64))
    assert per_dimension_std(x, normalise=True).mean() * 8 == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("r", [1, 5, 20])
def test_rank_r_gaussians(r: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, r)) @ np.linalg.qr(rng.normal(size=(64, r)))[0].T + 3
    assert effective_rank(x, centre=True) == pytest.approx(r, rel=0.02)
    assert stable_rank(x, centre=True) == pytest.approx(r, rel=0.08)  # the largest of r equal values is above them
    assert participation_ratio(x) == pytest.approx(r, rel=0.02)


def test_participation_ratio_of_constructed_spectra() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 9)) * np.arange(1, 10)
    variance = np.linalg.eigvalsh(np.cov(x.T))
    assert participation_ratio(x) == pytest.approx(variance.sum() ** 2 / (variance**2).sum(), rel=1e-9)
    assert participation_ratio(1e18 * x) == pytest.approx(participation_ratio(x), rel=1e-9)
    for bad in (np.ones((5, 3)), np.zeros((0, 3)), np.full((4, 3), np.nan), np.ones((1, 3))):
        assert np.isnan(participation_ratio(bad))
