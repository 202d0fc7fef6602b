"""Correlation alignment: what it promises by its formula, and what it is for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from phispace.embeddings.coral import coral
from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.evaluate import evaluate


def two_domains(n: int = 400) -> Embeddings:
    """Two classes apart along the first of three dimensions; the second domain is the first, turned and moved."""
    draws = np.random.default_rng(0)
    labels = draws.integers(0, 2, 3 * n)
    x = draws.normal(size=(3 * n, 3)) * [1.0, 3.0, 1.0] + labels[:, None] * [4.0, 0.0, 0.0]
    turned = x @ np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]) * [1.0, 0.3, 2.0] + [20.0, -3.0, 1.0]
    split = np.repeat(["train", "unlabelled", "test"], n)
    vectors = np.where((split == "train")[:, None], x, turned).astype(np.float32)
    shown = np.where(split == "unlabelled", -1, labels)
    return Embeddings.build(vectors, [str(i) for i in range(3 * n)], shown, split, ["a", "b"])


def standardised(rows: np.ndarray) -> np.ndarray:
    return (rows - rows.mean(0)) / rows.std(0)


def test_the_source_is_whitened_and_recoloured_as_the_paper_says():
    store = two_domains()
    found = coral(store)
    source, target = (standardised(store.vectors[store.splits == s]) for s in ("train", "unlabelled"))
    c_source, c_target = (np.cov(x, rowvar=False) + np.eye(3) for x in (source, target))
    expected = source @ np.linalg.inv(np.real(sqrtm(c_source))) @ np.real(sqrtm(c_target))
    np.testing.assert_allclose(found.vectors[found.splits == "train"], expected, atol=1e-5)
    np.testing.assert_allclose(found.vectors[found.splits == "unlabelled"], target, atol=1e-5)
    assert found.items.equals(store.items)


def test_with_hardly_any_regularisation_the_covariances_are_the_same():
    found = coral(two_domains(), regularise=1e-9)
    covariances = [np.cov(found.vectors[found.splits == s], rowvar=False) for s in ("train", "unlabelled")]
    np.testing.assert_allclose(covariances[0], covariances[1], atol=1e-4)


def test_the_statistics_are_of_unlabelled_items_alone_and_no_label_matters():
    store = two_domains()
    changed = store.vectors.copy()
    changed[store.splits == "test"] *= 100
    other = Embeddings.build(changed, store.ids, np.zeros_like(store.labels), store.splits, ["a", "b"])
    kept = store.splits != "test"
    np.testing.assert_array_equal(coral(store).vectors[kept], coral(other).vectors[kept])


def test_a_moved_and_scaled_domain_is_named_right_afterwards():
    draws = np.random.default_rng(1)
    labels = draws.integers(0, 2, 900)
    x = draws.normal(size=(900, 3)) + labels[:, None] * [4.0, 0.0, 0.0]
    split = np.repeat(["train", "unlabelled", "test"], 300)
    vectors = np.where((split == "train")[:, None], x, x * [5.0, 0.2, 1.0] + [30.0, 1.0, 0.0]).astype(np.float32)
    shown = np.where(split == "unlabelled", -1, labels)
    store = Embeddings.build(vectors, [str(i) for i in range(900)], shown, split, ["a", "b"])
    before, after = (evaluate(s, ["linear"], seed=0)["linear"].metrics["accuracy"] for s in (store, coral(store)))
    assert before < 0.65
    assert after > 0.94


def test_a_constant_dimension_does_not_divide_by_zero():
    store = two_domains()
    flat = store.vectors.copy()
    flat[:, 2] = 7
    found = coral(Embeddings.build(flat, store.ids, store.labels, store.splits, ["a", "b"]))
    assert np.isfinite(found.vectors).all()


def test_what_cannot_be_aligned_is_said():
    store = two_domains()
    with pytest.raises(InputError, match="above 0"):
        coral(store, regularise=0)
    with pytest.raises(InputError, match="2 items of unlabelled; got 0"):
        coral(store.part("train", "test"))
