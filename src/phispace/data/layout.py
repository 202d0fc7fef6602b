"""What folders say about their images: which split, which class.

    cats/1.png  dogs/2.png                      classes
    1.png  2.png                                no classes: labels -1, split train
    train/cats/1.png  test/cats/2.png           splits, then classes (also val, valid, unlabelled, unlabeled)
    photos/train/cats/1.png                     the same, nested

A single folder that holds everything is a wrapper, not a class. Folders below the class folder change nothing. Only
images that could be decoded are arranged, so a broken file never changes what the others are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from phispace.data.imageset import UNKNOWN

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "unlabelled": "unlabelled",
    "unlabeled": "unlabelled",
}
_MAX_WRAPPERS = 3


@dataclass(frozen=True)
class Arrangement:
    """Labels and splits of N items.

    Attributes:
        labels: int64 (N,), -1 = unknown.
        classes: names of labels 0 .. K-1.
        split: str (N,).
        outside: position -> why this item belongs to no split.
        notes: sentences about how the folders were understood.
    """

    labels: np.ndarray
    classes: tuple[str, ...]
    split: np.ndarray
    outside: dict[int, str]
    notes: tuple[str, ...] = ()


def sorted_classes(names: Sequence[str] | set[str]) -> tuple[str, ...]:
    """Class names in order: by value where all are whole numbers, else bytewise."""
    unique = set(names)
    if unique and all(name.isascii() and name.isdigit() for name in unique):
        return tuple(sorted(unique, key=lambda name: (int(name), name)))
    return tuple(sorted(unique, key=lambda name: name.encode("utf-8", "surrogatepass")))


def arrange(ids: Sequence[str]) -> Arrangement:
    """Split and class of each id, from the folders in it."""
    paths = [i.split("/") for i in ids]
    depth, notes = _wrappers(paths)
    tops = {p[depth] for p in paths if len(p) > depth + 1}
    splits = _split_folders(paths, depth, tops)
    split = np.full(len(paths), "train", "<U10")
    names: list[str | None] = []
    outside: dict[int, str] = {}
    has_train = "train" in splits.values()
    for position, path in enumerate(paths):
        name: str | None = None
        rest = path[depth:]
        if len(rest) == 1:
            if tops:
                split[position] = "unlabelled"
        elif rest[0] in splits:
            split[position] = splits[rest[0]]
            if len(rest) > 2 and split[position] != "unlabelled":
                name = rest[1]
        elif has_train:
            outside[position] = f"lies in {rest[0]!r}, outside of {', '.join(sorted(splits))}"
        else:
            name = rest[0]
        names.append(name)
    classes = sorted_classes({name for name in names if name is not None})
    code = {name: k for k, name in enumerate(classes)}
    labels = np.array([UNKNOWN if name is None else code[name] for name in names], np.int64).reshape(len(names))
    if classes:  # loose images beside class folders are an unlabelled part
        split[(labels == UNKNOWN) & (split == "train")] = "unlabelled"
    return Arrangement(labels, classes, split, outside, tuple(notes))


def _wrappers(paths: list[list[str]]) -> tuple[int, list[str]]:
    """How many leading folders hold everything and are no split."""
    depth, notes = 0, []
    while depth < _MAX_WRAPPERS:
        tops = {p[depth] if len(p) > depth + 1 else None for p in paths}
        top = next(iter(tops), None)
        if len(tops) != 1 or top is None or top.casefold() in _SPLITS:
            break
        depth += 1
        if all(len(p) == depth + 1 for p in paths):
            notes.append(
                f"All images lie in the one folder {top!r}. One class says nothing, so it is read as a wrapper and the "
                "images as unlabelled."
            )
    return depth, notes


def _split_folders(paths: list[list[str]], depth: int, tops: set[str]) -> dict[str, str]:
    """Folder name -> split, or nothing where the folders are classes."""
    named = {top: _SPLITS[top.casefold()] for top in tops if top.casefold() in _SPLITS}
    if "train" in named.values() or len(named) == len(tops):
        return named
    others = tops - set(named)
    kept = {}
    for top, split in named.items():
        inner = {p[depth + 1] for p in paths if p[depth] == top and len(p) > depth + 2}
        # `test` beside `cats` and `dogs` is a split if it has class folders of the same names, else a class.
        if split == "unlabelled" or (inner and inner <= others):
            kept[top] = split
    return kept
