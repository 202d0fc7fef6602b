"""What all classifiers on frozen embeddings share: parts, baseline of the majority class, intervals, details."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.base import Evaluation, Scores
from phispace.evaluation.items import Items
from phispace.evaluation.protocol import Parts, labelled_parts
from phispace.metrics.classification import (
    ECE_BINS,
    balanced_accuracy,
    confusion,
    item_log_losses,
    per_class_recall,
    reliability,
)
from phispace.metrics.intervals import bootstrap_counts, bootstrap_mean, wilson
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
        log_probability: its natural logarithm where the classifier is a likelihood model, for the log loss.
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
    log_probability: np.ndarray | None = None

    @classmethod
    def of_likelihood(
        cls,
        log_probability: np.ndarray,
        known: np.ndarray,
        n_classes: int,
        *,
        chosen: dict[str, Any],
        details: dict[str, Any],
        caveats: list[str],
    ) -> Outcome:
        """The outcome of a classifier that gives log p(class).

        Args:
            log_probability: (n, K) over the classes that train has; a tie goes to the first of them.
            known: int64 (K,), their labels, ascending.
            n_classes: of the store; the others are impossible.
        """
        whole = np.full((len(log_probability), n_classes), -np.inf)
        whole[:, known] = log_probability
        predicted = known[log_probability.argmax(1)]
        return cls(predicted, np.exp(whole), {}, chosen, details, caveats, whole)


class Probe(Evaluation):
    """Base of classifiers: a subclass defines `classify`, and `suffixes` if it reports further accuracies.

    Metrics: `accuracy` (primary; Wilson interval), `balanced_accuracy` (mean recall of the classes; bootstrap
    interval), `majority` (accuracy of always naming train's commonest class); where there are probabilities `ece`
    (expected calibration error, 15 equal bins; no interval, since resampled items are biased upwards once more than the
    items themselves), and of a likelihood model `nll` (mean of -log p of the class, nats; bootstrap interval).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"train", "test", "labels"})
    primary: ClassVar[str] = "accuracy"
    calibrated: ClassVar[bool] = False
    likelihood: ClassVar[bool] = False

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
            names = ["accuracy", "balanced_accuracy"]
            names += [name for name, has in (("ece", self.calibrated), ("nll", self.likelihood)) if has]
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
    predictions = {"accuracy": outcome.predicted} | {f"accuracy_{k}": v for k, v in outcome.variants.items()}
    values = {metric: (predicted == true).astype(np.float64) for metric, predicted in predictions.items()}
    interval = {metric: wilson(int(right.sum()), len(true)) for metric, right in values.items()}
    metrics = {metric: float(right.mean()) for metric, right in values.items()}
    metrics["balanced_accuracy"] = balanced_accuracy(counts)
    right_of, n_of = np.diagonal(counts), counts.sum(1)
    # Which wrong class was named does not matter here: 2 C cells say the same as C x C.
    interval["balanced_accuracy"] = bootstrap_counts(_balanced, np.stack([right_of, n_of - right_of], 1), draws)
    recall = per_class_recall(counts)
    of_class = (wilson(int(right), int(n)) for right, n in zip(right_of, n_of, strict=True))
    details: dict[str, Any] = {
        "classes": list(parts.classes),
        "chosen": outcome.chosen,
        "per_class": {name: float(value) for name, value in zip(parts.classes, recall, strict=True)},
        "per_class_interval": dict(zip(parts.classes, of_class, strict=True)),
        **outcome.details,
    }
    caveats = [*outcome.caveats, *parts.caveats]
    if outcome.probability is not None:
        diagram = reliability(true, outcome.probability)
        metrics["ece"] = diagram.error
        details["reliability"] = {"bins": ECE_BINS} | {k: _listed(v) for k, v in asdict(diagram).items()}
    if outcome.log_probability is not None:
        losses = item_log_losses(true, outcome.log_probability)
        impossible = int(np.isinf(losses).sum())
        metrics["nll"] = NAN if impossible else float(losses.mean())
        if impossible:
            caveats.insert(0, f"The log loss (nll) is undefined: {impossible:,} test items had probability 0.")
        else:
            values["nll"] = losses
            interval["nll"] = bootstrap_mean(losses, draws)
    metrics["majority"] = _majority(parts)
    if n_classes <= _CONFUSION_CLASSES:
        details["confusion"] = counts.tolist()
    interval = {metric: bounds for metric, bounds in interval.items() if np.isfinite(bounds).all()}
    return Scores(metrics, interval, parts.n, caveats, details, _items(parts, outcome, values))


def _items(parts: Parts, outcome: Outcome, values: dict[str, np.ndarray]) -> Items:
    """What the means are taken over, and the names of each test item's class and of the prediction."""
    names = np.array(parts.classes, dtype=str)
    return Items(parts.test.ids, values, {"label": names[parts.test.y], "prediction": names[outcome.predicted]})


def _listed(values: np.ndarray) -> list[Any]:
    """Values for JSON, None in empty bins."""
    return [None if np.isnan(value) else value for value in values.tolist()]


def _balanced(counts: np.ndarray) -> np.ndarray:
    """Balanced accuracy (R,) of the classes' right and wrong items (R, C, 2)."""
    n = counts.sum(-1)
    recall = np.where(n > 0, counts[..., 0] / np.maximum(n, 1), 0)
    return recall.sum(-1) / np.maximum((n > 0).sum(-1), 1)
