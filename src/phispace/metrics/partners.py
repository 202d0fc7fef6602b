"""Who is interpolated with whom: a partner for each item, the same for whoever asks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from phispace.randomness import unit_hash

_SALT = "partners-0"


def partners(ids: Sequence[str] | np.ndarray) -> np.ndarray:
    """Position int64 (N,) of each item's partner among the same ids.

    The ids stand in a circle in the order of a hash, and each has the next one as its partner: nobody is its own (from
    two items on), everybody is somebody's, and the order in which the ids come does not matter.
    """
    hashes = np.array([unit_hash(str(i), _SALT) for i in ids], np.float64)
    circle = np.lexsort((np.asarray(ids, dtype=str), hashes)) if len(hashes) else np.empty(0, np.int64)
    found = np.empty(len(hashes), np.int64)
    found[circle] = np.roll(circle, -1)
    return found
