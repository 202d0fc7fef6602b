"""Alignment and uniformity, against the formulas of the paper's code, and where their values are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phispace.errors import InputError
from phispace.metrics.uniformity import alignment, class_alignment, uniformity


@pytest.mark.parametrize("t", [1.0, 2.0])
def test_uniformity_by_pairwise_distances(t: float) -> None:
    x = np.random.default_rng(0).normal(size=(200, 16)) + 0.3
    unit = torch.nn.functional.normalize(torch.from_numpy(x))
    reference = torch.pdist(unit).pow(2).mul(-t).exp().mean().log()
    assert uniformity(x, t=t) == pytest.approx(float(reference), rel=1e-9)


def test_alignment_by_the_formula() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 50, 8))
    a, b = (torch.nn.functional.normalize(torch.from_numpy(z)) for z in (x, y))
    for alpha in (1.0, 2.0):
        reference = (a - b).norm(dim=1).pow(alpha).mean()
        assert alignment(x, y, alpha) == pytest.approx(float(reference), rel=1e-9)


def test_known_values() -> None:
    same = np.tile([[1.0, 2.0]], (10, 1))
    assert uniformity(same) == pytest.approx(0, abs=1e-12)
    assert alignment(same, 3 * same) == pytest.approx(0, abs=1e-12)
    assert alignment(same, -same) == pytest.approx(4)
    assert uniformity(np.array([[1.0, 0], [-1, 0]])) == pytest.approx(-8)  # distance 2, t = 2
    many = np.random.default_rng(2).normal(size=(2000, 512))
    assert uniformity(many) == pytest.approx(-4, abs=0.05)


def test_a_sample_speaks_for_the_whole() -> None:
    x = np.random.default_rng(3).normal(size=(6000, 5)) + 1
    whole = uniformity(x, max_items=6000)
    sample = uniformity(x, np.random.default_rng(0), max_items=1500)
    assert sample == pytest.approx(whole, abs=0.05)
    assert sample == uniformity(x, np.random.default_rng(0), max_items=1500)


def test_degenerate() -> None:
    x = np.random.default_rng(4).normal(size=(20, 4))
    with_zeros = np.concatenate([x, np.zeros((7, 4))])
    assert uniformity(with_zeros) == pytest.approx(uniformity(x))
    assert alignment(with_zeros, with_zeros[::-1].copy()) == pytest.approx(alignment(x[7:], x[::-1][:13]))
    for bad in (np.zeros((5, 3)), np.ones((1, 3)), np.zeros((0, 3)), np.full((4, 3), np.nan)):
        assert np.isnan(uniformity(bad))
    assert np.isnan(alignment(np.zeros((2, 3)), np.ones((2, 3))))
    assert np.isnan(alignment(np.full((2, 3), np.nan), np.ones((2, 3))))
    with pytest.raises(InputError, match="Pairs"):
        alignment(np.ones((2, 3)), np.ones((3, 3)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(1, 10))
def test_order_rotation_and_length_do_not_matter(seed: int, n: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    turned = (x * rng.uniform(0.1, 10, (n, 1)))[rng.permutation(n)] @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    assert uniformity(turned) == pytest.approx(uniformity(x), rel=1e-6, abs=1e-9)
    assert uniformity(x) <= 1e-12


def test_class_alignment_is_the_mean_over_all_pairs_of_a_class() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(40, 6)) + 0.5, rng.integers(-1, 4, 40)
    z = x / np.linalg.norm(x, axis=1, keepdims=True)
    by_item = []
    for i in range(40):
        others = [j for j in range(40) if j != i and y[j] == y[i] >= 0]
        if others:
            by_item.append(np.mean([((z[i] - z[j]) ** 2).sum() for j in others]))
    assert class_alignment(x, y) == pytest.approx(np.mean(by_item), rel=1e-12)
    assert class_alignment(x * rng.uniform(0.1, 10, (40, 1)), y) == pytest.approx(class_alignment(x, y), rel=1e-9)


def test_class_alignment_of_degenerate_classes() -> None:
    x = np.random.default_rng(6).normal(size=(6, 3))
    assert np.isnan(class_alignment(x, np.arange(6)))
    assert np.isnan(class_alignment(x, np.full(6, -1)))
    assert np.isnan(class_alignment(np.zeros((4, 3)), np.zeros(4, int)))
    assert np.isnan(class_alignment(np.full((4, 3), np.nan), np.zeros(4, int)))
    assert class_alignment(np.tile(x[:1], (4, 1)), np.zeros(4, int)) == pytest.approx(0, abs=1e-12)
    with_zero = np.concatenate([x, np.zeros((2, 3))])
    assert class_alignment(with_zero, np.zeros(8, int)) == pytest.approx(class_alignment(x, np.zeros(6, int)))
