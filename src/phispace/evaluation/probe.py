"""What all classifiers on frozen embeddings share: parts, baseline of the majority class, intervals, details."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.base import Evaluation, Scores
from phispace.evaluation.items import Items
from phispace.evaluation.protocol import Parts, labelled_parts
from phispace.metrics.classification import (
    balanced_accuracy,
    confusion,
    expected_calibration_error,
    per_class_recall,
)
from phispace.metrics.intervals import bootstrap_counts, wilson
from phispace.randomness import rng

_CONFUSION_CLASSES = 200
NAN = float("nan")


@dataclass(frozen=True)
class Predictions:
    """Of one classifier on the labelled test items, in the order of their ids.

    Attributes:
        ids: str (n,).
        true: int64 (n,).
        predicted: int64 (n,).
        classes: names of the labels.
    """

    ids: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What a classifier says of the test part.

    Attributes:
        predicted: int64 (n,), labels of the store.
        probability: (n, C) over all classes of the store, or None if it has none to offer.
        variants: further accuracies' predictions, by the suffix of their name.
        chosen: the options that were used, those chosen on val among them.
        details: more for a reader; JSON-able.
        caveats: sentences.
    """

    predicted: np.ndarray
    probability: np.ndarray | None = None
    variants: dict[str, np.ndarray] = field(default_factory=dict)
    chosen: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    caveats: list[str] = field(default_factory=list)


class Probe(Evaluation):
    """Base of classifiers: a subclass defines `classify`, and `suffixes` if it reports further accuracies.

    Metrics: `accuracy` (primary; Wilson interval), `balanced_accuracy` (mean recall of the classes; bootstrap
    interval), `majority` (accuracy of always naming train's commonest class), `ece` where there are probabilities.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"train", "test", "labels"})
    primary: ClassVar[str] = "accuracy"
    calibrated: ClassVar[bool] = False

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Suffixes of the further accuracies."""
        return ()

    def undefined(self, parts: Parts) -> str | None:
        """Why this classifier can say nothing about these parts, or None."""
        return parts.undefined

    def classify(self, parts: Parts, seed: int) -> Outcome:
        """Fit on train, choose on val, classify test. Labels of test must not be looked at."""
        raise NotImplementedError(f"{type(self).__name__} must define classify (abstract)")

    def predict(self, embeddings: Embeddings, *, seed: int = 0) -> Predictions:
        """The test part's predictions, for paired comparisons.

        Raises:
            InputError: a part is missing, or nothing can be said about this store.
        """
        self.check_needs(embeddings)
        parts = labelled_parts(embeddings)
        reason = self.undefined(parts)
        if reason:
            raise InputError(f"The evaluation {self.name!r} has no predictions for this store. {reason}")
        return Predictions(parts.test.ids, parts.test.y, self.classify(parts, seed).predicted, parts.classes)

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        parts = labelled_parts(embeddings)
        reason = self.undefined(parts)
        if reason:
            names = ["accuracy", "balanced_accuracy", *(["ece"] if self.calibrated else [])]
            metrics = dict.fromkeys([*names, *(f"accuracy_{v}" for v in self.suffixes)], NAN)
            metrics["majority"] = _majority(parts)
            return Scores(metrics, {}, parts.n, [reason, *parts.caveats], {"classes": list(parts.classes)})
        return _scores(parts, self.classify(parts, seed), rng(seed, "interval", self.name))


def _majority(parts: Parts) -> float:
    """Test accuracy of always naming train's commonest class (of equally common ones the first)."""
    if not len(parts.train) or not len(parts.test):
        return NAN
    return float((parts.test.y == np.bincount(parts.train.y).argmax()).mean())


def _scores(parts: Parts, outcome: Outcome, draws: np.random.Generator) -> Scores:
    true, n_classes = parts.test.y, len(parts.classes)
    counts = confusion(true, outcome.predicted, n_classes)
    metrics = {
        "accuracy": float((outcome.predicted == true).mean()),
        "balanced_accuracy": balanced_accuracy(counts),
    }
    interval = {
        "accuracy": wilson(int(np.diagonal(counts).sum()), len(true)),
        "balanced_accuracy": bootstrap_counts(_balanced, counts, draws),
    }
    if outcome.probability is not None:
        metrics["ece"] = expected_calibration_error(true, outcome.probability)
    for suffix, predicted in outcome.variants.items():
        right = int((predicted == true).sum())
        metrics[f"accuracy_{suffix}"] = right / len(true)
        interval[f"accuracy_{suffix}"] = wilson(right, len(true))
    metrics["majority"] = _majority(parts)
    recall = per_class_recall(counts)
    details: dict[str, Any] = {
        "classes": list(parts.classes),
        "chosen": outcome.chosen,
        "per_class": {name: float(value) for name, value in zip(parts.classes, recall, strict=True)},
        **outcome.details,
    }
    if n_classes <= _CONFUSION_CLASSES:
        details["confusion"] = counts.tolist()
    caveats = [*outcome.caveats, *parts.caveats]
    return Scores(metrics, interval, parts.n, caveats, details, _items(parts, outcome))


def _items(parts: Parts, outcome: Outcome) -> Items:
    """Right or wrong for each test item, and the names of its class and of the prediction."""
    true, names = parts.test.y, np.array(parts.classes, dtype=str)
    predictions = {"accuracy": outcome.predicted} | {f"accuracy_{k}": v for k, v in outcome.variants.items()}
    right = {metric: (predicted == true).astype(np.float64) for metric, predicted in predictions.items()}
    return Items(parts.test.ids, right, {"label": names[true], "prediction": names[outcome.predicted]})


def _balanced(counts: np.ndarray) -> np.ndarray:
    """Balanced accuracy (R,) of confusion matrices (R, C, C)."""
    recall = per_class_recall(counts)
    present = np.isfinite(recall)
    return np.where(present, recall, 0).sum(-1) / np.maximum(present.sum(-1), 1)
