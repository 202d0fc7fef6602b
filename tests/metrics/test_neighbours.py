"""Neighbour overlap and class agreement, against sets and loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phispace.errors import InputError
from phispace.metrics.neighbours import churn, class_agreement, knn_recall, mutual_knn


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 20))
def test_overlap_by_sets(seed: int, k: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (np.stack([rng.permutation(12)[:k] for _ in range(n)]) for _ in range(2))
    shared = [len(set(x) & set(y)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    joined = [len(set(x) | set(y)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert knn_recall(a, b) == pytest.approx(np.mean(shared) / k)
    np.testing.assert_allclose(churn(a, b), 1 - np.array(shared) / joined)


def test_mutual_neighbours() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 5))
    turned = x @ np.linalg.qr(rng.normal(size=(5, 5)))[0] * 3
    assert mutual_knn(x, turned, 10) == 1
    unrelated = mutual_knn(x, rng.normal(size=(80, 7)), 10, "euclidean")
    assert unrelated == pytest.approx(10 / 79, abs=0.05)
    with pytest.raises(InputError, match="same items"):
        mutual_knn(x, x[:10])


def test_class_agreement_by_a_loop() -> None:
    positions = np.array([[1, 2], [0, 3], [0, 1], [4, 0], [3, 2]])
    labels = np.array([0, 0, 1, -1, 1])
    hits = [np.mean([1, 0]), 1 / 1, np.mean([0, 0]), 1 / 1]  # item 3 is unknown, and no neighbour of 1 and 4
    assert class_agreement(positions, labels) == pytest.approx(np.mean(hits))
    assert np.isnan(class_agreement(positions, np.full(5, -1)))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="one shape"):
        knn_recall(np.zeros((2, 3), int), np.zeros((2, 2), int))
    assert np.isnan(knn_recall(np.zeros((0, 3), int), np.zeros((0, 3), int)))
