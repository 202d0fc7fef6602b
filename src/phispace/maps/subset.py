"""A fixed part of a store: the same ids on every machine and for every checkpoint."""

from __future__ import annotations

import numpy as np

from phispace.errors import InputError
from phispace.randomness import unit_hash


def stratified_subset(ids: np.ndarray, labels: np.ndarray, n: int, salt: str = "map-subset") -> np.ndarray:
    """Positions of n items, chosen by a hash of the id, each class in proportion to its size.

    Within a class the item with the r-th smallest hash gets the place (r + 1/2) / class size; the n smallest places
    win. So counts by class are proportional to within one item, and a smaller subset lies inside a larger one.

    Args:
        ids: str (N,).
        labels: int64 (N,); unknown labels count as a class.
        n: how many; all if there are no more than that.

    Returns:
        int64 (min(n, N),), ascending.
    """
    if n < 1:
        raise InputError(f"A subset of {n} items was asked for; at least 1 is expected.")
    if n >= len(ids):
        return np.arange(len(ids))
    hashes = np.array([unit_hash(str(i), salt) for i in ids])
    place = np.empty(len(ids))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        place[members[np.argsort(hashes[members], kind="stable")]] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(np.lexsort((hashes, place))[:n])
