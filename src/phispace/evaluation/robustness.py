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
from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.fitted import Kind, Predict, fit
from phispace.evaluation.items import Items
from phispace.evaluation.protocol import Part, in_all, labelled_parts, paired
from phispace.evaluation.under_change import Answer, Family, clean_interval, tables, worst
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
_CORRUPTED = {"accuracy": "corrupted_accuracy", "retained": "retained", "neighbours_kept": "neighbours_kept"}
_SHIFTED = {m: f"shift_{m}" for m in _CORRUPTED}


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
        there, caveats = self.variants_among(embeddings, others)
        parts = labelled_parts(embeddings)
        test = in_all(parts.test, there.values(), self.config.n, rng(seed, "robustness items"))
        if 0 < len(test) < len(parts.test):
            caveats.append(f"Of {len(test):,} of {len(parts.test):,} test items.")
        train = parts.train
        if len(train) > self.config.train_items:
            drawn = sample_items(len(train), self.config.train_items, rng(seed, "robustness train items"))
            train = train.take(drawn)
            caveats.append(f"The classifier is fitted on {len(drawn):,} of {len(parts.train):,} training items.")
        n = {"train": len(train), "test": len(test)}
        reason = parts.undefined or _undefined(there, train, test)
        if reason:
            return Scores(self._nothing(), n=n, caveats=[reason, *parts.caveats])
        predict, chosen = fit(self.config.classifier, parts, train, k=self.config.k)
        k = min(self.config.neighbours, len(test) - 1)
        details = {"classifier": self.config.classifier, "chosen": chosen, "neighbours": k}
        if k < self.config.neighbours:
            none = "The share of neighbours kept is undefined: there is one test item."
            caveats.append(f"{k} neighbours are followed; there are no more." if k else none)
        answers = _answers(test, there, predict, k)
        scores = self._scores(test, parts.classes, predict(test.x) == test.y, answers, seed)
        return replace(
            scores, n=n, details=scores.details | details, caveats=[*caveats, *scores.caveats, *parts.caveats]
        )

    def _nothing(self) -> dict[str, float]:
        names = ["corrupted_accuracy", "clean_accuracy", "retained", "worst_corruption_accuracy", "neighbours_kept"]
        names += [f"accuracy_severity_{s}" for s in self.config.severities]
        names += ["worst_class_accuracy", "clean_worst_class_accuracy"]
        return dict.fromkeys([*names, "shift_accuracy", "shift_retained", "shift_neighbours_kept"], NAN)

    def _scores(
        self, test: Part, classes: Sequence[str], clean: np.ndarray, answers: Mapping[str, Answer], seed: int
    ) -> Scores:
        """Metrics, intervals and tables from what was answered."""
        cells = {cell: answers[name] for cell, name in self._corruptions().items() if name in answers}
        shifts = {by: answers[f"shift/{by}"] for by in self.config.shifts if f"shift/{by}" in answers}
        metrics = self._nothing() | {"clean_accuracy": float(clean.mean())}
        interval = {"clean_accuracy": clean_interval(clean)}
        values = {"clean_accuracy": clean.astype(np.float64)}
        caveats = [] if clean.any() else ["What is retained is undefined: no clean test item is named right."]
        details = tables(cells, self.config.kinds, self.config.severities)
        details["shifts"] = {by: float(a.right.mean()) for by, a in shifts.items()}
        for what, found, names in (("corrupted", cells, _CORRUPTED), ("shifted", shifts, _SHIFTED)):
            if not found:
                caveats.append(f"Scores of {what} images are undefined: there are no stores of them.")
                continue
            family = Family(found, clean)
            metrics |= {names[m]: v for m, v in family.metrics().items()}
            interval |= {names[m]: v for m, v in family.intervals(seed, f"robustness {what}").items()}
            values[names["accuracy"]] = family.each
        if cells:
            family = Family(cells, clean)
            lowest, about = worst(family, self.config.kinds, test.y, classes)
            metrics |= lowest
            details |= about
            for severity in self.config.severities:
                value = family.mean_of(cell for cell in cells if cell[1] == severity)
                metrics[f"accuracy_severity_{severity}"] = value
                if not np.isfinite(value):
                    caveats.append(f"The accuracy at severity {severity} is undefined: there are no stores of it.")
        return Scores(metrics, interval, caveats=caveats, details=details, items=Items(test.ids, values))


def _undefined(there: Mapping[str, Embeddings], train: Part, test: Part) -> str | None:
    if not there:
        return "Undefined: there are no stores of the changed images. A run's are extracted; a foreign store has none."
    if not len(test):
        return "Undefined: no labelled test item is in all of the stores of the changed images."
    if len(np.unique(train.y)) < 2:
        return f"Undefined: the {len(train):,} training items drawn are of one class."
    return None


def _answers(test: Part, there: Mapping[str, Embeddings], predict: Predict, k: int) -> dict[str, Answer]:
    """Each change's answer; k neighbours among the clean test items are followed, the item itself left out."""
    around = nearest(test.x, test.x, k, exclude_self=True)[1] if k else None
    found = {}
    for name, store in there.items():
        x = paired(test, store)[1]
        kept = NAN if around is None else knn_recall(around, nearest(x, test.x, k, exclude_self=True)[1])
        found[name] = Answer(predict(x) == test.y, kept)
    return found
