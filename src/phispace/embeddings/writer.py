"""A store written row by row, so that memory does not grow with the number of items.

Rows are appended with plain writes rather than through a writable memory map: on a full disk a write raises an error
that can be reported, a touched page of a map kills the process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phispace import storage
from phispace.embeddings.store import may_replace, seal
from phispace.errors import DataError, InputError


class StoreWriter:
    """Takes the rows of one store in order; made by `writing_store`.

    Attributes:
        rows: how many were written so far.
        items: to be set before the end, a table of `n` rows.
        manifest: to be filled before the end.
    """

    def __init__(self, stream: IO[bytes], n: int, dim: int, dtype: np.dtype[Any]) -> None:
        self._stream = stream
        self.n = n
        self.dim = dim
        self.dtype = dtype
        self.rows = 0
        self.items: pa.Table | None = None
        self.manifest: dict[str, Any] = {}

    def append(self, vectors: np.ndarray) -> None:
        """Write the next rows, (B, D) of the store's dtype."""
        if vectors.ndim != 2 or vectors.shape[1] != self.dim or vectors.dtype != self.dtype:
            raise DataError(
                f"Rows must be {self.dtype} (B, {self.dim}); got {vectors.dtype} {vectors.shape}. "
                "A layer must give the same shape for every image."
            )
        self._stream.write(np.ascontiguousarray(vectors).data)
        self.rows += len(vectors)


def check_target(path: Path) -> None:
    """Raise InputError if something that is not a store is in the way."""
    if path.is_file() or (path.is_dir() and not may_replace(path)):
        raise InputError(f"{path} exists and is not an embeddings store; choose another path.")


@contextlib.contextmanager
def writing_store(path: Path | str, n: int, dim: int, dtype: str) -> Iterator[StoreWriter]:
    """Write a store of `n` rows; it appears at `path` whole, or not at all.

    A store that was there before stays readable until the new one is complete.

    Args:
        path: the store's directory.
        n, dim: shape of the vectors.
        dtype: `float32` or `float16`.

    Raises:
        InputError: something else is at `path`.
        DataError: the rows or items given are not `n`.
        StorageError: the disk refused.
    """
    path = Path(path)
    check_target(path)
    kind = np.dtype(dtype)
    with storage.atomic_directory(path) as directory:
        with storage.atomic_open(directory / "vectors.npy") as stream:
            header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (n, dim)}
            np.lib.format.write_array_header_1_0(stream, header)
            writer = StoreWriter(stream, n, dim, kind)
            yield writer
        items = writer.items
        if writer.rows != n or items is None or items.num_rows != n:
            there = 0 if items is None else items.num_rows
            raise DataError(f"{writer.rows} vectors and {there} items were written; {n} of each were announced.")
        write_items(directory / "items.parquet", items)
        seal(directory, writer.manifest, (n, dim), str(kind))


def write_items(path: Path, items: pa.Table) -> None:
    """Write an items table; equal tables give equal bytes, however they were put together."""
    with storage.atomic_path(path) as temporary:
        # ids differ: a dictionary of them would only take memory
        pq.write_table(items.combine_chunks(), temporary, use_dictionary=["split"], row_group_size=65536)


def plain_manifest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest without what belongs to its files."""
    return {k: v for k, v in manifest.items() if k not in ("schema_version", "shape", "dtype", "sha256", "bytes")}
