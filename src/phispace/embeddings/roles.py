"""Which array of a foreign file is what: vectors, labels, ids, splits, names of classes; guessed or said."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phispace.data.names import escape
from phispace.embeddings.arrayfiles import ArrayFile, open_arrays
from phispace.embeddings.store import SPLITS
from phispace.errors import DataError, InputError

_VECTORS = ("vectors", "vector", "embeddings", "embedding", "features", "feature", "x", "data", "h", "z", "arr_0")
_LABELS = ("labels", "label", "y", "targets", "target", "classes_index", "class", "category", "arr_1")
_IDS = (
    *("ids", "id", "image_id", "name", "filenames", "filename", "files", "file", "paths", "path"),
    *("index", "", "unnamed: 0", "__index_level_0__"),
)
_SPLIT = ("split", "splits", "subset", "fold_name")
_CLASSES = ("classes", "class_names", "label_names")
_SPLIT_NAMES = {"training": "train", "valid": "val", "validation": "val", "dev": "val", "testing": "test"}
_SPLIT_NAMES |= {"unlabeled": "unlabelled", **{name: name for name in SPLITS}}
_PARTS = (("train", ("train", "training")), ("val", ("val", "valid", "validation")), ("test", ("test",)))


@dataclass(frozen=True)
class Keys:
    """What the arrays of a file are called; None is to be guessed.

    Attributes:
        vectors: one array, or for a table a pattern of columns such as `f*`.
        labels: numbers or names.
        ids: of the items; `-` uses none and counts the rows.
        split: train, val, test or unlabelled for each item.
        classes: names of the labels 0 .. K-1.
    """

    vectors: str | None = None
    labels: str | None = None
    ids: str | None = None
    split: str | None = None
    classes: str | None = None


@dataclass(frozen=True)
class Part:
    """One part of one file.

    Attributes:
        where: the file, for messages.
        vectors: numbers (n, D), as they are in the file.
        labels: as they are in the file, or None.
        ids, split: str (n,).
        classes: names of the labels, where the file has them.
        columns: of a table, those that the vectors were spread over.
    """

    where: str
    vectors: np.ndarray
    labels: np.ndarray | None
    ids: np.ndarray
    split: np.ndarray
    classes: tuple[str, ...] | None
    columns: tuple[str, ...] = ()


def parts_of(path: Path, keys: Keys, split: str) -> list[Part]:
    """The parts of a file: one, or several where the names of its arrays tell (`x_train`, `y_train`, `x_test` ...).

    Args:
        split: of items whose split the file does not say.

    Raises:
        InputError, DataError: as for `phispace.embeddings.foreign.load_embeddings`.
    """
    text = tuple(k for k in (keys.ids, keys.split, *_IDS, *_SPLIT) if k)
    file = open_arrays(path, text=text)
    paired = [] if keys.vectors or file.table else _paired(file, keys)
    return paired or [_part(file, keys, split, "" if split == "train" else split)]


def _paired(file: ArrayFile, keys: Keys) -> list[Part]:
    """Parts that the names of the arrays tell: `x_train`, `y_train`, `x_test`, `test_vectors` ..."""
    found = []
    for split, words in _PARTS:
        vectors = _find(file, *_with(words, _VECTORS))
        if vectors is not None:
            labels, ids = _find(file, *_with(words, _LABELS)), _find(file, *_with(words, _IDS[:-4]))
            own = Keys(vectors, labels, ids or "-", None, keys.classes)
            found.append(_part(file, own, split, split))
    return found


def _with(words: tuple[str, ...], names: tuple[str, ...]) -> list[str]:
    return [pair for word in words for name in names for pair in (f"{name}_{word}", f"{word}_{name}")]


def _part(file: ArrayFile, keys: Keys, split: str, prefix: str) -> Part:
    where = str(file.path)
    taken = _roles(file, keys)
    vectors, columns = _vectors(file, keys.vectors, set(taken.values()))
    n = len(vectors)
    arrays = {role: file.read(key) for role, key in taken.items() if role != "classes"}
    for role, array in arrays.items():
        if array.ndim == 0 or len(array) != n:
            count = "a single value for the" if array.ndim == 0 else f"{len(array):,}"
            raise DataError(f"{where} has {n:,} vectors and {count} {_plural(role)}; one each is expected.")
    classes = _class_names(file, taken.get("classes")) or file.classes
    if "labels" in arrays and classes is None:
        classes = _beside(file, arrays["labels"], taken)
    ids = _texts(arrays["ids"], where, "ids") if "ids" in arrays else _counted(n, prefix)
    splits = _splits(arrays["split"], where) if "split" in arrays else np.full(n, split)
    return Part(where, vectors, arrays.get("labels"), ids, splits, classes, columns)


def _plural(role: str) -> str:
    return "splits" if role == "split" else role


def _roles(file: ArrayFile, keys: Keys) -> dict[str, str]:
    """Role -> key, for what the file has beside its vectors."""
    found: dict[str, str] = {}
    for role, names in (("labels", _LABELS), ("ids", _IDS), ("split", _SPLIT), ("classes", _CLASSES)):
        asked = getattr(keys, role)
        if asked == "-" and role == "ids":
            continue
        if asked is None and role == "classes" and file.table:
            continue  # a column has a value for each item, not for each class
        key = _known(file, asked, role) if asked is not None else _find(file, *names)
        guessed_twice = asked is None and (key == keys.vectors or key in found.values())
        if key is not None and not guessed_twice:
            found[role] = key
    return found


def _find(file: ArrayFile, *names: str) -> str | None:
    folded = {name.casefold(): name for name in file.names}
    return next((folded[name] for name in names if name in folded), None)


def _known(file: ArrayFile, key: str, role: str) -> str:
    if key in file.names:
        return key
    raise InputError(f"{file.path} has no {_what(file)} {key!r} for the {_plural(role)}; it has {_listed(file)}.")


def _what(file: ArrayFile) -> str:
    return "column" if file.table else "array"


def _listed(file: ArrayFile) -> str:
    shown = ", ".join(escape(name) for name in file.names[:12])
    return shown + (f" and {len(file.names) - 12:,} more" if len(file.names) > 12 else "")


def _vectors(file: ArrayFile, asked: str | None, taken: set[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Vectors (N, D), and the columns that they were spread over."""
    if asked is not None and asked in file.names and not (file.table and asked in file.numeric):
        return _checked(file, asked), ()
    if asked is not None:
        chosen = [name for name in file.names if fnmatch.fnmatchcase(name, asked)]
        if not file.table or not chosen:
            _known(file, asked, "vectors")
        wrong = [name for name in chosen if name not in file.numeric]
        if wrong:
            raise DataError(f"The column {escape(wrong[0])!r} of {file.path} holds no numbers; vectors are numbers.")
        return _spread(file, chosen), tuple(chosen)
    key = _find(file, *_VECTORS)
    if key is not None and key not in taken and not (file.table and key in file.numeric):
        return _checked(file, key), ()
    rest = [name for name in file.names if name not in taken]
    if not file.table and len(rest) == 1:
        return _checked(file, rest[0]), ()
    spread = [name for name in rest if name in file.numeric]
    if not file.table or not spread:
        raise InputError(
            f"No {_what(file)} of {file.path} is called as vectors are; it has {_listed(file)}. Name it with --vectors."
        )
    odd = [name for name in rest if name not in file.numeric]
    if odd:
        raise DataError(
            f"The column {escape(odd[0])!r} of {file.path} holds no single numbers and is neither labels, ids nor "
            "split; say which columns are the vectors, for example with --vectors 'f*'."
        )
    return _spread(file, spread), tuple(spread)


def _checked(file: ArrayFile, key: str) -> np.ndarray:
    array = file.read(key)
    what = f"The {_what(file)} {escape(key)!r} of {file.path}"
    if array.ndim != 2:
        hint = " Flatten maps to one row an item, or pool them." if array.ndim > 2 else ""
        raise DataError(f"{what} has the shape {array.shape}; vectors are (N, D), one row an item.{hint}")
    if array.dtype.kind not in "fiub" or not array.shape[1]:
        raise DataError(f"{what} is {array.dtype} {array.shape}; vectors are numbers (N, D), D > 0.")
    return array


def _spread(file: ArrayFile, columns: list[str]) -> np.ndarray:
    return np.stack([file.read(name).astype(np.float32) for name in columns], axis=1)


def _beside(file: ArrayFile, labels: np.ndarray, taken: dict[str, str]) -> tuple[str, ...] | None:
    """Names from a text column `class` beside whole-number labels 0 .. K-1, as our own Parquet files have it."""
    if not file.table or labels.dtype.kind not in "iu" or "class" not in file.names or taken["labels"] == "class":
        return None
    texts = file.read("class")
    if texts.dtype.kind != "U":
        return None
    pairs = {(int(k), str(name)) for k, name in zip(labels, texts, strict=True) if k >= 0}
    named = dict(pairs)
    if len(named) != len(pairs) or sorted(named) != list(range(len(named))):
        return None
    return tuple(escape(named[k]) for k in range(len(named)))


def _class_names(file: ArrayFile, key: str | None) -> tuple[str, ...] | None:
    if key is None:
        return None
    names = file.read(key)
    return tuple(_texts(names, str(file.path), "names of classes").tolist())


def _texts(array: np.ndarray, where: str, what: str) -> np.ndarray:
    """str (n,) from text or whole numbers."""
    if array.ndim != 1 or array.dtype.kind not in "USiu":
        raise DataError(
            f"The {what} of {where} are {array.dtype} {array.shape}; text or whole numbers (N,) are expected."
        )
    if array.dtype.kind == "S":
        return np.array([escape(name.decode("utf-8", "surrogateescape")) for name in array.tolist()], dtype=str)
    return np.array([escape(str(name)) for name in array.tolist()], dtype=str)


def _counted(n: int, prefix: str) -> np.ndarray:
    return np.array([f"{prefix}/{i:06d}" if prefix else f"{i:06d}" for i in range(n)], dtype=str)


def _splits(array: np.ndarray, where: str) -> np.ndarray:
    texts = _texts(array, where, "splits") if array.dtype.kind in "US" else array.astype(str)
    known = {name: _SPLIT_NAMES.get(name.strip().lower()) for name in np.unique(texts).tolist()}
    wrong = [name for name, split in known.items() if split is None]
    if wrong:
        raise DataError(f"{where} has the split {wrong[0]!r}; {', '.join(SPLITS)} are expected.")
    return np.array([known[name] for name in texts.tolist()], dtype="<U10")
