"""Scores by epoch, on validation: does class separation grow with training?"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from phispace.evaluation.evaluate import evaluate
from phispace.report.document import Fact, Figure, Finding, Findings, Number
from phispace.report.figures import lines
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.checkpoints import as_validation, stores_of_frames

SCORES = {
    "kNN accuracy": ("knn", "accuracy"),
    "linear probe accuracy": ("linear", "accuracy"),
    "silhouette": ("separation", "silhouette"),
}


class TrajectoryOptions(StepOptions):
    """Options of the step `trajectory`."""

    of: str
    guess: str = ""
    options: dict[str, dict[str, Any]] = Field(default_factory=dict, description="of the evaluations, by their names")


class Trajectory(Step[TrajectoryOptions]):
    """kNN, linear probe and silhouette of each checkpoint, on the validation images."""

    Options = TrajectoryOptions

    def title(self, options: TrajectoryOptions) -> str:
        return "Scoring every checkpoint on the validation images"

    def run(self, context: Context, name: str, options: TrajectoryOptions) -> Outcome:
        epochs: list[float] = []
        values: dict[str, list[float]] = {title: [] for title in SCORES}
        frames = context.result(options.of)["frames"]
        with context.progress.task("Scoring checkpoints", total=len(frames)) as task:
            for frame, store in stores_of_frames(context, options.of):
                scores = evaluate(
                    as_validation(store), ["knn", "linear", "separation"], options=options.options, seed=context.seed
                )
                epochs.append(float(frame["epoch"]))
                for title, (evaluation, metric) in SCORES.items():
                    values[title].append(float(scores[evaluation].metrics[metric]))
                task.advance()
        picture = context.place("figures", f"{name}.png")
        layer = context.result(options.of)["layer"]
        lines(
            epochs,
            {title: values[title] for title in SCORES},
            picture,
            title=f"Class separation in {layer}, by epoch",
            xlabel="epoch",
            ylabel="score on validation",
        )
        section = Figure(
            title="Does class separation grow?",
            path=picture.relative_to(context.out).as_posix(),
            alt=f"kNN accuracy, linear probe accuracy and silhouette of {layer} on validation, by epoch",
            caption="On the validation images, at every stored checkpoint; the probe and the neighbours come from a "
            "fixed part of the training images. Epoch 0 is the untrained network.",
            width="full",
        )
        finding = _finding(epochs, values, options.guess, layer)
        return Outcome({"epochs": epochs, "values": values}, [section, Findings(findings=(finding,))])


def _finding(epochs: list[float], values: dict[str, list[float]], guess: str, layer: str) -> Finding:
    grew = [series[-1] > series[0] for series in values.values()]
    knn, probe, silhouette = (values[title] for title in SCORES)
    numbers: tuple[Any, ...] = tuple(
        Fact(
            name=title,
            value=Number(value=series[-1], form="number" if title == "silhouette" else "share"),
            note=f"{series[0]:.3f} untrained, {max(series):.3f} at best (epoch {epochs[series.index(max(series))]:g})",
        )
        for title, series in values.items()
    )
    return Finding(
        claim=guess or f"Class separation in {layer} grows with training.",
        verdict="yes" if all(grew) else "partly" if any(grew) else "no",
        answer=f"From the untrained network to epoch {epochs[-1]:g}, kNN goes from {knn[0]:.1%} to {knn[-1]:.1%}, the "
        f"linear probe from {probe[0]:.1%} to {probe[-1]:.1%}, the silhouette from {silhouette[0]:.3f} to "
        f"{silhouette[-1]:.3f}.",
        numbers=numbers,
    )
