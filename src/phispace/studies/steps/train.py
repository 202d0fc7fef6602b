"""Train a method on the study's images into OUT/runs/ID; a cut training is resumed."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from phispace.api.learn import train
from phispace.data.imageset import ImageSet
from phispace.run import Run
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions


class TrainOptions(StepOptions):
    """Options of the step `train`."""

    method: str = "supervised"
    encoder: str | None = None
    preset: str | None = Field(None, description="of the method; an empty one is none, for scales that differ")
    epochs: int | None = Field(None, ge=1)
    settings: tuple[str, ...] = ()
    label: str = ""
    on: str | None = Field(None, description="one of the study's further image sets; by default its own")
    note: str = ""


class Train(Step[TrainOptions]):
    """Train one run; its result is the run's path and record."""

    Options = TrainOptions

    def title(self, options: TrainOptions) -> str:
        return f"Training {options.label or options.method}"

    def run(self, context: Context, name: str, options: TrainOptions) -> Outcome:
        path = context.place("runs", name)
        run = train(
            options.method,
            context.images_named(options.on),
            encoder=options.encoder,
            preset=options.preset or None,
            epochs=options.epochs,
            settings=options.settings,
            out=path,
            seed=context.seed,
            resume=(path / "run.json").exists(),
            training=context.training,
            progress=context.progress,
        )
        return Outcome({**record(context, run, options.label or name), "on": options.on})


def record(context: Context, run: Run, label: str) -> dict[str, Any]:
    """What later steps need to know of a run."""
    return {
        "run": run.path.relative_to(context.out).as_posix(),
        "label": label,
        "encoder": run.record.get("encoder", {}),
        "choices": run.record.get("choices", {}),
        **run.record.get("result", {}),
    }


def run_of(context: Context, identity: str) -> Run:
    """The run that the step of this id trained."""
    return Run.open(context.out / str(context.result(identity)["run"]))


def images_of(context: Context, identity: str) -> ImageSet:
    """The images that the step of this id trained on."""
    return context.images_named(context.result(identity).get("on"))
