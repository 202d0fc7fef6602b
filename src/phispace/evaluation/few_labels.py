"""Few labels: how accurate is a simple classifier when 1, 2, 4, ... items of each class are labelled?

The labelled items are drawn from train by a hash of their ids: all representations of the same images meet the same
draws, and larger draws hold the smaller ones. All classifiers see vectors that are centred on train's mean (of labelled
and unlabelled items) and scaled to length 1:

    linear        multinomial logistic regression; its strength is fixed at scikit-learn's default, C = 1: nothing is
                  chosen, on val or elsewhere (Tian et al., ECCV 2020, arXiv 2003.11539, section 3)
    centroid      the nearest class mean, by cosine (Wang et al., SimpleShot, 2019, arXiv 1911.04623)
    propagation   label propagation over a graph of train items (Zhou et al., NIPS 2003): it sees the labels of the
                  drawn items and the vectors, without labels, of up to 10,000 train items; never those of test

A score is the mean over draws of the accuracy on the whole test part; its interval is Student's over the draws, so it
speaks of the choice of labelled items, not of test items. Where many items are labelled there are fewer draws. The area
under a curve is the mean of the accuracy over the logarithm of the number of labels a class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.draws import drawn, labels_a_class, places_in_class
from phispace.evaluation.few_label_classifiers import Centroid, Classifier, Linear, Propagation
from phispace.evaluation.items import Items
from phispace.evaluation.protocol import Parts, labelled_parts, mean_of
from phispace.metrics.directions import unit_vectors
from phispace.metrics.intervals import mean_interval

NAN = float("nan")
Name = Literal["linear", "centroid", "propagation"]
_SHOWN = (1, 20)  # labels a class of the metrics; the details have all
_FEWEST_DRAWS = 3


class FewLabelsConfig(EvaluationConfig):
    """Options of the few-label curves."""

    per_class: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 2, 4, 8, 16, 20, 100, 400, 1000), description="labelled items of each class, as far as train has them"
    )
    fractions: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.01, 0.1), description="and labelled shares of each class"
    )
    draws: int = Field(10, ge=1, description="draws of labelled items, at most")
    max_labels: int = Field(
        10_000,
        ge=1,
        description="labels of all draws of one size together; beyond it there are fewer draws, 3 at least",
    )
    classifiers: tuple[Name, ...] = Field(("linear", "centroid", "propagation"), min_length=1, description="which ones")
    c: float = Field(1.0, gt=0, description="linear: scikit-learn's C")
    graph_items: int = Field(10_000, ge=2, description="propagation: train items of the graph, at most")
    neighbours: int = Field(15, ge=1, description="propagation: neighbours of an item in the graph")
    alpha: float = Field(
        0.8, ge=0, lt=1, description="propagation: how far a label reaches (chosen on val of CIFAR-10 features)"
    )


@dataclass(frozen=True)
class Task:
    """One draw of one size: an amount per class, or a share, and the positions of the labelled items in train."""

    amount: int | float
    draw: int
    rows: np.ndarray


class FewLabels(Evaluation):
    """Accuracy with few labels: curves of three classifiers over repeated draws."""

    name: ClassVar[str] = "few-labels"
    title: ClassVar[str] = "few labels"
    needs: ClassVar[frozenset[str]] = frozenset({"train", "test", "labels"})
    reference: ClassVar[str] = (
        "logistic regression on unit vectors: Tian et al., ECCV 2020 (arXiv 2003.11539), section 3"
    )
    primary: ClassVar[str] = "linear_20"
    Config: ClassVar[type[EvaluationConfig]] = FewLabelsConfig
    config: FewLabelsConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        parts = labelled_parts(embeddings)
        # Labels are drawn evenly: what is said of uneven classes and the majority has no place here.
        caveats = [c for c in parts.caveats if "balanced accuracy" not in c]
        metrics = {self.primary: NAN} | {f"{c}_{k}": NAN for c in self._names() for k in (*_SHOWN, "area")}
        if parts.undefined:
            return Scores(metrics, {}, parts.n, [parts.undefined, *caveats])
        known, y = np.unique(parts.train.y, return_inverse=True)
        tasks, left_out = self._tasks(parts.train.ids, y, seed)
        right, words = self._classify(embeddings, parts, known, y, tasks)
        curves = {name: _curve(tasks, values, len(known)) for name, values in right.items()}
        details: dict[str, Any] = {
            "classes": list(parts.classes),
            "chosen": {"c": self.config.c, "alpha": self.config.alpha, "neighbours": self.config.neighbours},
            "curves": {name: [row for row in rows if "per_class" in row] for name, rows in curves.items()},
            "fractions": {name: [row for row in rows if "fraction" in row] for name, rows in curves.items()},
            "area_over": {},
        }
        interval = {}
        for name, rows in details["curves"].items():
            for row in rows:
                if row["per_class"] in _SHOWN:
                    metrics[f"{name}_{row['per_class']}"] = row["mean"]
                    if row["low"] is not None:
                        interval[f"{name}_{row['per_class']}"] = (row["low"], row["high"])
            metrics[f"{name}_area"] = area([r["per_class"] for r in rows], [r["mean"] for r in rows])
            details["area_over"][name] = [rows[0]["per_class"], rows[-1]["per_class"]] if rows else None
        undefined = [name for name, value in metrics.items() if not np.isfinite(value)]
        if undefined:
            caveats.append(
                f"Undefined: {', '.join(undefined)}; they need 1 or 20 labels a class, an area two sizes. "
                f"The smallest class has {np.bincount(y).min():,} training items."
            )
        items = self._items(parts, tasks, right)
        n = parts.n | {"draws": len({task.draw for task in tasks})}
        return Scores(metrics, interval, n, [*caveats, *left_out, *words], details, items)

    def _names(self) -> list[Name]:
        return list(dict.fromkeys(self.config.classifiers))

    def _tasks(self, ids: np.ndarray, y: np.ndarray, seed: int) -> tuple[list[Task], list[str]]:
        """All draws of all sizes, small ones first, and what was left out."""
        sizes = np.bincount(y)
        asked = sorted(set(self.config.per_class))
        amounts: list[int | float] = [n for n in asked if n <= sizes.min()]
        over = [n for n in asked if n > sizes.min()]
        amounts += sorted(set(self.config.fractions))
        places: dict[int, np.ndarray] = {}
        tasks = []
        for amount in amounts:
            total = int(labels_a_class(sizes, amount).sum())
            fewest = min(_FEWEST_DRAWS, self.config.draws)
            draws = 1 if total == len(y) else max(fewest, min(self.config.draws, self.config.max_labels // total))
            for draw in range(draws):
                if draw not in places:
                    places[draw] = places_in_class(ids, y, seed, draw)
                tasks.append(Task(amount, draw, drawn(places[draw], y, amount)))
        words = []
        if over:
            words.append(
                f"Sizes of {', '.join(f'{n:,}' for n in over)} per class are left out: the smallest class has "
                f"{sizes.min():,} training items."
            )
        return sorted(tasks, key=lambda task: len(task.rows)), words

    def _classify(
        self, embeddings: Embeddings, parts: Parts, known: np.ndarray, y: np.ndarray, tasks: Sequence[Task]
    ) -> tuple[dict[str, list[np.ndarray | None]], list[str]]:
        """For each classifier and task which test items are right, bool (n,), or None where it was not fitted."""
        mean = mean_of(embeddings, "train")
        test = unit_vectors(parts.test.x - mean)
        true = np.where(np.isin(parts.test.y, known), np.searchsorted(known, parts.test.y), len(known))
        right: dict[str, list[np.ndarray | None]] = {}
        caveats = []
        for name in self._names():
            classifier = self._classifier(name, parts, mean, test, y, tasks)
            right[name] = []
            for task in tasks:
                predicted = classifier.predict(task.rows, y[task.rows])
                right[name].append(None if predicted is None else predicted == true)
            caveats += classifier.caveats()
        return right, caveats

    def _classifier(
        self, name: Name, parts: Parts, mean: np.ndarray, test: np.ndarray, y: np.ndarray, tasks: Sequence[Task]
    ) -> Classifier:
        def vectors(rows: np.ndarray) -> np.ndarray:
            return unit_vectors(parts.train.x[rows] - mean)

        classes = int(y.max()) + 1
        if name == "linear":
            return Linear(vectors, test, classes, self.config.c)
        if name == "centroid":
            return Centroid(vectors, test, classes)
        return Propagation(
            vectors, test, classes, parts.train.ids, [task.rows for task in tasks],
            items=self.config.graph_items, neighbours=self.config.neighbours, alpha=self.config.alpha,
        )  # fmt: skip

    def _items(
        self, parts: Parts, tasks: Sequence[Task], right: Mapping[str, Sequence[np.ndarray | None]]
    ) -> Items | None:
        """How often each test item was right, over the draws of 20 per class."""
        values = {}
        for name, rows in right.items():
            found = [r for task, r in zip(tasks, rows, strict=True) if task.amount == _SHOWN[-1] and r is not None]
            if found:
                values[f"{name}_{_SHOWN[-1]}"] = np.mean(found, axis=0)
        return Items(parts.test.ids, values, {"label": np.array(parts.classes)[parts.test.y]}) if values else None


def _curve(tasks: Sequence[Task], right: Sequence[np.ndarray | None], n_classes: int) -> list[dict[str, Any]]:
    """A row a size: the amount, labels in all, mean accuracy, its interval and the accuracy of each draw."""
    by_amount: dict[int | float, list[tuple[Task, float]]] = {}
    for task, r in zip(tasks, right, strict=True):
        if r is not None:
            by_amount.setdefault(task.amount, []).append((task, float(r.mean())))
    rows = []
    for amount, found in by_amount.items():
        values = [value for _, value in sorted(found, key=lambda pair: pair[0].draw)]
        low, high = mean_interval(values)
        known = np.isfinite(low)
        rows.append(
            {
                ("per_class" if isinstance(amount, int) else "fraction"): amount,
                "labels": len(found[0][0].rows),
                "labels_per_class": len(found[0][0].rows) / n_classes,
                "mean": float(np.mean(values)),
                "low": max(0.0, low) if known else None,
                "high": min(1.0, high) if known else None,
                "values": values,
            }
        )
    return rows


def area(labels: Sequence[float], accuracy: Sequence[float]) -> float:
    """Area under accuracy over log(labels), over the width: the mean accuracy on that scale, 0 to 1.

    By the trapezoidal rule; `nan` with fewer than two sizes.

    Args:
        labels: labels a class, ascending.
        accuracy: at each of them.
    """
    if len(labels) < 2:
        return NAN
    x = np.log(np.asarray(labels, np.float64))
    return float(np.trapezoid(np.asarray(accuracy, np.float64), x) / (x[-1] - x[0]))
