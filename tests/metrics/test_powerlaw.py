"""The decay of a spectrum, on spectra with a known exponent and against numpy's weighted fit."""

from __future__ import annotations

import numpy as np
import pytest

from phispace.metrics.powerlaw import fit_power_law
from phispace.metrics.spectrum import spectrum


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.3])
def test_exact_power_laws(alpha: float) -> None:
    found = fit_power_law(7 * np.arange(1, 301.0) ** -alpha)
    assert found.alpha == pytest.approx(alpha, abs=1e-12)
    assert found.scale == pytest.approx(7, rel=1e-9)
    assert (found.first, found.last) == (4, 100)
    if alpha:
        assert found.r2 == pytest.approx(1)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5])
def test_items_drawn_with_a_power_law(alpha: float) -> None:
    rng = np.random.default_rng(0)
    deviation = np.arange(1, 201.0) ** (-alpha / 2)
    turn = np.linalg.qr(rng.normal(size=(200, 200)))[0]
    x = (rng.normal(size=(8000, 200)) * deviation) @ turn + 1
    assert fit_power_law(spectrum(x)).alpha == pytest.approx(alpha, abs=0.05)
    assert fit_power_law(spectrum(30 * x)).alpha == pytest.approx(fit_power_law(spectrum(x)).alpha, abs=1e-6)


def test_agrees_with_a_weighted_fit_of_numpy() -> None:
    rng = np.random.default_rng(1)
    values = np.sort(rng.lognormal(size=150))[::-1]
    rank = np.arange(11, 121)
    # numpy weighs the residuals, not their squares
    slope, intercept = np.polyfit(np.log(rank), np.log(values[10:120]), 1, w=1 / np.sqrt(rank))
    found = fit_power_law(values, 11, 120)
    assert found.alpha == pytest.approx(-slope, rel=1e-9)
    assert found.scale == pytest.approx(np.exp(intercept), rel=1e-9)
    assert 0 < found.r2 < 1


def test_equal_variances_have_nothing_to_explain() -> None:
    found = fit_power_law(np.ones(50))
    assert found.alpha == 0
    assert np.isnan(found.r2)


def test_a_spectrum_that_ends_early() -> None:
    values = np.concatenate([np.arange(1, 31.0) ** -1, np.zeros(50)])
    found = fit_power_law(values)
    assert (found.alpha, found.last) == (pytest.approx(1), 30)
    for short in (np.arange(1, 11.0) ** -1, np.zeros(20), np.zeros(0), np.full(50, np.nan)):
        assert np.isnan(fit_power_law(short).alpha)
