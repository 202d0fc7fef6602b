"""Verbs that score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from phispace.cli.files import Embedded, IdsKey, LabelsKey, SplitKey, TestFile, VectorsKey, embedded
from phispace.cli.options import AsJson, Checkpoint, DataDir, OptionalImages, Quiet, Seed, app, bars


@app.command()
def evaluate(
    source: Embedded,
    with_: Annotated[
        list[str] | None, typer.Option("--with", "-w", help="Evaluations by name, or all (repeatable).")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="An evaluation's option, for example knn.k=5 (repeatable).")
    ] = None,
    layer: Annotated[str, typer.Option("--layer", "-l", help="For a run: the layer.")] = "features",
    checkpoint: Checkpoint = "best",
    baselines: Annotated[bool, typer.Option(help="For a run: score pixels, PCA and the untrained encoder too.")] = True,
    images: OptionalImages = None,
    data_dir: DataDir = None,
    test: TestFile = None,
    vectors: VectorsKey = None,
    labels: LabelsKey = None,
    ids: IdsKey = None,
    split_key: SplitKey = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="For a store or file: directory for scores and report.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all-metrics", help="Print every metric, not only the first.")] = False,
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Score a representation; test is read once."""
    from phispace.api import scores as api

    rows = api.evaluate(
        embedded(source, quiet, test=test, vectors=vectors, labels=labels, ids=ids, split=split_key),
        with_ or api.DEFAULT_EVALUATIONS,
        settings=set_ or (),
        layer=layer,
        checkpoint=checkpoint,
        baselines=baselines,
        images=images,
        data_dir=data_dir,
        out=out,
        seed=seed,
        progress=bars(quiet),
    )
    if as_json:
        from phispace.storage import jsonable

        typer.echo(json.dumps(jsonable(rows), indent=2))
    else:
        typer.echo("\n".join(api.score_lines(rows, everything=everything)))
    if out is not None:
        from phispace.api.results import write_report

        typer.echo(f"Report: {write_report(out)}", err=True)
