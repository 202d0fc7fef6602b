"""Embeddings that another tool made: files of vectors, labels and ids become an ordinary store.

    phispace evaluate train.npz --test test.npz --with knn          arrays `vectors` and `labels` in each
    phispace evaluate all.parquet --labels category                 one file, with or without a column `split`

What the arrays are called is guessed from a few usual names, or said. Where a part is missing it is set aside as the
protocol says: a fifth of train as test, a tenth of it as val, stratified, by a hash of the id.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from phispace import storage
from phispace.data.labels import encode
from phispace.data.names import escape
from phispace.embeddings.arrayfiles import is_array_file
from phispace.embeddings.roles import Keys, Part, parts_of
from phispace.embeddings.store import SPLITS, UNKNOWN, Embeddings, is_store
from phispace.errors import DataError, InputError
from phispace.metrics.holdout import TEST_SHARE, VAL_SHARE, hold_out


def is_embeddings(path: Path | str) -> bool:
    """Whether `load_embeddings` takes this path: a store, or a file with a suffix that is read."""
    return is_store(path) or is_array_file(path)


def load_embeddings(
    path: Path | str,
    *,
    test: Path | str | None = None,
    vectors: str | None = None,
    labels: str | None = None,
    ids: str | None = None,
    split: str | None = None,
    classes: str | None = None,
) -> Embeddings:
    """Read embeddings from a store, or from .npy, .npz, .parquet, .safetensors or .csv files.

    Args:
        path: the store or the file.
        test: a second file with the test items; the first one then holds train (and val).
        vectors: key of the vectors (N, D), or a pattern of a table's columns (`f*`).
        labels: key of the labels: whole numbers (also as floats), names, or one-hot rows; -1, NaN and "" are unknown.
        ids: key of the ids; `-` counts the rows.
        split: key of the splits.
        classes: key of the names of the classes 0 .. K-1.

    Returns:
        a store in memory; `manifest["foreign"]` says what was read, `manifest["caveats"]` what was set aside.

    Raises:
        InputError: no such file or key.
        DataError: what is there does not fit; the message says what was found and what is expected.
    """
    keys = Keys(vectors, labels, ids, split, classes)
    if is_store(path):
        given = [name for name, value in {**keys.__dict__, "test": test}.items() if value is not None]
        if given:
            raise InputError(f"{path} is a store, which names its own parts; leave out {', '.join(given)}.")
        return Embeddings.open(path)
    files = [Path(path), *([Path(test)] if test is not None else [])]
    parts = parts_of(files[0], keys, "train")
    if test is not None:
        named = sorted(set(np.concatenate([part.split for part in parts]).tolist()))
        if "test" in named:
            raise InputError(f"{path} has a test part of its own; leave out --test, or give a file without one.")
        others = parts_of(files[1], keys, "test")
        parts += [replace(part, split=np.full(len(part.split), "test")) for part in others]
    parts = [part for part in parts if len(part.vectors)]
    if not parts:
        raise DataError(f"{path} holds no vectors: its array has no rows.")
    store = _joined(_aligned(parts), Path(path).stem)
    store.manifest["foreign"] = {
        "files": [{"name": f.name, "sha256": storage.sha256_file(f), "bytes": f.stat().st_size} for f in files],
        "keys": {name: value for name, value in keys.__dict__.items() if value is not None},
        "columns": _span(parts[0].columns),
    }
    return store


def _aligned(parts: list[Part]) -> list[Part]:
    """The parts with the same dimensions, in the same order."""
    first, aligned = parts[0], [parts[0]]
    for part in parts[1:]:
        if part.vectors.shape[1] != first.vectors.shape[1]:
            raise DataError(
                f"{part.where} has vectors of {part.vectors.shape[1]:,} dimensions and {first.where} of "
                f"{first.vectors.shape[1]:,}; all must come from one encoder."
            )
        if part.columns != first.columns:
            if set(part.columns) != set(first.columns):
                odd = escape(next(iter(sorted(set(part.columns) ^ set(first.columns)))))
                raise DataError(f"{part.where} and {first.where} have other columns: {odd!r} is in one of them only.")
            order = [part.columns.index(name) for name in first.columns]
            part = replace(part, vectors=part.vectors[:, order], columns=first.columns)
        if part.classes and first.classes and part.classes != first.classes:
            raise DataError(f"{part.where} and {first.where} give the classes other names; one list is expected.")
        aligned.append(part)
    return aligned


def _joined(parts: list[Part], name: str) -> Embeddings:
    where = " and ".join(dict.fromkeys(part.where for part in parts))
    _refuse_repeated(parts)
    named = next((part.classes for part in parts if part.classes), None)
    encoded, classes = encode([p.labels for p in parts], [len(p.vectors) for p in parts], named, where)
    labels, ids = np.concatenate(encoded), np.concatenate([part.ids for part in parts])
    split = np.concatenate([part.split for part in parts]).astype("<U10")
    _refuse_strange_classes(labels, split, classes, where)
    split, caveats = _set_aside(ids, labels, split)
    vectors = [part.vectors for part in parts]
    try:
        joined = vectors[0] if len(vectors) == 1 else np.concatenate([_float(v) for v in vectors])
        return Embeddings.build(
            joined, ids, labels, split, classes, name=name, layer="vectors", images=name, caveats=caveats
        )
    except DataError as error:
        raise DataError(f"{where} cannot be used. {error}") from error


def _float(vectors: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused as such
        return vectors if vectors.dtype == np.float16 else np.asarray(vectors, np.float32)


def _refuse_repeated(parts: list[Part]) -> None:
    seen: dict[str, str] = {}
    for part in parts:
        for identity in part.ids.tolist():
            if identity in seen:
                both = part.where if seen[identity] == part.where else f"both {seen[identity]} and {part.where}"
                raise DataError(
                    f"The id {identity!r} stands twice in {both}; ids must be unique, and no item may be in train and "
                    "test. Name other ids with --ids, or count rows with --ids -."
                )
            seen[identity] = part.where


def _refuse_strange_classes(labels: np.ndarray, split: np.ndarray, classes: tuple[str, ...], where: str) -> None:
    known = np.unique(labels[(split != "test") & (labels != UNKNOWN)])
    test = labels[(split == "test") & (labels != UNKNOWN)]
    strange = ~np.isin(test, known)
    if len(known) and strange.any():
        names = ", ".join(repr(classes[k]) for k in np.unique(test[strange])[:5])
        raise DataError(
            f"{int(strange.sum()):,} of {len(test):,} test items of {where} have classes without a training item "
            f"({names}); train and test must name classes alike. Label such items -1 (unknown) to leave them out."
        )


def _set_aside(ids: np.ndarray, labels: np.ndarray, split: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """The protocol's test and val parts, where the files name none."""
    caveats, split = [], split.copy()
    for wanted, share, fraction in (("test", TEST_SHARE, "fifth"), ("val", VAL_SHARE, "tenth")):
        train = np.flatnonzero(split == "train")
        if (split == wanted).any() or not len(train):
            continue
        away = hold_out(ids[train], labels[train], share, f"{wanted}-split-0")
        split[train[away]] = wanted
        if away.any():
            caveats.append(
                f"There is no {wanted} part: a stratified {fraction} of train ({int(away.sum()):,} items, by a hash of "
                "their ids) was set aside for it and is not trained on."
            )
    return split, caveats


def _span(columns: tuple[str, ...]) -> str | None:
    if not columns:
        return None
    return f"{len(columns):,} columns, {escape(columns[0])} to {escape(columns[-1])}"


def describe(store: Embeddings) -> str:
    """One line on what was read: items by split, dimensions, classes, columns."""
    found: dict[str, Any] = store.manifest.get("foreign", {})
    counts = ", ".join(f"{int((store.splits == s).sum()):,} {s}" for s in SPLITS if (store.splits == s).any())
    spread = f" ({found['columns']})" if found.get("columns") else ""
    names = " and ".join(file["name"] for file in found.get("files", [])) or str(store.manifest.get("name", "store"))
    return f"{names}: {counts}; {store.dim:,} dimensions{spread}, {len(store.classes):,} classes."
