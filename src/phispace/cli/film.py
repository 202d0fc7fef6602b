"""The verb that draws a run's film."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from phispace.cli.options import DataDir, OptionalImages, Quiet, RunPath, Seed, app, bars


class Strategy(StrEnum):
    """How frames are fitted."""

    warm = "warm"
    constant = "constant"
    full = "full"
    independent = "independent"
    identity = "identity"


@app.command()
def film(
    run: RunPath,
    layer: Annotated[str, typer.Option("--layer", "-l", help="The layer.")] = "features",
    strategy: Annotated[
        Strategy,
        typer.Option("--strategy", help="warm: each frame from the one before; constant; full; independent; identity."),
    ] = Strategy.warm,
    split: Annotated[str, typer.Option("--split", help="train, val or test.")] = "test",
    items: Annotated[int, typer.Option("--items", min=4, help="Images that are followed.")] = 2000,
    at_most: Annotated[int, typer.Option("--at-most", min=2, help="Checkpoints; more are thinned evenly.")] = 40,
    in_betweens: Annotated[int, typer.Option("--in-betweens", min=0, help="Drawn frames between real ones.")] = 10,
    thumbnails: Annotated[bool, typer.Option(help="Draw the images in place of points.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Directory; default RUN/film-LAYER.")] = None,
    images: OptionalImages = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Animate the map over the stored checkpoints, with the numbers that say whether to believe it."""
    from phispace.api.film import draw_film

    made = draw_film(
        run,
        layer=layer,
        strategy=strategy.value,
        split=split,
        items=items,
        at_most=at_most,
        in_betweens=in_betweens,
        thumbnails=thumbnails,
        out=out,
        images=images,
        data_dir=data_dir,
        seed=seed,
        progress=bars(quiet),
    )
    for name, value in made.film.summary().items():
        typer.echo(f"{name}: {value:.4g}")
    for path in made.files.values():
        typer.echo(str(path))
