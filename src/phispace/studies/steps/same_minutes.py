"""A network trained for as long as another one took, in minutes of the processor."""

from __future__ import annotations

from pydantic import Field

from phispace.api.learn import train
from phispace.run import Run
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.train import record, run_of


class SameMinutesOptions(StepOptions):
    """Options of the step `same-minutes`."""

    like: str = Field(description="the step whose run's minutes are met")
    method: str = "supervised"
    encoder: str | None = None
    preset: str | None = None
    settings: tuple[str, ...] = ()
    most_epochs: int = Field(200, ge=1)
    label: str = ""


class SameMinutes(Step[SameMinutesOptions]):
    """Train a network from the start for the minutes of another run; an epoch alone says how many epochs that is."""

    Options = SameMinutesOptions

    def title(self, options: SameMinutesOptions) -> str:
        return f"Training {options.label or options.method} for the minutes of {options.like}"

    def run(self, context: Context, name: str, options: SameMinutesOptions) -> Outcome:
        budget = float(run_of(context, options.like).record["result"]["cpu_minutes"])
        pilot = self._trained(context, f"{name}-pilot", options, 1)
        epochs = min(options.most_epochs, max(1, round(budget / max(_minutes(pilot), 1e-6))))
        run = pilot if epochs == 1 else self._trained(context, name, options, epochs)
        return Outcome({**record(context, run, options.label or name), "on": None, "budget": budget})

    def _trained(self, context: Context, name: str, options: SameMinutesOptions, epochs: int) -> Run:
        path = context.place("runs", name)
        if (
            path / "run.json"
        ).exists():  # the epochs it was begun with: the pilot's clock need not strike the same again
            return train(out=path, images=context.images, resume=True, training=context.training)
        return train(
            options.method,
            context.images,
            encoder=options.encoder,
            preset=options.preset,
            epochs=epochs,
            settings=options.settings,
            out=path,
            seed=context.seed,
            training=context.training,
            progress=context.progress,
        )


def _minutes(run: Run) -> float:
    return float(run.record["result"]["cpu_minutes"])
