"""Classes of images by a run's own head, as a table and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from phispace.data.imageset import ImageSet
from phispace.errors import InputError
from phispace.progress import SILENT, Progress
from phispace.run import Run

if TYPE_CHECKING:
    import pyarrow as pa

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def predict(
    run: Run,
    images: ImageSet | Sequence[Path | str] | Path | str,
    *,
    checkpoint: str = "best",
    batch_size: int = 500,
    progress: Progress | None = None,
) -> pa.Table:
    """Classify images.

    Args:
        run: of a method that predicts classes.
        images: a set of the run's size, or image files, which are brought to that size.
        checkpoint: a checkpoint's name, `best` or `last`.

    Returns:
        a table in the order of the images: `id` string, `class` string, `confidence` float32, the softmax's largest
        value (a model's own opinion, not a measured frequency).

    Raises:
        InputError: the method predicts no classes, or images of another size.
        DataError: a file that is no image; it is named.
    """
    import pyarrow as pa

    from phispace.embeddings.extract import check_images
    from phispace.embeddings.streaming import class_columns
    from phispace.training.restore import load_method

    method = load_method(run, run.checkpoint(checkpoint).name)
    encoder, classes = method.encoder, method.task.classes
    if not isinstance(images, ImageSet):
        paths = [images] if isinstance(images, (str, Path)) else list(images)
        images = _read(paths, encoder.size, encoder.channels)
    check_images(encoder, images)
    columns = class_columns(method, method.predict, images, batch_size, progress or SILENT)
    if columns is None:
        name = run.config.get("method", {}).get("name", type(method).__name__)
        raise InputError(
            f"The method {name!r} predicts no classes. `phispace evaluate` trains a probe on its embeddings instead."
        )
    names = np.array(classes, dtype=object)
    return pa.table(
        {
            "id": pa.array(images.ids.tolist(), pa.string()),
            "class": pa.array(names[columns["prediction"]].tolist(), pa.string()),
            "confidence": pa.array(columns["confidence"], pa.float32()),
        }
    )


def _read(paths: Sequence[Path | str], size: int, channels: int) -> ImageSet:
    from phispace.data.decode import read_image

    if not paths:
        raise InputError("There is nothing to classify: no image was named.")
    ids = [str(path) for path in paths]
    twice = sorted({i for i in ids if ids.count(i) > 1}) if len(set(ids)) < len(ids) else []
    if twice:
        raise InputError(f"{twice[0]} is named twice; name each image once.")
    pixels = np.stack([read_image(path, size, channels) for path in paths])
    unknown = np.full(len(ids), -1, np.int64)
    return ImageSet(pixels, unknown, np.array(ids, dtype=str), (), np.full(len(ids), "test"), name="files")


def to_csv(table: pa.Table, *, escape_formulas: bool = True) -> str:
    """The table as RFC 4180 text: a header, commas, CRLF, quotes where they are needed.

    Args:
        escape_formulas: text that begins with = + - @, tab or carriage return gets an apostrophe before it, because
            spreadsheets would run it as a formula and file names are not ours. Programs that look up ids turn it off.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(table.column_names)
    for row in zip(*(table[name].to_pylist() for name in table.column_names), strict=True):
        writer.writerow([_cell(value, escape_formulas) for value in row])
    return out.getvalue()


def _cell(value: object, escape: bool) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    text = "" if value is None else str(value)
    return f"'{text}" if escape and text.startswith(_FORMULA) else text
