"""Draw a store: scatter by class, each image at its place, and the same on a grid."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from phispace.maps.make import make_map
from phispace.maps.mosaic import draw_grid, draw_mosaic
from phispace.maps.scatter import draw_scatter
from phispace.report.document import Fact, Facts, Figure, Number, Part
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.embed import stores_of
from phispace.studies.steps.train import images_of

MEASURES = {
    "trustworthiness": "Trustworthiness",
    "knn_recall": "kNN recall",
    "class_agreement": "Class agreement on the map",
}


class MapOptions(StepOptions):
    """Options of the step `map`."""

    of: str
    store: str
    method: str = "tsne"
    split: str = "test"
    max_items: int | None = Field(None, ge=4)
    options: dict[str, Any] = Field(default_factory=dict)
    mosaic: bool = True
    canvas: tuple[int, int] = (4000, 3000)
    title: str = ""


class DrawMap(Step[MapOptions]):
    """A map of one store, with its faithfulness measured."""

    Options = MapOptions

    def title(self, options: MapOptions) -> str:
        return f"Drawing the {options.method} map of {options.store}"

    def run(self, context: Context, name: str, options: MapOptions) -> Outcome:
        store = stores_of(context, options.of)[options.store].part(options.split)
        made = make_map(
            store,
            options.method,
            options=options.options,
            max_items=options.max_items,
            seed=context.seed,
            progress=context.progress,
        )
        folder = context.place("maps")
        made.save(folder / name)
        scatter = folder / f"{name}.png"
        title = options.title or f"{options.method} of {options.store}"
        draw_scatter(made, scatter, title=title)
        n = f"{len(made.xy):,} {options.split} images"
        sections: list[Part] = [
            Figure(
                title="What does the map show?",
                path=scatter.relative_to(context.out).as_posix(),
                alt=f"{options.method} map of {options.store}, {n}, coloured by class",
                caption=f"{n}, {store.dim} dimensions drawn in two; distances between far clusters mean little.",
            ),
            Facts(
                facts=tuple(
                    Fact(name=text, value=Number(value=made.quality.get(key)))
                    for key, text in MEASURES.items()
                    if key in made.quality
                ),
                caption="How faithful the picture is: 1 is perfect.",
            ),
        ]
        if options.mosaic:
            images = images_of(context, context.result(options.of)["run"])
            at_place, on_grid = folder / f"{name}-mosaic.png", folder / f"{name}-grid.png"
            draw_mosaic(made, images, at_place, canvas=options.canvas)
            draw_grid(made, images, on_grid)
            sections += [
                Figure(
                    path=at_place.relative_to(context.out).as_posix(),
                    alt="Each image pasted at its own position on the map",
                    caption="Each image at its own place on the map.",
                ),
                Figure(
                    path=on_grid.relative_to(context.out).as_posix(),
                    alt="The same images on a grid, without overlap",
                    caption="The same images, moved to free places of a grid close by; none overlap, none is missing.",
                ),
            ]
        return Outcome({"map": f"maps/{name}", "quality": made.quality}, sections)
