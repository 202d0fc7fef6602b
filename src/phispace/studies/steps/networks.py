"""Many networks with and many without unsupervised pretraining, on few and on many labels.

Network i of both groups has the same seed, the same labelled images and the same number of supervised steps; the only
difference is where its encoder begins: at random, or where greedy layer-wise pretraining on all images without labels
left it. Nothing is chosen by validation or test: every network is judged as its last step left it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from phispace.api.learn import train
from phispace.data.imageset import ImageSet
from phispace.maps.subset import stratified_subset
from phispace.run import Run
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.networks_report import sections

GROUPS = ("without pretraining", "with pretraining")
QUIET = ("training.health_every=0", "training.tensorboard=false", "training.checkpoints='last'")


class NetworksOptions(StepOptions):
    """Options of the step `networks`."""

    networks: int = Field(ge=2, description="of each group")
    labels: tuple[int, ...] = Field((0,), min_length=1, description="numbers of labelled images; 0 is all of train")
    followed: int = Field(0, ge=0, description="the one of these numbers whose networks' outputs are followed")
    outputs_on: int = Field(2000, ge=10, description="test images that they are followed on")
    moments: int = Field(20, ge=2, description="about so many, at steps that grow geometrically")
    steps: int = Field(1000, ge=2, description="of supervised training")
    batch_size: int = Field(100, ge=1, description="labelled images a step, at most a fifth of them")
    encoder: str = "mlp"
    encoder_settings: tuple[str, ...] = ()
    pretraining_epochs: int = Field(10, ge=1, description="over all layers")
    pretraining_settings: tuple[str, ...] = ()
    supervised_settings: tuple[str, ...] = ()
    kind: str = Field("networks", description="what the networks are called in the report")

    @model_validator(mode="after")
    def _followed_is_trained(self) -> Self:
        if self.followed not in self.labels:
            raise ValueError(f"followed = {self.followed} is none of the numbers of labels {list(self.labels)}")
        return self


class Networks(Step[NetworksOptions]):
    """Train many networks with and without unsupervised pretraining; test error by number of labels."""

    Options = NetworksOptions

    def title(self, options: NetworksOptions) -> str:
        counts = ", ".join("all" if n == 0 else f"{n:,}" for n in options.labels)
        return f"{options.networks} {options.kind} with and {options.networks} without pretraining, on {counts} labels"

    def run(self, context: Context, name: str, options: NetworksOptions) -> Outcome:
        images = context.images
        test = images.where("test", labelled=True)
        errors: dict[int, list[list[float]]] = {n: [[], []] for n in options.labels}
        outputs: list[dict[str, Any]] = []
        minutes = 0.0
        total = options.networks * (1 + 2 * len(options.labels))
        with context.progress.task("Networks", total=total) as task:
            for number in range(options.networks):
                pretrained = self._pretrained(context, name, options, number)
                minutes += float(pretrained.record["result"].get("minutes", 0.0))
                task.advance()
                for count in options.labels:
                    part = labelled_part(images, count, number)
                    for group in range(2):
                        start = pretrained.path if group else None
                        run = self._supervised(context, name, options, number, count, group, part, start)
                        errors[count][group].append(error_of(run, images, test))
                        if count == options.followed:
                            place = run.path.relative_to(context.out).as_posix()
                            outputs.append({"network": number, "group": group, "run": place})
                        task.advance()
        made, answer, headline, numbers = sections(
            context, name, errors, len(test), minutes / options.networks, options.kind
        )
        result = {**numbers, "outputs": outputs, "groups": list(GROUPS), "followed": options.followed}
        return Outcome(result, made, answer, headline)

    def _pretrained(self, context: Context, name: str, options: NetworksOptions, number: int) -> Run:
        path = context.place("runs", f"{name}-pretrained-{number:02d}")
        settings = ("method.then='nothing'", *QUIET, *options.encoder_settings, *options.pretraining_settings)
        return train(
            "greedy-layerwise", context.images, encoder=options.encoder, epochs=options.pretraining_epochs,
            settings=settings, out=path, seed=context.seed + number, resume=(path / "run.json").exists(),
            training=context.training,
        )  # fmt: skip

    def _supervised(
        self,
        context: Context,
        name: str,
        options: NetworksOptions,
        number: int,
        count: int,
        group: int,
        part: ImageSet,
        start: Path | None,
    ) -> Run:
        from phispace.training.outputs import WatchOutputs

        path = context.place(
            "runs", f"{name}-{'pretrained' if group else 'random'}-{number:02d}-{count or 'all'}-labels"
        )
        batch = max(1, min(options.batch_size, len(part) // 5))
        epochs = math.ceil(options.steps / (len(part) // batch))
        begun = (path / "run.json").exists()
        settings = [
            "method.schedule='constant'", f"method.batch_size={batch}", "training.drop_last=true", *QUIET,
            *options.encoder_settings, *options.supervised_settings,
        ]  # fmt: skip
        if start is not None and not begun:  # a run that goes on keeps its own, though the directory may have moved
            settings.append(f"encoder.start={str(start)!r}")
        watch = []
        if count == options.followed:
            total = epochs * (len(part) // batch)
            followed = followed_images(context.images, options.outputs_on)
            watch = [WatchOutputs(path, context.images.images[followed], moments(total, options.moments))]
        return train(
            "supervised", part, encoder=options.encoder, epochs=epochs, settings=settings, out=path,
            seed=context.seed + number, resume=begun, training=context.training, callbacks=watch,
        )  # fmt: skip


def labelled_part(images: ImageSet, count: int, number: int) -> ImageSet:
    """The labelled images that network `number` of both groups is trained on, alone: a stratified draw from train.

    Args:
        count: how many; 0 is all of them.
    """
    train_part = images.where("train", labelled=True)
    if count:
        ids, labels = images.ids[train_part], images.labels[train_part]
        train_part = train_part[stratified_subset(ids, labels, count, salt=f"few-labels-{number}")]
    return images.take(train_part)


def followed_images(images: ImageSet, count: int) -> np.ndarray:
    """Positions of the test images on which outputs are followed: a stratified part, by a hash of the id."""
    test = images.where("test")
    return test[stratified_subset(images.ids[test], images.labels[test], count)]


def moments(total: int, count: int) -> Sequence[int]:
    """About `count` steps from 0 to `total`, growing geometrically: early training moves the fastest."""
    grown = np.geomspace(1, total, max(count - 1, 2)).round().astype(int)
    return sorted({0, *grown.tolist(), total})


def error_of(run: Run, images: ImageSet, test: np.ndarray) -> float:
    """Share of the test images that the run's last state names wrong."""
    from phispace.training.outputs import probabilities
    from phispace.training.restore import load_method

    found = probabilities(load_method(run, "last"), images.images[test]).argmax(1)
    return float((found != images.labels[test]).mean())
