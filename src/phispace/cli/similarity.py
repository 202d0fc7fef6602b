"""The verb that compares representations."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from phispace.cli.options import AsJson, DataDir, OptionalImages, Quiet, Seed, app, bars, command_line


class Measure(StrEnum):
    """Measures of similarity."""

    cka = "cka"
    cka_biased = "cka_biased"
    procrustes = "procrustes"
    mutual_knn = "mutual_knn"


@app.command()
def similarity(
    sources: Annotated[
        list[Path], typer.Argument(metavar="RUN|STORE|FILE...", help="Runs, stores, or files with vectors and ids.")
    ],
    layer: Annotated[
        list[str] | None,
        typer.Option("--layer", "-l", help="For runs: a layer, or all (repeatable); default features."),
    ] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option("--checkpoint", help="For runs: best, last, a name, or all (repeatable); default best."),
    ] = None,
    measure: Annotated[
        list[Measure] | None,
        typer.Option("--measure", "-m", help="Repeatable; default cka, procrustes and mutual_knn (neighbours)."),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="train, val, test or unlabelled; auto: test if any.")] = "auto",
    items: Annotated[int, typer.Option("--items", min=4, help="Images, drawn at random of those in common.")] = 2000,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Directory; default RUN/similarity, of several: similarity.")
    ] = None,
    images: OptionalImages = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare representations of the same images: layers, epochs, methods; a heat map a measure and JSON."""
    from phispace.api.similarity import MEASURES, draw_similarities

    made = draw_similarities(
        *sources,
        layers=layer or ("features",),
        checkpoints=checkpoint or ("best",),
        measures=[m.value for m in measure] if measure else MEASURES,
        split=split,
        items=items,
        out=out,
        images=images,
        data_dir=data_dir,
        seed=seed,
        command=command_line(),
        progress=bars(quiet),
    )
    if as_json:
        typer.echo(made.files["numbers"].read_text(encoding="utf-8"))
        return
    typer.echo("\n".join(made.lines()))
    for path in made.files.values():
        typer.echo(str(path))
