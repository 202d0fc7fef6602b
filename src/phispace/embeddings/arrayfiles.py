"""Arrays by name from .npy, .npz, .safetensors, .parquet and .csv files that other tools wrote.

Nothing is unpickled. An array is read when it is asked for; the others are not touched.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phispace.data.names import escape
from phispace.errors import DataError, InputError, PhispaceError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".npy", ".npz", ".parquet", ".safetensors", ".csv", ".tsv")
_PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".bin", ".ckpt")
_BLOCK_BYTES = 64 * 2**20  # a line of a CSV file must fit into one block


@dataclass(frozen=True)
class ArrayFile:
    """What a file holds.

    Attributes:
        path: the file.
        names: its arrays or columns, in its order.
        read: name -> array; missing text is "", a missing number NaN.
        numeric: for a table, its columns of single numbers; vectors may be spread over them. Empty for other files.
        classes: names of the classes, where the file's own metadata have them.
    """

    path: Path
    names: tuple[str, ...]
    read: Callable[[str], np.ndarray]
    numeric: tuple[str, ...] = ()
    table: bool = False
    classes: tuple[str, ...] | None = field(default=None)


def is_array_file(path: Path | str) -> bool:
    """Whether this is a file (not a directory) with one of the suffixes that are read."""
    return Path(path).suffix.lower() in SUFFIXES and Path(path).is_file()


def open_arrays(path: Path | str, text: tuple[str, ...] = ()) -> ArrayFile:
    """Look what a file holds.

    Args:
        path: the file; its suffix says what it is.
        text: columns of a CSV file that are text whatever they look like, so that `007` stays `007`.

    Raises:
        InputError: no such file, or a suffix that is not read.
        DataError: the file is not what its suffix says, or is damaged.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in _PICKLES:
        raise InputError(
            f"{path} may hold pickled Python objects, which can run code, and is not opened; save the vectors as "
            f"{', '.join(SUFFIXES[:-1])}."
        )
    if suffix not in SUFFIXES:
        raise InputError(f"{path} is no file of embeddings that is read: {', '.join(SUFFIXES[:-1])}, or a store.")
    if not path.is_file():
        raise InputError(f"{path} does not exist." if not path.exists() else f"{path} is no file.")
    if suffix == ".npy":
        from phispace.data.npy import map_npy

        return ArrayFile(path, ("vectors",), lambda name: map_npy(path))
    if suffix == ".npz":
        from phispace.data.npz import array_names, read_array

        return ArrayFile(path, tuple(array_names(path)), lambda name: read_array(path, name))
    if suffix == ".safetensors":
        return _safetensors(path)
    with _damaged(path):
        table = _parquet(path) if suffix == ".parquet" else _csv(path, "\t" if suffix == ".tsv" else ",", text)
    return _of_table(path, table)


@contextlib.contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Whatever a reader raises on a damaged file becomes one DataError."""
    try:
        yield
    except PhispaceError:
        raise
    except Exception as error:
        said = escape(str(error).splitlines()[0] if str(error) else type(error).__name__)[:200]
        raise DataError(f"{path} cannot be read as {path.suffix[1:]}, or is damaged: {said}.") from error


def _safetensors(path: Path) -> ArrayFile:
    from safetensors import safe_open

    def read(name: str) -> np.ndarray:
        import torch

        with _damaged(path), safe_open(path, framework="pt") as stream:
            tensor = stream.get_tensor(name)
            array: np.ndarray = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
            return array

    with _damaged(path), safe_open(path, framework="pt") as stream:
        return ArrayFile(path, tuple(stream.keys()), read, classes=_class_names(stream.metadata() or {}))


def _class_names(metadata: dict[str, str]) -> tuple[str, ...] | None:
    """The entry `classes` of a safetensors file: a JSON list of texts."""
    try:
        names = json.loads(metadata["classes"])
    except (KeyError, ValueError, RecursionError):
        return None
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return tuple(escape(name) for name in names)
    return None


def _parquet(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    # Not read_table, which would take a directory such as `epoch=07` for a column of the table.
    return pq.ParquetFile(path).read()


def _csv(path: Path, delimiter: str, text: tuple[str, ...]) -> pa.Table:
    import csv as reader

    import pyarrow as pa
    from pyarrow import csv

    with path.open(encoding="utf-8-sig", newline="") as stream:
        head = next(reader.reader(stream, delimiter=delimiter), [])
    if not head:
        raise DataError(f"{path} is empty; a first line with the names of the columns is expected.")
    if all(map(_is_number, head)):
        raise DataError(
            f"The first line of {path} holds numbers; it must name the columns, for example id,label,f0,f1."
        )
    _refuse_twins(path, head)
    as_text = {name.casefold() for name in text}
    return csv.read_csv(
        path,
        read_options=csv.ReadOptions(block_size=_BLOCK_BYTES),
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types={name: pa.string() for name in head if name.casefold() in as_text}
        ),
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _refuse_twins(path: Path, names: list[str]) -> None:
    twins = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twins:
        raise DataError(f"{path} has two columns named {escape(twins[0])!r}; each name may stand once.")


def _of_table(path: Path, table: pa.Table) -> ArrayFile:
    import pyarrow as pa

    _refuse_twins(path, table.column_names)
    kinds = {name: table.schema.field(name).type for name in table.column_names}
    single = tuple(
        name for name, kind in kinds.items()
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    )  # fmt: skip

    def read(name: str) -> np.ndarray:
        with _damaged(path):
            return _column(path, name, table[name])

    return ArrayFile(path, tuple(table.column_names), read, single, table=True)


def _column(path: Path, name: str, column: pa.ChunkedArray) -> np.ndarray:
    """A column as an array: (N,) of numbers or text, or (N, D) of lists of one length."""
    import pyarrow as pa

    kind: Any = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.array([value or "" for value in column.to_pylist()], dtype=str)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists(path, name, column)
    if pa.types.is_null(kind):
        return np.full(len(column), "", dtype=str)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        found: np.ndarray = column.to_numpy(zero_copy_only=False) if not column.null_count else _with_nan(column)
        return found
    raise DataError(f"The column {escape(name)!r} of {path} is {kind}; numbers, text or lists of numbers are expected.")


def _with_nan(column: pa.ChunkedArray) -> np.ndarray:
    import pyarrow as pa

    found: np.ndarray = column.cast(pa.float64()).fill_null(float("nan")).to_numpy()
    return found


def _lists(path: Path, name: str, column: pa.ChunkedArray) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    known = lengths[~np.isnan(lengths.astype(np.float64))].astype(np.int64)
    if len(known) != len(column) or len(np.unique(known)) > 1:
        odd = "an empty row" if len(known) != len(column) else f"lists of {known.min()} to {known.max()} numbers"
        raise DataError(f"The column {escape(name)!r} of {path} has {odd}; one vector of one length each is expected.")
    inner = column.combine_chunks().flatten() if len(column) else pa.array([], pa.float32())
    if not (pa.types.is_floating(inner.type) or pa.types.is_integer(inner.type)):
        raise DataError(f"The column {escape(name)!r} of {path} holds lists of {inner.type}; numbers are expected.")
    values = _with_nan(pa.chunked_array([inner])) if inner.null_count else inner.to_numpy(zero_copy_only=False)
    found: np.ndarray = values.reshape(len(column), -1) if len(column) else np.zeros((0, 0), np.float32)
    return found
