"""Several representations of the same images: runs by layers and checkpoints, stores, files of embeddings.

Only the images that are compared are embedded, so that maps of a wide layer at many checkpoints stay small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phispace.api.learn import images_of
from phispace.api.sources import EMBEDDINGS, open_source, run_of
from phispace.errors import InputError
from phispace.metrics.procrustes import narrow
from phispace.metrics.separation import sample_items
from phispace.progress import SILENT, Progress
from phispace.randomness import rng
from phispace.run import Run

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet
    from phispace.embeddings.store import Embeddings

ALL = "all"
_LEAST = 4  # items that a similarity needs
_SPLITS = ("test", "val", "train", "unlabelled")


@dataclass(frozen=True)
class Representation:
    """Attributes:
    source: a run's or a store's name.
    layer, checkpoint: of a run, else empty.
    store: the compared items, turned into at most as many dimensions as items.
    width: its dimensions before that.
    about: what else is known: the run's path, epoch, digest of the weights; plain values.
    """

    source: str
    layer: str
    checkpoint: str
    store: Embeddings
    width: int
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Opened:
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


@dataclass(frozen=True)
class _Plan:
    """What is embedded of a run: layers it has, those wanted, checkpoints by short name, and what was left out."""

    run: Run
    has: tuple[str, ...]
    layers: tuple[str, ...]
    places: dict[str, tuple[Path, dict[str, Any]]]
    thinned: list[str]


def gather(
    sources: Sequence[Run | Path | str | Embeddings],
    *,
    layers: Sequence[str] = ("features",),
    checkpoints: Sequence[str] = ("best",),
    split: str = "auto",
    items: int = 2000,
    images: str | Path | ImageSet | None = None,
    data_dir: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[list[Representation], list[str]]:
    """All combinations of sources, layers and checkpoints, over the same images, paired by id.

    Args:
        sources: runs, stores, or files of embeddings.
        layers: each is taken of the runs that have it; `all` = all layers of each run.
        checkpoints: names, `best`, `last`, or `all` = one each epoch, of more than 40 evenly thinned.
        split: auto = of the first source test, else val, else train, else unlabelled.
        items: at most so many images, drawn at random of those in common.
        images: in place of the runs' own.

    Returns:
        the representations by source, layer, checkpoint; and sentences a reader must know.

    Raises:
        InputError: fewer than two, no such part, sources of different images, or a layer that no run has.
        DataError, RunError: as for what they are.
    """
    progress = progress or SILENT
    opened = _open_all(sources, images, data_dir, progress)
    shown = _shown(opened, split)
    ids, caveats = _in_common(opened, shown)
    ids = ids[sample_items(len(ids), items, rng(seed, "similarity items"))]
    caveats += _check_pixels(opened, ids)
    plans = [_planned(one.run, layers, checkpoints) for one in opened if one.run is not None]
    caveats += [sentence for plan in plans for sentence in plan.thinned]
    _check_layers(plans, layers)
    count = len(opened) - len(plans) + sum(len(plan.layers) * len(plan.places) for plan in plans)
    if count < 2:
        raise InputError(
            f"Two representations or more are compared; got {count}. Name a second run, or several of --layer and "
            "--checkpoint."
        )
    waiting = iter(plans)
    found: list[Representation] = []
    for one in opened:
        if one.run is None or one.images is None:
            found.append(_stored(one, ids))
        else:
            found += _extracted(one.name, next(waiting), one.images.take(_positions(one.ids, ids)), progress)
    return found, caveats


def _open_all(
    sources: Sequence[Any], images: str | Path | ImageSet | None, data_dir: Path | None, progress: Progress
) -> list[_Opened]:
    loaded: dict[Any, ImageSet] = {}
    opened = []
    for source in sources:
        run = run_of(source)
        if run is None or run.record.get("kind") == EMBEDDINGS:
            found = open_source(source, progress=progress)
            name = run.name if run else Path(source).stem if isinstance(source, (str, Path)) else found.label
            opened.append(_Opened(name, None, None, found.store))
            continue
        key = run.record["images"]["fingerprint"] if images is None else run.record["task"]["size"]
        if key not in loaded:
            loaded[key] = images_of(run, images, data_dir=data_dir, progress=progress)
        opened.append(_Opened(run.name, run, loaded[key], None))
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


def _shown(opened: Sequence[_Opened], split: str) -> str:
    there = sorted(set(opened[0].splits.tolist())) if opened else []
    wanted = _SPLITS if split == "auto" else (split,)
    for name in wanted:
        if name in there:
            return name
    raise InputError(
        f"{opened[0].name} has no items of split {split!r}; it has {', '.join(there)}."
        if opened
        else "Two representations or more are compared; got none."
    )


def _in_common(opened: Sequence[_Opened], split: str) -> tuple[np.ndarray, list[str]]:
    parts = [one.ids[one.splits == split] for one in opened]
    for one, part in zip(opened, parts, strict=True):
        if len(np.intersect1d(parts[0], part)) < _LEAST:
            raise InputError(
                f"{opened[0].name} and {one.name} have {len(np.intersect1d(parts[0], part))} {split} images in common "
                f"(by id: {str(parts[0][0])!r} there{f', {str(part[0])!r} here' if len(part) else ''}); at least "
                f"{_LEAST} are needed. Representations are compared over the same images; --images names them for runs."
            )
    common = reduce(np.intersect1d, parts)
    if len(common) < _LEAST:
        raise InputError(f"All together have {len(common)} {split} images in common; at least {_LEAST} are needed.")
    more = [one.name for one, part in zip(opened, parts, strict=True) if len(part) > len(common)]
    return common, [f"Of the {len(common):,} {split} items in common; {', '.join(more)} has more."] if more else []


def _check_pixels(opened: Sequence[_Opened], ids: np.ndarray) -> list[str]:
    """The same ids must be the same pictures: known where the sizes agree."""
    seen: dict[tuple[int, ...], _Opened] = {}
    for one in opened:
        if one.images is None:
            continue
        first = seen.setdefault(one.images.shape, one)
        if first.images is None or first.images is one.images:
            continue
        pairs = zip(_positions(first.ids, ids), _positions(one.ids, ids), strict=True)
        differ = sum(not np.array_equal(first.images.images[a], one.images.images[b]) for a, b in pairs)
        if differ:
            raise InputError(
                f"The images of {first.name} and {one.name} have the same ids, but {differ:,} of {len(ids):,} are "
                "other pictures; representations are compared over the same images, --images names them for both."
            )
    return ["The runs see the images at different sizes or in other colours; paired by id."] if len(seen) > 1 else []


def _positions(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    order = np.argsort(ids, kind="stable")
    return np.asarray(order[np.searchsorted(ids, wanted, sorter=order)])


def _stored(one: _Opened, ids: np.ndarray) -> Representation:
    if one.store is None:
        raise InputError(f"{one.name} has no vectors.")
    taken = one.store.take(_positions(one.store.ids, ids))
    return Representation(one.name, "", "", _narrowed(taken), one.store.dim, {"store": one.store.digest})


def _narrowed(store: Embeddings) -> Embeddings:
    from phispace.embeddings.store import Embeddings

    if store.dim <= len(store):
        return store
    return Embeddings(narrow(np.asarray(store.vectors, np.float32)), store.items, store.manifest, check=False)


def _planned(run: Run, layers: Sequence[str], checkpoints: Sequence[str]) -> _Plan:
    from phispace.training.restore import load_method

    places, thinned = _places(run, checkpoints)
    first = next(iter(places.values()))[0]
    has = load_method(run, first.name).encoder.layers
    wanted = dict.fromkeys(name for layer in layers for name in (has if layer == ALL else (layer,)))
    return _Plan(run, has, tuple(name for name in wanted if name in has), places, thinned)


def _check_layers(plans: Sequence[_Plan], layers: Sequence[str]) -> None:
    for layer in layers:
        if plans and layer != ALL and not any(layer in plan.has for plan in plans):
            there = dict.fromkeys(name for plan in plans for name in plan.has)
            raise InputError(f"No run has a layer {layer!r}; there are: {', '.join(there)}.")
    for plan in plans:
        if not plan.layers:
            raise InputError(f"{plan.run.path} has no layer {' or '.join(layers)}; there are: {', '.join(plan.has)}.")


def _extracted(name: str, plan: _Plan, images: ImageSet, progress: Progress) -> list[Representation]:
    """A run's representations, by layer and then checkpoint."""
    from phispace.embeddings.extract import extract
    from phispace.training.restore import load_method

    made: dict[str, list[Representation]] = {layer: [] for layer in plan.layers}
    with progress.task(f"Embedding with {name}", total=len(plan.places)) as task:
        for short, (path, record) in plan.places.items():
            encoder = load_method(plan.run, path.name).encoder
            for layer, store in extract(encoder, images, plan.layers, precision="float32").items():
                about = {"run": plan.run.path.as_posix(), "checkpoint_directory": path.name, **record}
                about["weights_sha256"] = store.manifest["weights_sha256"]
                made[layer].append(Representation(name, layer, short, _narrowed(store), store.dim, about))
            task.advance()
    return [one for row in made.values() for one in row]


def _places(run: Run, checkpoints: Sequence[str]) -> tuple[dict[str, tuple[Path, dict[str, Any]]], list[str]]:
    """Short name -> directory and epoch, each directory once."""
    from phispace import storage
    from phispace.embeddings.checkpoints import by_epoch

    wanted: list[tuple[str, Path]] = []
    thinned = []
    for name in checkpoints:
        if name == ALL:
            epochs = by_epoch(run)
            wanted += [(path.name, path) for path, _ in epochs]
            stored = sum(path.name.startswith("epoch=") for path in run.checkpoints())
            if stored > len(epochs):
                thinned = [f"{len(epochs)} of the {stored} checkpoints of {run.name}, evenly thinned."]
        else:
            wanted.append((name, run.checkpoint(name)))
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for name, path in wanted:
        if any(path == other for other, _ in found.values()):
            continue
        record = storage.read_json(path / "checkpoint.json")
        known = {k: record[k] for k in ("epoch", "step") if record.get(k) is not None}
        short = f"epoch {known['epoch']}" if name.startswith("epoch=") and "epoch" in known else name
        found[short if short not in found else name] = (path, known)
    return found, thinned
