"""One Parquet file with a column of encoded images, as the Hugging Face hub stores data sets of images."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phispace.data.decode import MAX_BYTES
from phispace.data.imageset import SPLITS
from phispace.data.labels import encode
from phispace.data.layout import Arrangement
from phispace.data.listing import Listing, Refusal
from phispace.data.names import escape
from phispace.errors import DataError, InputError, PhispaceError

if TYPE_CHECKING:
    import pyarrow as pa

_IMAGES = ("image", "images", "img", "picture", "pixels")
_LABELS = ("label", "labels", "fine_label", "class", "target", "category")
_SPLIT = "split"
_MAX_ROWS = 50_000_000
_MAX_GROUP = 8 * 2**30
_BATCH = 64


class ParquetListing(Listing):
    """The rows of one Parquet file; ids are `column/000000` ...

    The image column is a struct with `bytes` (and `path`, which is not followed), or plain binary. The label column
    is whole numbers, named by a ClassLabel in the schema's `huggingface` entry where there is one, or text. A column
    `split` of train, val, test and unlabelled is honoured.
    """

    kind = "Parquet file"

    def __init__(self, path: Path, images: str | None = None, labels: str | None = None) -> None:
        self.where = str(path)
        self._path = path
        self.refused = []
        self.notes = []
        with _errors(path):
            import pyarrow.parquet as pq

            with pq.ParquetFile(path) as file:
                schema = file.schema_arrow
                rows = file.metadata.num_rows
                groups = [file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)]
            if not 0 <= rows <= _MAX_ROWS or any(not 0 <= size <= _MAX_GROUP for size in groups):
                raise DataError(
                    f"{path} claims {rows:,} rows in groups of up to {max(groups, default=0):,} bytes; at most "
                    f"{_MAX_ROWS:,} rows and {_MAX_GROUP:,} bytes a group are read."
                )
            self._column = _column(schema, images, _IMAGES, _is_image, "images", path)
            self._labels = _column(schema, labels, _LABELS, _is_label, "labels", path, needed=labels is not None)
            self._split = _SPLIT if _SPLIT in schema.names else None
            self._names = class_names(schema.metadata or {}, self._labels)
        self.ids = [f"{escape(self._column or '')}/{i:06d}" for i in range(rows)]

    def stream(self) -> Iterator[tuple[int, bytes | Refusal]]:
        position = 0
        for column in self._batches([self._column or ""]):
            for value in column[0]:
                if position >= len(self.ids):
                    raise DataError(f"{self.where} has more rows than it says; it is damaged.")
                yield position, _bytes(value)
                position += 1
        if position != len(self.ids):
            raise DataError(f"{self.where} has {position:,} rows and says {len(self.ids):,}; it is damaged.")

    def arrange(self, kept: np.ndarray) -> Arrangement:
        rows = len(self.ids)
        labels: np.ndarray | None = None
        split = np.full(rows, "train", "<U10")
        if self._labels is not None:
            labels = _label_array(self._read(self._labels))
        if self._split is not None:
            names = {"valid": "val", "validation": "val", "unlabeled": "unlabelled"}
            found = [names.get(str(v), str(v)) for v in self._read(self._split)]
            wrong = sorted(set(found) - set(SPLITS))
            if wrong:
                raise DataError(f"{self.where} has splits {wrong[:3]}; {', '.join(SPLITS)} are expected.")
            split = np.array(found, "<U10").reshape(rows)
        [codes], classes = encode([labels], [rows], self._names, self.where)
        return Arrangement(codes[kept], classes, split[kept], {})

    def _read(self, name: str) -> list[Any]:
        values = [value for column in self._batches([name]) for value in column[0]]
        if len(values) != len(self.ids):
            raise DataError(f"{self.where} has {len(values):,} values of {name!r} and says {len(self.ids):,} rows.")
        return values

    def _batches(self, columns: list[str]) -> Iterator[list[list[Any]]]:
        with _errors(self._path):
            import pyarrow.parquet as pq

            with pq.ParquetFile(self._path) as file:
                for batch in file.iter_batches(batch_size=_BATCH, columns=columns, use_threads=False):
                    yield [batch.column(name).to_pylist() for name in columns]


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Whatever pyarrow raises on a damaged file becomes one DataError."""
    try:
        yield
    except PhispaceError:
        raise
    except Exception as error:
        text = escape(str(error).splitlines()[0] if str(error) else type(error).__name__)[:200]
        raise DataError(f"{path} is no Parquet file that can be read, or is damaged: {text}.") from error


def _bytes(value: Any) -> bytes | Refusal:
    data = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(data, bytes):
        return data if len(data) <= MAX_BYTES else Refusal(f"has {len(data):,} bytes; at most {MAX_BYTES:,} are read")
    if isinstance(value, dict) and value.get("path"):
        return Refusal("holds a path and no bytes; images outside of the file are not read")
    return Refusal("the row holds no image")


def _is_image(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _is_image(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_label(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _column(
    schema: pa.Schema, asked: str | None, usual: tuple[str, ...], fits: Any, what: str, path: Path, needed: bool = True
) -> str | None:
    """The column asked for, else the first of the usual names of a fitting type, else for images the only such one."""
    names = list(schema.names)
    listed = ", ".join(f"{name} ({schema.field(i).type})" for i, name in enumerate(names[:12]))
    if len(set(names)) != len(names):
        raise DataError(f"{path} has two columns of one name.")
    if asked is not None:
        if asked not in names:
            raise InputError(f"{path} has no column {asked!r}; it has {escape(listed)}.")
        if not fits(schema.field(asked).type):
            raise InputError(f"The column {asked!r} of {path} is {schema.field(asked).type}; it cannot hold {what}.")
        return asked
    folded = {name.casefold(): name for name in names if fits(schema.field(name).type)}
    for name in usual:
        if name in folded:
            return folded[name]
    if needed and len(folded) == 1:
        return next(iter(folded.values()))
    if needed:
        raise InputError(
            f"{path} has no single column of {what}; it has {escape(listed)}. Name one with {what}=COLUMN."
        )
    return None


def class_names(metadata: dict[bytes, bytes], column: str | None) -> tuple[str, ...] | None:
    """Names of a ClassLabel column, from the schema's `huggingface` entry, or None."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return tuple(escape(name) for name in names)
    return None


def _label_array(values: list[Any]) -> np.ndarray:
    """Numbers with -1 for null, or names with the empty name for null."""
    if any(isinstance(v, str) for v in values):
        return np.array(["" if v is None else v for v in values], str)
    return np.array([-1 if v is None else v for v in values], np.int64)
