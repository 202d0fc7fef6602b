"""Sources of representations and the images that all of them have: the same ids, and the same pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phispace.api.learn import images_of
from phispace.api.sources import EMBEDDINGS, open_source, run_of
from phispace.errors import InputError
from phispace.progress import Progress
from phispace.run import Run

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet
    from phispace.embeddings.store import Embeddings

_LEAST = 4  # items that a similarity needs
_SPLITS = ("test", "val", "train", "unlabelled")


@dataclass(frozen=True)
class Opened:
    """Attributes:
    name: unique among them.
    run, images: of what was trained.
    store: of what is only vectors.
    """

    name: str
    run: Run | None
    images: ImageSet | None
    store: Embeddings | None

    @property
    def ids(self) -> np.ndarray:
        return self.images.ids if self.images is not None else self._store.ids

    @property
    def splits(self) -> np.ndarray:
        return self.images.split if self.images is not None else self._store.splits

    @property
    def _store(self) -> Embeddings:
        if self.store is None:
            raise InputError(f"{self.name} has neither images nor vectors.")
        return self.store


def open_all(
    sources: Sequence[Any], images: str | Path | ImageSet | None, data_dir: Path | None, progress: Progress
) -> list[Opened]:
    """Runs with their images, each set loaded once, and stores.

    Raises:
        InputError: two of one name, or what is none of both.
        DataError: a run's images changed, or a file cannot be read.
    """
    loaded: dict[Any, ImageSet] = {}
    opened = []
    for source in sources:
        run = run_of(source)
        if run is None or run.record.get("kind") == EMBEDDINGS:
            found = open_source(source, progress=progress)
            name = run.name if run else Path(source).stem if isinstance(source, (str, Path)) else found.label
            opened.append(Opened(name, None, None, found.store))
            continue
        key = run.record["images"]["fingerprint"] if images is None else run.record["task"]["size"]
        if key not in loaded:
            loaded[key] = images_of(run, images, data_dir=data_dir, progress=progress)
        opened.append(Opened(run.name, run, loaded[key], None))
    names = Counter(one.name for one in opened)
    opened = [
        replace(one, name=f"{one.run.path.resolve().parent.name}/{one.name}")
        if one.run and names[one.name] > 1
        else one
        for one in opened
    ]
    twice = [name for name, n in Counter(one.name for one in opened).items() if n > 1]
    if twice:
        raise InputError(f"Two of the sources are named {twice[0]!r}; rows need names of their own. Rename one.")
    return opened


def in_common(opened: Sequence[Opened], split: str) -> tuple[np.ndarray, str, list[str]]:
    """The ids that all have, of a split of the first run, or where there is none of the first store.

    The others are asked for these ids alone: a file that names no parts has some set aside, which says nothing here.

    Returns:
        ids str (n,), ascending; the split; caveats.

    Raises:
        InputError: no such split, or fewer than 4 ids in common.
    """
    if not opened:
        raise InputError("Two representations or more are compared; got none.")
    first = next((one for one in opened if one.run is not None), opened[0])
    there = sorted(set(first.splits.tolist()))
    shown = next((name for name in (_SPLITS if split == "auto" else (split,)) if name in there), None)
    if shown is None:
        raise InputError(f"{first.name} has no items of split {split!r}; it has {', '.join(there)}.")
    part = first.ids[first.splits == shown]
    for one in opened:
        both = np.intersect1d(part, one.ids)
        if len(both) < _LEAST:
            raise InputError(
                f"{first.name} and {one.name} have {len(both)} {shown} images in common (by id: {str(part[0])!r} and "
                f"{str(one.ids[0])!r} are the first); at least {_LEAST} are needed. Representations are compared over "
                "the same images; --images names them for runs."
            )
    common = reduce(np.intersect1d, [part, *(one.ids for one in opened)])
    if len(common) < _LEAST:
        raise InputError(f"All together have {len(common)} {shown} images in common; at least {_LEAST} are needed.")
    fewer = f"All have {len(common):,} of the {len(part):,} {shown} images of {first.name}; these are compared."
    return common, shown, [fewer] if len(common) < len(part) else []


def check_pixels(opened: Sequence[Opened], ids: np.ndarray) -> list[str]:
    """The same ids must be the same pictures: known where the sizes agree."""
    seen: dict[tuple[int, ...], Opened] = {}
    for one in opened:
        if one.images is None:
            continue
        first = seen.setdefault(one.images.shape, one)
        if first.images is None or first.images is one.images:
            continue
        pairs = zip(positions(first.ids, ids), positions(one.ids, ids), strict=True)
        differ = sum(not np.array_equal(first.images.images[a], one.images.images[b]) for a, b in pairs)
        if differ:
            raise InputError(
                f"The images of {first.name} and {one.name} have the same ids, but {differ:,} of {len(ids):,} are "
                "other pictures; representations are compared over the same images, --images names them for both."
            )
    return ["The runs see the images at different sizes or in other colours; paired by id."] if len(seen) > 1 else []


def positions(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each wanted id stands, int64; all are there."""
    order = np.argsort(ids, kind="stable")
    return np.asarray(order[np.searchsorted(ids, wanted, sorter=order)])
