"""What verbs take beside a run: a store, or a file of embeddings with the names of its arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from phispace.embeddings.store import Embeddings

Embedded = Annotated[
    Path,
    typer.Argument(
        metavar="RUN|STORE|FILE",
        help="A run directory, an embeddings store, or .npy, .npz, .parquet, .safetensors, .csv with vectors.",
    ),
]
TestFile = Annotated[Path | None, typer.Option("--test", help="For a file: a second one with the test items.")]
VectorsKey = Annotated[
    str | None, typer.Option("--vectors", help="For a file: key of the vectors, or a pattern of columns such as 'f*'.")
]
LabelsKey = Annotated[str | None, typer.Option("--labels", help="For a file: key of the labels.")]
IdsKey = Annotated[str | None, typer.Option("--ids", help="For a file: key of the ids; - counts the rows.")]
SplitKey = Annotated[str | None, typer.Option("--split-key", help="For a file: key of train, val, test.")]


def embedded(source: Path, quiet: bool, *, test: Path | None = None, **keys: str | None) -> Path | Embeddings:
    """The path itself; or the embeddings, where options say how to read the file.

    Raises:
        InputError, DataError: as for `phispace.load_embeddings`.
    """
    if test is None and all(key is None for key in keys.values()):
        return source
    from phispace.embeddings.foreign import describe, load_embeddings

    store = load_embeddings(source, test=test, **keys)
    if not quiet:
        typer.echo(describe(store), err=True)
    return store
