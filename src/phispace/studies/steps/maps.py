"""The same items of every store on a map of its own, side by side in one picture."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field

from phispace.maps.make import make_map
from phispace.maps.multiples import draw_multiples
from phispace.report.document import Column, Figure, Number, Row, Table
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.embed import stores_of


class MapsOptions(StepOptions):
    """Options of the step `maps`."""

    of: str
    stores: tuple[str, ...] = Field((), description="only these, in this order; by default all")
    method: str = "umap"
    split: str = "test"
    max_items: int = Field(2000, ge=4)
    options: dict[str, Any] = Field(default_factory=dict)
    title: str = "How does each representation lay out the same images?"


class DrawMaps(Step[MapsOptions]):
    """A map of each store over the same items, in one figure, with the faithfulness of each."""

    Options = MapsOptions

    def title(self, options: MapsOptions) -> str:
        return f"Drawing the {options.method} maps of {options.of}"

    def run(self, context: Context, name: str, options: MapsOptions) -> Outcome:
        stores = stores_of(context, options.of)
        labels = options.stores or tuple(stores)
        folder = context.place("maps")
        made = {}
        for label in labels:
            part = stores[label].part(options.split)
            made[label] = make_map(
                part, options.method, options=options.options, max_items=options.max_items, seed=context.seed
            )
            made[label].save(folder / f"{name}-{label}".replace(" ", "-"))
        picture = folder / f"{name}.png"
        draw_multiples(made, picture)
        learnt = set(context.result(options.of)["layers"])
        quality = {label: m.quality for label, m in made.items()}
        measures = ("trustworthiness", "knn_recall", "class_agreement", "class_agreement_representation")
        table = Table(
            label_title="Representation",
            columns=tuple(Column(title=m.replace("_", " ")) for m in measures),
            rows=tuple(
                Row(
                    label=label,
                    baseline=label not in learnt,
                    cells=tuple(Number(value=quality[label].get(m, math.nan)) for m in measures),
                )
                for label in labels
            ),
            caption="How faithful each picture is, and how often neighbours share a class on the map and in the "
            "representation: where the map agrees more than the representation, it shows too much.",
        )
        n = len(next(iter(made.values())).xy)
        figure = Figure(
            title=options.title,
            path=picture.relative_to(context.out).as_posix(),
            alt=f"{options.method} of {len(labels)} representations, {n:,} {options.split} images, coloured by class",
            caption=f"The same {n:,} {options.split} images in every panel; each is a projection of its own, so places "
            "do not correspond between panels.",
        )
        return Outcome({"quality": quality}, [figure, table])
