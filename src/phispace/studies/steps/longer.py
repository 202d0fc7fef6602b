"""Does training on keep improving? The validation error of one run by epoch, and where it stopped falling."""

from __future__ import annotations

from statistics import fmean

from pydantic import Field

from phispace.api.curves import by_epoch
from phispace.report.document import Fact, Figure, Finding, Findings, Number, Part, Verdict
from phispace.report.figures.series import lines
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.train import run_of

STILL = 0.01
"""Share of the error that the last quarter of the epochs must take away to count as still improving."""


class LongerOptions(StepOptions):
    """Options of the step `longer`."""

    run: str
    term: str = "mse"
    at: int = Field(10, ge=1, description="epoch at which the source stopped")
    guess: str = "Longer training keeps improving reconstructions."
    title: str = "Does longer training help?"


class Longer(Step[LongerOptions]):
    """The error on val at the source's last epoch, at the end, and over the last quarter."""

    Options = LongerOptions

    def title(self, options: LongerOptions) -> str:
        return f"Asking whether {options.run} was still improving"

    def run(self, context: Context, name: str, options: LongerOptions) -> Outcome:
        run = run_of(context, options.run)
        _, values = by_epoch(run, "val_")[options.term]
        trained = values[1:]  # epoch 0 is the untrained network's
        at = min(options.at, len(trained))
        quarter = max(1, len(trained) // 4)
        before, last = trained[-2 * quarter : -quarter] or trained[:1], trained[-quarter:]
        gain, late = 1 - trained[-1] / trained[at - 1], 1 - fmean(last) / fmean(before)
        lowest = min(range(len(trained)), key=trained.__getitem__) + 1
        verdict: Verdict
        if len(trained) <= at:
            verdict, text = "open", f"The run has {len(trained)} epochs, no more than the source's."
        else:
            text = (
                f"On validation images the error falls from {trained[at - 1]:.5f} after {at} epochs to "
                f"{trained[-1]:.5f} after {len(trained)} ({gain:.1%} less; lowest at epoch {lowest}); the last quarter "
                f"of the epochs took {late:.1%} from the quarter before. (Over {STILL:.0%} counts as still improving.)"
            )
            helped = gain > STILL
            verdict = "yes" if helped and late > STILL else "partly" if helped else "no"
        path = context.place("figures", f"{name}.png")
        lines(
            list(range(1, len(trained) + 1)),
            {f"validation {options.term}": trained},
            path,
            ylabel=options.term,
            title=f"Reconstruction error of {context.result(options.run)['label']}",
        )
        finding = Finding(
            claim=options.guess,
            verdict=verdict,
            answer=text,
            numbers=(
                Fact(name=f"after {at} epochs", value=Number(value=trained[at - 1])),
                Fact(name=f"after {len(trained)} epochs", value=Number(value=trained[-1])),
            ),
        )
        figure = Figure(
            path=path.relative_to(context.out).as_posix(),
            alt="Validation error by epoch",
            caption="Validation images; the test images are not looked at by epoch.",
        )
        sections: list[Part] = [Findings(title=options.title, findings=(finding,)), figure]
        return Outcome({"by_epoch": trained}, sections)
