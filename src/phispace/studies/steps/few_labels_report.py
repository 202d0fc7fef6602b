"""What the step `few-labels` says: who is better on the held-out images, by how much, and whether that is a finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from phispace.metrics.classification import balanced_accuracy, confusion
from phispace.metrics.seeds import Estimate
from phispace.report.document import Column, Fact, Figure, Finding, Findings, Gallery, Number, Part, Row, Table, Verdict
from phispace.report.figures import Dot, dots
from phispace.report.figures import confusion as draw_confusion
from phispace.studies.estimates import accuracy_of, bounds, difference_of, share
from phispace.studies.labelled_folds import FewLabels
from phispace.studies.runner import Context


@dataclass
class Contestant:
    """One way to classify.

    Attributes:
        predicted: int64 (repeats, n), what it says of each labelled image when that is held out.
        control: stands beside the contest.
        minutes: of training, over all repeats and folds.
        notes: the validation loss of each repeat's autoencoder.
    """

    key: str
    label: str
    predicted: np.ndarray
    control: bool = False
    minutes: float = 0.0
    notes: list[float] = field(default_factory=list)


def sections(
    context: Context,
    name: str,
    few: FewLabels,
    contestants: Sequence[Contestant],
    autoencoder: str,
    classifier: str,
) -> tuple[list[Part], str, list[Part], dict[str, Any]]:
    """Parts of the report, the answer in words, the headline, and the numbers for later steps."""
    true = few.labelled.labels
    right = {c.key: (c.predicted == true).astype(float) for c in contestants}
    estimates = {key: accuracy_of(values) for key, values in right.items()}
    classes = len(few.labelled.classes)
    counts = {c.key: np.sum([confusion(true, p, classes) for p in c.predicted], axis=0) for c in contestants}
    commonest = float(np.bincount(true).max() / len(true))
    n_train = len(true) * (few.folds - 1) // few.folds
    how = (
        f"{few.repeats} x {few.folds} folds of {len(true)} labelled images: about {n_train} to train on, "
        f"{len(true) - n_train} held out; {(few.unlabelled.split == 'train').sum():,} unlabelled images."
    )
    table = Table(
        title="What are the unlabelled images worth?",
        label_title="Classifier",
        columns=(
            Column(title="accuracy", form="share", higher_is_better=True),
            Column(title="balanced accuracy", form="share", higher_is_better=True),
            Column(title="lowest and highest repeat"),
            Column(title="minutes of training", form="minutes"),
        ),
        rows=(
            *(
                Row(
                    label=c.label,
                    baseline=c.control,
                    cells=(
                        share(estimates[c.key]),
                        Number(value=balanced_accuracy(counts[c.key]), form="share"),
                        f"{right[c.key].mean(1).min():.1%} to {right[c.key].mean(1).max():.1%}",
                        None if c.control else Number(value=c.minutes, form="minutes"),
                    ),
                )
                for c in contestants
            ),
            Row(label="always the commonest class", baseline=True,
                cells=(Number(value=commonest, form="share"), Number(value=1 / len(np.unique(true)), form="share"),
                       None, None)),
        ),
        caption=f"(a) is {classifier} trained on the labelled images alone; (c) and the grey rows are a logistic "
        f"regression. {how} Held-out images choose nothing. Intervals, 95 %, are for other images and other divisions "
        "and seeds; training sets of different folds share images, which they do not count.",
    )  # fmt: skip
    chart = context.place("figures", f"{name}.png")
    dots(
        [Dot(c.label, estimates[c.key].value, *bounds(estimates[c.key]), baseline=c.control) for c in contestants],
        chart, title="Accuracy on held-out images", xlabel="share of held-out images named right", width=7.0,
    )  # fmt: skip
    finding, difference = _finding(contestants, right, autoencoder, context.seed)
    made: list[Part] = [
        table,
        Figure(path=_inner(context, chart), alt="Accuracy of each classifier with its interval",
               caption="Grey: the same regression on what needs no training."),
        _confusions(context, name, few, contestants[:2], counts),
        Findings(findings=(finding,)),
    ]  # fmt: skip
    first, second = contestants[:2]
    winner = second if difference.value > 0 else first
    low, high = difference.interval
    certain = "that is a finding" if low > 0 or high < 0 else "the interval holds 0, so neither is shown to be better"
    answer = (
        f"With {n_train} labels, {classifier} trained on them alone names {estimates[first.key].value:.1%} of held-out "
        f"images right, a logistic regression on the codes of the {autoencoder} {estimates[second.key].value:.1%}: "
        f"{winner.label} leads by {100 * abs(difference.value):.1f} points, and {certain}."
    )
    headline: list[Part] = [
        Fact(name=c.label, value=share(estimates[c.key]), note=f"held-out images, {n_train} labels")
        for c in (first, second)
    ]
    numbers = {
        "n": len(true),
        "classes": list(few.labelled.classes),
        "accuracy": {k: {"value": e.value, "interval": list(e.interval), "by_repeat": right[k].mean(1).tolist()}
                     for k, e in estimates.items()},
        "difference": {"value": difference.value, "interval": list(difference.interval), "p": difference.p_value,
                       "test": difference.test},
        "autoencoder_val_loss": second.notes,
        "minutes": {c.key: c.minutes for c in contestants},
    }  # fmt: skip
    return made, answer, headline, numbers


def _finding(
    contestants: Sequence[Contestant], right: dict[str, np.ndarray], autoencoder: str, seed: int
) -> tuple[Finding, Estimate]:
    first, second = contestants[:2]
    found = difference_of(right[second.key], right[first.key], seed)
    low, high = found.interval
    verdict: Verdict = "yes" if low > 0 else "no" if high < 0 else "open"
    only = [float((a * (1 - b)).mean()) for a, b in ((right[second.key], right[first.key]),
                                                      (right[first.key], right[second.key]))]  # fmt: skip
    return (
        Finding(
            claim=f"An {autoencoder} of the unlabelled images beats a classifier trained on the labels alone."
            if autoencoder[0] in "aeiou"
            else f"A {autoencoder} of the unlabelled images beats a classifier trained on the labels alone.",
            verdict=verdict,
            answer=f"The difference (codes less labels alone) is {100 * found.value:+.1f} points, 95 % interval "
            f"[{100 * low:+.1f}, {100 * high:+.1f}], p = {found.p_value:.2g} ({found.test}, paired by image). Only the "
            f"codes are right on {only[0]:.1%} of the held-out images, only the labels alone on {only[1]:.1%}.",
            numbers=(Fact(name="difference", value=Number(value=found.value, low=low, high=high, form="points")),),
        ),
        found,
    )


def _confusions(
    context: Context, name: str, few: FewLabels, contestants: Sequence[Contestant], counts: dict[str, np.ndarray]
) -> Gallery:
    """Which classes are taken for which, summed over the repeats."""
    figures = []
    for contestant in contestants:
        path = context.place("figures", f"{name}-{contestant.key}-confusion.png")
        draw_confusion(counts[contestant.key], few.labelled.classes, path, title=contestant.label)
        figures.append(Figure(path=_inner(context, path), alt=f"Confusion matrix of {contestant.label}", width="half"))
    return Gallery(title="Which classes are mistaken for which?", figures=tuple(figures),
                   caption="Rows in per cent; held-out images of all repeats.")  # fmt: skip


def _inner(context: Context, path: Any) -> str:
    return str(path.relative_to(context.out).as_posix())
