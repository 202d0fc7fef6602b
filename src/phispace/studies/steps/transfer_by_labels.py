"""What learnt layers are worth by number of labels: networks that are begun and frozen in different ways, on the same
labelled images.

Draw i of each way has the same labelled images and the same seed, and all ways take about the same number of steps.
Nothing is chosen by validation or test: every network is judged as its last step left it.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from pydantic import Field

from phispace.api.transfer import transfer
from phispace.data.imageset import ImageSet
from phispace.errors import InputError
from phispace.run import Run
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.networks import QUIET, labelled_part
from phispace.studies.steps.train import run_of
from phispace.studies.steps.transfer_report import Way, sections


class WayOptions(StepOptions):
    """One way to begin and to train."""

    key: str = Field(description="names the runs")
    label: str
    source: str = Field(description="the step that trained the encoder, or an encoder by name")
    drawn: bool = Field(False, description="weights are drawn anew, whatever the source learnt")
    freeze: str = "all"
    preset: str | None = None
    settings: tuple[str, ...] = ()


class TransferByLabelsOptions(StepOptions):
    """Options of the step `transfer-by-labels`."""

    ways: tuple[WayOptions, ...] = Field(min_length=2, description="the first is compared with each of the others")
    on: str | None = Field(None, description="the images it is put to use on; by default the study's own")
    labels: tuple[int, ...] = Field((0,), min_length=1, description="numbers of labelled images; 0 is all of train")
    draws: int = Field(3, ge=1, description="of labelled images, each with its own seed")
    draws_of_all: int = Field(1, ge=1, description="trainings where all labels are used")
    steps: int = Field(500, ge=1, description="of each training")
    batch_size: int = Field(512, ge=2, description="labelled images a step, at most a tenth of them")
    title: str
    claim: str = Field(description="a guess that the differences of the first way from the last answer")


class TransferByLabels(Step[TransferByLabelsOptions]):
    """Networks begun and frozen in different ways, by number of labels: accuracies and paired differences."""

    Options = TransferByLabelsOptions

    def title(self, options: TransferByLabelsOptions) -> str:
        counts = ", ".join("all" if n == 0 else f"{n:,}" for n in options.labels)
        return f"{options.title}: {len(options.ways)} ways on {counts} labels"

    def run(self, context: Context, name: str, options: TransferByLabelsOptions) -> Outcome:
        images = context.images_named(options.on)
        ways = [Way(way.key, way.label) for way in options.ways]
        draws = {n: options.draws if n else options.draws_of_all for n in options.labels}
        test = images.where("test", labelled=True)
        with context.progress.task("Transfer", total=len(ways) * sum(draws.values())) as task:
            for count, several in draws.items():
                for way, asked in zip(ways, options.ways, strict=True):
                    right = []
                    for draw in range(several):
                        part = labelled_part(images, count, draw)
                        run = self._trained(context, name, options, asked, count, draw, part)
                        right.append(predicted(run, images, test) == images.labels[test])
                        way.note(run)
                        task.advance()
                    way.right[count] = np.asarray(right, float)
        made, answer, headline, numbers = sections(
            context, name, ways, images, len(test), options.steps, options.title, options.claim
        )
        return Outcome(numbers, made, answer, headline)

    def _trained(
        self,
        context: Context,
        name: str,
        options: TransferByLabelsOptions,
        way: WayOptions,
        count: int,
        draw: int,
        part: ImageSet,
    ) -> Run:
        path: Path = context.place("runs", f"{name}-{way.key}-{count or 'all'}-{draw:02d}")
        batch = max(2, min(options.batch_size, len(part) // 10))
        source: Run | str = run_of(context, way.source) if way.source in context.results else way.source
        settings = [*way.settings, *QUIET, f"method.batch_size={batch}", "training.drop_last=true"]
        if way.drawn:
            if not isinstance(source, Run):
                raise InputError(
                    f"The way {way.key!r} draws weights anew; its source must be a step that trained a run."
                )
            encoder = source.config["encoder"]
            settings += [f"encoder.{key}={value!r}" for key, value in encoder.get("options", {}).items()]
            source = str(encoder["name"])
        return transfer(
            source,
            part,
            freeze=way.freeze,
            preset=way.preset,
            epochs=math.ceil(options.steps / (len(part) // batch)),
            settings=settings,
            out=path,
            seed=context.seed + draw,
            resume=(path / "run.json").exists(),
            training=context.training,
        )


def predicted(run: Run, images: ImageSet, positions: np.ndarray, checkpoint: str = "last") -> np.ndarray:
    """Classes int64 (N,) that a run's checkpoint gives to some images."""
    from phispace.training.outputs import probabilities
    from phispace.training.restore import load_method

    found: np.ndarray = probabilities(load_method(run, checkpoint), images.images[positions]).argmax(1)
    return found
