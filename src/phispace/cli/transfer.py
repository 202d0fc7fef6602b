"""Putting a backbone or a run to a new use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phispace.cli.options import DataDir, Quiet, Set, Size, Threads, app, bars


@app.command()
def transfer(
    source: Annotated[
        str,
        typer.Argument(help="An encoder, such as EfficientNet-Lite0 or timm:resnet50; or a run, or RUN@CHECKPOINT."),
    ],
    images: Annotated[str | None, typer.Option("--images", "-i", help="A name or a path; default digits.")] = None,
    freeze: Annotated[
        str | None,
        typer.Option(
            "--freeze",
            help="none, all, first:N, last:N, but-last:N (layers), until:NAME, or names of stages; default all.",
        ),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option("--resolution", "-r", help="Side that a backbone sees; default its own.")
    ] = None,
    head: Annotated[
        str | None, typer.Option("--head", help="Dense layers before the classes, such as 512,128.")
    ] = None,
    dropout: Annotated[float | None, typer.Option("--dropout", help="In the head.")] = None,
    probe_epochs: Annotated[
        int | None, typer.Option("--probe-epochs", help="First the head alone for so many passes (LP-FT).")
    ] = None,
    unfreeze_epochs: Annotated[
        int | None, typer.Option("--unfreeze-epochs", help="Passes until the next stage joins, from the last one back.")
    ] = None,
    layer_decay: Annotated[
        float | None, typer.Option("--layer-decay", help="Factor of the learning rate from a stage to the one below.")
    ] = None,
    optimizer: Annotated[str | None, typer.Option("--optimizer", help="adam, adamw, rmsprop, sgd ...")] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help="Peak.")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="Images a step.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes; with --resume: extend.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="Published settings; see `phispace show`.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Run directory.")] = None,
    set_: Set = None,
    seed: Annotated[int | None, typer.Option("--seed", "-s", help="Seed of every draw; default 0.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    data_dir: DataDir = None,
    size: Size = None,
    precision: Annotated[str | None, typer.Option("--precision", help="auto, float32 or bf16.")] = None,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Put a pretrained backbone or a run to a new use: a new head, and what of the encoder is not frozen."""
    from phispace.api.transfer import transfer as api
    from phispace.errors import InputError

    widths: list[int] | None = None
    if head is not None:
        parts = [part.strip() for part in head.split(",") if part.strip()]
        if not all(part.isdecimal() and int(part) for part in parts):
            raise InputError(f"--head is {head!r}; numbers with commas between are expected, such as 512,128.")
        widths = [int(part) for part in parts]
    run = api(
        source,
        images,
        freeze=freeze,
        resolution=resolution,
        head=widths,
        dropout=dropout,
        probe_epochs=probe_epochs,
        unfreeze_epochs=unfreeze_epochs,
        layer_decay=layer_decay,
        optimizer=optimizer,
        learning_rate=learning_rate,
        batch_size=batch_size,
        epochs=epochs,
        preset=preset,
        settings=set_ or (),
        out=out,
        seed=seed,
        resume=resume,
        training={"precision": precision, "threads": threads},
        data_dir=data_dir,
        size=size,
        progress=bars(quiet),
    )
    typer.echo(f"Run: {run.path}")
    frozen = run.record["method"]["frozen"]
    typer.echo(
        f"  frozen: {frozen['layers']} of {frozen['of_layers']} layers, {frozen['parameters']:,} of the encoder's "
        f"{frozen['of_parameters']:,} weights; trained: {run.record['method']['trained_parameters']:,}"
    )
    for name, value in run.record.get("result", {}).items():
        typer.echo(f"  {name}: {value}")
