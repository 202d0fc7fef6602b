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
    per_class_recall,
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
    with pytest.raises(InputError, match="0 to 1 are expected"):
        confusion([0, 2], [0, 0], 2)
    with pytest.raises(InputError, match="0 to 1 are expected"):
        confusion([0, 1], [0, -1], 2)
    with pytest.raises(InputError, match="one for each row"):
        confusion([0, 1], [0], 2)
