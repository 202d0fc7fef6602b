"""Silhouette and relatives, where they are defined and where not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import davies_bouldin_score, silhouette_score

from phispace.metrics.separation import between_class_share, cluster_indices, silhouette, silhouettes


def blobs(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    return rng.normal(size=(n, 4)) + 3 * labels[:, None], labels


def test_silhouette_by_the_definition() -> None:
    x, labels = blobs(40)
    distance = np.linalg.norm(x[:, None] - x[None], axis=-1)
    expected = []
    for i in range(40):
        own = (labels == labels[i]) & (np.arange(40) != i)
        a = distance[i, own].mean()
        b = min(distance[i, labels == c].mean() for c in set(labels) - {labels[i]})
        expected.append((b - a) / max(a, b))
    np.testing.assert_allclose(silhouettes(x, labels), expected, rtol=1e-9)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_all_items_or_a_sample(metric: str) -> None:
    x, labels = blobs(900)
    rng = np.random.default_rng(0)
    assert silhouette(x, labels, rng, metric) == pytest.approx(silhouette_score(x, labels, metric=metric))
    assert silhouette(x, labels, rng, metric, max_items=300) == pytest.approx(
        silhouette(x, labels, rng, metric), abs=0.03
    )


def test_between_share_and_indices() -> None:
    x, labels = blobs()
    total = ((x - x.mean(0)) ** 2).sum()
    within = sum(((x[labels == c] - x[labels == c].mean(0)) ** 2).sum() for c in range(3))
    assert between_class_share(x, labels) == pytest.approx(1 - within / total)
    turned = x @ np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0] * 7 + 5
    assert between_class_share(turned, labels) == pytest.approx(between_class_share(x, labels))
    assert cluster_indices(x, labels)["davies_bouldin"] == pytest.approx(davies_bouldin_score(x, labels))


def test_undefined() -> None:
    x, labels = blobs()
    rng = np.random.default_rng(0)
    for z, y in (
        (x, np.zeros(120, int)),
        (x, np.arange(120)),
        (x[:0], labels[:0]),
        (x * np.nan, labels),
    ):
        assert np.isnan(silhouette(z, y, rng))
        assert np.isnan(list(cluster_indices(z, y).values())).all()
    for z, y in ((x, np.zeros(120, int)), (np.ones((120, 2)) * 0.1, labels), (x * np.nan, labels)):
        assert np.isnan(between_class_share(z, y))
