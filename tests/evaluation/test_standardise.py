"""Features on a common scale, against scikit-learn's StandardScaler."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from phispace.evaluation import standardise
from phispace.evaluation.head import Standardise
from phispace.evaluation.standardise import Scaling


@pytest.mark.parametrize("cells", [1 << 22, 64])
def test_scikit_learn(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standardise, "_BLOCK", cells)  # in one block, and in many
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(200, 12)) * rng.uniform(0.01, 100, 12) + rng.uniform(-50, 50, 12)).astype(np.float32)
    new = rng.normal(size=(30, 12)).astype(np.float32)
    scaling, reference = Scaling(x), StandardScaler().fit(x.astype(np.float64))
    np.testing.assert_allclose(scaling(x), reference.transform(x.astype(np.float64)), atol=2e-5)
    np.testing.assert_allclose(scaling(new), reference.transform(new.astype(np.float64)), rtol=2e-4, atol=2e-4)
    assert scaling.varying == 12


def test_channels_share_mean_and_deviation() -> None:
    maps = np.random.default_rng(1).normal(size=(50, 3, 4, 5)) * np.array([1, 10, 0.1])[:, None, None] + 7
    flat = maps.reshape(50, -1).astype(np.float32)
    z = Scaling(flat, channels=3)(flat).reshape(maps.shape)
    expected = (maps - maps.mean((0, 2, 3), keepdims=True)) / maps.std((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(z, expected, atol=1e-3)


@pytest.mark.parametrize("channels", [None, 3])
def test_as_a_layer(channels: int | None) -> None:
    x = np.random.default_rng(4).normal(5, 3, size=(50, 12)).astype(np.float32)
    scaling = Scaling(x, channels)
    np.testing.assert_array_equal(Standardise(scaling, 12)(torch.from_numpy(x)).numpy(), scaling(x))


@pytest.mark.parametrize("scale", [1e-18, 1.0, 1e18])
def test_degenerate(scale: float) -> None:
    x = np.random.default_rng(2).normal(size=(40, 4)).astype(np.float32)
    x[:, 2] = 0.1
    scaling = Scaling((x * np.float32(scale)).astype(np.float32))
    z = scaling((x * np.float32(scale)).astype(np.float32))
    assert scaling.varying == 3
    assert not z[:, 2].any()
    np.testing.assert_allclose(z.std(0)[[0, 1, 3]], 1, rtol=1e-4)
    one = Scaling(x[:1])
    assert one.varying == 0
    assert not one(x).any()


def test_the_input_is_left_as_it_was() -> None:
    x = np.random.default_rng(3).normal(size=(20, 6)).astype(np.float32)
    before = x.copy()
    Scaling(x)(x)
    Scaling(x, channels=2)(x)
    np.testing.assert_array_equal(x, before)
