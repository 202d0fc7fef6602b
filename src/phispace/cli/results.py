"""Verbs that draw, search, write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from phispace.cli.files import Embedded, IdsKey, LabelsKey, SplitKey, TestFile, VectorsKey, embedded
from phispace.cli.options import (
    Checkpoint,
    DataDir,
    OptionalImages,
    Quiet,
    RunPath,
    Seed,
    Set,
    app,
    bars,
    pixels,
)
from phispace.errors import InputError


@app.command(name="map")
def map_(
    source: Embedded,
    method: Annotated[str, typer.Option("--method", "-m", help="A name of `phispace list maps`.")] = "tsne",
    layer: Annotated[str, typer.Option("--layer", "-l", help="For a run: the layer.")] = "features",
    checkpoint: Checkpoint = "best",
    split: Annotated[
        str | None, typer.Option("--split", help="train, val, test, unlabelled or all; default test.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Directory; default: the run's maps/.")] = None,
    mosaic: Annotated[bool, typer.Option(help="Draw the images at their places, and on a grid.")] = True,
    canvas: Annotated[str, typer.Option("--canvas", help="Mosaic's pixels, WIDTHxHEIGHT.")] = "4000x3000",
    tile: Annotated[
        int | None, typer.Option("--tile", help="Pixels of a mosaic's image; by default by number.")
    ] = None,
    max_items: Annotated[int | None, typer.Option("--max-items", help="Fit a fixed stratified subset.")] = None,
    set_: Set = None,
    images: OptionalImages = None,
    data_dir: DataDir = None,
    test: TestFile = None,
    vectors: VectorsKey = None,
    labels: LabelsKey = None,
    ids: IdsKey = None,
    split_key: SplitKey = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Draw embeddings in the plane: scatter by class, mosaic, grid, and how faithful the picture is."""
    from phispace.api import results as api

    made = api.draw_map(
        embedded(source, quiet, test=test, vectors=vectors, labels=labels, ids=ids, split=split_key),
        method,
        layer=layer,
        checkpoint=checkpoint,
        split=split,
        out=out,
        mosaic=mosaic,
        canvas=pixels(canvas),
        tile=tile,
        max_items=max_items,
        settings=set_ or (),
        images=images,
        data_dir=data_dir,
        seed=seed,
        progress=bars(quiet),
    )
    for name, value in made.map.quality.items():
        typer.echo(f"{name}: {value:.4f}")
    for path in made.files:
        typer.echo(str(path))


@app.command()
def search(
    source: Embedded,
    query: Annotated[list[Path] | None, typer.Option("--query", help="An image file (repeatable).")] = None,
    id_: Annotated[list[str] | None, typer.Option("--id", help="An item of the store (repeatable).")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Neighbours a query.")] = 10,
    layer: Annotated[str, typer.Option("--layer", "-l", help="The layer.")] = "features",
    checkpoint: Checkpoint = "best",
    metric: Annotated[str, typer.Option("--metric", help="cosine or euclidean.")] = "cosine",
    index: Annotated[str, typer.Option("--index", help="auto, exact, ivf or hnsw.")] = "exact",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Contact sheet; default RUN/search/.")] = None,
    images: OptionalImages = None,
    data_dir: DataDir = None,
    test: TestFile = None,
    vectors: VectorsKey = None,
    labels: LabelsKey = None,
    ids: IdsKey = None,
    split_key: SplitKey = None,
    quiet: Quiet = False,
) -> None:
    """Find the nearest images: a contact sheet and JSON."""
    from phispace.api import results as api

    if not query and not id_:
        raise InputError("A search needs a query: --query some.png, or --id with an item of the store.")
    found = api.search_images(
        embedded(source, quiet, test=test, vectors=vectors, labels=labels, ids=ids, split=split_key),
        queries=query or (),
        ids=id_ or (),
        k=k,
        layer=layer,
        checkpoint=checkpoint,
        metric=metric,
        index=index,
        out=out,
        images=images,
        data_dir=data_dir,
        progress=bars(quiet),
    )
    typer.echo(json.dumps(found.results, indent=2))
    if found.sheet is not None:
        typer.echo(f"Sheet: {found.sheet}", err=True)


@app.command()
def report(run: RunPath) -> None:
    """Write RUN/report.html again, from stored results only."""
    from phispace.api import results as api

    typer.echo(f"Report: {api.write_report(run)}")


@app.command()
def export(
    run: RunPath,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Directory; default RUN/export.")] = None,
    checkpoint: Checkpoint = "best",
    layer: Annotated[str, typer.Option("--layer", "-l", help="The ONNX file's output.")] = "features",
    onnx: Annotated[bool, typer.Option(help="Also ONNX, checked against PyTorch's output.")] = True,
) -> None:
    """Write the encoder for use without phispace: safetensors and JSON, a PyTorch program, ONNX."""
    from phispace.api import results as api

    for path in api.export_encoder(run, out, checkpoint=checkpoint, layer=layer, onnx=onnx):
        typer.echo(str(path))


@app.command()
def predict(
    run: RunPath,
    images: Annotated[str, typer.Argument(metavar="IMAGES", help="A name or path of images.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="CSV file; by default standard output.")] = None,
    checkpoint: Checkpoint = "best",
    data_dir: DataDir = None,
    quiet: Quiet = False,
) -> None:
    """Classify images: a CSV of id, class, confidence."""
    from phispace.api import results as api

    text = api.predict_classes(run, images, out=out, checkpoint=checkpoint, data_dir=data_dir, progress=bars(quiet))
    typer.echo(f"Wrote {out}" if out else text, nl=out is not None)
