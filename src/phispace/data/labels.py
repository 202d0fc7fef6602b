"""Labels from arrays and tables: whole numbers, names or one-hot rows, encoded jointly for all parts of a set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from phispace.data.imageset import UNKNOWN
from phispace.data.layout import sorted_classes
from phispace.data.names import escape
from phispace.errors import DataError

MAX_CLASSES = 1_000_000


def encode(
    parts: Sequence[np.ndarray | None], counts: Sequence[int], classes: Sequence[str] | None = None, where: str = "data"
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Labels of all parts as int64, and the names of the classes.

    Whole numbers count from 0 if none is missing below the largest; otherwise each distinct number becomes a class
    named by it. -1, NaN, the empty name and a part without labels mean unknown.

    Args:
        parts: for each part None, or an array (N,), (N, 1), or one-hot (N, K).
        counts: items of each part.
        classes: names of 0 .. K-1 where the source knows them.
        where: named in messages.

    Raises:
        DataError: wrong shape, type, length or values.
    """
    flat = [None if part is None else _flat(np.asarray(part), n, where) for part, n in zip(parts, counts, strict=True)]
    known = [part for part in flat if part is not None]
    if not known:
        return [np.full(n, UNKNOWN, np.int64) for n in counts], tuple(classes or ())
    if any(part.dtype.kind == "U" for part in known):
        if not all(part.dtype.kind == "U" for part in known):
            raise DataError(
                f"The labels of {where} are names in one part and numbers in another; one kind is expected."
            )
        return _named(flat, counts, classes, where)
    return _numbered(flat, counts, classes, where)


def _flat(labels: np.ndarray, count: int, where: str) -> np.ndarray:
    """(N,) of str or int64."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 0 or labels.shape[0] != count:
        got = "a single value" if labels.ndim == 0 else f"{labels.shape[0]:,}"
        raise DataError(f"{where} has {count:,} images and {got} labels; one each is expected.")
    if labels.ndim == 2 and labels.dtype.kind in "biuf":
        if ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all():
            return labels.argmax(axis=1).astype(np.int64)
        raise DataError(f"The labels of {where} have shape {labels.shape}; (N,) or one-hot rows are expected.")
    if labels.ndim != 1:
        raise DataError(f"The labels of {where} have shape {labels.shape}; (N,) is expected.")
    if labels.dtype.kind == "S":
        return np.array([escape(name.decode("utf-8", "surrogateescape")) for name in labels.tolist()], str)
    if labels.dtype.kind == "U":
        return np.array([escape(name) for name in labels.tolist()], str)
    if labels.dtype.kind == "f":
        unknown = np.isnan(labels)
        values = np.where(unknown, UNKNOWN, labels.astype(np.float64))
        if not (np.isfinite(values).all() and (values == np.round(values)).all() and (np.abs(values) < 2**53).all()):
            raise DataError(f"The labels of {where} are fractions; whole numbers or names are expected.")
        return values.astype(np.int64)
    if labels.dtype.kind in "biu":
        if labels.dtype == np.uint64 and labels.size and labels.max() > np.iinfo(np.int64).max:
            raise DataError(f"The labels of {where} pass the range of int64.")
        return labels.astype(np.int64)
    raise DataError(f"The labels of {where} have type {labels.dtype}; whole numbers or names are expected.")


def _named(
    flat: Sequence[np.ndarray | None], counts: Sequence[int], classes: Sequence[str] | None, where: str
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    found = {name for part in flat if part is not None for name in np.unique(part).tolist()} - {""}
    order = tuple(classes) if classes is not None and found <= set(classes) else sorted_classes(found)
    _check_count(len(order), where)
    code = {name: k for k, name in enumerate(order)} | {"": UNKNOWN}
    encoded = [
        np.full(n, UNKNOWN, np.int64) if part is None else np.array([code[name] for name in part.tolist()], np.int64)
        for part, n in zip(flat, counts, strict=True)
    ]
    return encoded, order


def _numbered(
    flat: Sequence[np.ndarray | None], counts: Sequence[int], classes: Sequence[str] | None, where: str
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    values = np.unique(np.concatenate([part for part in flat if part is not None]))
    if values.size and values[0] < UNKNOWN:
        raise DataError(f"The labels of {where} go down to {values[0]}; whole numbers from -1 (unknown) are expected.")
    values = values[values != UNKNOWN]
    _check_count(len(values), where)
    if classes is not None:
        if values.size and values[-1] >= len(classes):
            raise DataError(f"{where} has a label {values[-1]} and {len(classes)} class names; the names do not reach.")
        names, table = tuple(classes), np.arange(len(classes))
    else:
        names, table = tuple(str(v) for v in values.tolist()), values
    encoded = []
    for part, n in zip(flat, counts, strict=True):
        if part is None or not len(table):
            encoded.append(np.full(n, UNKNOWN, np.int64))
        else:
            encoded.append(np.where(part == UNKNOWN, UNKNOWN, np.searchsorted(table, part)).astype(np.int64))
    return encoded, names


def _check_count(count: int, where: str) -> None:
    if count > MAX_CLASSES:
        raise DataError(f"{where} has {count:,} distinct labels; that is no set of classes.")
