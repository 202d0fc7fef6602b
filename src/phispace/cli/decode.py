"""The verb that shows what runs give back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from phispace.cli.options import AsJson, Checkpoint, DataDir, OptionalImages, Quiet, Seed, app, bars


@app.command()
def reconstruct(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run directories, all of the same images.")],
    checkpoint: Checkpoint = "best",
    split: Annotated[str, typer.Option("--split", help="Images: train, val or test.")] = "test",
    items: Annotated[int, typer.Option("--items", min=1, max=40, help="Images in the figure.")] = 10,
    baselines: Annotated[
        bool, typer.Option(help="Score as many principal components, and the mean image, too.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A .png or .svg file; default: in the first run.")
    ] = None,
    images: OptionalImages = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw images above what runs with a decoder give back, and score it: MSE, PSNR, SSIM, noise taken away."""
    from phispace.api.decode import reconstruct as call
    from phispace.api.scores import score_lines
    from phispace.storage import jsonable

    made = call(
        runs,
        checkpoint=checkpoint,
        split=split,
        items=items,
        baselines=baselines,
        out=out,
        images=images,
        data_dir=data_dir,
        seed=seed,
        progress=bars(quiet),
    )
    if as_json:
        typer.echo(json.dumps(jsonable({"scores": made.rows, "figure": str(made.figure)}), indent=2))
        return
    for label, rows in made.rows.items():
        if len(made.rows) > 1:
            typer.echo(label)
        for line in score_lines(rows, everything=True):
            typer.echo(line)
    typer.echo(f"Figure: {made.figure}")
