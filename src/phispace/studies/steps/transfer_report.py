"""What the step `transfer-by-labels` says: accuracy of each way by number of labels, and the paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from phispace.data.imageset import ImageSet
from phispace.report.document import Column, Fact, Figure, Finding, Findings, Number, Part, Row, Table, Verdict
from phispace.report.figures import lines
from phispace.run import Run
from phispace.studies.estimates import accuracy_of, bounds, difference_of, share
from phispace.studies.runner import Context


@dataclass
class Way:
    """One way to train.

    Attributes:
        right: number of labels (0 = all) -> float (draws, n), 1 where a test image is named right.
        trained, cpu_minutes: weights that are trained; of the processor for one training, by number of labels.
    """

    key: str
    label: str
    right: dict[int, np.ndarray] = field(default_factory=dict)
    trained: int = 0
    cpu_minutes: list[float] = field(default_factory=list)

    def note(self, run: Run) -> None:
        """Take a run's facts down."""
        self.trained = int(run.record["method"]["trained_parameters"])
        self.cpu_minutes.append(float(run.record["result"]["cpu_minutes"]))


def sections(
    context: Context, name: str, ways: Sequence[Way], images: ImageSet, n_test: int, steps: int, title: str, claim: str
) -> tuple[list[Part], str, list[Part], dict[str, Any]]:
    """Parts of the report, the answer in words, the headline, and the numbers for later steps."""
    labels = sorted(ways[0].right, key=lambda n: n or np.inf)
    found = {way.key: {n: accuracy_of(way.right[n]) for n in labels} for way in ways}
    gains = {
        key: {n: difference_of(ways[0].right[n], other.right[n], context.seed) for n in labels}
        for key, other in ((way.key, way) for way in ways[1:])
    }
    table = Table(
        title=title,
        label_title="Labelled images",
        columns=(
            *(Column(title=way.label, form="share", higher_is_better=True) for way in ways),
            *(Column(title=f"{ways[0].key} less {way.key}", form="points") for way in ways[1:]),
        ),
        rows=tuple(
            Row(
                label=words(n, images),
                note=f"{len(ways[0].right[n])} draw{'s' * (len(ways[0].right[n]) > 1)}",
                cells=(
                    *(share(found[way.key][n]) for way in ways),
                    *(_points(gains[way.key][n]) for way in ways[1:]),
                ),
            )
            for n in labels
        ),
        caption=f"Test accuracy on {n_test:,} images, each network as the last of about {steps:,} steps left it. "
        "Intervals, 95 %, are for other draws of labels, seeds and images where there are several draws, and for other "
        "images alone where there is one. Differences are between networks of the same labels and seeds. Trained "
        "weights: "
        + ", ".join(f"{way.trained:,} ({way.label})" for way in ways)
        + "; processor minutes for all of a column: "
        + ", ".join(f"{sum(way.cpu_minutes):.1f}" for way in ways)
        + ".",
    )
    parts: list[Part] = [table]
    if len(labels) > 1:
        parts.append(_curves(context, name, ways, labels, images))
    parts.append(Findings(findings=(_finding(claim, ways, gains, labels, images),)))
    few = labels[0]
    first, last = found[ways[0].key][few], found[ways[-1].key][few]
    answer = (
        f"{title}: with {words(few, images)} labels {first.value:.1%} of the test images ({ways[0].label}) against "
        f"{last.value:.1%} ({ways[-1].label})"
    )
    if len(labels) > 1:
        most = labels[-1]
        answer += (
            f"; with {words(most, images)}: {found[ways[0].key][most].value:.1%} and "
            f"{found[ways[-1].key][most].value:.1%}"
        )
    headline: list[Part] = [
        Fact(name=f"{title}, {way.label}", value=share(found[way.key][few]),
             note=f"{words(few, images)} labels")
        for way in ways
    ]  # fmt: skip
    numbers = {
        "accuracy": {way.key: {words(n, images): found[way.key][n].value for n in labels} for way in ways},
        "interval": {way.key: {words(n, images): list(bounds(found[way.key][n])) for n in labels} for way in ways},
        "trained_parameters": {way.key: way.trained for way in ways},
        "cpu_minutes": {way.key: sum(way.cpu_minutes) for way in ways},
        "n": n_test,
    }
    return parts, f"{answer}.", headline, numbers


def words(labels: int, images: ImageSet) -> str:
    """A number of labels; all of them with their number."""
    return f"{labels:,}" if labels else f"all {len(images.where('train', labelled=True)):,}"


def _points(estimate: Any) -> Number:
    low, high = estimate.interval
    return Number(value=estimate.value, low=low, high=high, form="points")


def _curves(context: Context, name: str, ways: Sequence[Way], labels: Sequence[int], images: ImageSet) -> Figure:
    places = list(range(len(labels)))
    path = context.place("figures", f"{name}.png")
    lines(
        places,
        {way.label: [float(way.right[n].mean()) for n in labels] for way in ways},
        path,
        title="Test accuracy by number of labels",
        form="share",
        bands={way.label: ([float(way.right[n].mean(1).min()) for n in labels],
                           [float(way.right[n].mean(1).max()) for n in labels]) for way in ways},
        xlabel="labelled images",
        names=[words(n, images) for n in labels],
    )  # fmt: skip
    return Figure(
        path=path.relative_to(context.out).as_posix(),
        alt="Test accuracy of each way to train, by number of labelled images",
        caption="Means over draws; the shade reaches from the worst draw to the best.",
        width="half",
    )


def _finding(
    claim: str, ways: Sequence[Way], gains: dict[str, dict[int, Any]], labels: Sequence[int], images: ImageSet
) -> Finding:
    against = ways[-1]
    found = gains[against.key]
    above = [found[n].interval[0] > 0 for n in labels]
    below = [found[n].interval[1] < 0 for n in labels]
    verdict: Verdict = "yes" if all(above) else "partly" if any(above) else "no" if any(below) else "open"
    told = {
        way.label: "; ".join(
            f"{words(n, images)} labels {100 * gains[way.key][n].value:+.1f} points "
            f"[{100 * gains[way.key][n].interval[0]:+.1f}, {100 * gains[way.key][n].interval[1]:+.1f}]"
            for n in labels
        )
        for way in ways[1:]
    }
    return Finding(
        claim=claim,
        verdict=verdict,
        answer=" ".join(f"Against {label}: {text}." for label, text in told.items()),
    )
