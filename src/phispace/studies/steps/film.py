"""The film of a map over training: frames that stay comparable, with the numbers that say whether to believe them."""

from __future__ import annotations

import math
from statistics import fmean
from typing import Literal

from pydantic import Field

from phispace.maps.animation import draw_film, fit_frames
from phispace.maps.film import DISPLACEMENT_BAR, LEAK_BAR, TRUST_BAR, Caption
from phispace.maps.film import Film as MapFilm
from phispace.report.document import Column, Fact, Figure, Film, Finding, Findings, Number, Row, Table, Verdict
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.checkpoints import stores_of_frames
from phispace.studies.steps.train import images_of

COLUMNS = {
    "displacement": "points move",
    "displacement_independent": "independent fits move",
    "trustworthiness": "trust",
    "trustworthiness_independent": "trust, independent",
    "knn_recall": "kNN recall",
    "leak": "leak",
    "churn": "neighbours exchanged",
}


class FilmOptions(StepOptions):
    """Options of the step `film`."""

    of: str
    split: str = "test"
    items: int = Field(2000, ge=10)
    in_betweens: int = Field(8, ge=0)
    strategy: Literal["warm", "constant", "full", "independent"] = "warm"
    thumbnails: bool = False
    guess_comparable: str = "Separate t-SNE fits are not comparable."
    guess_settled: str = "The run never settled."


class DrawFilm(Step[FilmOptions]):
    """One fixed subset of ids, each frame started from the one before."""

    Options = FilmOptions

    def title(self, options: FilmOptions) -> str:
        return "Fitting the frames of the film, and independent maps beside them"

    def run(self, context: Context, name: str, options: FilmOptions) -> Outcome:
        stores, captions = [], []
        for frame, store in stores_of_frames(context, options.of):
            stores.append(store.part(options.split))
            captions.append(Caption(epoch=float(frame["epoch"]), accuracy=frame.get("val_accuracy")))
        film = fit_frames(
            stores,
            captions,
            max_items=options.items,
            strategy=options.strategy,
            seed=context.seed,
            progress=context.progress,
        )  # fmt: skip
        folder = context.place(name)
        film.save(folder / "film")
        files = draw_film(
            film,
            folder,
            images=images_of(context, context.result(options.of)["run"]) if options.thumbnails else None,
            in_betweens=options.in_betweens,
            formats=("webp", "gif"),
        )
        numbers = files["numbers"]
        summary = film.summary()
        inner = folder.relative_to(context.out).as_posix()
        layer = context.result(options.of)["layer"]
        moving = Film(
            title="How does the map form over training?",
            path=f"{inner}/{files['webp'].name}",
            alt=f"Animation of the t-SNE map of {layer} over the stored checkpoints",
            caption=f"{len(film.ids):,} {options.split} images, always the same ones; every frame starts from the one "
            "before it. Frames are real checkpoints with their epoch and validation accuracy; what is drawn between "
            "them is marked as drawn.",
            frames=f"{inner}/{files['frames'].name}",
        )
        figure = Figure(
            path=numbers.relative_to(context.out).as_posix(),
            alt="Displacement, trustworthiness, leak and churn of each frame",
            caption="The numbers behind each frame, beside those of independent fits of the same frames.",
        )
        findings = Findings(findings=(_comparable(film, options), _settled(film, options)))
        return Outcome({"film": f"{inner}/film", "summary": summary}, [moving, figure, _table(film), findings])


def _table(film: MapFilm) -> Table:
    rows = []
    for t, row in enumerate(film.table):
        cells = tuple(Number(value=row.get(key), reason="there is no frame before the first") for key in COLUMNS)
        rows.append(Row(label=film.captions[t].words, cells=cells, note="; ".join(film.badges(t))))
    return Table(
        title="Can the film be believed?",
        label_title="Frame",
        columns=tuple(Column(title=title) for title in COLUMNS.values()),
        rows=tuple(rows),
        caption="Distances in RMS radii of the map. Leak: class agreement on the map minus class agreement in the "
        "representation. Neighbours exchanged: 1 - Jaccard overlap of the true nearest neighbours with those of the "
        "frame before.",
    )


def _ratio_once_trained(film: MapFilm) -> float:
    """Displacement against independent fits between trained checkpoints: the step from the untrained network left out,
    where nearly all neighbours are new and a map that stayed in place would lie."""
    first = 2 if film.captions[0].epoch == 0 else 1
    moves = [row["displacement"] for row in film.table[first:]]
    alone = [row.get("displacement_independent", math.nan) for row in film.table[1:]]
    return fmean(moves) / fmean(alone) if moves else math.nan


def _comparable(film: MapFilm, options: FilmOptions) -> Finding:
    summary, trained = film.summary(), _ratio_once_trained(film)
    ratio, loss, leak = (summary[k] for k in ("displacement_ratio", "trustworthiness_loss_worst", "leak_worst"))
    kept = [
        f"displacement {'within' if ratio <= DISPLACEMENT_BAR else 'over'} {DISPLACEMENT_BAR:g} of it",
        f"{trained:.2f} without the step from the untrained network",
        f"trust {'within' if loss <= TRUST_BAR else 'not within'} {TRUST_BAR:g}",
        f"leak {'within' if abs(leak) <= LEAK_BAR else 'not within'} {LEAK_BAR:g}",
    ]
    far = summary["displacement_independent"]
    verdict: Verdict = "yes" if far > 0.5 else "partly" if far > 0.25 else "no"
    return Finding(
        claim=options.guess_comparable,
        verdict=verdict,
        answer=f"Between separate fits of neighbouring checkpoints a point moves {far:.2f} map radii on average; in "
        f"this film it moves {summary['displacement']:.2f}, {ratio:.2f} of that ({'; '.join(kept)}; "
        f"{summary['frames_with_badge']:.0f} of {summary['frames']:.0f} frames miss a bar).",
        numbers=(
            Fact(name="displacement against independent fits", value=Number(value=ratio)),
            Fact(name="the same between trained checkpoints", value=Number(value=trained)),
            Fact(name="largest loss of trust", value=Number(value=loss)),
            Fact(name="largest leak", value=Number(value=leak)),
        ),
    )


def _settled(film: MapFilm, options: FilmOptions) -> Finding:
    """Settled: the last third of the film exchanges under a tenth of the neighbours, or a quarter of the first's."""
    churn = [row["churn"] for row in film.table if math.isfinite(row.get("churn", math.nan))]
    third = max(1, len(churn) // 3)
    if len(churn) < 3:
        return Finding(claim=options.guess_settled, verdict="open", answer="Too few checkpoints to tell.")
    early, late = fmean(churn[:third]), fmean(churn[-third:])
    verdict: Verdict = "no" if late < 0.1 or late < early / 4 else "yes" if late > early / 2 else "partly"
    return Finding(
        claim=options.guess_settled,
        verdict=verdict,
        answer=f"Between neighbouring checkpoints an image exchanges {early:.0%} of its nearest neighbours in the "
        f"first third of the film and {late:.0%} in the last. (Under a tenth, or under a quarter of the beginning, "
        "would be settled; over half of the beginning counts as never settled.)",
        numbers=(
            Fact(name="neighbours exchanged, first third", value=Number(value=early, form="share")),
            Fact(name="neighbours exchanged, last third", value=Number(value=late, form="share")),
        ),
    )
