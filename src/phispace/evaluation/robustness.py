"""Robustness: does what was read off clean images still hold when the images are corrupted or moved?

A classifier is fitted on the clean training items and asked about the same test images, clean and changed.

    corrupted_accuracy     mean over kinds and severities; 1 minus it is the unnormalised mean corruption error
    retained               corrupted_accuracy / clean_accuracy
    accuracy_severity_S    mean over kinds at one severity
    worst_corruption_...   the lowest of the kinds' means over severities; details say which
    worst_class_...        the lowest of the classes' means over all corruptions; details say which
    shift_accuracy, ...    the same under moves by whole pixels
    neighbours_kept        share of the k nearest among the clean test items that are kept when the image is corrupted,
                           the image itself left out; no label is looked at

Source: Hendrycks and Dietterich, ICLR 2019 (arXiv 1903.12261), section 4.1. Departures: errors are not divided by those
of AlexNet; glass blur, snow and frost are missing; a bounded draw of test items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.fitted import Kind, Predict, fit
from phispace.evaluation.items import Items
from phispace.evaluation.protocol import Part, Parts, labelled_parts, paired
from phispace.metrics.intervals import bootstrap, bootstrap_mean, wilson
from phispace.metrics.knn import nearest
from phispace.metrics.neighbours import knn_recall
from phispace.metrics.separation import sample_items
from phispace.randomness import rng

NAN = float("nan")
# as `phispace.data.corruptions.BENCHMARK`, which an evaluation does not import
KINDS = (
    "gaussian-noise", "shot-noise", "impulse-noise", "defocus-blur", "motion-blur", "zoom-blur", "fog", "brightness",
    "contrast", "elastic", "pixelate", "jpeg",
)  # fmt: skip
SEVERITIES = (1, 2, 3, 4, 5)
SHIFTS = ("1,0", "0,1", "2,0", "0,2", "4,0", "0,4")


class RobustnessConfig(EvaluationConfig):
    """Options of the robustness evaluation."""

    kinds: tuple[str, ...] = Field(KINDS, description="corruptions; `phispace.data.corruptions` has the table")
    severities: tuple[Annotated[int, Field(ge=1, le=5)], ...] = Field(SEVERITIES, description="1 (weak) to 5 (strong)")
    shifts: tuple[str, ...] = Field(SHIFTS, description="moves by whole pixels, right,down")
    classifier: Kind = Field("linear", description="linear (logistic regression) or knn, fitted on clean train items")
    k: int = Field(20, ge=1, description="neighbours that vote, of knn")
    neighbours: int = Field(10, ge=1, description="neighbours that are followed for neighbours_kept")
    n: int = Field(1000, ge=2, description="at most so many test items, always the same ones")
    train_items: int = Field(10_000, ge=2, description="at most so many training items, drawn at random")


@dataclass(frozen=True)
class _Answer:
    """What became of the test items under one change: bool (n,) whether named right; the share of neighbours kept."""

    right: np.ndarray
    kept: float


class Robustness(Evaluation):
    """Accuracy and neighbours under corruptions at five severities and under shifts."""

    name: ClassVar[str] = "robustness"
    title: ClassVar[str] = "robustness"
    needs: ClassVar[frozenset[str]] = frozenset({"train", "test", "labels"})
    reference: ClassVar[str] = "Hendrycks and Dietterich, ICLR 2019 (arXiv 1903.12261), section 4.1"
    primary: ClassVar[str] = "corrupted_accuracy"
    Config: ClassVar[type[EvaluationConfig]] = RobustnessConfig
    config: RobustnessConfig

    def variants(self) -> Mapping[str, str]:
        names = [*self._corruptions().values(), *(f"shift/{by}" for by in self.config.shifts)]
        return dict.fromkeys(names, f"test:{self.config.n}")

    def _corruptions(self) -> dict[tuple[str, int], str]:
        return {(k, s): f"corrupt/{k}/{s}" for k in self.config.kinds for s in self.config.severities}

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        """See the base; the stores of `variants` are those of the same test images, changed."""
        self.check_needs(embeddings)
        parts = labelled_parts(embeddings)
        there = {name: store for name, store in (others or {}).items() if name in self.variants()}
        for name, store in there.items():
            if store.dim != embeddings.dim:
                raise InputError(
                    f"The store {name} has {store.dim} dimensions and the store itself {embeddings.dim}; one encoder's "
                    "are expected."
                )
        test, caveats = self._items(parts.test, there, seed)
        n = {"train": min(len(parts.train), self.config.train_items), "test": len(test)}
        reason = parts.undefined or _undefined(there, test)
        if reason:
            return Scores(self._nothing(), n=n, caveats=[reason, *parts.caveats])
        train = parts.train
        if len(train) > self.config.train_items:
            drawn = sample_items(len(train), self.config.train_items, rng(seed, "robustness train items"))
            train = Part(train.x[drawn], train.y[drawn], train.ids[drawn])
            if len(np.unique(train.y)) < 2:
                reason = f"Undefined: the {len(drawn):,} training items drawn are of one class."
                return Scores(self._nothing(), n=n, caveats=[reason, *parts.caveats])
            caveats.append(f"The classifier is fitted on {len(drawn):,} of {len(parts.train):,} training items.")
        predict, chosen = fit(self.config.classifier, parts, train, k=self.config.k)
        return self._scores(parts, test, there, predict, chosen, n, caveats, seed)

    def _nothing(self) -> dict[str, float]:
        names = ["corrupted_accuracy", "clean_accuracy", "retained", "worst_corruption_accuracy", "neighbours_kept"]
        names += [f"accuracy_severity_{s}" for s in self.config.severities]
        names += ["worst_class_accuracy", "clean_worst_class_accuracy"]
        return dict.fromkeys([*names, "shift_accuracy", "shift_retained", "shift_neighbours_kept"], NAN)

    def _items(self, test: Part, there: Mapping[str, Embeddings], seed: int) -> tuple[Part, list[str]]:
        """The labelled test items that all of the stores have, at most n of them."""
        common = test.ids
        for store in there.values():
            common = np.intersect1d(common, store.ids)
        chosen = np.flatnonzero(np.isin(test.ids, common))
        chosen = chosen[sample_items(len(chosen), self.config.n, rng(seed, "robustness items"))]
        caveats = [f"Of {len(chosen):,} of {len(test):,} test items."] if 0 < len(chosen) < len(test) else []
        missing = [name for name in self.variants() if name not in there]
        if missing and there:
            named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            caveats.append(f"Without {named}, of which there are no stores.")
        return Part(test.x[chosen], test.y[chosen], test.ids[chosen]), caveats

    def _scores(
        self,
        parts: Parts,
        test: Part,
        there: Mapping[str, Embeddings],
        predict: Predict,
        chosen: Mapping[str, Any],
        n: dict[str, int],
        caveats: list[str],
        seed: int,
    ) -> Scores:
        clean = predict(test.x) == test.y
        k = min(self.config.neighbours, len(test) - 1)
        around = nearest(test.x, test.x, k, exclude_self=True)[1] if k else None

        def answer(name: str) -> _Answer:
            x = paired(test, there[name])[1]
            kept = NAN if around is None else knn_recall(around, nearest(x, test.x, k, exclude_self=True)[1])
            return _Answer(predict(x) == test.y, kept)

        corrupted = {cell: answer(name) for cell, name in self._corruptions().items() if name in there}
        shifted = {by: answer(f"shift/{by}") for by in self.config.shifts if f"shift/{by}" in there}
        if k < self.config.neighbours:
            caveats.append(
                f"{k} neighbours are followed; there are no more."
                if k
                else "The share of neighbours kept is undefined: there is one test item."
            )
        metrics = self._nothing() | {"clean_accuracy": float(clean.mean())}
        interval = {"clean_accuracy": wilson(int(clean.sum()), len(clean))}
        values = {"clean_accuracy": clean.astype(np.float64)}
        for prefix, answers in (("corrupted", corrupted), ("shift", shifted)):
            if not answers:
                what = "corrupted" if prefix == "corrupted" else "shifted"
                caveats.append(f"Scores of {what} images are undefined: there are no stores of them.")
                continue
            each = np.mean([a.right for a in answers.values()], axis=0)
            short = "" if prefix == "corrupted" else "shift_"
            metrics |= {
                f"{prefix}_accuracy": float(each.mean()),
                f"{short}retained": float(each.mean() / clean.mean()) if clean.any() else NAN,
                f"{short}neighbours_kept": float(np.mean([a.kept for a in answers.values()])) if k else NAN,
            }
            interval[f"{prefix}_accuracy"] = bootstrap_mean(each, rng(seed, "interval", self.name, prefix))
            interval[f"{short}retained"] = _ratio_interval(each, clean, rng(seed, "interval", self.name, short))
            values[f"{prefix}_accuracy"] = each
        if not clean.any():
            caveats.append("What is retained is undefined: no clean test item is named right.")
        classes, details = parts.classes, self._tables(corrupted, shifted)
        if corrupted:
            found, worst = self._worst(corrupted, test.y, clean, classes)
            metrics |= found
            details |= worst
        details |= {"classifier": self.config.classifier, "chosen": dict(chosen), "neighbours": k}
        interval = {metric: bounds for metric, bounds in interval.items() if np.isfinite(bounds).all()}
        return Scores(metrics, interval, n, [*caveats, *parts.caveats], details, Items(test.ids, values))

    def _worst(
        self, corrupted: Mapping[tuple[str, int], _Answer], y: np.ndarray, clean: np.ndarray, classes: Sequence[str]
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """By severity, by kind and by class: metrics, and the names of the worst."""
        metrics, by_kind = {}, {}
        for severity in self.config.severities:
            rows = [a.right.mean() for (_, s), a in corrupted.items() if s == severity]
            metrics[f"accuracy_severity_{severity}"] = float(np.mean(rows)) if rows else NAN
        for kind in self.config.kinds:
            rows = [a.right.mean() for (name, _), a in corrupted.items() if name == kind]
            if rows:
                by_kind[kind] = float(np.mean(rows))
        each = np.mean([a.right for a in corrupted.values()], axis=0)
        by_class = {classes[c]: float(each[y == c].mean()) for c in np.unique(y)}
        clean_by_class = {classes[c]: float(clean[y == c].mean()) for c in np.unique(y)}
        kind, category = min(by_kind, key=lambda name: by_kind[name]), min(by_class, key=lambda name: by_class[name])
        metrics["worst_corruption_accuracy"] = by_kind[kind]
        metrics["worst_class_accuracy"] = by_class[category]
        metrics["clean_worst_class_accuracy"] = min(clean_by_class.values())
        return metrics, {
            "worst_corruption": kind,
            "worst_class": category,
            "per_kind": by_kind,
            "per_class": by_class,
            "clean_per_class": clean_by_class,
        }

    def _tables(self, corrupted: Mapping[tuple[str, int], _Answer], shifted: Mapping[str, _Answer]) -> dict[str, Any]:
        """Accuracy and neighbours kept by kind (rows) and severity (columns), None without a store; and by shift."""

        def table(of: Any) -> list[list[float | None]]:
            return [
                [of(corrupted[kind, s]) if (kind, s) in corrupted else None for s in self.config.severities]
                for kind in self.config.kinds
            ]

        def kept(answer: _Answer) -> float | None:
            return answer.kept if np.isfinite(answer.kept) else None

        return {
            "kinds": list(self.config.kinds),
            "severities": list(self.config.severities),
            "accuracy": table(lambda a: float(a.right.mean())),
            "neighbours_kept": table(kept),
            "shifts": {by: float(a.right.mean()) for by, a in shifted.items()},
            "shift_neighbours_kept": {by: kept(a) for by, a in shifted.items()},
        }


def _undefined(there: Mapping[str, Embeddings], test: Part) -> str | None:
    if not there:
        return "Undefined: there are no stores of the changed images. A run's are extracted; a foreign store has none."
    if not len(test):
        return "Undefined: no labelled test item is in all of the stores of the changed images."
    return None


def _ratio_interval(changed: np.ndarray, clean: np.ndarray, draws: np.random.Generator) -> tuple[float, float]:
    """Of mean(changed) / mean(clean) over the same items, drawn together."""

    def ratio(index: np.ndarray) -> float:
        below = clean[index].mean()
        return float(changed[index].mean() / below) if below else NAN

    return bootstrap(ratio, len(clean), draws)
