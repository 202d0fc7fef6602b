"""Small stores: real digits, and the ways a store can be poor."""

from __future__ import annotations

import numpy as np
import pytest
from poor_stores import ODD, POOR
from sklearn.datasets import load_digits

from phispace.embeddings.store import Embeddings


@pytest.fixture(scope="session")
def digits() -> Embeddings:
    """500 digits as pixels with train, val and test, in an order that is not that of the ids."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(500)
    splits = np.where(np.arange(500) % 5 == 0, "test", np.where(np.arange(500) % 5 == 1, "val", "train"))
    names = [f"digit {i:04d}" for i in range(500)]
    x, y = data.data[:500] / 16, data.target[:500]
    # As a run's own predictions would lie there: the nearest class mean of train.
    means = np.stack([x[(y == k) & (splits == "train")].mean(0) for k in range(10)])
    predicted = ((x[:, None] - means) ** 2).sum(2).argmin(1)
    # Two factors that can be seen: how much ink there is, and whether it leans to the left.
    ink, left = x.sum(1), x.reshape(-1, 8, 8)[:, :, :4].sum((1, 2))
    factors = {"factor_ink": np.digitize(ink, np.quantile(ink, (1 / 3, 2 / 3))), "factor_left": left > ink / 2}
    columns = {"prediction": predicted, **{name: np.asarray(f, np.float64) for name, f in factors.items()}}
    whole = Embeddings.build(x, names, y, splits, columns=columns, name="pixels", feature_shape=[4, 4, 4])
    return whole.take(order)


@pytest.fixture(params=[*POOR])
def poor(request: pytest.FixtureRequest, digits: Embeddings) -> Embeddings:
    return POOR[request.param](digits)


@pytest.fixture(params=[*ODD])
def odd(request: pytest.FixtureRequest, digits: Embeddings) -> Embeddings:
    return ODD[request.param](digits)
