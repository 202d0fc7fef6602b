"""Verbs about codes and losses: pictures of a code, bounds on the likelihood, loss curves of several runs."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from phispace.cli.options import AsJson, Checkpoint, DataDir, OptionalImages, Quiet, RunPath, Seed, app, bars


class Picture(StrEnum):
    """Pictures of a code."""

    scatter = "scatter"
    grid = "grid"
    traversals = "traversals"
    samples = "samples"
    interpolations = "interpolations"
    kl = "kl"


@app.command()
def latents(
    run: RunPath,
    what: Annotated[
        list[Picture] | None, typer.Option("--what", help="A picture (repeatable); by default all that the run has.")
    ] = None,
    checkpoint: Checkpoint = "best",
    split: Annotated[str, typer.Option("--split", help="Images that are encoded: train, val or test.")] = "test",
    items: Annotated[int, typer.Option("--items", min=2, help="At most so many images.")] = 5000,
    dims: Annotated[
        tuple[int, int] | None, typer.Option("--dims", help="Two dimensions of scatter and grid; default: largest KL.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Directory; default RUN/latents.")] = None,
    images: OptionalImages = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Draw a run's code: scatter, grid over the prior, traversals, samples, interpolations, KL by dimension."""
    from phispace.api.latents import draw_latents

    made = draw_latents(
        run,
        [w.value for w in what] if what else None,
        checkpoint=checkpoint,
        split=split,
        items=items,
        dims=dims,
        out=out,
        images=images,
        data_dir=data_dir,
        seed=seed,
        progress=bars(quiet),
    )
    if "active_units" in made.numbers:
        typer.echo(f"dimensions in use: {made.numbers['active_units']} of {made.numbers['dimensions']}")
    if made.numbers.get("kl_total") is not None:
        typer.echo(f"KL: {made.numbers['kl_total']:.2f} nats")
    for path in made.files.values():
        typer.echo(str(path))


@app.command()
def bounds(
    run: RunPath,
    k: Annotated[int, typer.Option("-k", min=1, help="Draws of the importance-weighted bound.")] = 100,
    items: Annotated[int, typer.Option("--items", min=1, help="Images, stratified by class.")] = 1000,
    checkpoint: Checkpoint = "best",
    split: Annotated[str, typer.Option("--split", help="train, val or test.")] = "test",
    images: OptionalImages = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Bound the likelihood of a variational autoencoder: ELBO and importance-weighted, in bits per dimension."""
    from phispace.api.bounds import likelihood_bounds
    from phispace.storage import jsonable

    rows = likelihood_bounds(
        run, k=k, items=items, checkpoint=checkpoint, split=split, images=images, data_dir=data_dir, seed=seed,
        progress=bars(quiet),
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(jsonable(rows), indent=2))
        return
    for row in rows:
        for name, value in row["metrics"].items():
            typer.echo(f"{name}: undefined" if value is None or value != value else f"{name}: {value:.4f}")
        for caveat in row["caveats"]:
            typer.echo(f"  {caveat}")


@app.command()
def curves(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run directories.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A .png file.")] = Path("curves.png"),
    term: Annotated[
        list[str] | None, typer.Option("--term", help="A term of the loss (repeatable); by default all.")
    ] = None,
    validation: Annotated[bool, typer.Option(help="Validation, by epoch, in place of training.")] = False,
) -> None:
    """Draw the losses of several runs over iterations in one figure: the total and each term."""
    from phispace.api.curves import draw_curves

    typer.echo(str(draw_curves(runs, out, terms=term, validation=validation)))
