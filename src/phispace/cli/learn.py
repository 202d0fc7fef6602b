"""Verbs that look at images, learn and extract."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from phispace.cli.options import (
    AsJson,
    Checkpoint,
    DataDir,
    OptionalImages,
    Quiet,
    RunPath,
    Set,
    Size,
    Threads,
    app,
    bars,
    data_app,
)


@data_app.command()
def inspect(
    images: Annotated[str, typer.Argument(help="A name or a path.")],
    sheet: Annotated[Path | None, typer.Option("--sheet", help="Contact sheet to write (PNG).")] = None,
    data_dir: DataDir = None,
    size: Size = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Counts, classes, sizes, what is in quarantine, and a contact sheet."""
    from phispace.api import learn as api

    found = api.inspect(images, sheet=sheet, data_dir=data_dir, size=size, progress=bars(quiet))
    typer.echo(json.dumps(found, indent=2) if as_json else "\n".join(facts(found)))


def facts(found: dict[str, Any]) -> list[str]:
    """What `inspect` found, as lines of text."""
    channels, height, width = found["shape"]
    lines = [
        f"{found['name']}: {found['n']:,} images, {width} x {height}, {'colour' if channels == 3 else 'grey'}",
        f"before resizing: {_tally(found['sizes'])}",
    ]
    for title in ("formats", "modes", "conversions"):
        if found[title]:
            lines.append(f"{title}: {_tally(found[title])}")
    for split, counts in found["counts"].items():
        shown = list(counts.items())
        rest = f" and {len(shown) - 12} more" if len(shown) > 12 else ""
        lines.append(f"{split}: {sum(counts.values()):,} ({', '.join(f'{k} {n:,}' for k, n in shown[:12])}{rest})")
    for number, row in enumerate(found["values"]):
        lines.append(f"channel {number}: {row['min']} to {row['max']}, mean {row['mean']}, std {row['std']}")
    if found["factors"]:
        lines.append(f"factors: {_tally(found['factors'])}")
    lines += [f"note: {text}" for text in [*found["caveats"], *found["notes"]]]
    lines.append(f"quarantine: {len(found['quarantine'])}")
    lines += [f"  {q['id']!r}: {q['reason']}" for q in found["quarantine"][:20]]
    lines.append(f"fingerprint: {found['fingerprint']}")
    return lines


def _tally(counts: dict[str, int]) -> str:
    shown = sorted(counts.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} ({n:,})" for name, n in shown[:6]) + (" ..." if len(shown) > 6 else "")


@app.command()
def train(
    method: Annotated[str | None, typer.Argument(help="A name of `phispace list methods`; default supervised.")] = None,
    images: Annotated[
        str | None,
        typer.Option(
            "--images", "-i", help="A name (`phispace list images`) or a path: folder, zip, tar, npz, parquet."
        ),
    ] = None,
    encoder: Annotated[str | None, typer.Option("--encoder", "-e", help="Default: the method's own.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Run directory; default runs/METHOD-IMAGES.")] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help="Published settings; see `phispace show method`.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="Passes over the images; with --resume: extend.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="As many epochs as fit, measured on a few steps.")
    ] = None,
    set_: Set = None,
    seed: Annotated[int | None, typer.Option("--seed", "-s", help="Seed of every draw; default 0.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    refit: Annotated[
        bool, typer.Option("--refit", help="Train on train and val together, all settings fixed.")
    ] = False,
    data_dir: DataDir = None,
    size: Size = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="auto, float32 or bf16; auto measures a few steps.")
    ] = None,
    threads: Threads = None,
    devices: Annotated[str | None, typer.Option("--devices", help="For Lightning: a number, or auto.")] = None,
    num_nodes: Annotated[int | None, typer.Option("--num-nodes", help="For Lightning.")] = None,
    strategy: Annotated[str | None, typer.Option("--strategy", help="For Lightning, for example ddp.")] = None,
    accelerator: Annotated[str | None, typer.Option("--accelerator", help="For Lightning: auto, cpu, gpu ...")] = None,
    quiet: Quiet = False,
) -> None:
    """Learn a representation; the result is a run directory."""
    from phispace.api import learn as api

    run = api.train(
        method,
        images,
        encoder=encoder,
        out=out,
        preset=preset,
        epochs=epochs,
        minutes=minutes,
        settings=set_ or (),
        seed=seed,
        resume=resume,
        training={
            "refit": refit or None,
            "precision": precision,
            "threads": threads,
            "devices": devices,
            "num_nodes": num_nodes,
            "strategy": strategy,
            "accelerator": accelerator,
        },
        data_dir=data_dir,
        size=size,
        progress=bars(quiet),
    )
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return  # with several devices Lightning starts this command once for each; the first one speaks
    typer.echo(f"Run: {run.path}")
    for name, value in run.record.get("result", {}).items():
        typer.echo(f"  {name}: {value}")


@app.command()
def embed(
    run: RunPath,
    images: OptionalImages = None,
    layer: Annotated[
        list[str] | None, typer.Option("--layer", "-l", help="A layer, or its reading as features+mirror (repeatable).")
    ] = None,
    checkpoint: Checkpoint = "best",
    parquet: Annotated[
        Path | None, typer.Option("--parquet", help="Also write one Parquet file for other tools.")
    ] = None,
    data_dir: DataDir = None,
    size: Size = None,
    quiet: Quiet = False,
) -> None:
    """Extract a run's embeddings into its store."""
    from phispace.api import learn as api

    stores = api.embed(
        run,
        images,
        layers=layer or ["features"],
        checkpoint=checkpoint,
        data_dir=data_dir,
        size=size,
        progress=bars(quiet),
    )
    for name, store in stores.items():
        typer.echo(f"{name}: {len(store)} x {store.dim} in {store.path}")
    if parquet is not None:
        next(iter(stores.values())).to_parquet(parquet)
        typer.echo(f"Parquet: {parquet}")
