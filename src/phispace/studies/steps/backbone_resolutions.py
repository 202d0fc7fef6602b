"""Frozen backbones at several resolutions: a linear probe, few labels, and what one pass of an image costs."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from phispace.api.transfer import transfer
from phispace.data.imageset import ImageSet
from phispace.embeddings.extract import extract_run
from phispace.evaluation.evaluate import score_table
from phispace.maps.subset import stratified_subset
from phispace.report.document import Column, Fact, Figure, Number, Part, Row, Table
from phispace.report.figures import lines
from phispace.run import Run
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions

PROBE = "linear"


class BackboneResolutionsOptions(StepOptions):
    """Options of the step `backbone-resolutions`."""

    encoders: tuple[str, ...] = Field(("EfficientNet-Lite0",), min_length=1)
    resolutions: tuple[int, ...] = Field(min_length=1)
    full: tuple[int, ...] = Field((), description="resolutions at which all training images are used")
    elsewhere: int = Field(0, ge=0, description="training images at the others, stratified; 0: all")
    per_class: tuple[int, ...] = Field((10, 100), description="labelled images of each class, for few labels")
    draws: int = Field(5, ge=1, description="of few labels")
    epochs: int = Field(20, ge=1, description="of the head")
    settings: tuple[str, ...] = ()
    title: str = "A frozen backbone by resolution"


class BackboneResolutions(Step[BackboneResolutionsOptions]):
    """Test accuracy of probes on frozen backbones, by resolution, beside minutes and multiply-adds."""

    Options = BackboneResolutionsOptions

    def title(self, options: BackboneResolutionsOptions) -> str:
        return f"{', '.join(options.encoders)} frozen at {', '.join(map(str, options.resolutions))} pixels"

    def run(self, context: Context, name: str, options: BackboneResolutionsOptions) -> Outcome:
        rows = []
        total = len(options.encoders) * len(options.resolutions)
        with context.progress.task(options.title, total=total) as task:
            for encoder in options.encoders:
                for resolution in options.resolutions:
                    rows.append(self._measured(context, name, options, encoder, resolution))
                    task.advance()
        best = max(rows, key=lambda row: row["accuracy"])
        answer = (
            f"Frozen at {best['resolution']} pixels, {best['encoder']} gives a linear probe {best['accuracy']:.1%} of "
            f"the test images (n = {best['n_test']:,}, {best['n_train']:,} labels)."
        )
        headline = [
            Fact(name=f"{row['encoder']} frozen, {row['resolution']} pixels", value=_share(row),
                 note=f"linear probe on {row['n_train']:,} labels")
            for row in rows if row is best
        ]  # fmt: skip
        return Outcome({"rows": rows}, self._sections(context, name, options, rows), answer, headline)

    def _measured(
        self, context: Context, name: str, options: BackboneResolutionsOptions, encoder: str, resolution: int
    ) -> dict[str, Any]:
        images = context.images
        if options.elsewhere and resolution not in options.full:
            images = with_train(images, options.elsewhere)
        path = context.place("runs", f"{name}-{encoder}-{resolution}")
        run = transfer(
            encoder,
            images,
            freeze="all",
            resolution=resolution,
            epochs=options.epochs,
            settings=options.settings,
            out=path,
            seed=context.seed,
            resume=(path / "run.json").exists(),
            training=context.training,
            progress=context.progress,
        )
        store = extract_run(run, images, progress=context.progress)["features"]
        few = {"per_class": options.per_class, "fractions": (), "draws": options.draws, "classifiers": ("linear",)}
        scores = score_table({"features": store}, [PROBE, "few-labels"], options={"few-labels": few}, seed=context.seed)
        probe, curve = (next(row for row in scores if row["evaluation"] == e) for e in (PROBE, "few-labels"))
        run.add_scores([{**row, "store": "features @ best"} for row in (probe, curve)])
        features = run.record["choices"]["features"]
        return {
            "encoder": encoder,
            "resolution": resolution,
            "accuracy": probe["metrics"]["accuracy"],
            "interval": list(probe["interval"]["accuracy"]),
            "few": {str(point["per_class"]): [point["mean"], point["low"], point["high"]]
                    for point in curve["details"]["curves"]["linear"]},
            "n_train": int((images.split == "train").sum()),
            "n_test": int((images.split == "test").sum()),
            "multiply_adds": run.record["encoder"]["multiply_adds"],
            "parameters": run.record["encoder"]["parameters"],
            "cpu_minutes": _probe_minutes(run, float(probe["seconds"])),
            "images_per_cpu_second": len(images) / max(float(features["cpu_seconds"]), 1e-9),
            "precision": features["precision"],
            "run": path.relative_to(context.out).as_posix(),
        }  # fmt: skip

    def _sections(
        self, context: Context, name: str, options: BackboneResolutionsOptions, rows: list[dict[str, Any]]
    ) -> list[Part]:
        several = len(options.encoders) > 1
        table = Table(
            title=options.title,
            label_title="Backbone and pixels" if several else "Pixels",
            columns=(
                Column(title="linear probe", form="share", higher_is_better=True),
                *(Column(title=f"{k} labels a class", form="share", higher_is_better=True) for k in options.per_class),
                Column(title="labels of the probe", form="count"),
                Column(title="multiply-adds an image", form="count"),
                Column(title="images a processor second"),
            ),
            rows=tuple(
                Row(
                    label=f"{row['encoder']}, {row['resolution']}" if several else str(row["resolution"]),
                    cells=(
                        _share(row),
                        *(_few(row, k) for k in options.per_class),
                        Number(value=row["n_train"], form="count"),
                        Number(value=row["multiply_adds"], form="count"),
                        f"{row['images_per_cpu_second']:.0f}",
                    ),
                )
                for row in rows
            ),
            caption=f"Logistic regression on the frozen features, its strength chosen on val; test accuracy on "
            f"{rows[0]['n_test']:,} images with Wilson's interval, 95 %. Few labels: a logistic regression of fixed "
            f"strength, means over draws (at most {options.draws}) with Student's interval over them. Probes of other "
            "numbers of labels do not compare. One seed.",
        )
        parts: list[Part] = [table]
        if len(options.resolutions) > 1 and not several:
            path = context.place("figures", f"{name}.png")
            series = {f"{k} labels a class": [row["few"].get(str(k), [np.nan])[0] for row in rows]
                      for k in options.per_class}  # fmt: skip
            lines([row["resolution"] for row in rows], series, path, title="Few labels by resolution",
                  xlabel="pixels a side", form="share")  # fmt: skip
            parts.append(
                Figure(path=path.relative_to(context.out).as_posix(), width="half",
                       alt="Accuracy with few labels by resolution",
                       caption="The same labelled images where the training images are the same.")
            )  # fmt: skip
        return parts


def with_train(images: ImageSet, count: int) -> ImageSet:
    """The set with at most so many training images, stratified by a hash of their ids, and all others."""
    train = images.where("train")
    kept = train[stratified_subset(images.ids[train], images.labels[train], count)]
    return images.take(np.sort(np.concatenate([kept, np.setdiff1d(np.arange(len(images)), train)])))


def _probe_minutes(run: Run, probe_seconds: float) -> float:
    """Of the processor: the features of all images, and the probe."""
    return (float(run.record["choices"]["features"]["cpu_seconds"]) + probe_seconds) / 60


def _share(row: dict[str, Any]) -> Number:
    return Number(value=row["accuracy"], low=row["interval"][0], high=row["interval"][1], form="share")


def _few(row: dict[str, Any], per_class: int) -> Number:
    value, low, high = row["few"].get(str(per_class), (np.nan, None, None))
    return Number(value=value, low=low, high=high, form="share", reason="Too few images." if value != value else "")
