"""The index against brute force: exact means exact, ties go by position, approximate kinds say what they miss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.search.index import EXACT_UP_TO, Index


def store(vectors: np.ndarray) -> Embeddings:
    return Embeddings.build(vectors, [f"i{i}" for i in range(len(vectors))])


def brute(queries: np.ndarray, vectors: np.ndarray, metric: str) -> np.ndarray:
    """Similarities (Q, N) in float64."""
    q, v = queries.astype(np.float64), vectors.astype(np.float64)
    if metric == "euclidean":
        return -np.sqrt(((q[:, None] - v[None]) ** 2).sum(-1))
    lengths = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(v, axis=1)[None]
    return np.divide(q @ v.T, lengths, out=np.zeros((len(q), len(v))), where=lengths > 0)


def clusters(n: int, d: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, d)) * 2
    return (centres[rng.integers(0, 20, n)] + rng.standard_normal((n, d))).astype(np.float32)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_exact_is_brute_force(metric: str, dtype: str) -> None:
    x = clusters(500, 12).astype(dtype)
    queries = clusters(30, 12, seed=1)
    similarity, position = Index.build(store(x), "exact", metric).search(queries, 7)
    truth = brute(queries, x, metric)
    np.testing.assert_array_equal(position, np.argsort(-truth, axis=1, kind="stable")[:, :7])
    np.testing.assert_allclose(similarity, np.take_along_axis(truth, position, 1), rtol=1e-5, atol=1e-5)
    assert similarity.dtype == np.float32
    assert position.dtype == np.int64


@settings(max_examples=60, deadline=None)
@given(
    vectors=hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.integers(-2, 2)),
    k=st.integers(1, 30),
    metric=st.sampled_from(["cosine", "euclidean"]),
    data=st.data(),
)
def test_many_ties_are_broken_by_position(vectors: np.ndarray, k: int, metric: str, data: st.DataObject) -> None:
    """Small integers: many vectors are equal, opposite or zero."""
    queries = data.draw(hnp.arrays(np.float32, (3, vectors.shape[1]), elements=st.integers(-2, 2)))
    similarity, position = Index.build(store(vectors), "exact", metric).search(queries, k)
    k = min(k, len(vectors))
    assert position.shape == (3, k)
    truth = brute(queries, vectors, metric)
    found = np.take_along_axis(truth, position, 1)
    np.testing.assert_allclose(similarity, found, atol=1e-6)
    np.testing.assert_allclose(found, -np.sort(-truth, axis=1)[:, :k], atol=1e-6)
    for q in range(3):
        assert len(set(position[q].tolist())) == k
        for a, b in zip(range(k), range(1, k), strict=False):
            same = np.array_equal(vectors[position[q, a]], vectors[position[q, b]])
            assert not same or position[q, a] < position[q, b]
        # among equal vectors the first ones are found
        for p in position[q].tolist():
            twins = np.flatnonzero((vectors == vectors[p]).all(axis=1))
            assert set(twins[twins < p].tolist()) <= set(position[q].tolist())


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_collapsed_store_gives_the_first_positions(metric: str) -> None:
    x = np.full((3000, 16), 0.7, np.float32)
    x[5] = -1
    similarity, position = Index.build(store(x), "exact", metric).search(x[:2], 6)
    assert position.tolist() == [[0, 1, 2, 3, 4, 6]] * 2
    np.testing.assert_allclose(similarity, 1.0 if metric == "cosine" else 0.0, atol=1e-6)


def test_far_from_the_origin_distances_stay_exact() -> None:
    """FAISS's |a|^2 + |b|^2 - 2ab alone would lose all digits here."""
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((400, 8)) * 0.01 + 1000).astype(np.float32)
    queries = x[:40] + np.float32(0.001)
    _, position = Index.build(store(x), "exact", "euclidean").search(queries, 5)
    truth = brute(queries, x, "euclidean")
    np.testing.assert_allclose(
        np.take_along_axis(truth, position, 1), -np.sort(-truth, axis=1)[:, :5], rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_cosine_of_tiny_and_huge_vectors(scale: float) -> None:
    x = clusters(50, 6)
    plain = Index.build(store(x)).search(x[:5], 4)
    scaled = Index.build(store((x.astype(np.float64) * scale).astype(np.float32))).search(x[:5], 4)
    np.testing.assert_array_equal(plain[1], scaled[1])


def test_a_zero_vector_has_similarity_zero_to_all() -> None:
    x = np.vstack([np.zeros((1, 3)), np.eye(3)]).astype(np.float32)
    similarity, position = Index.build(store(x)).search(np.zeros(3), 4)
    assert similarity.tolist() == [[0, 0, 0, 0]]
    assert position.tolist() == [[0, 1, 2, 3]]
    similarity, position = Index.build(store(x)).search(x[1], 4)
    assert position.tolist() == [[1, 0, 2, 3]]


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
def test_excluded_items_are_not_found(kind: str) -> None:
    x = clusters(2000, 8)
    index = Index.build(store(x), kind)
    _, position = index.search(x[:50], 5, exclude=np.arange(50))
    assert not (position == np.arange(50)[:, None]).any()
    _, with_itself = index.search(x[:50], 5, exclude=np.full(50, -1))
    assert (with_itself[:, 0] == np.arange(50)).mean() > 0.95


def test_more_than_there_are_is_clipped() -> None:
    x = clusters(6, 4)
    index = Index.build(store(x))
    assert index.search(x[0], 100)[1].shape == (1, 6)
    assert index.search(x[:2], 100, exclude=np.array([0, 1]))[1].shape == (2, 5)
    one = Index.build(store(x[:1]))
    assert one.search(x[0], 3, exclude=np.array([0]))[1].shape == (1, 0)


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_approximate_kinds_reach_the_recall_that_they_report(kind: str, metric: str) -> None:
    everything = clusters(4100, 16)
    x, queries = everything[:4000], everything[4000:]
    index = Index.build(store(x), kind, metric, recall=0.95)
    _, found = index.search(queries, 10)
    truth = np.argsort(-brute(queries, x, metric), axis=1, kind="stable")[:, :10]
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), truth.tolist(), strict=True)])
    assert index.recall >= 0.95
    assert recall > 0.9
    assert f"{index.recall:.1%}" in index.notes[-1]
    exact = brute(queries, x, metric)
    similarity, position = index.search(queries, 10)
    np.testing.assert_allclose(similarity, np.take_along_axis(exact, position, 1), rtol=1e-4, atol=1e-5)


def test_recall_that_cannot_be_reached_is_said() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3000, 64)).astype(np.float32)  # no structure: the worst case for lists
    index = Index.build(store(x), "ivf", recall=1.0)
    assert index.recall == 1.0 or "below" in index.notes[-1]


def test_the_same_seed_builds_the_same_lists() -> None:
    x = clusters(3000, 8)
    one, two = (Index.build(store(x), "ivf", seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.search(x[:30], 8)[1], two.search(x[:30], 8)[1])


def test_few_vectors_are_searched_exactly_whatever_was_asked() -> None:
    index = Index.build(store(clusters(40, 4)), "ivf")
    assert index.kind == "exact"
    assert "too few" in index.notes[0]
    assert Index.build(store(clusters(40, 4)), "auto").kind == "exact"
    assert EXACT_UP_TO >= 100_000


def test_a_memory_mapped_store_is_not_copied_by_the_space(tmp_path) -> None:
    saved = store(clusters(300, 5))
    saved.save(tmp_path / "s")
    opened = Embeddings.open(tmp_path / "s")
    assert Index.build(opened)._space._vectors is opened.vectors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "lsh"}, "lsh"),
        ({"metric": "manhattan"}, "manhattan"),
        ({"recall": 0}, "recall"),
    ],
)
def test_unknown_options(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Index.build(store(clusters(10, 3)), **arguments)


def test_bad_queries_and_empty_stores() -> None:
    index = Index.build(store(clusters(10, 3)))
    for query, message in (
        (np.zeros((2, 4)), r"\(Q, 3\)"),
        (np.zeros((1, 2, 3)), r"\(Q, 3\)"),
        (np.array([[0, np.nan, 0]]), "finite"),
        (np.array([[0, np.inf, 0]]), "finite"),
        (np.array([["a", "b", "c"]]), "numbers"),
    ):
        with pytest.raises(InputError, match=message):
            index.search(query)
    with pytest.raises(InputError, match="at least 1"):
        index.search(np.zeros(3), 0)
    with pytest.raises(InputError, match="exclude"):
        index.search(np.zeros((2, 3)), 1, exclude=np.zeros(3))
    with pytest.raises(InputError, match="at least one vector"):
        Index.build(store(np.zeros((0, 3), np.float32)))
