"""Verbs that check a run and repeat it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from phispace.cli.options import AsJson, DataDir, Quiet, RunPath, app, bars


@app.command()
def verify(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs, or folders of runs.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Hash everything again: what is missing or changed is named, and the exit code is 1."""
    from phispace.api.verify import verify as check
    from phispace.report.entrants import open_runs

    found = [check(run, progress=bars(quiet)) for run in open_runs(runs)]
    if as_json:
        typer.echo(json.dumps([one.as_dict() for one in found], indent=2))
    else:
        typer.echo("\n".join(line for one in found for line in one.lines()))
    if not all(one.ok for one in found):
        raise typer.Exit(1)


@app.command()
def rerun(
    run: RunPath,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Directory; default RUN-again.")] = None,
    scores: Annotated[bool, typer.Option("--scores", help="Take the run's scores again, too.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train again from the record and say what differs; the exit code is 1 if anything does."""
    from phispace.api.rerun import rerun as repeat
    from phispace.storage import jsonable

    found = repeat(run, out, data_dir=data_dir, scores=scores, progress=bars(quiet))
    typer.echo(json.dumps(jsonable(found.as_dict()), indent=2) if as_json else "\n".join(found.lines()))
    if not found.equal:
        raise typer.Exit(1)
