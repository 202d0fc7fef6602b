"""Whole experiments: the quickstart and the studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phispace.cli.options import (
    DataDir,
    OptionalImages,
    Precision,
    Quiet,
    Seed,
    Size,
    Threads,
    app,
    bars,
    command_line,
)


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option("--out", "-o", help="Directory to write.")] = Path("runs/quickstart"),
    images: OptionalImages = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """The whole job on handwritten digits: train, compare with honest baselines, map, report. Under two minutes."""
    _study("quickstart", out, images, data_dir, None, "cpu", seed, threads, "auto", quiet)


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="A name of `phispace list studies`, or a .toml file.")],
    images: OptionalImages = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Directory; by default runs/NAME-SCALE.")] = None,
    scale: Annotated[str, typer.Option("--scale", help="smoke (seconds), cpu (minutes), paper, or auto.")] = "auto",
    data_dir: DataDir = None,
    size: Size = None,
    seed: Seed = 0,
    threads: Threads = None,
    precision: Precision = "auto",
    quiet: Quiet = False,
) -> None:
    """Run an experiment of the literature; what is done already is kept, what was cut goes on."""
    if scale == "auto":
        from phispace.api.learn import has_gpu

        scale = "paper" if has_gpu() else "cpu"
    target = out or Path("runs") / f"{Path(name).stem}-{scale}"
    _study(name, target, images, data_dir, size, scale, seed, threads, precision, quiet)


def _study(
    name: str,
    out: Path,
    images: str | None,
    data_dir: Path | None,
    size: int | None,
    scale: str,
    seed: int,
    threads: int | None,
    precision: str,
    quiet: bool,
) -> None:
    from phispace.api.results import study as run

    report = run(
        name,
        images=images,
        out=out,
        scale=scale,
        data_dir=data_dir,
        size=size,
        seed=seed,
        training={"threads": threads, "precision": precision},
        command=command_line(),
        progress=bars(quiet),
    )
    for line in report.answers:
        typer.echo(line)
    typer.echo(f"Report: {report.path}")
