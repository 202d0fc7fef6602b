"""The manifold of words with the images on it, and what the held-out pairs have to do with the likeness of names."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from phispace.errors import InputError
from phispace.evaluation.protocol import Part, by_id
from phispace.evaluation.words import word_store
from phispace.evaluation.zero_shot import fit
from phispace.maps.figure import INK, SOFT, heading, new_figure, save_figure
from phispace.maps.scatter import draw_points, plane, point_style
from phispace.report.document import Figure, Text
from phispace.report.document import Part as ReportPart
from phispace.report.figures import heat
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.embed import stores_of


class WordMapOptions(StepOptions):
    """Options of the step `word-map`."""

    of: str
    store: str
    scores: str = Field(description="the step that evaluated `zero-shot` on the stores")
    held_out: tuple[str, str] = ("cat", "truck")
    text: str = "glove"
    strength: float = Field(0.1, gt=0, description="of the ridge regression")
    max_items: int = Field(1000, ge=10)


class WordMap(Step[WordMapOptions]):
    """Images and names of classes on the plane of the names' first two principal components; pairs against cosines."""

    Options = WordMapOptions

    def title(self, options: WordMapOptions) -> str:
        return f"Drawing the words and the images of {options.store}"

    def run(self, context: Context, name: str, options: WordMapOptions) -> Outcome:
        store = stores_of(context, options.of)[options.store]
        classes = store.classes
        held = [c for c in options.held_out if c in classes] or list(classes[:2])
        words = np.asarray(word_store(classes, options.text).vectors, np.float64)
        train, test = by_id(store, "train", labelled=True), by_id(store, "test", labelled=True)
        new = np.array([classes.index(c) for c in held])
        seen = np.setdiff1d(np.arange(len(classes)), new)
        if len(seen) < 2:
            raise InputError(f"A map of words needs at least 4 classes; these images have {len(classes)}.")
        mean, spread = train.x.mean(0), np.maximum(train.x.std(0), 1e-6)
        send, _ = fit(Part((train.x - mean) / spread, train.y, train.ids), seen, words, options.strength)
        shown = test.take(np.arange(min(len(test), options.max_items)))
        points = send((shown.x - mean) / spread)
        centre = words.mean(0)
        basis = np.linalg.svd(words - centre, full_matrices=False)[2][:2].T
        picture = context.place("figures", f"{name}.png")
        _draw(picture, (points - centre) @ basis, shown.y, (words - centre) @ basis, classes, held)
        share = float(((words - centre) @ basis).var() / max((words - centre).var() * words.shape[1] / 2, 1e-12))
        sections: list[ReportPart] = [
            Figure(
                title="Where do images lie among the words?",
                path=picture.relative_to(context.out).as_posix(),
                alt=f"Test images and class names on the plane of the names; held out: {' and '.join(held)}",
                caption=f"{len(points):,} test images of {options.store}, sent to the vectors of their names by "
                f"a map that never saw {' and '.join(held)}. The plane holds {share:.0%} of the names' variance.",
            ),
            *self._pairs(context, name, options),
        ]
        return Outcome({"held_out": held, "variance": share}, sections)

    def _pairs(self, context: Context, name: str, options: WordMapOptions) -> list[ReportPart]:
        rows = context.result(options.scores)["rows"]
        row: Any = next((r for r in rows if r["evaluation"] == "zero-shot" and r["store"] == options.store), None)
        if row is None or not row["details"].get("pairs"):
            return [Text(paragraphs=("No pairs of held-out classes were scored on this representation.",))]
        names = row["details"]["word_cosines"]["classes"]
        right = np.full((len(names), len(names)), np.nan)
        for pair in row["details"]["pairs"]:
            a, b = (names.index(c) for c in pair["held_out"])
            right[a, b] = right[b, a] = pair["unseen_pairs"]
        cosines = np.array(row["details"]["word_cosines"]["cosines"])
        made: list[ReportPart] = []
        for key, table, title, low in (
            ("pairs", right, "Which held-out pairs are told apart?", 0.0),
            ("cosines", cosines, "How alike are the names?", -1.0),
        ):
            picture = context.place("figures", f"{name}-{key}.png")
            heat(table, names, names, picture, bounds=(low, 1.0))
            made.append(
                Figure(
                    title=title,
                    path=picture.relative_to(context.out).as_posix(),
                    alt=title,
                    caption="Accuracy on test images of two held-out classes; chance is a half."
                    if key == "pairs"
                    else f"Cosines of the text vectors ({options.text}).",
                )
            )
        return made


def _draw(
    path: Any, xy: np.ndarray, labels: np.ndarray, words: np.ndarray, classes: tuple[str, ...], held: list[str]
) -> None:
    figure = new_figure(8.2, 7.2)
    axes = plane(figure, np.concatenate([xy, words]), (0.03, 0.03, 0.94, 0.86))
    size, alpha = point_style(len(xy))
    draw_points(axes, xy, labels, len(classes), size / 2, alpha * 0.6)
    for place, label in zip(words, classes, strict=True):
        axes.plot(*place, marker="x", color=INK, markersize=7, markeredgewidth=2)
        weight = "bold" if label in held else "normal"
        axes.annotate(
            f"{label} (held out)" if label in held else label,
            place,
            xytext=(6, 5),
            textcoords="offset points",
            size=11,
            weight=weight,
            color=INK if label in held else SOFT,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1},
            parse_math=False,
        )
    heading(figure, "Words and images", "test images by class; crosses are the vectors of the class names")
    save_figure(figure, path)
