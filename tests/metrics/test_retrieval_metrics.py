"""Average precision, precision and recall at k: against scikit-learn, a naive formula, and all orders of ties."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from phispace.errors import InputError
from phispace.metrics import retrieval as module
from phispace.metrics.retrieval import Ranked, chance_average_precision, retrieve


def problem(n: int = 300, q: int = 40, d: int = 8, classes: int = 5) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    y, t = rng.integers(0, classes, n), rng.integers(0, classes, q)
    centres = rng.normal(size=(classes, d))
    return (
        (centres[t] + rng.normal(size=(q, d))).astype(np.float32),
        t,
        (centres[y] + rng.normal(size=(n, d))).astype(np.float32),
        y,
    )


def similarity(queries: np.ndarray, gallery: np.ndarray, metric: str) -> np.ndarray:
    q, g = queries.astype(np.float64), gallery.astype(np.float64)
    if metric == "euclidean":
        return -np.sqrt(((q[:, None] - g[None]) ** 2).sum(2))
    norms = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(g, axis=1)[None]
    return np.divide(q @ g.T, norms, out=np.zeros(norms.shape), where=norms > 0)


def naive(scores: np.ndarray, relevant: np.ndarray, k: int) -> tuple[float, float, float, float]:
    """AP by walking down the list, precision, recall and hit at k; for scores without ties."""
    order = np.argsort(-scores)
    right = relevant[order]
    found, total = 0, 0.0
    for place, is_right in enumerate(right, 1):
        if is_right:
            found += 1
            total += found / place
    return total / relevant.sum(), right[:k].mean(), right[:k].sum() / relevant.sum(), float(right[:k].any())


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("blocks", [1 << 24, 700])
def test_the_naive_formula_and_scikit_learn(metric: str, blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_ELEMENTS", blocks)
    queries, t, gallery, y = problem()
    found = retrieve(queries, t, gallery, y, (1, 5, 100), metric)
    scores = similarity(queries, gallery, metric)
    off = 0
    for i in range(len(t)):
        relevant = y == t[i]
        assert found.relevant[i] == relevant.sum()
        reference = average_precision_score(relevant, scores[i])
        # Two neighbours in the list that float32 cannot tell apart may change places.
        assert found.average_precision[i] == pytest.approx(reference, abs=1e-3)
        off += abs(found.average_precision[i] - reference) > 1e-9
        for k in (1, 5, 100):
            expected = naive(scores[i], relevant, k)
            got = (found.average_precision[i], found.precision[k][i], found.recall[k][i], found.hit[k][i])
            assert got == pytest.approx(expected, abs=1e-3)
    assert off <= 2


def test_an_item_is_not_in_its_own_ranking() -> None:
    _, _, x, y = problem(120)
    found = retrieve(x, y, x, y, (1, 10), exclude_self=True)
    scores = similarity(x, x, "cosine")
    for i in range(len(y)):
        others = np.arange(len(y)) != i
        expected = naive(scores[i, others], (y == y[i])[others], 10)
        got = (found.average_precision[i], found.precision[10][i], found.recall[10][i], found.hit[10][i])
        assert got == pytest.approx(expected, abs=1e-6)


def test_ties_are_averaged_over_their_orders() -> None:
    gallery = np.array([[1, 0]] * 2 + [[1, 1]] * 4 + [[0, 1]] * 2, np.float32)
    for y in ([0, 1, 0, 0, 1, 1, 0, 1], [1, 1, 0, 0, 1, 1, 0, 1], [1, 1, 0, 1, 1, 1, 0, 1]):
        labels = np.array(y)
        found = retrieve(np.array([[1.0, 0.0]]), [0], gallery, labels, (1, 3, 5, 8))
        scores = similarity(np.array([[1.0, 0.0]]), gallery, "cosine")[0]
        assert found.average_precision[0] == pytest.approx(average_precision_score(labels == 0, scores))
        groups = [list(itertools.permutations(g)) for g in (range(2), range(2, 6), range(6, 8))]
        orders = [np.concatenate(parts) for parts in itertools.product(*groups)]
        for k in (1, 3, 5, 8):
            hits = np.array([(labels[order][:k] == 0).sum() for order in orders])
            assert found.precision[k][0] == pytest.approx(hits.mean() / k)
            assert found.recall[k][0] == pytest.approx(hits.mean() / (labels == 0).sum())
            assert found.hit[k][0] == pytest.approx((hits > 0).mean())


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_copies_tie_wherever_they_stand(metric: str) -> None:
    queries, t, gallery, _ = problem(60, 10, 33)
    many = np.tile(gallery, (7, 1))
    y = np.repeat(np.arange(7), 60) % 2
    order = np.random.default_rng(1).permutation(len(y))
    a = retrieve(queries, t % 2, many, y, (3, 50), metric)
    b = retrieve(queries, t % 2, many[order], y[order], (3, 50), metric)
    # Each vector is there four times as class 0 and three times as class 1: every cut has this share.
    for k in (3, 50):
        np.testing.assert_allclose(a.precision[k], np.where(t % 2 == 0, 4 / 7, 3 / 7))
        np.testing.assert_array_equal(a.precision[k], b.precision[k])
    np.testing.assert_array_equal(a.average_precision, b.average_precision)


def test_blocks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_ELEMENTS", 1000)
    queries, _, gallery, _ = problem()
    for many in (gallery, np.tile(gallery, (3, 1))):
        blocks = list(module._similarities(queries, many, "cosine"))
        assert all(block.size <= 1000 for _, block in blocks)
        assert [start for start, _ in blocks] == list(range(0, len(queries), len(blocks[0][1])))
        np.testing.assert_allclose(
            np.concatenate([block for _, block in blocks]), similarity(queries, many, "cosine"), atol=1e-6
        )


def test_equal_and_zero_vectors_are_chance() -> None:
    y = np.array([0] * 30 + [1] * 70)
    for gallery in (np.zeros((100, 3)), np.full((100, 3), 0.1)):
        found = retrieve(np.ones((2, 3)), [0, 1], gallery, y, (10,))
        np.testing.assert_allclose(found.average_precision, [0.3, 0.7])
        np.testing.assert_allclose(found.precision[10], [0.3, 0.7])


def test_what_is_undefined() -> None:
    queries, _, gallery, y = problem(20, 3)
    found = retrieve(queries, [7, 7, y[0]], gallery, y, (5, 21))
    assert np.isnan(found.average_precision[:2]).all()
    assert np.isfinite(found.average_precision[2])
    assert found.relevant.tolist()[:2] == [0, 0]
    assert np.isnan(found.precision[21]).all()
    assert np.isnan(found.recall[5][:2]).all()
    alone = retrieve(gallery[:2], [0, 1], gallery[:2], [0, 1], (1,), exclude_self=True)
    assert np.isnan(alone.average_precision).all()
    empty: Ranked = retrieve(queries, [0, 1, 2], np.zeros((0, 8)), np.zeros(0, int), (1,))
    assert np.isnan(empty.average_precision).all()
    assert len(retrieve(np.zeros((0, 8)), np.zeros(0, int), gallery, y).average_precision) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gallery": np.zeros((20, 3))}, "8 dimensions"),
        ({"ks": (0,)}, "at least 1"),
        ({"metric": "manhattan"}, "cosine or euclidean"),
        ({"exclude_self": True}, "are not the 20 items"),
        ({"gallery_labels": np.zeros(3, int)}, "gallery_labels must be"),
    ],
)
def test_wrong_input(options: dict, words: str) -> None:
    queries, t, gallery, y = problem(20, 3)
    with pytest.raises(InputError, match=words):
        retrieve(**{"queries": queries, "query_labels": t, "gallery": gallery, "gallery_labels": y, **options})


def test_what_does_not_change_the_ranking() -> None:
    queries, t, gallery, y = problem()
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))
    base = retrieve(queries, t, gallery, y)
    for change in (lambda x: x @ rotation, lambda x: x * 1e18, lambda x: x * 1e-18):
        other = retrieve(change(queries), t, change(gallery), y)
        np.testing.assert_allclose(other.average_precision, base.average_precision, atol=1e-6)
    for metric, change in (("euclidean", lambda x: 3e3 * (x + 0.5)), ("euclidean", lambda x: x * 1e18)):
        plain = retrieve(queries, t, gallery, y, metric=metric)
        moved = retrieve(change(queries), t, change(gallery), y, metric=metric)
        np.testing.assert_allclose(moved.average_precision, plain.average_precision, atol=1e-3)


def test_chance_is_the_mean_over_random_orders() -> None:
    rng = np.random.default_rng(0)
    relevant = np.arange(12) < 4
    drawn = [naive(rng.permutation(12).astype(float), relevant, 1)[0] for _ in range(20_000)]
    assert chance_average_precision([4], 12)[0] == pytest.approx(np.mean(drawn), abs=0.004)
    assert chance_average_precision([1], 1)[0] == 1
    assert np.isnan(chance_average_precision([0], 5)[0])
    assert chance_average_precision([5000], 50_000)[0] == pytest.approx(0.1, abs=3e-4)
