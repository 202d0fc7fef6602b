"""Trained classifiers side by side: accuracy on test, read once, at the checkpoint that validation chose."""

from __future__ import annotations

from typing import Any

from phispace.embeddings.extract import extract_run
from phispace.metrics.intervals import wilson
from phispace.report.document import Column, Fact, Number, Row, Table
from phispace.run import Run
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.train import images_of, run_of


class AccuracyOptions(StepOptions):
    """Options of the step `accuracy`."""

    runs: tuple[str, ...]
    title: str = "The trained classifiers"
    caption: str = ""


class Accuracy(Step[AccuracyOptions]):
    """A table of runs: validation and test accuracy, minutes, parameters, multiply-adds."""

    Options = AccuracyOptions

    def title(self, options: AccuracyOptions) -> str:
        return f"Classifying the test images with {len(options.runs)} trained network{'s' * (len(options.runs) > 1)}"

    def run(self, context: Context, name: str, options: AccuracyOptions) -> Outcome:
        found = {identity: self._measure(context, identity) for identity in options.runs}
        table = Table(
            title=options.title,
            label_title="Network",
            columns=(
                Column(title="test accuracy", form="share", higher_is_better=True),
                Column(title="val accuracy", form="share"),
                Column(title="epochs", form="count"),
                Column(title="minutes", form="minutes"),
                Column(title="parameters", form="count"),
                Column(title="multiply-adds an image", form="count"),
            ),
            rows=tuple(
                Row(
                    label=row["label"],
                    cells=(
                        Number(value=row["test"], low=row["interval"][0], high=row["interval"][1], form="share"),
                        Number(value=row["val"], form="share"),
                        Number(value=row["epochs"], form="count"),
                        Number(value=row["minutes"], form="minutes"),
                        Number(value=row["parameters"], form="count"),
                        Number(value=row["multiply_adds"], form="count"),
                    ),
                )
                for row in found.values()
            ),
            caption=options.caption
            or "Each network at the checkpoint with the lowest validation loss; the test images are read once. "
            "Intervals are Wilson's, 95 %, over test images; one seed each.",
        )
        first = found[options.runs[0]]
        headline = Fact(
            name="Test accuracy",
            value=Number(value=first["test"], low=first["interval"][0], high=first["interval"][1], form="share"),
            note=f"{first['label']}, {first['epochs']} epochs, one seed",
        )
        answer = (
            f"The classifier ({first['label']}) reaches {first['test']:.1%} on the {first['n']:,} test images "
            f"after {first['epochs']} epochs."
        )
        return Outcome({"rows": found}, [table], answer, [headline])

    def _measure(self, context: Context, identity: str) -> dict[str, Any]:
        run: Run = run_of(context, identity)
        store = next(
            iter(
                extract_run(
                    run,
                    images_of(context, identity),
                    splits=("val", "test"),
                    precision="float32",
                    progress=context.progress,
                ).values()
            )
        )
        predicted = store.column("prediction")
        if predicted is None:
            raise ValueError(f"the run of step {identity!r} predicts no classes")
        share: dict[str, float] = {}
        n: dict[str, int] = {}
        for split in ("val", "test"):
            rows = (store.splits == split) & (store.labels >= 0)
            n[split] = int(rows.sum())
            share[split] = float((predicted[rows] == store.labels[rows]).mean()) if n[split] else float("nan")
        low, high = wilson(round(share["test"] * n["test"]), n["test"]) if n["test"] else (float("nan"),) * 2
        result, encoder = run.record.get("result", {}), run.record.get("encoder", {})
        return {
            "label": context.result(identity)["label"],
            "test": share["test"],
            "interval": [low, high],
            "val": share["val"],
            "n": n["test"],
            "epochs": result.get("epochs"),
            "minutes": result.get("minutes"),
            "parameters": encoder.get("parameters"),
            "multiply_adds": encoder.get("multiply_adds"),
        }
