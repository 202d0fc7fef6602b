"""Quality measures against scikit-learn, against a plain double loop, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import blobs
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn.manifold import trustworthiness

from phispace.maps.base import prepared
from phispace.maps.neighbours import neighbours
from phispace.maps.quality import class_agreement, measure


@given(st.integers(8, 30), st.integers(1, 8), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_agrees_with_scikit_learn(n: int, k: int, seed: int) -> None:
    k = min(k, (n - 1) // 2)
    random = np.random.default_rng(seed)
    vectors, xy = prepared(random.normal(size=(n, 5))), random.normal(size=(n, 2)).astype(np.float32)
    squared = np.sort(((vectors[:, None].astype(float) - vectors) ** 2).sum(-1), axis=1)[:, 1:]
    assume((np.diff(squared, axis=1) > 1e-5 * squared[:, 1:]).all())  # no ties within float32's rounding
    found = measure(vectors, xy, np.full(n, -1), k=k)
    assert found["trustworthiness"] == pytest.approx(trustworthiness(vectors, xy, n_neighbors=k), abs=1e-6)
    assert found["continuity"] == pytest.approx(trustworthiness(xy, vectors, n_neighbors=k), abs=1e-6)


def test_recall_and_agreement_by_a_plain_loop() -> None:
    store = blobs(40, apart=2.0)
    vectors, xy = prepared(store.vectors), np.random.default_rng(3).normal(size=(40, 2))
    shared, in_map, in_vectors = [], [], []
    for i in range(40):
        by_vector = [j for j in np.argsort(((vectors - vectors[i]) ** 2).sum(1)) if j != i][:10]
        by_map = [j for j in np.argsort(((xy - xy[i]) ** 2).sum(1)) if j != i][:10]
        shared.append(len(set(by_vector) & set(by_map)) / 10)
        in_map.append(np.mean(store.labels[by_map] == store.labels[i]))
        in_vectors.append(np.mean(store.labels[by_vector] == store.labels[i]))
    found = measure(vectors, xy, store.labels)
    assert found["knn_recall"] == pytest.approx(np.mean(shared))
    assert found["class_agreement"] == pytest.approx(np.mean(in_map))
    assert found["class_agreement_representation"] == pytest.approx(np.mean(in_vectors))
    assert found["leak"] == pytest.approx(np.mean(in_map) - np.mean(in_vectors))


def test_a_sample_of_queries_estimates_all() -> None:
    store = blobs(1200, apart=3.0)
    vectors = prepared(store.vectors)
    xy = vectors[:, :2]
    everyone, some = (measure(vectors, xy, store.labels, queries=q) for q in (1200, 400))
    assert some["queries"] == 400
    for name in ("trustworthiness", "continuity", "knn_recall", "class_agreement"):
        assert some[name] == pytest.approx(everyone[name], abs=0.03), name
    assert measure(vectors, xy, store.labels, queries=400) == some


def test_unknown_labels_are_left_out_on_both_sides() -> None:
    labels = np.array([0, 0, 1, -1, -1])
    found = np.array([[1, 3], [2, 4], [3, 4], [0, 1], [0, 1]])
    # 0 sees 1 (same); 1 sees 2 (other); 2 sees nobody known; 3 and 4 are unknown themselves
    assert class_agreement(labels, np.arange(5), found) == pytest.approx(0.5)
    assert np.isnan(class_agreement(np.array([0, 0, -1, 0, 0]), np.arange(5), found))
    assert np.isnan(class_agreement(np.full(5, -1), np.arange(5), found))


def test_undefined_is_nan_not_a_number() -> None:
    vectors = np.zeros((20, 3), np.float32)
    assert np.isnan(
        measure(vectors, np.random.default_rng(0).normal(size=(20, 2)), np.zeros(20, int))["trustworthiness"]
    )
    two = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    assert np.isnan(measure(two, two, np.array([0, 1]))["leak"])


def test_a_map_sharper_than_its_vectors_leaks() -> None:
    store = blobs(200, apart=0.0)
    honest = measure(prepared(store.vectors), store.vectors[:, :2], store.labels)
    lie = measure(prepared(store.vectors), blobs(200, apart=9.0, dim=3).vectors[:, :2], store.labels)
    assert abs(honest["leak"]) < 0.08
    assert lie["leak"] > 0.5


def test_neighbours_leave_the_item_itself_out_even_among_duplicates() -> None:
    vectors = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    index, distance = neighbours(vectors, 4)
    assert index.shape == (15, 4)
    assert not (index == np.arange(15)[:, None]).any()
    assert (index // 5 == np.arange(15)[:, None] // 5).all()
    assert distance.max() == pytest.approx(0, abs=1e-3)


def test_prepared_vectors_keep_their_neighbours() -> None:
    vectors = blobs(50).vectors
    order = neighbours(prepared(vectors), 5)[0]
    assert np.array_equal(order, neighbours(prepared(64 + 4 * vectors.astype(np.float64)), 5)[0])
    unit = prepared(vectors * np.linspace(1, 9, 50)[:, None], "cosine")
    assert np.allclose(unit, prepared(vectors, "cosine"), atol=1e-4)
