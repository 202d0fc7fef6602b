"""Two domains as one set of images: what is learnt on both and told apart on one is tested on the other."""

from __future__ import annotations

import numpy as np

from phispace.data.imageset import UNKNOWN, ImageSet
from phispace.errors import InputError


def adaptation_set(source: ImageSet, target: ImageSet) -> ImageSet:
    """Labelled images of a source domain and images of a target domain without their labels.

        train, val    the source's, with labels
        unlabelled    the target's train, val and unlabelled images; labels hidden
        test          the target's, with labels

    A method that uses no labels trains on the images of both domains (train and unlabelled); every evaluation then
    fits its classifier on the source and tests it on the target. The source's own test images are left out.

    Args:
        source, target: images of one size with the same classes; pixels are copied.

    Returns:
        ids begin with the set's name, made distinct if both have the same.

    Raises:
        InputError: sizes or classes that differ.
    """
    if source.shape != target.shape:
        raise InputError(
            f"Both domains need images alike; {source.name!r} has (C, H, W) = {source.shape} and {target.name!r} "
            f"{target.shape}. Load both with the same --size."
        )
    if source.classes != target.classes:
        raise InputError(
            f"Both domains need the same classes; {source.name!r} has {', '.join(source.classes) or 'none'} and "
            f"{target.name!r} {', '.join(target.classes) or 'none'}."
        )
    names = (source.name, target.name) if source.name != target.name else (source.name, f"{target.name} (target)")
    ours, theirs = source.where("train", "val"), target.where("train", "val", "unlabelled", "test")
    tested = target.split[theirs] == "test"
    return ImageSet(
        images=np.concatenate([source.images[ours], target.images[theirs]]),
        labels=np.concatenate([source.labels[ours], np.where(tested, target.labels[theirs], UNKNOWN)]),
        ids=np.array([f"{names[0]}:{i}" for i in source.ids[ours]] + [f"{names[1]}:{i}" for i in target.ids[theirs]]),
        classes=source.classes,
        split=np.concatenate([source.split[ours], np.where(tested, "test", "unlabelled")]),
        name=f"{source.name}-to-{target.name}",
        source={"domains": list(names), "fingerprints": [source.fingerprint, target.fingerprint]},
    )
