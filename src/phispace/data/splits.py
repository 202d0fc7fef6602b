"""The protocol's splits: train, val, test, unlabelled.

val is a stratified tenth of train, chosen by a hash of (id, 0), so that it is the same for every method, seed and
machine; where the source has no test part, a fifth is set aside in the same way. Items of unknown label count as a
class of their own; a class with a single item keeps it in train.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from phispace.data.imageset import ImageSet
from phispace.metrics.holdout import TEST_SHARE, VAL_SHARE, hold_out

__all__ = ["TEST_SHARE", "VAL_SHARE", "hold_out", "with_protocol_splits"]


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
