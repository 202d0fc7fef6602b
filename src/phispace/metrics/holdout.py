"""A stratified share of the items, chosen by a hash of their ids: the same on every machine and for ever."""

from __future__ import annotations

import numpy as np

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


def hold_out_val(ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The protocol's validation part of a training set: bool (N,), a stratified tenth."""
    return hold_out(ids, labels, VAL_SHARE, "val-split-0")
