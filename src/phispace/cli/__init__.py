"""The command `phispace`: parse, call the library, print. One function a verb."""

from __future__ import annotations

from typing import Annotated

import typer

# The order of these imports is the order of the verbs in --help.
# isort: off
from phispace.cli import experiments, learn, transfer, scores, similarity, results, film, decode, latents, repeat, names  # noqa: F401 - each registers its verbs

# isort: on
from phispace.cli.options import app
from phispace.errors import PhispaceError


def _version(value: bool) -> None:
    if value:
        from phispace import __version__

        typer.echo(f"phispace {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> None:
    """Entry point: errors of ours become one line and their exit code."""
    try:
        app(args=arguments)
    except PhispaceError as error:
        typer.echo(f"phispace: {error}", err=True)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
