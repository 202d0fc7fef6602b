"""The embeddings store: vectors, ids and labels. The middle joint of the house.

Left of it there are models, right of it there are only vectors. A store is a directory:

    vectors.npy     float32 or float16 (N, D), memory-mapped
    items.parquet   id, label, split, image (position in the image set), and where known prediction, confidence, x, y
    manifest.json   shapes, classes, sha256 of both files, run, checkpoint, layer, the images' fingerprint

The manifest is written last: a directory with a manifest is whole.
"""

from __future__ import annotations

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
SPLITS = ("train", "val", "test", "unlabelled")
_REQUIRED = ("id", "label", "split")
_FILES = ("vectors.npy", "items.parquet")


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
        if vectors.ndim != 2 or vectors.shape[1] == 0 or vectors.dtype not in (np.float32, np.float16):
            raise DataError(f"Vectors must be float32 or float16 (N, D), D > 0; got {vectors.dtype} {vectors.shape}.")
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
            self._check_items()
            self._check_finite()

    def _check_finite(self) -> None:
        for start in range(0, len(self), 65536):
            block = self.vectors[start : start + 65536]
            bad = ~np.isfinite(block).all(axis=1)
            if bad.any():
                raise DataError(
                    f"The vector of {str(self.ids[start + int(bad.argmax())])!r} has values that are not finite."
                )

    def _check_items(self) -> None:
        for name, fits, kind in (
            ("id", _is_text, "text"),
            ("label", pa.types.is_integer, "integers"),
            ("split", _is_text, "text"),
        ):
            column = self.items[name]
            if not fits(column.type) or column.null_count:
                raise DataError(
                    f"The column {name!r} must hold {kind} in every row; got {column.type} with "
                    f"{column.null_count} empty rows."
                )
        if len(self.items["id"].unique()) != len(self):
            raise DataError("Ids must be unique.")
        wrong = sorted(set(self.items["split"].unique().to_pylist()) - set(SPLITS))
        if wrong:
            raise DataError(f"Unknown splits {wrong}; expected {', '.join(SPLITS)}.")
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
        if vectors.ndim != 2 or vectors.dtype.kind not in "fiub":
            raise DataError(f"Vectors must be numbers (N, D); got {vectors.dtype} {vectors.shape}.")
        if vectors.dtype not in (np.float32, np.float16):
            with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused as such
                vectors = vectors.astype(np.float32)
        n = len(vectors)
        labels = np.full(n, UNKNOWN, np.int64) if labels is None else np.asarray(labels)
        if len(labels) and labels.dtype.kind not in "iu":
            raise DataError(f"Labels must be integers, -1 = unknown; got {labels.dtype}.")
        labels = labels.astype(np.int64)
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
            if name in table or len(column) != n:
                raise DataError(f"The column {name!r} must have a name of its own and {n} rows; it has {len(column)}.")
            table[name] = pa.array(column)
        return cls(vectors, pa.table(table), {"classes": [str(c) for c in classes], **manifest})

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
        wrong = sorted(set(splits) - set(SPLITS))
        if wrong:
            raise InputError(f"Unknown splits {wrong}; expected {', '.join(SPLITS)}.")
        keep = np.isin(self.splits, splits) if splits else np.ones(len(self), bool)
        if labelled is not None:
            keep &= (self.labels != UNKNOWN) == labelled
        if keep.all():
            return self
        return self.take(keep)

    @property
    def digest(self) -> str | None:
        """sha256 of the stored vectors that these are, or are a part of; None if they were never saved."""
        return self.manifest.get("sha256", {}).get("vectors.npy")

    def save(self, path: Path | str) -> Path:
        """Write the store; an older one at this path is replaced as a whole.

        Raises:
            InputError: the path holds something that is not a store.
            StorageError: the disk refused; an older store is as it was.
        """
        path = Path(path)
        if path.is_file() or (path.is_dir() and not may_replace(path)):
            raise InputError(f"{path} exists and is not an embeddings store; choose another path.")
        with storage.atomic_path(path / "vectors.npy") as vectors, storage.atomic_path(path / "items.parquet") as items:
            np.save(vectors, np.ascontiguousarray(self.vectors), allow_pickle=False)
            pq.write_table(self.items, items)
            # Only now, when there is room for both: from here to the new manifest there is no store.
            (path / "manifest.json").unlink(missing_ok=True)
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
            raise DataError(
                f"{path} is not a whole embeddings store (manifest.json or vectors.npy is missing); "
                "`phispace embed` makes one."
            )
        manifest = storage.read_json(path / "manifest.json")
        sums = manifest.get("sha256")
        if not isinstance(sums, dict) or set(sums) != set(_FILES):
            raise DataError(f"{path / 'manifest.json'} does not list the digests of vectors.npy and items.parquet.")
        if verify:
            for name, digest in sums.items():
                storage.check_sha256(path / name, str(digest))
        vectors = _read_vectors(path / "vectors.npy")
        try:
            # Not read_table, which would take a directory such as `epoch=07` for a column of the table.
            items = pq.ParquetFile(path / "items.parquet").read()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise DataError(f"{path / 'items.parquet'} cannot be read: {error}") from error
        if list(vectors.shape) != manifest.get("shape") or str(vectors.dtype) != manifest.get("dtype"):
            raise DataError(
                f"{path / 'vectors.npy'} is {vectors.dtype} {vectors.shape}; its manifest says "
                f"{manifest.get('dtype')} {manifest.get('shape')}."
            )
        classes = manifest.get("classes")
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise DataError(f"{path / 'manifest.json'} does not list the names of the classes.")
        try:
            store = cls(vectors, items, manifest, check=False)
            store._check_items()
            if verify:
                store._check_finite()
        except DataError as error:
            raise DataError(f"{path} does not hold a valid store. {error}") from error
        store.path = path
        return store

    def to_parquet(self, path: Path | str) -> None:
        """One Parquet file with the items, `class` and `vector` (a fixed-size list), for DuckDB, pandas and others.

        A column of the items that is named `class` or `vector` gives way to these.
        """
        flat = pa.array(np.asarray(self.vectors, np.float32).reshape(-1))
        table = self.items.drop_columns([c for c in ("class", "vector") if c in self.items.column_names])
        names = np.array([*self.classes, "(unknown)"], dtype=object)
        table = table.append_column("class", pa.array(names[self.labels], pa.string()))
        table = table.append_column("vector", pa.FixedSizeListArray.from_arrays(flat, self.dim))
        with storage.atomic_path(path) as temporary:
            pq.write_table(table, temporary)


def is_store(path: Path | str) -> bool:
    """Whether a directory is a whole embeddings store."""
    path = Path(path)
    return (path / "manifest.json").is_file() and (path / "vectors.npy").is_file()


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def may_replace(path: Path) -> bool:
    """An empty directory, a store, or what is left of one that was cut while being written."""
    return is_store(path) or all(
        p.name in (*_FILES, "manifest.json") or p.name.startswith(".phispace-tmp-") for p in path.iterdir()
    )


def _read_vectors(path: Path) -> np.ndarray:
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(vectors, np.ndarray):
        raise DataError(f"{path} is an archive of arrays; one array is expected.")
    return vectors


def seal(path: Path, manifest: Mapping[str, Any], shape: tuple[int, ...], dtype: str) -> None:
    """Write the manifest over files that are in place; the last act of making a store."""
    sums = {name: storage.sha256_file(path / name) for name in _FILES}
    body = {
        **manifest,
        "shape": list(shape),
        "dtype": dtype,
        "sha256": sums,
        "bytes": (path / "vectors.npy").stat().st_size,
    }
    storage.write_json(path / "manifest.json", body)
