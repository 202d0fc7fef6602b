"""What became of the same test items under many changes: the arithmetic of robustness, once all answers are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phispace.metrics.intervals import Interval, bootstrap, bootstrap_mean, wilson
from phispace.randomness import rng

NAN = float("nan")
Cell = tuple[str, int]
"""A kind of corruption and its severity."""


@dataclass(frozen=True)
class Answer:
    """Under one change.

    Attributes:
        right: bool (n,), whether each item is named right.
        kept: share of the neighbours that stayed; `nan` where none are followed.
    """

    right: np.ndarray
    kept: float


@dataclass(frozen=True)
class Family:
    """Answers to several changes of one sort, of the same items.

    Attributes:
        answers: change -> answer, one at least.
        clean: bool (n,), whether the clean items are named right.
    """

    answers: Mapping[Any, Answer]
    clean: np.ndarray

    @property
    def each(self) -> np.ndarray:
        """Of each item the share of the changes under which it is named right, float64 (n,)."""
        return np.mean([a.right for a in self.answers.values()], axis=0)

    def metrics(self) -> dict[str, float]:
        """`accuracy`, `retained` (`nan` if no clean item is right) and `neighbours_kept`, means over the changes."""
        accuracy, clean = float(self.each.mean()), float(self.clean.mean())
        kept = float(np.mean([a.kept for a in self.answers.values()]))
        return {"accuracy": accuracy, "retained": accuracy / clean if clean else NAN, "neighbours_kept": kept}

    def intervals(self, seed: int, purpose: str) -> dict[str, Interval]:
        """Of `accuracy` and `retained`, 95 %, by drawing the items anew, clean and changed together."""
        each, clean = self.each, self.clean

        def ratio(index: np.ndarray) -> float:
            below = clean[index].mean()
            return float(each[index].mean() / below) if below else NAN

        found = {
            "accuracy": bootstrap_mean(each, rng(seed, "interval", purpose, "accuracy")),
            "retained": bootstrap(ratio, len(clean), rng(seed, "interval", purpose, "retained")),
        }
        return {metric: bounds for metric, bounds in found.items() if np.isfinite(bounds).all()}

    def mean_of(self, changes: Iterable[Any]) -> float:
        """Mean accuracy over some of the changes; `nan` over none."""
        rows = [self.answers[change].right.mean() for change in changes]
        return float(np.mean(rows)) if rows else NAN


def clean_interval(clean: np.ndarray) -> Interval:
    """Wilson's of the clean accuracy."""
    return wilson(int(clean.sum()), len(clean))


def by_class(right: np.ndarray, y: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Mean of `right` (n,) over the items of each class that has any."""
    return {classes[c]: float(right[y == c].mean()) for c in np.unique(y)}


def worst(
    corrupted: Family, kinds: Sequence[str], y: np.ndarray, classes: Sequence[str]
) -> tuple[dict[str, float], dict[str, Any]]:
    """The lowest kind and class: metrics, and for a reader their names and all the others' values."""
    measured = {kind: corrupted.mean_of(c for c in corrupted.answers if c[0] == kind) for kind in kinds}
    per_kind = {kind: value for kind, value in measured.items() if np.isfinite(value)}
    per_class, clean = by_class(corrupted.each, y, classes), by_class(corrupted.clean, y, classes)
    kind, category = min(per_kind, key=lambda k: per_kind[k]), min(per_class, key=lambda k: per_class[k])
    metrics = {
        "worst_corruption_accuracy": per_kind[kind],
        "worst_class_accuracy": per_class[category],
        "clean_worst_class_accuracy": min(clean.values()),
    }
    names = {"worst_corruption": kind, "worst_class": category}
    return metrics, names | {"per_kind": per_kind, "per_class": per_class, "clean_per_class": clean}


def tables(answers: Mapping[Cell, Answer], kinds: Sequence[str], severities: Sequence[int]) -> dict[str, Any]:
    """Accuracy and neighbours kept by kind (rows) and severity (columns); None where nothing was measured."""

    def table(of: Callable[[Answer], float | None]) -> list[list[float | None]]:
        return [[of(answers[k, s]) if (k, s) in answers else None for s in severities] for k in kinds]

    return {
        "kinds": list(kinds),
        "severities": list(severities),
        "accuracy": table(lambda a: float(a.right.mean())),
        "neighbours_kept": table(lambda a: a.kept if np.isfinite(a.kept) else None),
    }
