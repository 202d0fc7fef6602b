"""Options that several verbs share, and the application itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phispace.errors import InputError
from phispace.progress import Bars, Progress

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="phispace learns representations of images, measures how good they are, shows them and searches them.",
)
data_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at images before anything is learnt.")
app.add_typer(data_app, name="data")

OptionalImages = Annotated[
    str | None, typer.Option("--images", "-i", help="A name or a path; by default what the run or the study names.")
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where named data sets lie; else PHISPACE_DATA, then the cache.")
]
Size = Annotated[int | None, typer.Option("--size", help="Pixels a side; by default the commonest size, at most 64.")]
Seed = Annotated[int, typer.Option("--seed", "-s", help="Seed of every draw.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, as `phispace train --out` made it.")]
Checkpoint = Annotated[str, typer.Option("--checkpoint", help="best, last, or a checkpoint's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="An option, for example method.learning_rate=0.01 (repeatable); see `phispace show`."),
]
Threads = Annotated[int | None, typer.Option("--threads", help="Threads to compute with; by default all cores.")]
Precision = Annotated[str, typer.Option("--precision", help="auto, float32 or bf16; auto measures a few steps.")]


def bars(quiet: bool) -> Progress:
    return Progress() if quiet else Bars()


def pixels(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) >= 64 and int(height) >= 64):
        raise InputError(f"--canvas is {text!r}; WIDTHxHEIGHT in pixels is expected, for example 4000x3000.")
    return int(width), int(height)


def command_line() -> str:
    """What was typed, for reports that name the command that made them."""
    import shlex

    from phispace.provenance import arguments

    return shlex.join(["phispace", *arguments()[1:]])
