"""What an encoder that is never trained gives for a set of images: computed once, kept beside the decoded images, and
used by every run and probe.

    CACHE/features/{images}-{layer}-{key}/    a store, whose key is a digest of the encoder's weights and preprocessing,
                                              the images' fingerprint and the layer

A long extraction is done in parts, each whole or absent, so that one which was cut goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from phispace import storage
from phispace.data.cache import cache_root
from phispace.data.imageset import ImageSet
from phispace.embeddings import autocast
from phispace.embeddings.extract import LEAST_BF16, check_images, extract, weights_digest
from phispace.embeddings.shards import merge_shards, shard_path
from phispace.embeddings.store import Embeddings, is_store, seal
from phispace.embeddings.streaming import Answers, Predict, batches, evaluating, items_table
from phispace.embeddings.writer import plain_manifest, write_items, writing_store
from phispace.encoders.base import DEFAULT_LAYER, Encoder
from phispace.errors import DataError, StorageError
from phispace.methods.base import Method
from phispace.progress import SILENT, Progress
from phispace.run import Run, safe_name

PART = 4096
"""Images of one part of a long extraction."""
_VERSION = 2  # counted up when the same encoder and images would give other vectors
_ROWS = 8192


def identity(encoder: Encoder, images: ImageSet, layer: str) -> str:
    """Digest of all that decides the vectors, but for the precision."""
    facts = {k: v for k, v in encoder.facts().items() if k != "weights"}
    text = [_VERSION, type(encoder).__name__, encoder.channels, encoder.size, facts, layer, images.fingerprint]
    digest = hashlib.sha256(json.dumps(text, sort_keys=True).encode())
    digest.update(weights_digest(encoder).encode())
    return digest.hexdigest()


def known_features(
    encoder: Encoder,
    images: ImageSet,
    layers: Sequence[str] = (DEFAULT_LAYER,),
    *,
    precision: str = "auto",
    root: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Embeddings]:
    """An encoder's layers for all images of a set, in the set's order; from the cache where it has them.

    Args:
        precision: as of `extract`; `auto` also takes what is there, whatever its precision.
        root: of the cache; by default PHISPACE_CACHE, else the user's cache.

    Returns:
        one store a layer. Where the cache cannot be written the vectors are in memory.

    Raises:
        InputError: images that the encoder does not take, or an unknown layer.
        DataError: values that are not finite.
    """
    progress = progress or SILENT
    precision = autocast.check_precision(precision)
    encoder.check_layers(tuple(layers))
    check_images(encoder, images)
    folder = cache_root(root) / "features"
    paths = {}
    for layer in dict.fromkeys(layers):
        key = identity(encoder, images, layer)[:20]
        paths[layer] = folder / f"{safe_name(images.name)[:40]}-{safe_name(layer)[:40]}-{key}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{next(iter(paths.values())).name}.lock"):
            found = {layer: _whole(path, precision) for layer, path in paths.items()}
            missing = {layer: paths[layer] for layer, store in found.items() if store is None}
            if missing:
                _in_parts(encoder, images, missing, precision, progress)
            return {layer: found[layer] or Embeddings.open(paths[layer], verify=False) for layer in paths}
    except (OSError, StorageError) as error:
        progress.say(f"Features are held in memory, as their cache cannot be written: {error}")
        return extract(encoder, images, tuple(paths), precision=precision, progress=progress)


def _whole(path: Path, precision: str) -> Embeddings | None:
    """The store there, if it can be used."""
    if not is_store(path):
        return None
    try:
        store = Embeddings.open(path)
    except DataError:
        return None  # damaged: made again
    return store if precision in ("auto", store.manifest.get("precision")) else None


def _in_parts(
    encoder: Encoder, images: ImageSet, paths: Mapping[str, Path], precision: str, progress: Progress
) -> None:
    """Extract part by part, leaving out parts that an earlier sitting finished, and put them together."""
    world = max(1, -(-len(images) // PART))
    begun = [store for path in paths.values() for rank in range(world)
             if (store := _part(shard_path(path, (rank, world)), images)) is not None]  # fmt: skip
    if begun:
        precision = str(begun[0].manifest["precision"])
    elif precision == "auto":
        precision = _measured(encoder, images, tuple(paths))
        if precision == "bf16":
            progress.say("Embedding in bf16, which measured faster; the agreement with float32 is in the manifest.")
    with progress.task(f"Features of {images.name}", total=world) as task:
        for rank in range(world):
            stores = {layer: _part(shard_path(path, (rank, world)), images) for layer, path in paths.items()}
            left = [layer for layer, s in stores.items() if s is None or s.manifest["precision"] != precision]
            if left:
                extract(encoder, images, left, precision=precision, shard=(rank, world), out=lambda layer: paths[layer])
            task.advance()
    for path in paths.values():
        merge_shards(path)


def _part(path: Path, images: ImageSet) -> Embeddings | None:
    if not is_store(path):
        return None
    try:
        store = Embeddings.open(path)
    except DataError:
        return None
    return store if store.manifest.get("fingerprint") == images.fingerprint else None


def _measured(encoder: Encoder, images: ImageSet, layers: tuple[str, ...]) -> str:
    """What `auto` means here, decided once for all parts; few images are not worth the question."""
    shapes = encoder.shapes_of(layers)
    if min(int(np.prod(shape)) for shape in shapes.values()) < LEAST_BF16:
        return "float32"
    size = encoder.extraction_batch
    device = next((p.device for p in encoder.parameters()), torch.device("cpu"))
    with evaluating(encoder):
        _, probe = next(batches(images, np.arange(min(size, len(images))), size, device))
        return autocast.choose(lambda: encoder.taps(probe, layers), -(-len(images) // size), "auto", device)[0]


def as_run_store(
    known: Embeddings,
    images: ImageSet,
    splits: Sequence[str] | None,
    path: Path,
    about: Mapping[str, Any],
    columns: Mapping[str, np.ndarray],
) -> Embeddings:
    """A store of known vectors at another place, with its own items and manifest; the vectors' file is shared.

    Args:
        known: all images, in the set's order.
        splits: only the items of these; None = all.
        columns: further columns (N,) of the items, for the chosen ones.
    """
    positions = images.where(*(splits or ()))
    table = items_table(images, positions, columns)
    manifest = {**plain_manifest(known.manifest), **about, "splits": list(splits) if splits else None,
                "classes": list(images.classes), "images": images.name}  # fmt: skip
    n, dtype = len(positions), str(known.vectors.dtype)
    if n == len(known) and known.path is not None and np.array_equal(positions, np.arange(n)):
        with storage.atomic_directory(path) as directory:
            storage.link(known.path / "vectors.npy", directory / "vectors.npy")
            write_items(directory / "items.parquet", table)
            seal(directory, manifest, (n, known.dim), dtype)
        return Embeddings.open(path, verify=False)
    with writing_store(path, n, known.dim, dtype) as writer:
        for start in range(0, n, _ROWS):
            writer.append(np.asarray(known.vectors[positions[start : start + _ROWS]]))
        writer.items, writer.manifest = table, manifest
    return Embeddings.open(path, verify=False)


def run_stores(
    method: Method,
    images: ImageSet,
    layers: Sequence[str],
    splits: Sequence[str] | None,
    place: Callable[[str], Path],
    about: Mapping[str, Any],
    *,
    precision: str = "auto",
    predict: bool = True,
    progress: Progress | None = None,
) -> dict[str, Embeddings]:
    """The stores of a run whose encoder was never trained: known vectors, and what the head makes of the features.

    Args:
        place: a layer -> where its store goes.
        predict: whether to add the columns `prediction` and `confidence`.
    """
    wanted = (*layers, DEFAULT_LAYER) if predict else tuple(layers)
    known = known_features(method.encoder, images, wanted, precision=precision, progress=progress)
    columns: dict[str, np.ndarray] = {}
    if predict:
        device = next((p.device for p in method.parameters()), torch.device("cpu"))
        with evaluating(method):
            columns = _predicted(known[DEFAULT_LAYER], images.where(*(splits or ())), method.predict_from, device)
    return {layer: as_run_store(known[layer], images, splits, place(layer), about, columns) for layer in layers}


def random_stores(
    run: Run,
    images: ImageSet,
    layers: Sequence[str],
    *,
    splits: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Embeddings]:
    """What a run's encoder gives with weights drawn by the run's seed, where the run itself began with trained ones."""
    from phispace.training.assemble import make_method, make_plan, to_be_filled_later
    from phispace.training.config import RunConfig

    config = to_be_filled_later(RunConfig.build(run.config))
    drawn = config.encoder.model_copy(update={"start": None})
    method = make_method(make_plan(config.model_copy(update={"encoder": drawn}), images))
    known = known_features(method.encoder, images, layers, progress=progress)
    about = {"run": run.name, "checkpoint": "random", "encoder": config.encoder.name}
    return {
        layer: as_run_store(store, images, splits, run.embeddings_path(images.name, "random", layer), about, {})
        for layer, store in known.items()
    }


def _predicted(
    known: Embeddings, positions: np.ndarray, predict: Predict, device: torch.device
) -> dict[str, np.ndarray]:
    """The columns `prediction` and `confidence` (N,) from features, or nothing where no classes are predicted."""
    answers = Answers()
    for start in range(0, len(positions), _ROWS):
        rows = np.asarray(known.vectors[positions[start : start + _ROWS]], np.float32)
        logits = predict(torch.from_numpy(rows).to(device))
        if logits is None:
            return {}
        answers.add(logits)
    return answers.columns()
