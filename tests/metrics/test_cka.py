"""Linear CKA, against the definition with (N, N) kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phispace.errors import InputError
from phispace.metrics.cka import linear_cka, minibatch_cka, minibatch_cka_matrix


def biased(x: np.ndarray, y: np.ndarray) -> float:
    """tr(KHLH) over its norms."""
    n = len(x)
    h = np.eye(n) - 1 / n
    k, m = h @ (x @ x.T) @ h, h @ (y @ y.T) @ h
    return float((k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum()))


def hsic_1(k: np.ndarray, m: np.ndarray) -> float:
    """Song et al., equation 5, with the kernels written out."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    middle = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return float((np.trace(k @ m) + middle - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3)))


def pair(n: int, d1: int, d2: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d1)) + 3
    return x, x @ rng.normal(size=(d1, d2)) + 2 * rng.normal(size=(n, d2)) - 1


@pytest.mark.parametrize(("n", "d1", "d2"), [(60, 5, 9), (12, 40, 30), (20, 3, 200), (4, 2, 2)])
def test_the_definition(n: int, d1: int, d2: int) -> None:
    x, y = pair(n, d1, d2)
    assert linear_cka(x, y) == pytest.approx(biased(x, y), rel=1e-9)
    k, m = x @ x.T, y @ y.T
    reference = hsic_1(k, m) / np.sqrt(hsic_1(k, k) * hsic_1(m, m))
    assert linear_cka(x, y, debiased=True) == pytest.approx(reference, rel=1e-6)


def test_batches() -> None:
    x, y = pair(64, 6, 7)
    assert minibatch_cka([(x, y)]) == pytest.approx(linear_cka(x, y, debiased=True), rel=1e-9)
    sums = np.zeros(3)
    for part in np.split(np.arange(64), 4):
        k, m = x[part] @ x[part].T, y[part] @ y[part].T
        sums += [hsic_1(k, m), hsic_1(k, k), hsic_1(m, m)]
    batches = [(x[p], y[p]) for p in np.split(np.arange(64), 4)]
    assert minibatch_cka(batches) == pytest.approx(sums[0] / np.sqrt(sums[1] * sums[2]), rel=1e-6)
    assert minibatch_cka([*batches, (x[:3], y[:3])]) == minibatch_cka(batches)
    assert np.isnan(minibatch_cka([]))


def test_many_representations_at_once() -> None:
    x, y = pair(60, 6, 200)
    all_three = [x, y, x[:, :2] + 1e3]
    for cuts in (1, 3):
        batches = [[z[part] for z in all_three] for part in np.split(np.arange(60), cuts)]
        found = minibatch_cka_matrix(batches)
        for i, a in enumerate(all_three):
            for j, b in enumerate(all_three):
                expected = minibatch_cka([(a[part], b[part]) for part in np.split(np.arange(60), cuts)])
                assert found[i, j] == pytest.approx(expected, rel=1e-6, abs=1e-9)
    still = minibatch_cka_matrix([[x, np.ones((60, 4)), y]])
    assert np.isnan(still[1]).all()
    assert np.isnan(still[:, 1]).all()
    assert np.isfinite(still[0, 2])
    assert minibatch_cka_matrix([[x[:3], y[:3]]]).shape == (2, 2)
    assert np.isnan(minibatch_cka_matrix([[x[:3], y[:3]]])).all()
    with pytest.raises(InputError, match="same items"):
        minibatch_cka_matrix([[x, y[:5]]])


def test_the_debiased_one_is_not_fooled_by_many_dimensions() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 40, 800))
    assert linear_cka(x, y) > 0.9
    assert abs(linear_cka(x, y, debiased=True)) < 0.1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.floats(1e-6, 1e6))
def test_rotation_scale_shift_and_order_do_not_matter(seed: int, debiased: bool, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x, y = pair(25, 4, 6, seed)
    order = rng.permutation(25)
    turned = scale * (x @ np.linalg.qr(rng.normal(size=(4, 4)))[0] + rng.normal(size=4))
    value = linear_cka(x, y, debiased)
    assert linear_cka(turned[order], y[order], debiased) == pytest.approx(value, rel=1e-6)
    assert linear_cka(y, x, debiased) == pytest.approx(value, rel=1e-9)
    assert linear_cka(x, turned, debiased) == pytest.approx(1, rel=1e-6)


def test_a_stretched_axis_does_matter() -> None:
    x = np.random.default_rng(1).normal(size=(100, 3))
    assert linear_cka(x, x * [1, 1, 20]) < 0.9


def test_degenerate() -> None:
    x = np.random.default_rng(2).normal(size=(10, 3))
    for other in (np.ones((10, 2)) * 0.1, np.full((10, 2), np.nan)):
        assert np.isnan(linear_cka(x, other))
        assert np.isnan(linear_cka(x, other, debiased=True))
    assert np.isnan(linear_cka(x[:1], x[:1]))
    assert np.isnan(linear_cka(x[:3], x[:3], debiased=True))
    with pytest.raises(InputError, match="same items"):
        linear_cka(x, x[:5])
    with pytest.raises(InputError, match="same items"):
        minibatch_cka([(x, x[:5])])
