"""The protocol's splits: train, val, test, unlabelled.

val is a stratified tenth of train, chosen by a hash of (id, 0), so that it is the same for every method, seed and
machine; where the source has no test part, a fifth is set aside in the same way. Items of unknown label count as a
class of their own; a class with a single item keeps it in train.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from phispace.data.imageset import ImageSet
from phispace.randomness import unit_hash

VAL_SHARE = 0.1
TEST_SHARE = 0.2


def hold_out(ids: np.ndarray, labels: np.ndarray, share: float, salt: str) -> np.ndarray:
    """A stratified share of the items, by hash.

    In each class the round(share * n) items with the smallest hash are chosen, at least one where the class has two
    or more items, and never all of them.

    Args:
        ids: str (N,).
        labels: int64 (N,).
        share: between 0 and 1.
        salt: distinguishes this draw from others.

    Returns:
        bool (N,), True for the items set aside.
    """
    chosen = np.zeros(len(ids), bool)
    hashes = np.array([unit_hash(str(i), salt) for i in ids])
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            continue
        count = min(max(1, round(share * len(members))), len(members) - 1)
        chosen[members[np.argsort(hashes[members], kind="stable")[:count]]] = True
    return chosen


def with_protocol_splits(images: ImageSet) -> ImageSet:
    """The set with val (and test, where the source has none) set aside; parts that the source names are kept."""
    split = images.split.astype("<U10").copy()
    for wanted, share in (("test", TEST_SHARE), ("val", VAL_SHARE)):
        if (split == wanted).any():
            continue
        train = np.flatnonzero(split == "train")
        away = hold_out(images.ids[train], images.labels[train], share, f"{wanted}-split-0")
        split[train[away]] = wanted
    return replace(images, split=split)
