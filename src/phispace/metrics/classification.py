"""Scores of a classifier: from true and predicted classes, and from class probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from phispace.errors import InputError
from phispace.metrics.arrays import as_labels, as_matrix


def confusion(true: Any, predicted: Any, n_classes: int) -> np.ndarray:
    """Counts int64 (C, C): rows are the true class, columns the predicted one.

    Args:
        true, predicted: int (N,), 0 .. n_classes - 1.

    Raises:
        InputError: labels out of range, or lengths that differ.
    """
    true = as_labels(true, len(true), "true")
    predicted = as_labels(predicted, len(true), "predicted")
    for what, labels in (("true", true), ("predicted", predicted)):
        if len(labels) and (labels.min() < 0 or labels.max() >= n_classes):
            raise InputError(
                f"{what} labels run from {labels.min()} to {labels.max()}; 0 to {n_classes - 1} are expected."
            )
    return np.bincount(true * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def accuracy(true: Any, predicted: Any) -> float:
    """Share of predictions that are right; `nan` without any."""
    true = as_labels(true, len(true), "true")
    predicted = as_labels(predicted, len(true), "predicted")
    return float((true == predicted).mean()) if len(true) else float("nan")


def per_class_recall(counts: np.ndarray) -> np.ndarray:
    """Share of each true class that is predicted right, float64 (..., C); `nan` for a class without items.

    Args:
        counts: (..., C, C), as `confusion` returns it.
    """
    counts = np.asarray(counts)
    total = counts.sum(-1)
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    return np.where(total > 0, right / np.maximum(total, 1), np.nan)


def balanced_accuracy(counts: np.ndarray) -> float:
    """Mean of the recall over the classes that have items; `nan` without any.

    Args:
        counts: (C, C), as `confusion` returns it.
    """
    recall = per_class_recall(counts)
    return float(np.nanmean(recall)) if np.isfinite(recall).any() else float("nan")


def expected_calibration_error(true: Any, probability: Any, bins: int = 15) -> float:
    """sum_b (n_b / N) |accuracy_b - confidence_b| over equal bins of the largest probability.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.

    Args:
        true: int (N,).
        probability: (N, C), rows sum to 1.
        bins: number of bins of (0, 1].

    Returns:
        0 (calibrated) to 1; `nan` without items.
    """
    probability = as_matrix(probability, "probability").astype(np.float64)
    true = as_labels(true, len(probability), "true")
    if not len(true):
        return float("nan")
    confidence = probability.max(1)
    right = probability.argmax(1) == true
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(which, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(true))
