"""Few labels, used well: repeated stratified cross-validation of the labelled images, beside all the unlabelled ones.

With 400 labelled images and 4 folds, each classifier is trained on 300 and judged on the other 100, and every labelled
image is judged once in each repeat. Nothing is chosen by the images that are held out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from phispace.data.imageset import UNKNOWN, ImageSet
from phispace.errors import InputError
from phispace.maps.subset import stratified_subset
from phispace.randomness import key


@dataclass(frozen=True)
class FewLabels:
    """The labelled images and the others.

    Attributes:
        labelled: the pool whose labels are used, all in the split train.
        unlabelled: the same set of images with the pool as val and the others, their labels hidden, as train.
        folds: parts of the pool in each repeat.
        repeats: how often the pool is divided anew.
        seed: of the divisions.
    """

    labelled: ImageSet
    unlabelled: ImageSet
    folds: int
    repeats: int
    seed: int

    def divisions(self) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
        """Repeat, fold, and the positions in `labelled` that are trained on and held out."""
        from sklearn.model_selection import StratifiedKFold

        labels = self.labelled.labels
        for repeat in range(self.repeats):
            state = key(self.seed, "folds", repeat) % 2**32
            division = StratifiedKFold(self.folds, shuffle=True, random_state=state)
            for fold, (train, held_out) in enumerate(division.split(np.zeros(len(labels)), labels)):
                yield repeat, fold, train, held_out

    def fold_images(self, train: np.ndarray) -> ImageSet:
        """The pool with the held-out images in the split test."""
        split = np.where(np.isin(np.arange(len(self.labelled)), train), "train", "test")
        return replace(self.labelled, split=split)


def few_labels(images: ImageSet, labelled: int, folds: int, repeats: int, seed: int) -> FewLabels:
    """Divide images into a labelled pool and the unlabelled rest.

    The pool are all labelled images of whatever split, or, where there are more than `labelled`, that many of the
    split train, stratified by class and chosen by a hash of the id; the labels of the others in train are then hidden.

    Raises:
        InputError: fewer than two classes, fewer labelled images of a class than folds, or nothing unlabelled.
    """
    known = images.where("train", "val", "test", labelled=True)
    open_to_all = np.union1d(images.where("train", "val", "unlabelled"), images.where("test", labelled=False))
    rest = np.setdiff1d(open_to_all, known)
    if len(known) > labelled:
        known = images.where("train", labelled=True)
        pool = known[stratified_subset(images.ids[known], images.labels[known], labelled)]
        rest = np.union1d(rest, np.setdiff1d(known, pool))
    else:
        pool = known
    there, counts = np.unique(images.labels[pool], return_counts=True)
    if len(there) < 2:
        raise InputError(f"{images.name!r} has labelled images of {len(there)} classes; two or more are expected.")
    if counts.min() < max(folds, 2):
        few = images.classes[there[counts.argmin()]]
        raise InputError(
            f"The class {few!r} has {counts.min()} labelled images; {folds} folds need at least {folds} of each class."
        )
    if len(rest) == 0:
        raise InputError(
            f"{images.name!r} has no unlabelled images: all {len(pool)} are labelled. Give images of label -1 (npz), "
            "or a folder `unlabelled` beside the classes, or use fewer labels."
        )
    labels = images.labels.copy()
    labels[rest] = UNKNOWN
    split = np.full(len(images), "test").astype("<U10")
    split[rest], split[pool] = "train", "val"
    hidden = replace(images, labels=labels, split=split, known_fingerprint=None)
    whole = images.take(pool)
    whole = replace(whole, split=np.full(len(whole), "train"))
    return FewLabels(whole, hidden.take(np.sort(np.concatenate([rest, pool]))), folds, repeats, seed)
