"""Scores of a classifier: from true and predicted classes, and from class probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phispace.errors import InputError
from phispace.metrics.arrays import as_labels, as_matrix

ECE_BINS = 15
"""Equal bins of the confidence (0, 1], the number of Guo et al. 2017."""


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


@dataclass(frozen=True)
class Reliability:
    """Confidence held against accuracy, in equal bins of the confidence (0, 1].

    Attributes:
        count: int64 (bins,), items whose largest probability falls into the bin; a border belongs to the bin below it.
        confidence: float64 (bins,), mean largest probability; `nan` in an empty bin.
        accuracy: float64 (bins,), share of right classes; `nan` in an empty bin.
    """

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """sum_b (n_b / N) |accuracy_b - confidence_b|, the expected calibration error; `nan` without items."""
        n = int(self.count.sum())
        return float(np.nansum(self.count * np.abs(self.accuracy - self.confidence)) / n) if n else float("nan")


def reliability(true: Any, probability: Any, bins: int = ECE_BINS) -> Reliability:
    """What a reliability diagram draws.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 2.

    Args:
        true: int (N,).
        probability: (N, C), rows sum to 1.
        bins: number of bins of (0, 1].
    """
    probability = as_matrix(probability, "probability").astype(np.float64)
    true = as_labels(true, len(probability), "true")
    if not len(true):
        return Reliability(np.zeros(bins, np.int64), np.full(bins, np.nan), np.full(bins, np.nan))
    confidence = probability.max(1)
    which = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(which, minlength=bins)
    sums = (
        np.bincount(which, weights=weights, minlength=bins) for weights in (confidence, probability.argmax(1) == true)
    )
    means = [np.divide(total, count, out=np.full(bins, np.nan), where=count > 0) for total in sums]
    return Reliability(count, *means)


def expected_calibration_error(true: Any, probability: Any, bins: int = ECE_BINS) -> float:
    """sum_b (n_b / N) |accuracy_b - confidence_b| over equal bins of the largest probability.

    Of few items it is too high: also a calibrated classifier's accuracy in a bin differs from its confidence.
    Source: Guo et al., ICML 2017, equation 3.

    Args:
        true: int (N,).
        probability: (N, C), rows sum to 1.
        bins: number of bins of (0, 1].

    Returns:
        0 (calibrated) to 1; `nan` without items.
    """
    return reliability(true, probability, bins).error


def item_log_losses(true: Any, log_probability: Any) -> np.ndarray:
    """-log p(true class) of each item, float64 (N,), in nats; infinite where the class was held to be impossible.

    Its mean is the negative log-likelihood (cross-entropy, log loss).

    Args:
        true: int (N,), 0 .. C - 1.
        log_probability: (N, C), natural logarithms.
    """
    log_probability = as_matrix(log_probability, "log_probability")
    true = as_labels(true, len(log_probability), "true")
    return -log_probability[np.arange(len(true)), true].astype(np.float64)
