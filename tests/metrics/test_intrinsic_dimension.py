"""Intrinsic dimension of manifolds whose dimension is known, and against direct formulas."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_swiss_roll
from sklearn.neighbors import NearestNeighbors

from phispace.metrics.intrinsic_dimension import distinct, levina_bickel, two_nn


def ball(n: int, d: int, ambient: int, seed: int = 0) -> np.ndarray:
    """Uniform in a d-ball, turned into a space of more dimensions."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    x *= rng.uniform(size=(n, 1)) ** (1 / d) / np.linalg.norm(x, axis=1, keepdims=True)
    return x @ np.linalg.qr(rng.normal(size=(ambient, d)))[0].T


@pytest.mark.parametrize(("d", "tolerance"), [(1, 0.05), (2, 0.06), (3, 0.08), (5, 0.1), (10, 0.16)])
def test_balls(d: int, tolerance: float) -> None:
    x = ball(1500, d, 60)
    assert two_nn(x) == pytest.approx(d, rel=tolerance)
    assert levina_bickel(x) == pytest.approx(d, rel=tolerance + 0.02)


def test_a_curved_sheet_has_two() -> None:
    x = make_swiss_roll(2000, random_state=0)[0]
    assert two_nn(x) == pytest.approx(2, rel=0.08)
    assert levina_bickel(x) == pytest.approx(2, rel=0.08)


@pytest.mark.parametrize("kind", ["gaussian", "offset", "heavy"])
def test_direct_formulas(kind: str) -> None:
    rng = np.random.default_rng(2)
    x = {"gaussian": rng.normal(size=(300, 6)), "offset": 1e3 + rng.normal(size=(300, 6))}.get(
        kind, rng.standard_t(3, size=(300, 6))
    )
    # scikit-learn's tree: the module's own way rounds the vectors to float32 first
    z = (x - x[0]) / np.abs(x - x[0]).max()
    distance = NearestNeighbors(n_neighbors=21, algorithm="kd_tree").fit(z).kneighbors(z)[0][:, 1:]
    mu = np.sort(distance[:, 1] / distance[:, 0])[:270]
    share = np.arange(1, 271) / 300
    slope = np.linalg.lstsq(np.log(mu)[:, None], -np.log(1 - share), rcond=None)[0][0]
    assert two_nn(x) == pytest.approx(slope, rel=1e-4)
    by_k = []
    for k in range(10, 21):
        inverse = [np.mean([np.log(t[k - 1] / t[j]) for j in range(k - 1)]) for t in distance]
        by_k.append(1 / np.mean(inverse))
    assert levina_bickel(x) == pytest.approx(np.mean(by_k), rel=1e-4)


def test_scale_rotation_order_and_repeats_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 4))
    turned = 1e6 * x[rng.permutation(200)] @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    for estimate in (two_nn, levina_bickel):
        assert estimate(turned) == pytest.approx(estimate(x), rel=1e-3)
        assert estimate(np.concatenate([x, x[:50], x[:50]])) == pytest.approx(estimate(x), rel=1e-3)


def test_distinct_rows() -> None:
    x = np.array([[0.0, 1], [-0.0, 1], [2, 3], [0, 1], [2, 4]])
    assert len(distinct(x)) == 3
    assert len(distinct(np.zeros((0, 2)))) == 0


@pytest.mark.parametrize(
    "x",
    [np.zeros((50, 3)), np.ones((19, 2)), np.zeros((0, 3)), np.full((40, 2), np.nan), np.eye(60)],
    ids=["constant", "few", "empty", "nan", "all equally far"],
)
def test_undefined(x: np.ndarray) -> None:
    assert np.isnan(two_nn(x))
    assert np.isnan(levina_bickel(x))


def test_more_dimensions_than_items() -> None:
    assert two_nn(ball(200, 2, 500)) == pytest.approx(2, rel=0.2)
