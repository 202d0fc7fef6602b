"""The run's own classifier, from the predictions that lie in the store."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

from phispace.embeddings.store import Embeddings
from phispace.evaluation.evaluate import evaluate


def _store(predicted: np.ndarray | None, labels: np.ndarray, **manifest: object) -> Embeddings:
    n = len(labels)
    split = np.array(["train", "val", "test", "test"] * (n // 4 + 1))[:n]
    columns = {} if predicted is None else {"prediction": predicted}
    vectors = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    return Embeddings.build(vectors, [f"i{k}" for k in range(n)], labels, split, ["a", "b", "c"], columns, **manifest)


def test_counts_agree_with_scikit_learn() -> None:
    draw = np.random.default_rng(1)
    labels = draw.integers(0, 3, 400)
    predicted = np.where(draw.random(400) < 0.7, labels, draw.integers(0, 3, 400))
    scores = evaluate(_store(predicted, labels), ["classifier"])["classifier"]
    test = np.arange(400) % 4 >= 2
    assert scores.metrics["accuracy"] == pytest.approx(accuracy_score(labels[test], predicted[test]), abs=1e-12)
    assert scores.metrics["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(labels[test], predicted[test]), abs=1e-12
    )
    assert scores.details["confusion"] == confusion_matrix(labels[test], predicted[test]).tolist()
    val = np.arange(400) % 4 == 1
    assert scores.metrics["val_accuracy"] == pytest.approx(accuracy_score(labels[val], predicted[val]), abs=1e-12)
    low, high = scores.interval["accuracy"]
    assert low < scores.metrics["accuracy"] < high


def test_predicted_classes_are_matched_by_name() -> None:
    labels = np.array([0, 1, 2, 0] * 10)
    theirs = np.array([2, 1, 0, 2] * 10)  # the same classes in another order
    scores = evaluate(_store(theirs, labels, prediction_classes=["c", "b", "a"]), ["classifier"])["classifier"]
    assert scores.metrics["accuracy"] == 1.0
    foreign = evaluate(_store(theirs, labels, prediction_classes=["c", "b", "z"]), ["classifier"])["classifier"]
    assert foreign.metrics["accuracy"] == 0.5
    assert "predictions name classes" in foreign.caveats[0]
    assert "balanced_accuracy" not in foreign.metrics


def test_unlabelled_items_do_not_count() -> None:
    labels = np.array([-1, 1, 2, -1] * 10)
    scores = evaluate(_store(np.array([0, 1, 2, 0] * 10), labels), ["classifier"])["classifier"]
    assert scores.metrics["accuracy"] == 1.0
    assert scores.n == {"val": 10, "test": 10}


@pytest.mark.parametrize("manifest", [{}, {"prediction_classes": ["x", "y", "z"]}])
def test_without_predictions_it_is_undefined_with_a_reason(manifest: dict[str, object]) -> None:
    labels = np.array([0, 1, 2, 0] * 10)
    predicted = None if not manifest else labels
    scores = evaluate(_store(predicted, labels, **manifest), ["classifier"])["classifier"]
    assert math.isnan(scores.metrics["accuracy"])
    assert "predictions" in scores.caveats[0]
