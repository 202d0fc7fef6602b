"""The protocol's parts of a store: fit on train, choose on val, report on test; test labels choose nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from phispace.embeddings.store import UNKNOWN, Embeddings
from phispace.errors import InputError
from phispace.metrics.holdout import hold_out_val
from phispace.metrics.separation import sample_items

_UNEVEN = 1.5  # largest over smallest class above which plain accuracy misleads

ShownSplit = Annotated[
    Literal["auto", "train", "val", "test", "unlabelled"],
    Field(description="part to look at; auto = test, else val, else train, else unlabelled"),
]
"""The option of evaluations without labels, for `shown_split`."""


@dataclass(frozen=True)
class Part:
    """The labelled items of one split, in the order of their ids.

    Attributes:
        x: float32 (n, D).
        y: int64 (n,), the store's labels.
        ids: str (n,).
    """

    x: np.ndarray
    y: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: np.ndarray) -> Part:
        """The items at these positions, or where a mask is true."""
        return Part(self.x[index], self.y[index], self.ids[index])


@dataclass(frozen=True)
class Parts:
    """What a probe works on.

    Attributes:
        train, val, test: the labelled parts.
        classes: names of the labels.
        caveats: what a reader of the scores must know about the parts.
        undefined: why no score can be given, or None.
        feature_shape: (C, H, W) of stored maps, which x holds flattened in this order; None where it is not known.
    """

    train: Part
    val: Part
    test: Part
    classes: tuple[str, ...]
    caveats: list[str] = field(default_factory=list)
    undefined: str | None = None
    feature_shape: tuple[int, ...] | None = None

    @property
    def n(self) -> dict[str, int]:
        return {"train": len(self.train), "val": len(self.val), "test": len(self.test)}


def by_id(embeddings: Embeddings, *splits: str, labelled: bool = False) -> Part:
    """The items of these splits (all if none is named) in the order of their ids, so that a store's row order does
    not matter; with `labelled` only those of known class."""
    keep = np.isin(embeddings.splits, splits) if splits else np.ones(len(embeddings), bool)
    if labelled:
        keep &= embeddings.labels != UNKNOWN
    index = np.flatnonzero(keep)
    index = index[np.argsort(embeddings.ids[index], kind="stable")]
    # Copied straight to float32; a memory-mapped store is read once, in the order of the file where that is cheap.
    return Part(np.asarray(embeddings.vectors[index], np.float32), embeddings.labels[index], embeddings.ids[index])


def mean_of(embeddings: Embeddings, split: str) -> np.ndarray:
    """Mean of the vectors of a split, labelled or not, float32 (D,); the split has items."""
    total, count = np.zeros(embeddings.dim), 0
    rows = np.flatnonzero(embeddings.splits == split)
    # In an order that does not depend on that of the store's rows.
    rows = rows[np.argsort(embeddings.ids[rows], kind="stable")]
    for start in range(0, len(rows), 8192):
        block = np.asarray(embeddings.vectors[rows[start : start + 8192]], np.float64)
        total += block.sum(0)
        count += len(block)
    return (total / count).astype(np.float32)


def paired(part: Part, other: Embeddings) -> tuple[np.ndarray, np.ndarray]:
    """The items of a part that another store of the same images has too, by id.

    Returns:
        positions int64 (n,) in the part, ascending, and the other store's vectors float32 (n, D').
    """
    order = np.argsort(other.ids, kind="stable")
    place = np.searchsorted(other.ids, part.ids, sorter=order)
    place = order[np.minimum(place, len(order) - 1)] if len(order) else np.zeros(len(part), np.int64)
    mine = np.flatnonzero(other.ids[place] == part.ids) if len(order) else np.zeros(0, np.int64)
    return mine, np.asarray(other.vectors[place[mine]], np.float32)


def in_all(part: Part, stores: Iterable[Embeddings], most: int, draws: np.random.Generator) -> Part:
    """The items of a part that all of these stores have too, by id; of more than `most` a random draw."""
    keep = np.ones(len(part), bool)
    for store in stores:
        keep &= np.isin(part.ids, store.ids)
    index = np.flatnonzero(keep)
    return part.take(index[sample_items(len(index), most, draws)])


def at_most(part: Part, most: int, draws: np.random.Generator) -> tuple[Part, list[str]]:
    """A part itself; of more than `most` items a random draw in the same order, and a caveat that says so."""
    if len(part) <= most:
        return part, []
    return part.take(sample_items(len(part), most, draws)), [f"Of {most:,} items drawn from {len(part):,}."]


def labelled_parts(embeddings: Embeddings) -> Parts:
    """Train, val and test of a store, as far as they are labelled; without a val part, the protocol's hold-out."""
    caveats = []
    for split in ("train", "val", "test"):
        inside = embeddings.splits == split
        known = int((inside & (embeddings.labels != UNKNOWN)).sum())
        if known < inside.sum():
            caveats.append(f"{known:,} of {inside.sum():,} {split} items are labelled; only these are used.")
    train, val, test = (by_id(embeddings, split, labelled=True) for split in ("train", "val", "test"))
    if not len(val) and len(train):
        away = hold_out_val(train.ids, train.y)
        val, train = train.take(away), train.take(~away)
        if len(val):
            caveats.append(
                f"There is no labelled val split: a stratified tenth of train ({len(val):,} items, by a hash of their "
                "ids) was set aside for it and is not trained on."
            )
    caveats += _about_classes(train, test, embeddings)
    return Parts(train, val, test, embeddings.classes, caveats, _undefined(train, test), _feature_shape(embeddings))


def _feature_shape(embeddings: Embeddings) -> tuple[int, ...] | None:
    """What the manifest says of the vectors' shape, where it fits them."""
    shape = embeddings.manifest.get("feature_shape")
    if not isinstance(shape, list | tuple) or not all(isinstance(side, int) and side > 0 for side in shape):
        return None
    return tuple(shape) if math.prod(shape) == embeddings.dim else None


def _undefined(train: Part, test: Part) -> str | None:
    if not len(train) or not len(test):
        return f"Undefined: {len(train)} labelled train items and {len(test)} labelled test items."
    if len(np.unique(train.y)) < 2:
        return "Undefined: all training items are of one class."
    if (train.x == train.x[0]).all():
        return "Undefined: all training vectors are equal, the representation has collapsed to a point."
    return None


def _about_classes(train: Part, test: Part, embeddings: Embeddings) -> list[str]:
    caveats = []
    classes, counts = np.unique(train.y, return_counts=True)
    strange = ~np.isin(test.y, classes)
    if strange.any() and len(train):
        names = ", ".join(embeddings.classes[c] for c in np.unique(test.y[strange])[:5])
        caveats.append(
            f"{strange.sum():,} test items are of classes without training items ({names}); they count as errors."
        )
    if len(counts) > 1 and counts.max() > _UNEVEN * counts.min():
        caveats.append(
            f"The classes are uneven ({counts.max():,} to {counts.min():,} training items a class): "
            "read the balanced accuracy and the majority class beside the accuracy."
        )
    if len(train) and len(test):
        seen = {hash(row.tobytes()) for row in train.x}
        repeated = sum(hash(row.tobytes()) in seen for row in test.x)
        if repeated:
            caveats.append(f"{repeated:,} test vectors are equal to a training vector.")
    return caveats


def shown_split(embeddings: Embeddings, split: str = "auto", labelled: bool = False) -> str:
    """The part that an evaluation without training looks at: the one asked for, or of test, val, train and unlabelled
    the first that has items (labelled ones, if that is asked).

    Raises:
        InputError: the store has no such part.
    """
    counted = embeddings.labels != UNKNOWN if labelled else np.ones(len(embeddings), bool)
    wanted = ("test", "val", "train", "unlabelled") if split == "auto" else (split,)
    for name in wanted:
        if (counted & (embeddings.splits == name)).any():
            return name
    there = ", ".join(sorted(set(embeddings.splits.tolist()))) or "no item"
    what = "labelled items" if labelled else "items"
    raise InputError(f"There are no {what} in split {' or '.join(wanted)}; this store has {there}.")
