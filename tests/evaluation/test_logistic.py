"""The solver of the linear probe, against scikit-learn's at the same objective."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from phispace.evaluation.logistic import Standardised, solve_path


def problem(n: int, d: int, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Correlated features on different scales, with noise in the classes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    y[:classes] = np.arange(classes)
    hidden = rng.normal(size=(classes, 6))[y] + 1.5 * rng.normal(size=(n, 6))
    x = np.maximum(hidden @ rng.normal(size=(6, d)) + 0.3 * rng.normal(size=(n, d)), 0)
    return (x * rng.uniform(0.01, 100, d) + rng.uniform(-5, 5, d)).astype(np.float32), y


def sklearn_loss(x: np.ndarray, y: np.ndarray, l2: float) -> tuple[float, np.ndarray]:
    z = StandardScaler().fit_transform(x.astype(np.float64))
    model = LogisticRegression(C=1 / (len(x) * l2), tol=1e-8, max_iter=20_000).fit(z, y)
    log_p = model.predict_log_proba(z)
    return float(-log_p[np.arange(len(y)), y].mean() + l2 / 2 * (model.coef_**2).sum()), np.exp(log_p)


@pytest.mark.parametrize(("n", "d"), [(400, 20), (60, 150), (200, 200)])
@pytest.mark.parametrize("l2", [1e-1, 1e-3])
def test_the_optimum_of_scikit_learn(n: int, d: int, l2: float) -> None:
    x, y = problem(n, d)
    features = Standardised(x)
    [solution] = solve_path(features, y, 4, [l2], max_iterations=3000, tolerance=1e-10)
    loss, probability = sklearn_loss(x, y, l2)
    assert solution.converged
    assert solution.loss == pytest.approx(loss, rel=1e-4)
    np.testing.assert_allclose(solution.log_probability(features.train).exp(), probability, atol=5e-3)


def test_the_default_tolerance_is_close_enough() -> None:
    x, y = problem(600, 40)
    features = Standardised(x)
    for solution in solve_path(features, y, 4, [10.0**-e for e in range(6)]):
        assert solution.loss - sklearn_loss(x, y, solution.l2)[0] < 1e-3


def test_the_path_runs_from_strong_to_weak_and_starts_anywhere() -> None:
    x, y = problem(300, 10)
    features = Standardised(x)
    path = list(solve_path(features, y, 4, [1e-4, 1, 1e-2], tolerance=1e-9))
    assert [s.l2 for s in path] == [1, 1e-2, 1e-4]
    [alone] = solve_path(features, y, 4, [1e-4], tolerance=1e-9)
    assert alone.loss == pytest.approx(path[-1].loss, rel=1e-4)


def test_new_items_are_treated_as_in_training() -> None:
    x, _ = problem(100, 30)
    new, _ = problem(50, 30, seed=1)
    for part in (x, x[:20]):
        features = Standardised(part)
        scaler = StandardScaler().fit(part.astype(np.float64))
        z = scaler.transform(new)
        # The basis only turns: products with what training spans stay as they were.
        np.testing.assert_allclose(
            features(new) @ features.train.T, z @ scaler.transform(part.astype(np.float64)).T, rtol=1e-3, atol=1e-2
        )


def test_dimensions_that_do_not_vary_are_dropped() -> None:
    x, y = problem(200, 12)
    noise = np.random.default_rng(0).normal(size=(200, 1)) * 1e-9
    wide = np.concatenate([x, np.full((200, 3), 0.1), 1000 + noise], axis=1).astype(np.float32)
    features, narrow = Standardised(wide), Standardised(x)
    assert (features.varying, narrow.varying) == (12, 12)
    [a], [b] = (list(solve_path(f, y, 4, [1e-3], tolerance=1e-9)) for f in (features, narrow))
    assert a.loss == pytest.approx(b.loss, rel=1e-5)


def test_copied_dimensions_do_no_harm() -> None:
    x, y = problem(200, 8)
    for part in (slice(None), slice(30)):  # more and fewer items than dimensions
        features = Standardised(np.tile(x[part], (1, 5)))
        [solution] = solve_path(features, y[part], 4, [1e-4], max_iterations=3000, tolerance=1e-10)
        assert solution.loss == pytest.approx(sklearn_loss(np.tile(x[part], (1, 5)), y[part], 1e-4)[0], rel=1e-3)
        assert torch.isfinite(solution.weight).all()


def test_an_iteration_limit_is_reported() -> None:
    x, y = problem(300, 30)
    [solution] = solve_path(Standardised(x), y, 4, [1e-6], max_iterations=2)
    assert not solution.converged
