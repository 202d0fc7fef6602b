"""LiDAR on items and views whose answer is known, and against a direct re-implementation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phispace.errors import InputError
from phispace.metrics.lidar import _noise_edge as noise_edge
from phispace.metrics.lidar import lidar


def views(n: int, q: int, d: int, rank: int, noise: float = 0.1, seed: int = 0) -> list[np.ndarray]:
    """Items that vary in `rank` directions, views that scatter evenly in all."""
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(n, rank)) @ np.linalg.qr(rng.normal(size=(d, rank)))[0].T
    return [items + noise * rng.normal(size=(n, d)) for _ in range(q)]


def reference(stack: np.ndarray, delta: float) -> float:
    """The paper's equations 1 to 4, item by item in torch; (n, q, D)."""
    x = torch.from_numpy(stack)
    n, q, d = x.shape
    mean = x.mean(1)
    away = mean - mean.mean(0)
    between = sum(torch.outer(a, a) for a in away) / (n - 1)
    scatter = (x - mean[:, None]).reshape(-1, d)
    within = sum(torch.outer(s, s) for s in scatter) / (n * (q - 1))
    within = within + delta * torch.trace(within) / d * torch.eye(d, dtype=x.dtype)
    values, vectors = torch.linalg.eigh(within)
    root = vectors @ torch.diag(values**-0.5) @ vectors.T
    p = torch.linalg.svdvals(root @ between @ root)
    p = p / p.sum()
    p = p[p > 0]
    return float(torch.exp(-(p * p.log()).sum()))


@pytest.mark.parametrize(("n", "q", "d"), [(40, 2, 5), (60, 5, 12), (12, 3, 20)])
def test_against_the_equations(n: int, q: int, d: int) -> None:
    x = views(n, q, d, min(4, d), noise=0.5)
    assert lidar(x).lidar == pytest.approx(reference(np.stack(x, axis=1), 1e-4), rel=1e-6)


@pytest.mark.parametrize("rank", [1, 6, 20])
def test_items_that_differ_in_so_many_directions(rank: int) -> None:
    many = lidar(views(4000, 20, 40, rank, noise=0.02))
    assert many.lidar == pytest.approx(rank, rel=0.05)
    assert many.corrected == pytest.approx(rank, rel=0.05)


def test_few_views_raise_lidar_and_not_its_corrected_form() -> None:
    few, many = (lidar(views(6000, q, 40, 5, noise=0.8)) for q in (2, 40))
    assert few.lidar > 1.5 * many.lidar
    assert few.corrected == pytest.approx(5, rel=0.02)
    assert many.corrected == pytest.approx(5, rel=0.02)


def test_where_items_do_not_differ_nothing_is_left() -> None:
    rng = np.random.default_rng(3)
    for n, q, d in [(900, 2, 60), (900, 5, 60), (400, 2, 150), (500, 3, 8)] * 5:
        found = lidar([rng.normal(size=(n, d)) for _ in range(q)])
        assert found.lidar > 0.6 * d
        assert np.isnan(found.corrected)
        assert noise_edge(n, q, d) < 2.5 * found.eigenvalues[0]


def test_scale_rotation_and_order_do_not_matter() -> None:
    x = views(200, 3, 8, 4, noise=0.5)
    rng = np.random.default_rng(1)
    order, turn = rng.permutation(200), np.linalg.qr(rng.normal(size=(8, 8)))[0]
    turned = lidar([1e6 * v[order] @ turn + 5 for v in x[::-1]])
    assert turned.lidar == pytest.approx(lidar(x).lidar, rel=1e-6)


def test_a_linear_map_hardly_matters() -> None:
    x = views(500, 4, 6, 6, noise=0.5)
    stretch = np.diag([1, 2, 0.5, 3, 1, 0.7])
    assert lidar([v @ stretch for v in x]).lidar == pytest.approx(lidar(x).lidar, rel=1e-3)


def test_degenerate() -> None:
    rng = np.random.default_rng(2)
    items = rng.normal(size=(20, 4))
    assert np.isnan(lidar([items, items]).lidar), "views that are all equal have no scatter to measure by"
    assert np.isnan(lidar([np.ones((20, 4)), np.ones((20, 4))]).lidar)
    assert np.isnan(lidar([np.zeros((0, 4))] * 2).lidar)
    assert np.isnan(lidar([items[:1], items[1:2]]).lidar)
    assert np.isnan(lidar([items, np.full((20, 4), np.nan)]).lidar)
    only_noise = lidar([rng.normal(size=(3, 40)) for _ in range(2)])
    assert only_noise.lidar <= 2 + 1e-6
    with pytest.raises(InputError, match="two views"):
        lidar([items])
    with pytest.raises(InputError, match="two views"):
        lidar([items, items[:5]])
