"""Scores of a classifier, against scikit-learn and torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from phispace.errors import InputError
from phispace.metrics.classification import (
    accuracy,
    balanced_accuracy,
    confusion,
    expected_calibration_error,
    item_log_losses,
    per_class_recall,
    reliability,
)


@pytest.mark.filterwarnings("ignore:A single label was found:UserWarning")
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 6))
def test_scikit_learn(seed: int, n: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    true, predicted = rng.integers(0, classes, (2, n))
    counts = confusion(true, predicted, classes)
    np.testing.assert_array_equal(counts, sk.confusion_matrix(true, predicted, labels=range(classes)))
    assert accuracy(true, predicted) == pytest.approx(sk.accuracy_score(true, predicted))
    present = np.unique(true)
    reference = sk.recall_score(true, predicted, labels=present, average="macro", zero_division=0)
    assert balanced_accuracy(counts) == pytest.approx(reference)
    recall = per_class_recall(counts)
    assert np.isnan(recall[np.setdiff1d(np.arange(classes), present)]).all()
    np.testing.assert_allclose(
        recall[present], sk.recall_score(true, predicted, labels=present, average=None, zero_division=0)
    )


@pytest.mark.parametrize("bins", [10, 15])
def test_calibration_of_torchmetrics(bins: int) -> None:
    from torchmetrics.functional.classification import multiclass_calibration_error

    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.full(5, 0.4), 800)
    true = rng.integers(0, 5, 800)
    reference = multiclass_calibration_error(torch.from_numpy(probability), torch.from_numpy(true), 5, n_bins=bins)
    assert expected_calibration_error(true, probability, bins) == pytest.approx(float(reference), abs=1e-6)


def test_the_diagram_by_hand() -> None:
    # Bins of a half: 0.5 belongs to the lower one.
    probability = np.array([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    found = reliability([0, 0, 1, 0], probability, bins=2)
    assert found.count.tolist() == [1, 3]
    np.testing.assert_allclose(found.confidence, [0.5, 0.8])
    np.testing.assert_allclose(found.accuracy, [1, 2 / 3])
    assert found.error == pytest.approx((1 * 0.5 + 3 * (0.8 - 2 / 3)) / 4)
    assert np.isnan(reliability([0], [[0.9, 0.1]], bins=5).accuracy[:4]).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 50), st.integers(2, 6))
def test_log_losses_of_scikit_learn_and_torch(seed: int, n: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    logits = 3 * rng.normal(size=(n, classes))
    true = rng.integers(0, classes, n)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    losses = item_log_losses(true, log_p)
    assert losses.mean() == pytest.approx(sk.log_loss(true, np.exp(log_p), labels=range(classes)))
    torchs = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(true), reduction="none")
    np.testing.assert_allclose(losses, torchs, rtol=1e-9, atol=1e-12)


def test_what_was_held_to_be_impossible_costs_infinitely() -> None:
    losses = item_log_losses([0, 1], np.array([[0, -np.inf], [0, -np.inf]]))
    assert losses.tolist() == [0, np.inf]
    assert item_log_losses([0], np.array([[-1000.0, 0.0]]))[0] == 1000, "no underflow on the way"


def test_calibration_that_is_known() -> None:
    sure = np.eye(2)[[0, 1, 0, 1]]
    assert expected_calibration_error([0, 1, 0, 1], sure) == 0
    assert expected_calibration_error([1, 0, 1, 0], sure) == 1
    rng = np.random.default_rng(1)
    p = rng.uniform(0.5, 1, 200_000)
    true = (rng.uniform(size=p.size) > p).astype(int)
    assert expected_calibration_error(true, np.stack([p, 1 - p], 1)) < 0.005


def test_degenerate() -> None:
    assert np.isnan(accuracy([], []))
    assert np.isnan(balanced_accuracy(np.zeros((3, 3), int)))
    assert np.isnan(expected_calibration_error(np.zeros(0, int), np.zeros((0, 2))))
    assert reliability(np.zeros(0, int), np.zeros((0, 2))).count.sum() == 0
    assert expected_calibration_error([0, 0], np.ones((2, 1))) == 0, "one class: sure and right"
    assert item_log_losses(np.zeros(0, int), np.zeros((0, 2))).shape == (0,)
    with pytest.raises(InputError, match="0 to 1 are expected"):
        confusion([0, 2], [0, 0], 2)
    with pytest.raises(InputError, match="0 to 1 are expected"):
        confusion([0, 1], [0, -1], 2)
    with pytest.raises(InputError, match="one for each row"):
        confusion([0, 1], [0], 2)
