"""Exact neighbours and their votes, against brute force in float64 and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from phispace.errors import InputError
from phispace.metrics import knn as module
from phispace.metrics.knn import inverse_distance, knn_accuracy, knn_predict, nearest, vote


def brute(queries: np.ndarray, gallery: np.ndarray, metric: str) -> np.ndarray:
    """Similarities (Q, N) in float64."""
    q, g = queries.astype(np.float64), gallery.astype(np.float64)
    if metric == "euclidean":
        return -np.sqrt(((q[:, None] - g[None]) ** 2).sum(-1))
    lengths = [np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-300) for z in (q, g)]
    return (q / lengths[0]) @ (g / lengths[1]).T


def check(queries: np.ndarray, gallery: np.ndarray, k: int, metric: str, tolerance: float = 2e-6) -> np.ndarray:
    """Neighbours agree tier by tier: ties within rounding may be taken in any order, nothing nearer is missed."""
    similarity, position = nearest(queries, gallery, k, metric)
    truth = brute(queries, gallery, metric)
    best = -np.sort(-truth, axis=1)[:, :k]
    scale = max(1.0, float(np.abs(truth).max())) if metric == "euclidean" else 1.0
    np.testing.assert_allclose(similarity, best, atol=tolerance * scale)
    np.testing.assert_allclose(np.take_along_axis(truth, position, 1), best, atol=tolerance * scale)
    assert all(len(set(row)) == k for row in position.tolist())
    return position


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(("n", "d", "k"), [(1, 1, 1), (50, 3, 50), (700, 16, 20), (300, 200, 7)])
def test_brute_force(metric: str, n: int, d: int, k: int) -> None:
    rng = np.random.default_rng(n)
    check(rng.normal(size=(40, d)).astype(np.float32), rng.normal(size=(n, d)).astype(np.float32), k, metric)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_scikit_learn(metric: str) -> None:
    rng = np.random.default_rng(0)
    gallery, queries = rng.normal(size=(400, 32)), rng.normal(size=(60, 32))
    distance, position = (
        NearestNeighbors(n_neighbors=9, metric=metric, algorithm="brute").fit(gallery).kneighbors(queries)
    )
    similarity, ours = nearest(queries, gallery, 9, metric)
    np.testing.assert_array_equal(ours, position)
    np.testing.assert_allclose(similarity, 1 - distance if metric == "cosine" else -distance, atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("block", [1 << 24, 700])
def test_equal_vectors_tie_exactly_and_go_to_the_smaller_position(
    metric: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK_ELEMENTS", block)
    rng = np.random.default_rng(1)
    kinds = rng.normal(size=(23, 37)).astype(np.float32)
    of = rng.integers(0, 23, 600)
    similarity, position = nearest(kinds, kinds[of], 60, metric)
    for kind in range(23):
        own = np.flatnonzero(of == kind)
        np.testing.assert_array_equal(position[kind, : len(own)][:60], own[:60])
        # Every group of equal similarity is in ascending position.
        for value in np.unique(similarity[kind]):
            group = position[kind][similarity[kind] == value]
            np.testing.assert_array_equal(group, np.sort(group))


def test_a_tie_wider_than_the_kept_candidates() -> None:
    gallery = np.ones((5000, 4), np.float32)
    gallery[4000:] *= -1
    _, position = nearest(gallery[:3], gallery, 30, "cosine")
    np.testing.assert_array_equal(position, np.tile(np.arange(30), (3, 1)))


def test_a_tie_wider_than_the_band_keeps_what_is_nearer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BAND", 40)
    gallery = np.ones((500, 2), np.float32)
    gallery[100:300] = [1, 0.9]
    gallery[400] = [1, 0.5]
    query = np.array([[1, 0.5]], np.float32)
    _, position = nearest(query, gallery, 30, "euclidean")
    np.testing.assert_array_equal(position[0], [400, *range(100, 129)])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_results_do_not_depend_on_the_block(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    gallery, queries = rng.normal(size=(300, 9)), rng.normal(size=(64, 9))
    whole = nearest(queries, gallery, 12, metric)
    monkeypatch.setattr(module, "_BLOCK_ELEMENTS", 1000)
    np.testing.assert_array_equal(nearest(queries, gallery, 12, metric)[1], whole[1])


def test_far_from_the_origin_distances_hold() -> None:
    rng = np.random.default_rng(3)
    gallery = (rng.normal(size=(400, 24)) + 1000).astype(np.float32)
    queries = (rng.normal(size=(30, 24)) + 1000).astype(np.float32)
    check(queries, gallery, 10, "euclidean", tolerance=1e-6)


def test_tight_groups_far_apart_are_told_apart() -> None:
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(6, 16)) * 1000
    gallery = (centres[rng.integers(0, 6, 600)] + rng.normal(size=(600, 16)) * 0.1).astype(np.float32)
    check(gallery[:50], gallery, 15, "euclidean", tolerance=1e-6)
    np.testing.assert_array_equal(nearest(gallery[:50], gallery, 3, "euclidean")[1][:, 0], np.arange(50))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_cosine_of_very_small_and_large_vectors(scale: float) -> None:
    rng = np.random.default_rng(5)
    gallery, queries = rng.normal(size=(100, 8)).astype(np.float32), rng.normal(size=(10, 8)).astype(np.float32)
    np.testing.assert_array_equal(
        nearest(queries * np.float32(scale), gallery, 5)[1], nearest(queries, gallery * np.float32(scale), 5)[1]
    )


def test_a_zero_vector_has_cosine_zero() -> None:
    gallery = np.array([[0, 0], [-1, 0], [1, 0]], np.float32)
    similarity, position = nearest(np.array([[2, 0], [0, 0]], np.float32), gallery, 3)
    np.testing.assert_array_equal(position, [[2, 0, 1], [0, 1, 2]])
    np.testing.assert_allclose(similarity, [[1, 0, -1], [0, 0, 0]])


def test_an_item_is_not_its_own_neighbour() -> None:
    x = np.repeat(np.random.default_rng(6).normal(size=(20, 5)), 3, axis=0)
    for metric in ("cosine", "euclidean"):
        similarity, position = nearest(x, x, 59, metric, exclude_self=True)
        assert not (position == np.arange(60)[:, None]).any()
        assert np.isfinite(similarity).all()
        np.testing.assert_array_equal(
            np.sort(position[:, :2] // 3, axis=1), np.repeat(np.arange(60)[:, None] // 3, 2, 1)
        )


@pytest.mark.parametrize("array", [torch.float32, torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_torch_of_any_float_type(array: torch.dtype) -> None:
    x = torch.arange(12).reshape(6, 2).to(array).requires_grad_()
    assert nearest(x, x, 1, "euclidean")[1].ravel().tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("queries", "gallery", "k", "metric", "words"),
    [
        ((2, 3), (5, 4), 1, "cosine", "dimensions"),
        ((2, 3), (5, 3), 6, "cosine", "from 1 to the 5"),
        ((2, 3), (5, 3), 0, "cosine", "from 1 to the 5"),
        ((2, 3), (0, 3), 1, "cosine", "from 1 to the 0"),
        ((2, 3), (5, 3), 1, "manhattan", "cosine or euclidean"),
        ((3,), (5, 3), 1, "cosine", "queries must be"),
    ],
)
def test_what_does_not_fit_is_refused(queries: tuple, gallery: tuple, k: int, metric: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        nearest(np.zeros(queries), np.zeros(gallery), k, metric)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 12), st.sampled_from(["cosine", "euclidean"]))
def test_coarse_values_with_many_ties(seed: int, n: int, d: int, metric: str) -> None:
    rng = np.random.default_rng(seed)
    gallery = rng.integers(-1, 2, (n, d)).astype(np.float32)
    k = int(rng.integers(1, n + 1))
    check(rng.integers(-1, 2, (5, d)).astype(np.float32), gallery, k, metric)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["cosine", "euclidean"]))
def test_rotation_and_scale_keep_the_neighbours(seed: int, metric: str) -> None:
    rng = np.random.default_rng(seed)
    gallery, queries = rng.normal(size=(60, 6)), rng.normal(size=(8, 6))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0] * rng.uniform(0.1, 10)
    np.testing.assert_array_equal(
        nearest(queries, gallery, 5, metric)[1], nearest(queries @ turn, gallery @ turn, 5, metric)[1]
    )


def test_votes_follow_the_formula() -> None:
    rng = np.random.default_rng(7)
    similarity = -np.sort(-rng.uniform(-1, 1, (50, 12)), axis=1)
    labels = rng.integers(0, 4, (50, 12))
    _, share = vote(similarity, labels, 4, temperature=0.07)
    weight = np.exp(similarity / 0.07)
    expected = np.stack([(weight * (labels == c)).sum(1) for c in range(4)], 1)
    np.testing.assert_allclose(share, expected / expected.sum(1, keepdims=True), rtol=1e-6)
    predicted, share = vote(similarity, labels, 4)
    np.testing.assert_allclose(share, np.stack([(labels == c).mean(1) for c in range(4)], 1))
    assert (np.take_along_axis(share, predicted[:, None], 1)[:, 0] == share.max(1)).all()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 9, 40])
def test_inverse_distances_of_scikit_learn(metric: str, k: int) -> None:
    rng = np.random.default_rng(9)
    x, q = rng.normal(size=(40, 6)).astype(np.float32), rng.normal(size=(60, 6)).astype(np.float32)
    x[30:] = x[:10]  # two equal neighbours at distance zero of the first queries
    q[:10] = x[:10]
    y = rng.integers(0, 3, 40)
    y[30:] = y[:10]  # or the tie would decide
    reference = KNeighborsClassifier(k, weights="distance", metric=metric, algorithm="brute").fit(x, y)
    similarity, position = nearest(q, x, k, metric)
    predicted, share = vote(similarity, y[position], 3, weight=inverse_distance(similarity, metric))
    # scikit-learn's cosine of equal vectors is not always exactly 1; there only the votes of zero distances count.
    rows = slice(10, None) if metric == "cosine" else slice(None)
    np.testing.assert_allclose(share[rows], reference.predict_proba(q)[rows], atol=1e-4)
    assert predicted[:10].tolist() == y[:10].tolist()
    np.testing.assert_allclose(share[:10].max(1), 1)


def test_neighbours_at_distance_zero_share_the_votes() -> None:
    near = np.array([[0.0, 0.0, -2.0], [-0.5, -2.0, -4.0]], np.float32)
    np.testing.assert_allclose(inverse_distance(near, "euclidean"), [[1, 1, 0], [2, 0.5, 0.25]])
    cosine = np.array([[1 - 2**-23, 0.5, 0.0], [0.5, 0.0, -1.0]], np.float32)
    np.testing.assert_allclose(inverse_distance(cosine, "cosine"), [[1, 0, 0], [2, 1, 0.5]])


def test_a_tied_vote_goes_to_the_nearest_among_the_tied() -> None:
    similarity = np.array([[0.9, 0.8, 0.7, 0.6, 0.5]])
    assert vote(similarity, np.array([[2, 1, 0, 0, 1]]), 3)[0].tolist() == [1]


def test_votes_of_very_small_temperatures_do_not_overflow() -> None:
    predicted, share = vote(np.array([[1.0, 0.5]]), np.array([[1, 0]]), 2, temperature=1e-6)
    assert predicted.tolist() == [1]
    np.testing.assert_allclose(share, [[0, 1]])


def test_predictions_of_scikit_learn() -> None:
    rng = np.random.default_rng(8)
    x, q = rng.normal(size=(300, 10)), rng.normal(size=(200, 10))
    y = (x[:, 0] > 0).astype(int) * 7 + 3  # labels 3 and 10; odd k, so no ties
    reference = KNeighborsClassifier(n_neighbors=15).fit(x, y)
    np.testing.assert_array_equal(knn_predict(x, y, q, 15, "euclidean"), reference.predict(q))
    truth = (q[:, 0] > 0).astype(int) * 7 + 3
    assert knn_accuracy(x, y, q, truth, 15, "euclidean") == reference.score(q, truth)


def test_accuracy_of_nothing_or_of_what_is_not_finite_is_undefined() -> None:
    x, y = np.ones((3, 2)), np.zeros(3, int)
    assert np.isnan(knn_accuracy(x[:0], y[:0], x, y))
    assert np.isnan(knn_accuracy(x, y, x[:0], y[:0]))
    assert np.isnan(knn_accuracy(x * np.nan, y, x, y))
    assert knn_accuracy(x, y, x, y, k=200) == 1.0
    with pytest.raises(InputError, match="one for each row"):
        knn_accuracy(x, y[:2], x, y)
    with pytest.raises(InputError, match="integers"):
        knn_accuracy(x, y + 0.5, x, y)
