"""Pictures of what decoders make: reconstructions of several runs, a run's latent pictures, losses of several runs."""

from __future__ import annotations

from pydantic import Field

from phispace.api.curves import draw_curves
from phispace.api.decode import reconstruct
from phispace.api.latents import draw_latents
from phispace.report.document import Figure, Part
from phispace.report.numerals import sentence
from phispace.report.scores import number_of, score_section
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.train import images_of, run_of

CAPTIONS = {
    "scatter": "Each point is the code of a test image, coloured by class.",
    "grid": "Images decoded from a grid over two dimensions of the code, at even quantiles.",
    "traversals": "Each row moves one dimension of the code and leaves the others where they are.",
    "samples": "Images decoded from codes that were drawn from the prior.",
    "interpolations": "From one image to another, along a straight line and along an arc between their codes.",
    "kl": "How many nats each dimension of the code carries; one near zero is not in use.",
}


class ReconstructionsOptions(StepOptions):
    """Options of the step `reconstructions`."""

    runs: tuple[str, ...] = Field(min_length=1)
    items: int = Field(10, ge=1)
    title: str = "How near are the reconstructions?"


class Reconstructions(Step[ReconstructionsOptions]):
    """Originals beside each run's reconstructions, and their errors on the test images."""

    Options = ReconstructionsOptions

    def title(self, options: ReconstructionsOptions) -> str:
        return f"Reconstructing test images with {', '.join(options.runs)}"

    def run(self, context: Context, name: str, options: ReconstructionsOptions) -> Outcome:
        figure = context.place("figures", f"{name}.png")
        made = reconstruct(
            [run_of(context, identity) for identity in options.runs],
            items=options.items,
            images=images_of(context, options.runs[0]),
            out=figure,
            seed=context.seed,
            progress=context.progress,
        )
        rows = []
        for label, own in made.rows.items():
            rows.append({**own[0], "store": label})
            for row in own[1:]:
                components = row["n"].get("components")
                rows.append({**row, "store": f"PCA {components} components" if components else row["store"]})
        rows = list({row["store"]: row for row in rows}.values())
        best = min((row for row in rows if row["store"] in made.rows), key=lambda row: row["metrics"]["mse"])
        error = sentence(number_of(best, "mse", caveats=False), uncertainty=False)
        sections: list[Part] = [
            Figure(
                title=options.title,
                path=figure.relative_to(context.out).as_posix(),
                alt=f"Test images above the reconstructions of {', '.join(made.rows)}",
                caption="The first row are test images, the rows below what each decoder makes of their codes.",
                pixelated=True,
            ),
            *score_section(rows, title="", main=tuple(made.rows)),
        ]
        answer = f"Of {len(made.rows)} decoders {best['store']} comes nearest to the test images: MSE {error}."
        return Outcome({"rows": rows}, sections, answer if len(made.rows) > 1 else "")


class LatentsOptions(StepOptions):
    """Options of the step `latents`."""

    run: str
    what: tuple[str, ...] = ()
    items: int = Field(5000, ge=2)
    title: str = ""


class Latents(Step[LatentsOptions]):
    """Pictures of one run's code."""

    Options = LatentsOptions

    def title(self, options: LatentsOptions) -> str:
        return f"Drawing the code of {options.run}"

    def run(self, context: Context, name: str, options: LatentsOptions) -> Outcome:
        run = run_of(context, options.run)
        made = draw_latents(
            run,
            options.what or None,
            items=options.items,
            out=context.place("figures", name),
            images=images_of(context, options.run),
            seed=context.seed,
            progress=context.progress,
        )
        numbers = made.numbers
        label = str(context.result(options.run)["label"])
        sections: list[Part] = []
        for number, (what, path) in enumerate((k, p) for k, p in made.files.items() if k != "numbers"):
            sections.append(
                Figure(
                    title="" if number else (options.title or f"The code of {label}"),
                    path=path.relative_to(context.out).as_posix(),
                    alt=f"{what} of {label}",
                    caption=CAPTIONS[what],
                    pixelated=what not in ("scatter", "kl"),
                )
            )
        in_use = f"{numbers['active_units']} of {numbers['dimensions']}"
        answer = ""
        if numbers["active_units"] < numbers["dimensions"]:
            answer = f"{label}: only {in_use} dimensions of the code are in use (posterior collapse)."
        return Outcome({"numbers": numbers}, sections, answer)


class CurvesOptions(StepOptions):
    """Options of the step `curves`."""

    runs: tuple[str, ...] = Field(min_length=1)
    terms: tuple[str, ...] = ()
    validation: bool = False
    title: str = "How did the losses fall?"
    caption: str = ""


class Curves(Step[CurvesOptions]):
    """Losses of several runs over iterations in one figure, the total and by term."""

    Options = CurvesOptions

    def title(self, options: CurvesOptions) -> str:
        return f"Drawing the losses of {', '.join(options.runs)}"

    def run(self, context: Context, name: str, options: CurvesOptions) -> Outcome:
        path = context.place("figures", f"{name}.png")
        draw_curves(
            [run_of(context, identity) for identity in options.runs],
            path,
            terms=options.terms or None,
            validation=options.validation,
        )
        figure = Figure(
            title=options.title,
            path=path.relative_to(context.out).as_posix(),
            alt=f"Losses of {', '.join(options.runs)} over the iterations",
            caption=options.caption or "Each line is one run, over its iterations; panels are terms of the loss.",
        )
        return Outcome({}, [figure])
