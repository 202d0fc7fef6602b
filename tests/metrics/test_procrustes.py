"""Procrustes against scipy's solution of the problem itself, its invariances, and poor input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes
from scipy.stats import ortho_group

from phispace.errors import InputError
from phispace.metrics.procrustes import procrustes_distance, procrustes_similarity


def normal(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def unit(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(0)
    return x / np.linalg.norm(x)


def best_rotation(x: np.ndarray, y: np.ndarray) -> float:
    """min_R ||X R - Y||^2, the narrower filled up with zeros, R from scipy."""
    x, y = unit(x), unit(y)
    wide = max(x.shape[1], y.shape[1])
    x, y = (np.pad(z, ((0, 0), (0, wide - z.shape[1]))) for z in (x, y))
    rotation, _ = orthogonal_procrustes(x, y)
    return float(((x @ rotation - y) ** 2).sum())


@given(st.integers(2, 40), st.integers(1, 30), st.integers(1, 30), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_it_is_what_the_best_rotation_leaves(n: int, d1: int, d2: int, seed: int) -> None:
    x, y = normal(n, d1, seed), normal(n, d2, seed + 1)
    assert procrustes_distance(x, y) == pytest.approx(best_rotation(x, y), abs=1e-9)
    assert procrustes_distance(x, y) == pytest.approx(procrustes_distance(y, x), abs=1e-12)


def test_scipys_disparity_is_its_square() -> None:
    x, y = normal(50, 6, 0), normal(50, 6, 1)
    assert 1 - procrustes_similarity(x, y) ** 2 == pytest.approx(procrustes(x, y)[2], abs=1e-9)


def test_rotation_scale_shift_and_order_change_nothing() -> None:
    x = normal(80, 12, 0)
    y = x + 0.5 * normal(80, 12, 1)
    value = procrustes_similarity(x, y)
    turn, order = ortho_group.rvs(12, random_state=0), np.random.default_rng(2).permutation(80)
    for other in (y @ turn, 1e6 * y, 1e-20 * y, y + 7, -y):
        assert procrustes_similarity(x, other) == pytest.approx(value, abs=1e-9)
    assert procrustes_similarity(x[order], y[order]) == pytest.approx(value, abs=1e-12)
    assert procrustes_similarity(x, x @ turn) == pytest.approx(1)
    assert procrustes_similarity(x, x * np.linspace(0.1, 3, 12)) < 0.99, "stretching axes is a change"


def test_more_dimensions_than_items() -> None:
    x, y = normal(10, 300, 0), normal(10, 500, 1)
    assert procrustes_similarity(x, y) == pytest.approx(1 - best_rotation(x, y) / 2, abs=1e-9)
    assert procrustes_similarity(x, y) > 0.9, "any two are alike then"
    assert procrustes_similarity(normal(2000, 4, 0), normal(2000, 4, 1)) < 0.1


def test_poor_input() -> None:
    x = normal(8, 3, 0)
    for y in (np.zeros((8, 3)), np.ones((8, 3)), np.full((8, 3), np.nan), np.full((8, 3), np.inf)):
        with np.errstate(invalid="ignore"):
            assert math.isnan(procrustes_similarity(x, y))
            assert math.isnan(procrustes_distance(y, x))
    assert math.isnan(procrustes_similarity(x[:0], x[:0]))
    assert math.isnan(procrustes_similarity(x[:1], x[:1]))
    assert procrustes_similarity(np.repeat(x, 2, 0), np.repeat(x, 2, 0)) == pytest.approx(1)
    with pytest.raises(InputError, match="x has 8 items, y has 7"):
        procrustes_similarity(x, x[:7])
