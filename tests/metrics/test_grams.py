"""CKA from Gram matrices against CKA from vectors."""

from __future__ import annotations

import numpy as np
import pytest

from phispace.metrics.cka import centred_gram, cka_of_grams, linear_cka


def test_grams_give_the_same_number_however_wide_the_layer() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 500))
    y[:, :3] += 4 * x
    assert cka_of_grams(centred_gram(x), centred_gram(y)) == pytest.approx(linear_cka(x, y), abs=1e-10)
    assert cka_of_grams(centred_gram(x), centred_gram(7 * x + 2)) == pytest.approx(1, abs=1e-10)
    assert np.isnan(cka_of_grams(centred_gram(np.ones((5, 2))), centred_gram(rng.normal(size=(5, 2)))))


def test_neighbours_are_exact_inside_a_bf16_region() -> None:
    import torch

    from phispace.metrics.knn import knn_accuracy

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 16)).astype(np.float32), rng.integers(0, 3, 200)
    outside = knn_accuracy(x[:150], y[:150], x[150:], y[150:], k=5)
    with torch.autocast("cpu", torch.bfloat16):
        assert knn_accuracy(x[:150], y[:150], x[150:], y[150:], k=5) == outside
