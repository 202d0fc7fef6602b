"""Label propagation: against a dense solution and scikit-learn's LabelSpreading."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_moons
from sklearn.semi_supervised import LabelSpreading

from phispace.errors import InputError
from phispace.metrics.propagation import UNREACHED, Graph, propagate, spread


def dense(x: np.ndarray, k: int, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """W + W' and S, straight from the formula."""
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    w = np.zeros_like(cosine)
    for i, row in enumerate(cosine):
        near = np.argsort(-row, kind="stable")[:k]
        w[i, near] = np.maximum(row[near], 0) ** gamma
    w = w + w.T
    degree = w.sum(1)
    root = np.where(degree > 0, 1 / np.sqrt(np.where(degree > 0, degree, 1)), 0)
    return w, root[:, None] * w * root[None]


def problem(n: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    x = (1.5 * rng.normal(size=(3, 6))[y] + rng.normal(size=(n, 6))).astype(np.float32)
    seeds = np.zeros((n, 3), np.float32)
    first = [np.flatnonzero(y == c)[:3] for c in range(3)]
    for c, rows in enumerate(first):
        seeds[rows, c] = 1
    return x, y, seeds


@pytest.mark.parametrize("alpha", [0.2, 0.8, 0.99])
def test_the_dense_solution(alpha: float) -> None:
    x, _, seeds = problem()
    graph = Graph(x, 7, 2.0)
    _, s = dense(x.astype(np.float64), 7, 2.0)
    np.testing.assert_allclose(graph.matrix.toarray(), s, atol=1e-6)
    exact = np.linalg.solve(np.eye(len(x)) - alpha * s, seeds)
    found = propagate(graph.matrix, seeds, alpha, tolerance=1e-6)
    np.testing.assert_allclose(found, exact, atol=2e-4 * exact.max())
    quick = propagate(graph.matrix, seeds, alpha)
    assert (quick.argmax(1) == exact.argmax(1)).mean() > 0.98


@pytest.mark.parametrize("alpha", [0.2, 0.8])
def test_the_label_spreading_of_scikit_learn(alpha: float) -> None:
    x, y, seeds = problem()
    w, _ = dense(x.astype(np.float64), 9, 3.0)
    given = np.where(seeds.any(1), y, -1)
    model = LabelSpreading(kernel=lambda a, b: w, alpha=alpha, max_iter=5000, tol=1e-10).fit(x, given)
    found = propagate(Graph(x, 9, 3.0).matrix, seeds, alpha, tolerance=1e-6)
    share = found / found.sum(1, keepdims=True)
    np.testing.assert_allclose(share, model.label_distributions_, atol=1e-3)


def test_two_moons_need_the_unlabelled() -> None:
    flat, y = make_moons(400, noise=0.05, random_state=0)
    centred = flat - flat.mean(0)
    # The angle between lifted points grows with their distance.
    x = np.concatenate([centred, np.full((400, 1), 0.7), -np.square(centred).sum(1, keepdims=True)], 1).astype(
        np.float32
    )
    seeds = np.zeros((400, 2), np.float32)
    for c in range(2):
        seeds[np.flatnonzero(y == c)[:1], c] = 1
    graph = Graph(x, 8)
    scores = propagate(graph.matrix, seeds, 0.99, tolerance=1e-6)
    assert (spread(graph.neighbours_of(x), scores) == y).mean() > 0.95
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    nearest = unit @ unit[[np.flatnonzero(y == c)[0] for c in range(2)]].T
    assert (nearest.argmax(1) == y).mean() < 0.9


def test_new_items_take_the_shares_of_their_neighbours() -> None:
    x, _, seeds = problem()
    graph = Graph(x, 5, 1.0)
    scores = propagate(graph.matrix, seeds, 0.9)
    queries = problem(20)[0] + 0.1
    weights = graph.neighbours_of(queries)
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (queries, x)]
    cosine = unit[0] @ unit[1].T
    share = np.maximum(scores, 0) / np.maximum(scores, 0).sum(1, keepdims=True)
    for i in range(len(queries)):
        near = np.argsort(-cosine[i])[:5]
        expected = (np.maximum(cosine[i, near], 0)[:, None] * share[near]).sum(0)
        np.testing.assert_allclose((weights @ share)[i], expected, atol=1e-5)
    np.testing.assert_array_equal(spread(weights, scores), (weights @ share).argmax(1))


def test_what_no_label_reaches() -> None:
    x = np.array([[1, 0], [1, 0.1], [-1, 0], [-1, 0.1], [0, 0], [0, 0]], np.float32)
    graph = Graph(x, 1)
    scores = propagate(graph.matrix, np.eye(6, 1, dtype=np.float32))
    assert (scores[:2] > 0).all()
    assert (scores[2:] == 0).all()
    found = spread(graph.neighbours_of(x), scores)
    assert found[:2].tolist() == [0, 0]
    assert found[2:4].tolist() == [UNREACHED, UNREACHED]
    assert np.isfinite(graph.matrix.toarray()).all()
    with pytest.raises(InputError, match="at least two items"):
        Graph(x[:1])
    assert Graph(x[:2], 15).matrix.shape == (2, 2)
