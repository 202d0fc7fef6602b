"""Verbs that score and compare scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phispace.cli.files import Embedded, IdsKey, LabelsKey, SplitKey, TestFile, VectorsKey, embedded
from phispace.cli.options import AsJson, Checkpoint, DataDir, OptionalImages, Quiet, Seed, app, bars, command_line

if TYPE_CHECKING:
    from phispace.report.leaderboard_page import Leaderboard

Shown = Annotated[
    list[str] | None,
    typer.Option("--with", "-w", help="Evaluations, or EVALUATION.METRIC (repeatable); the first one ranks."),
]
OneLayer = Annotated[str | None, typer.Option("--layer", "-l", help="Only scores of this layer.")]
Baselines = Annotated[bool, typer.Option(help="Rows of pixels, PCA, the untrained encoder, the majority class.")]
Files = Annotated[
    list[Path] | None,
    typer.Option("--out", "-o", help="File (.html, .md, .csv, .json), or a directory for all four (repeatable)."),
]


@app.command()
def evaluate(
    source: Embedded,
    with_: Annotated[
        list[str] | None, typer.Option("--with", "-w", help="Evaluations by name, or all (repeatable).")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="An evaluation's option, for example knn.k=5 (repeatable).")
    ] = None,
    layer: Annotated[
        str, typer.Option("--layer", "-l", help="For a run: the layer, or its reading as features+mirror.")
    ] = "features",
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


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Scored runs; seeds of one method are one row.")],
    with_: Shown = None,
    layer: OneLayer = None,
    baselines: Baselines = True,
    out: Files = None,
    as_json: AsJson = False,
) -> None:
    """Runs beside each other: means over seeds, and every paired difference with its test."""
    from phispace.api import compare as api

    found = api.compare(*runs, evaluations=with_, layer=layer, baselines=baselines, command=command_line())
    _show(found, out, as_json)


@app.command()
def leaderboard(
    sources: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUN|FOLDER]...", help="Runs, or folders of runs; default runs.")
    ] = None,
    with_: Shown = None,
    layer: OneLayer = None,
    baselines: Baselines = True,
    out: Files = None,
    as_json: AsJson = False,
) -> None:
    """All runs of a folder, ranked: seeds, intervals, minutes, parameters, and the accuracy that minutes buy."""
    from phispace.api import compare as api

    found = api.leaderboard(
        *(sources or ()), evaluations=with_, layer=layer, baselines=baselines, command=command_line()
    )
    _show(found, out, as_json)


def _show(found: Leaderboard, out: list[Path] | None, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        typer.echo("\n".join(found.lines()))
    for path in out or ():
        for made in found.save(path):
            typer.echo(str(made), err=True)
