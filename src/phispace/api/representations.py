"""Several representations of the same images: runs by layers and checkpoints, stores, files of embeddings.

Only the images that are compared are embedded, so that maps of a wide layer at many checkpoints stay small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phispace.api.same_images import Opened, check_pixels, in_common, open_all, positions
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
        layers: each, or its reading (`features+mirror`), is taken of the runs that have it; `all` = all layers of each.
        checkpoints: names, `best`, `last`, or `all` = one each epoch, of more than 40 evenly thinned.
        split: of the first run (without runs, of the first store); auto = test, else val, else train, else unlabelled.
        items: at most so many images, drawn at random of those in common.
        images: in place of the runs' own.

    Returns:
        the representations by source, layer, checkpoint; and sentences a reader must know.

    Raises:
        InputError: fewer than two, no such part, sources of different images, or a layer that no run has.
        DataError, RunError: as for what they are.
    """
    progress = progress or SILENT
    opened = open_all(sources, images, data_dir, progress)
    ids, shown, caveats = in_common(opened, split)
    ids = ids[sample_items(len(ids), items, rng(seed, "similarity items"))]
    caveats += check_pixels(opened, ids)
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
            found.append(_stored(one, ids, shown))
        else:
            found += _extracted(one.name, next(waiting), one.images.take(positions(one.ids, ids)), shown, progress)
    return found, caveats


def _stored(one: Opened, ids: np.ndarray, shown: str) -> Representation:
    if one.store is None:
        raise InputError(f"{one.name} has no vectors.")
    taken = one.store.take(positions(one.store.ids, ids))
    return Representation(one.name, "", "", _kept(taken, shown), one.store.dim, {"store": one.store.digest})


def _kept(store: Embeddings, shown: str) -> Embeddings:
    """The vectors in at most as many dimensions as items, all in the part that is looked at; no labels."""
    from phispace.embeddings.store import Embeddings

    x = np.asarray(store.vectors, np.float32)
    return Embeddings.build(narrow(x), store.ids, split=shown)


def _planned(run: Run, layers: Sequence[str], checkpoints: Sequence[str]) -> _Plan:
    from phispace.encoders.readings import is_reading, readings
    from phispace.training.restore import load_method

    places, thinned = _places(run, checkpoints)
    first = next(iter(places.values()))[0]
    encoder = load_method(run, first.name).encoder
    made = (name for name in layers if is_reading(name) and {r.layer for r in readings(name)} <= set(encoder.layers))
    has = (*encoder.layers, *made)
    wanted = dict.fromkeys(name for layer in layers for name in (encoder.layers if layer == ALL else (layer,)))
    return _Plan(run, has, tuple(name for name in wanted if name in has), places, thinned)


def _check_layers(plans: Sequence[_Plan], layers: Sequence[str]) -> None:
    for layer in layers:
        if plans and layer != ALL and not any(layer in plan.has for plan in plans):
            there = dict.fromkeys(name for plan in plans for name in plan.has if name not in layers)
            raise InputError(f"No run has a layer {layer!r}; there are: {', '.join(there)}.")
    for plan in plans:
        if not plan.layers:
            raise InputError(f"{plan.run.path} has no layer {' or '.join(layers)}; there are: {', '.join(plan.has)}.")


def _extracted(name: str, plan: _Plan, images: ImageSet, shown: str, progress: Progress) -> list[Representation]:
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
                made[layer].append(Representation(name, layer, short, _kept(store, shown), store.dim, about))
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
