"""Episodes: how they are drawn, and their classifiers against scikit-learn's, episode by episode."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

from phispace.errors import InputError
from phispace.metrics.directions import unit_vectors
from phispace.metrics.episodes import accuracies, draw_episodes, logistic, possible, prototypes


def problem(n: int = 300, classes: int = 8, d: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, n)
    return (rng.normal(size=(classes, d))[y] + 1.2 * rng.normal(size=(n, d))).astype(np.float32), y


def episodes(shots: int, count: int = 25):
    x, y = problem()
    drawn = draw_episodes(y, 4, shots, 6, count, np.random.default_rng(1))
    return x, y, drawn


def test_what_an_episode_holds() -> None:
    _, y, drawn = episodes(5, 200)
    assert drawn.support.shape == (200, 4, 5)
    assert drawn.query.shape == (200, 4, 6)
    for support, query in zip(drawn.support, drawn.query, strict=True):
        items = np.concatenate([support, query], 1)
        assert len(np.unique(items)) == items.size
        assert (y[items] == y[items[:, :1]]).all()
        assert len(np.unique(y[items[:, 0]])) == 4
    times = np.bincount(y[drawn.support[:, :, 0]].ravel(), minlength=8)
    assert times.min() > 60, "each class is drawn in about half of the 200 episodes"
    of_class = np.flatnonzero(y == 0)
    assert np.isin(of_class, drawn.support).all(), "each item is drawn"


def test_small_classes_take_no_part() -> None:
    y = np.repeat(np.arange(6), [30, 30, 12, 6, 3, 1])
    assert possible(y, 5, 1, 15) == (5, 2)
    assert possible(y, 5, 5, 15) == (4, 1)
    assert possible(y, 2, 5, 15) == (2, 15)
    assert possible(y, 5, 12, 15) == (2, 15)
    assert possible(y, 5, 29, 15) == (2, 1)
    assert possible(y, 5, 30, 15)[0] == 0
    drawn = draw_episodes(y, 2, 5, 15, 50, np.random.default_rng(0))
    assert drawn.eligible == 2
    assert set(y[drawn.support].ravel()) == {0, 1}
    with pytest.raises(InputError, match="3 classes of at least 20 items are needed; there are 2"):
        draw_episodes(y, 3, 5, 15, 50, np.random.default_rng(0))
    with pytest.raises(InputError, match="must be positive"):
        draw_episodes(y, 3, 0, 15, 50, np.random.default_rng(0))


@pytest.mark.parametrize("shots", [1, 5])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of its variances, with one item a class
@pytest.mark.parametrize("cosine", [True, False])
def test_the_nearest_mean_of_scikit_learn(shots: int, cosine: bool) -> None:
    x, _, drawn = episodes(shots)
    x = unit_vectors(x) if cosine else x
    found = prototypes(torch.from_numpy(x[drawn.support]), torch.from_numpy(x[drawn.query]), cosine=cosine)
    for episode in range(len(found)):
        y = np.repeat(np.arange(4), shots)
        model = NearestCentroid().fit(x[drawn.support[episode]].reshape(-1, 12), y)
        if cosine:
            model.centroids_ = unit_vectors(model.centroids_)
        expected = model.predict(x[drawn.query[episode]].reshape(-1, 12))
        np.testing.assert_array_equal(found[episode].numpy().ravel(), expected)


@pytest.mark.parametrize("shots", [1, 5])
@pytest.mark.parametrize("scale", [1.0, 6.0])
def test_the_logistic_regression_of_scikit_learn(shots: int, scale: float) -> None:
    x, _, drawn = episodes(shots)
    x = unit_vectors(x) * np.float32(scale)
    found = logistic(torch.from_numpy(x[drawn.support]), torch.from_numpy(x[drawn.query]), c=0.7).numpy()
    differ = 0
    for episode in range(len(found)):
        model = LogisticRegression(C=0.7, fit_intercept=False, tol=1e-8, max_iter=5000)
        model.fit(x[drawn.support[episode]].reshape(-1, 12), np.repeat(np.arange(4), shots))
        differ += (model.predict(x[drawn.query[episode]].reshape(-1, 12)) != found[episode].ravel()).sum()
    assert differ <= 1, "of 600 queries, one may lie on a border"


def test_accuracy_by_episode_and_ties() -> None:
    x, _, drawn = episodes(2)
    support, query = (torch.from_numpy(np.ones_like(x)[p]) for p in (drawn.support, drawn.query))
    for predicted in (prototypes(support, query, cosine=True), prototypes(support, query, cosine=False)):
        np.testing.assert_allclose(accuracies(predicted), 0.25, err_msg="equal vectors are chance")
    predicted = torch.tensor([[[0, 1], [1, 1]], [[1, 0], [0, 0]]])
    np.testing.assert_allclose(accuracies(predicted), [0.75, 0.25])
