"""The run's own classifier: how often the class that a method itself predicted for an item is right.

No probe is fitted. Extraction stores a supervised method's prediction beside each vector; here they are counted. It is
the accuracy that papers of supervised networks report, for the checkpoint and with the test-time averaging that the
run was asked for, in the precision of the extraction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from phispace.embeddings.store import UNKNOWN, Embeddings
from phispace.evaluation.base import Evaluation, Scores
from phispace.metrics.classification import balanced_accuracy, confusion, per_class_recall
from phispace.metrics.intervals import wilson

NAN = float("nan")


class Classifier(Evaluation):
    """Accuracy of the stored predictions on the labelled test items; val's beside it."""

    name: ClassVar[str] = "classifier"
    title: ClassVar[str] = "the run's own classifier"
    needs: ClassVar[frozenset[str]] = frozenset({"test", "labels"})
    reference: ClassVar[str] = "share of right predictions; interval of Wilson, JASA 1927"
    primary: ClassVar[str] = "accuracy"

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        predicted, reason = _in_own_labels(embeddings)
        if predicted is None:
            return Scores({"accuracy": NAN, "val_accuracy": NAN}, caveats=[reason])
        right, n = {}, {}
        for split in ("val", "test"):
            rows = (embeddings.splits == split) & (embeddings.labels != UNKNOWN)
            n[split] = int(rows.sum())
            right[split] = int((predicted[rows] == embeddings.labels[rows]).sum())
        if not n["test"]:
            return Scores(
                {"accuracy": NAN, "val_accuracy": NAN}, n=n, caveats=["Undefined: no test item has a known label."]
            )
        rows = (embeddings.splits == "test") & (embeddings.labels != UNKNOWN)
        true, said = embeddings.labels[rows], predicted[rows]
        known = said >= 0
        counts = confusion(true[known], said[known], len(embeddings.classes))
        metrics = {
            "accuracy": right["test"] / n["test"],
            "val_accuracy": right["val"] / n["val"] if n["val"] else NAN,
        }
        details: dict[str, Any] = {"classes": list(embeddings.classes), "confusion": counts.tolist()}
        caveats = [] if n["val"] else ["The accuracy on val is undefined: no val item has a known label."]
        if known.all():
            metrics["balanced_accuracy"] = balanced_accuracy(counts)
            recall = per_class_recall(counts)
            details["per_class"] = {c: float(r) for c, r in zip(embeddings.classes, recall, strict=True)}
        else:
            caveats.append(f"{int((~known).sum()):,} predictions name classes that this store does not have.")
        interval = {"accuracy": wilson(right["test"], n["test"])}
        if n["val"]:
            interval["val_accuracy"] = wilson(right["val"], n["val"])
        return Scores(metrics, interval, n, caveats, details)


def _in_own_labels(embeddings: Embeddings) -> tuple[np.ndarray | None, str]:
    """Predictions as labels of this store, -1 where it has no such class; or None and why there are none."""
    predicted = embeddings.column("prediction")
    if predicted is None:
        return None, "Undefined: the store has no predictions; its method predicts no classes."
    theirs = embeddings.manifest.get("prediction_classes", embeddings.classes)
    place = {name: label for label, name in enumerate(embeddings.classes)}
    table = np.array([place.get(name, UNKNOWN) for name in theirs], np.int64)
    if not (table >= 0).any():
        return None, "Undefined: the store's predictions name none of its classes."
    return table[predicted], ""
