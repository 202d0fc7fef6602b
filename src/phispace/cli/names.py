"""What there is: lists and descriptions."""

from __future__ import annotations

from typing import Annotated

import typer

from phispace.cli.options import (
    app,
)


@app.command(name="list")
def list_(
    kind: Annotated[str, typer.Argument(help="methods, encoders, images, evaluations, maps or studies.")],
) -> None:
    """Names that can be used."""
    from phispace.describe import one_line
    from phispace.registry import registry

    table = registry(kind)
    names = [*table.names(), *(f"{family}:NAME" for family in table.families)]
    width = max(len(name) for name in names)
    for name in names:
        typer.echo(f"{name:<{width}}  {one_line(kind, name)}")


@app.command()
def show(
    kind: Annotated[str, typer.Argument(help="method, encoder, images, evaluation, map or study.")],
    name: Annotated[str, typer.Argument(help="A name of `phispace list KIND`.")],
) -> None:
    """What it is, its options, its source."""
    from phispace.describe import describe

    typer.echo(describe(kind, name))
