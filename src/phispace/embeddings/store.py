"""The embeddings store: vectors, ids and labels. The middle joint of the house.

Left of it there are models, right of it there are only vectors. A store is a directory:

    vectors.npy     float32 or float16 (N, D), memory-mapped
    items.parquet   id, label, split, image (position in the image set), and where known prediction, confidence, x, y
    manifest.json   shapes, classes, sha256 of both files, run, checkpoint, layer, the images' fingerprint

The manifest is written last: a directory with a manifest is whole.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phispace import storage
from phispace.errors import DataError, InputError

UNKNOWN = -1
_REQUIRED = ("id", "label", "split")


class Embeddings:
    """Vectors with their items.

    Args:
        vectors: float32 or float16 (N, D).
        items: a table of N rows with at least `id` (unique), `label` (int64, -1 = unknown) and `split`.
        manifest: `classes` (names of labels), and as far as known `run`, `checkpoint`, `layer`, `images`,
            `fingerprint`, `feature_shape` ((C, H, W) of stored maps), `encoder`, `n_parameters`.

    Raises:
        DataError: shapes, dtypes, ids or labels that do not fit; or vectors that are not finite.
    """

    def __init__(
        self, vectors: np.ndarray, items: pa.Table, manifest: Mapping[str, Any], *, check: bool = True
    ) -> None:
        if vectors.ndim != 2 or vectors.dtype not in (np.float32, np.float16):
            raise DataError(f"Vectors must be float32 or float16 (N, D); got {vectors.dtype} {vectors.shape}.")
        missing = [c for c in _REQUIRED if c not in items.column_names]
        if missing:
            raise DataError(f"The items table lacks {', '.join(missing)}; it has {', '.join(items.column_names)}.")
        if items.num_rows != len(vectors):
            raise DataError(f"There are {len(vectors)} vectors and {items.num_rows} items; one each is expected.")
        self.vectors = vectors
        self.items = items
        self.manifest = dict(manifest)
        self.path: Path | None = None
        if check:
            self._check()

    def _check(self) -> None:
        for start in range(0, len(self), 65536):
            block = self.vectors[start : start + 65536]
            bad = ~np.isfinite(block).all(axis=1)
            if bad.any():
                raise DataError(
                    f"The vector of {self.ids[start + int(bad.argmax())]!r} has values that are not finite."
                )
        if len(np.unique(self.ids)) != len(self):
            raise DataError("Ids must be unique.")
        if len(self) and (self.labels.min() < UNKNOWN or self.labels.max() >= len(self.classes)):
            raise DataError(
                f"Labels run from {self.labels.min()} to {self.labels.max()}; -1 (unknown) to "
                f"{len(self.classes) - 1} are expected for {len(self.classes)} classes."
            )

    @classmethod
    def build(
        cls,
        vectors: np.ndarray,
        ids: Sequence[str] | np.ndarray,
        labels: np.ndarray | None = None,
        split: str | np.ndarray = "train",
        classes: Sequence[str] | None = None,
        columns: Mapping[str, np.ndarray] | None = None,
        **manifest: Any,
    ) -> Embeddings:
        """Make one from arrays.

        Args:
            vectors: (N, D), converted to float32 unless float16.
            ids: N unique strings.
            labels: integers (N,), -1 = unknown; None = all unknown.
            split: one name for all, or (N,).
            classes: names of the labels; by default their numbers.
            columns: further columns of the items table, each (N,).
        """
        vectors = np.asarray(vectors)
        if vectors.dtype not in (np.float32, np.float16):
            vectors = vectors.astype(np.float32)
        n = len(vectors)
        labels = np.full(n, UNKNOWN, np.int64) if labels is None else np.asarray(labels, np.int64)
        if classes is None:
            classes = [str(k) for k in range(int(labels.max(initial=UNKNOWN)) + 1)]
        splits = np.full(n, split) if isinstance(split, str) else np.asarray(split)
        names = [str(i) for i in ids]
        for what, column in (("ids", names), ("labels", labels), ("splits", splits)):
            if len(column) != n:
                raise DataError(f"There are {n} vectors and {len(column)} {what}; one each is expected.")
        table = {
            "id": pa.array(names, pa.string()),
            "label": pa.array(labels, pa.int64()),
            "split": pa.array(splits.astype(str), pa.string()),
        }
        for name, column in (columns or {}).items():
            table[name] = pa.array(column)
        return cls(vectors, pa.table(table), {"classes": list(classes), **manifest})

    def __len__(self) -> int:
        return len(self.vectors)

    def __repr__(self) -> str:
        return f"Embeddings({len(self)} x {self.dim}, {self.manifest.get('name', self.manifest.get('layer', ''))})"

    @property
    def dim(self) -> int:
        return int(self.vectors.shape[1])

    @cached_property
    def ids(self) -> np.ndarray:
        return np.asarray(self.items["id"].to_pylist(), dtype=str)

    @cached_property
    def labels(self) -> np.ndarray:
        return self.items["label"].to_numpy().astype(np.int64)

    @cached_property
    def splits(self) -> np.ndarray:
        return np.asarray(self.items["split"].to_pylist(), dtype=str)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.manifest.get("classes", ()))

    def column(self, name: str) -> np.ndarray | None:
        """A further column of the items table as an array, or None."""
        return self.items[name].to_numpy(zero_copy_only=False) if name in self.items.column_names else None

    def take(self, index: np.ndarray) -> Embeddings:
        """Only these rows (bool (N,) or positions), in this order."""
        index = np.asarray(index)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        part = Embeddings(self.vectors[index], self.items.take(pa.array(index)), self.manifest, check=False)
        part.path = self.path
        return part

    def part(self, *splits: str, labelled: bool | None = None) -> Embeddings:
        """The rows of these splits (all if none is named), optionally only those with a known label."""
        keep = np.isin(self.splits, splits) if splits else np.ones(len(self), bool)
        if labelled is not None:
            keep &= (self.labels != UNKNOWN) == labelled
        if keep.all():
            return self
        return self.take(keep)

    @property
    def digest(self) -> str | None:
        """Identity of a stored store: the sha256 of its vectors, or None if it was never saved."""
        return self.manifest.get("sha256", {}).get("vectors.npy")

    def save(self, path: Path | str) -> Path:
        """Write the store; an older one at this path is replaced as a whole.

        Raises:
            InputError: the path holds something that is not a store.
        """
        path = Path(path)
        if path.exists() and (path.is_file() or (any(path.iterdir()) and not is_store(path))):
            raise InputError(f"{path} exists and is not an embeddings store; choose another path.")
        path.mkdir(parents=True, exist_ok=True)
        (path / "manifest.json").unlink(missing_ok=True)
        with storage.atomic_open(path / "vectors.npy") as stream:
            np.save(stream, np.ascontiguousarray(self.vectors), allow_pickle=False)
        with storage.atomic_path(path / "items.parquet") as temporary:
            pq.write_table(self.items, temporary)
        seal(path, self.manifest, self.vectors.shape, str(self.vectors.dtype))
        self.manifest = storage.read_json(path / "manifest.json")
        self.path = path
        return path

    @classmethod
    def open(cls, path: Path | str, *, verify: bool = True) -> Embeddings:
        """Open a store, memory-mapped.

        Args:
            verify: rehash both files against the manifest (about 1 s per GB).

        Raises:
            DataError: missing, incomplete, changed or damaged; the file and both digests are named.
        """
        path = Path(path)
        if not is_store(path):
            raise DataError(f"{path} is not an embeddings store (no manifest.json); `phispace embed` makes one.")
        manifest = storage.read_json(path / "manifest.json")
        sums = manifest.get("sha256")
        if not isinstance(sums, dict) or set(sums) != {"vectors.npy", "items.parquet"}:
            raise DataError(f"{path / 'manifest.json'} does not list the digests of vectors.npy and items.parquet.")
        if verify:
            for name, digest in sums.items():
                storage.check_sha256(path / name, digest)
        try:
            vectors = np.load(path / "vectors.npy", mmap_mode="r", allow_pickle=False)
            items = pq.read_table(path / "items.parquet")
        except (OSError, ValueError, pa.ArrowException) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
        if list(vectors.shape) != manifest.get("shape") or str(vectors.dtype) != manifest.get("dtype"):
            raise DataError(
                f"{path / 'vectors.npy'} is {vectors.dtype} {vectors.shape}; its manifest says "
                f"{manifest.get('dtype')} {manifest.get('shape')}."
            )
        store = cls(vectors, items, manifest, check=verify)
        store.path = path
        return store

    def to_parquet(self, path: Path | str) -> None:
        """One Parquet file with the items and a fixed-size list column `vector`, for DuckDB, pandas and others."""
        flat = pa.array(np.asarray(self.vectors, np.float32).reshape(-1))
        table = self.items.append_column("vector", pa.FixedSizeListArray.from_arrays(flat, self.dim))
        names = np.array([*self.classes, "(unknown)"])
        table = table.append_column("class", pa.array(names[self.labels].tolist(), pa.string()))
        with storage.atomic_path(path) as temporary:
            pq.write_table(table, temporary)


def is_store(path: Path | str) -> bool:
    """Whether a directory is a whole embeddings store."""
    path = Path(path)
    return (path / "manifest.json").is_file() and (path / "vectors.npy").is_file()


def seal(path: Path, manifest: Mapping[str, Any], shape: tuple[int, ...], dtype: str) -> None:
    """Write the manifest over files that are in place; the last act of making a store."""
    sums = {name: storage.sha256_file(path / name) for name in ("vectors.npy", "items.parquet")}
    body = {
        **manifest,
        "shape": list(shape),
        "dtype": dtype,
        "sha256": sums,
        "bytes": os.path.getsize(path / "vectors.npy"),
    }
    storage.write_json(path / "manifest.json", body)
