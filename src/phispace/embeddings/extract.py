"""Extraction: images through an encoder, one or several layers in one pass, straight into stores.

Evaluation mode, no gradients, channels_last. Memory is bounded by a batch, whatever the number of images. The same
weights, images, threads and batch size give the same bytes, also when the work was divided into shards.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from phispace.data.imageset import ImageSet
from phispace.embeddings import autocast
from phispace.embeddings.shards import check_shard, shard_path, shard_rows
from phispace.embeddings.store import Embeddings, is_store
from phispace.embeddings.streaming import MemoryRows, Predict, batches, evaluating, items_table, stream
from phispace.embeddings.writer import check_target, writing_store
from phispace.encoders import REGISTRY as ENCODERS
from phispace.encoders.base import DEFAULT_LAYER, Encoder
from phispace.errors import DataError, InputError
from phispace.progress import SILENT, Progress
from phispace.run import Run, distinct_name

UNTRAINED = "epoch=000"
LEAST_BF16 = 32
"""Layers of fewer values are not embedded in bf16 unless that is asked for: its 8 bits put many images on one place.
Of a code of two dimensions of MNIST every seventh test image had a tie among its neighbours."""
_DTYPES = ("float32", "float16")

Out = Path | str | Callable[[str], Path] | None


def weights_digest(module: nn.Module) -> str:
    """sha256 over names, dtypes, shapes and values of all parameters and buffers, in the order of their names."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, Tensor):
            flat = value.detach().cpu().contiguous()
            digest.update(f"{name} {flat.dtype} {tuple(flat.shape)}\n".encode())
            digest.update(flat.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def check_images(encoder: Encoder, images: ImageSet) -> None:
    """Raise InputError if these images are not what the encoder takes; the message says how to load them."""
    expected, found = (encoder.channels, encoder.size, encoder.size), images.shape
    if expected == found:
        return
    advice = []
    if expected[1:] != found[1:]:
        advice.append(f"--size {encoder.size}")
    if expected[0] != found[0]:
        advice.append("in colour" if encoder.channels == 3 else "in grey")
    raise InputError(
        f"The encoder takes images of (C, H, W) = {expected}; {images.name!r} has {found}. "
        f"Load them {' with ' if advice[0].startswith('--') else ''}{' and '.join(advice)}."
    )


def _targets(out: Out, layers: Sequence[str], shard: tuple[int, int] | None) -> dict[str, Path] | None:
    """Each layer's store, or None for memory."""
    if out is None:
        if shard is not None:
            raise InputError("A shard is written to disk; give `out`, the store that the shards will be merged into.")
        return None
    if callable(out):
        paths = {layer: Path(out(layer)) for layer in layers}
    elif len(layers) == 1:
        paths = {layers[0]: Path(out)}
    else:
        paths = {layer: Path(out) / distinct_name(layer) for layer in layers}
    if shard is not None:
        paths = {layer: shard_path(path, shard) for layer, path in paths.items()}
    if len(set(paths.values())) != len(layers):
        raise InputError(f"The layers {', '.join(layers)} must go to different stores.")
    for path in paths.values():
        check_target(path)
    return paths


def extract(
    encoder: Encoder,
    images: ImageSet,
    layers: Sequence[str] = (DEFAULT_LAYER,),
    *,
    splits: Sequence[str] | None = None,
    positions: np.ndarray | None = None,
    batch_size: int | None = None,
    precision: str = "auto",
    dtype: str = "float32",
    out: Out = None,
    manifest: Mapping[str, Any] | None = None,
    predict: Predict | None = None,
    predict_once: Predict | None = None,
    shard: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> dict[str, Embeddings]:
    """Embed images with an encoder.

    Args:
        encoder: runs on the device where its parameters are; its mode is left as it was.
        images: uint8 images of the encoder's size and channels.
        layers: names of layers; maps (C, H, W) are flattened in that order and the manifest keeps `feature_shape`.
        splits: only the items of these splits, in the order of the set; None = all.
        positions: only these items (int64, positions in the set), whatever their split.
        batch_size: images a pass; by default what suits the encoder.
        precision: `float32`, `bf16`, or `auto`: bf16 where a long extraction is measured to be faster by it, with the
            agreement stated in the manifest, but not for codes of few dimensions (`LEAST_BF16`). Shards decide
            nothing by the clock: `auto` is `float32` there.
        dtype: of the stored vectors, `float32` or `float16`.
        out: None keeps the vectors in memory; a path is the store of one layer, or the folder of several layers'
            stores; a function gives each layer's path.
        manifest: what to record beside what is known here.
        predict: images (B, C, H, W) -> class logits (B, K); adds the columns `prediction` and `confidence` (softmax).
        predict_once: takes its place for the images of train, where it averages over several passes.
        shard: (rank, world): only this part, written beside `out`; `merge_shards` puts the parts together.

    Returns:
        one store a layer, memory-mapped where it was written.

    Raises:
        InputError: unknown layer, images of another shape, nothing to embed.
        DataError: values that are not finite; the image is named.
        StorageError: the disk refused; older stores are as they were.
    """
    progress = progress or SILENT
    layers = tuple(dict.fromkeys(layers))
    batch_size = encoder.extraction_batch if batch_size is None else batch_size
    precision = _check_options(layers, batch_size, dtype, precision, shard)
    encoder.check_layers(layers)
    check_images(encoder, images)
    if positions is None:
        positions = images.where(*(splits or ()))
    if not len(positions):
        raise InputError(f"{images.name!r} has no images in {', '.join(splits) if splits else 'any split'}.")
    paths = _targets(out, layers, shard)
    first, stop = shard_rows(len(positions), batch_size, shard)
    n = stop - first
    device = next((p.device for p in encoder.parameters()), torch.device("cpu"))

    with contextlib.ExitStack() as stack:
        stack.enter_context(evaluating(encoder))
        shapes = encoder.shapes_of(layers)
        chosen, agreement = "float32", dict[str, Any]()
        fine = min(int(np.prod(shapes[layer])) for layer in layers) < LEAST_BF16
        if precision == "bf16" or (precision == "auto" and shard is None and not fine):
            # measured on the first batch of the whole, so that it does not depend on a division into shards
            _, probe = next(batches(images, positions[:batch_size], batch_size, device))
            chosen, agreement = autocast.choose(
                lambda: encoder.taps(probe, layers), -(-n // batch_size), precision, device
            )
            if precision == "auto" and chosen == "bf16":
                progress.say("Embedding in bf16, which measured faster; the agreement with float32 is in the manifest.")
        rows: dict[str, Any] = {}
        for layer in layers:
            dim = int(np.prod(shapes[layer]))
            rows[layer] = (
                MemoryRows(n, dim, dtype)
                if paths is None
                else stack.enter_context(writing_store(paths[layer], n, dim, dtype))
            )
        started, worked = time.perf_counter(), time.process_time()
        with autocast.autocast(chosen, device):
            columns = stream(
                encoder, images, positions[first:stop], batch_size, device, rows, predict, progress, predict_once
            )
        items = items_table(images, positions[first:stop], columns)
        common = {
            "images": images.name,
            "fingerprint": images.fingerprint,
            "classes": list(images.classes),
            "splits": list(splits) if splits else None,
            "encoder": type(encoder).__name__,
            "n_parameters": sum(p.numel() for p in encoder.parameters()),
            "weights_sha256": weights_digest(encoder),
            "precision": chosen,
            "batch_size": batch_size,
            "threads": torch.get_num_threads(),
            "caveats": list(images.source.get("caveats", [])),
            "seconds": round(time.perf_counter() - started, 2),
            "cpu_seconds": round(time.process_time() - worked, 2),
            **({"shard": list(shard)} if shard else {}),
            **(manifest or {}),
        }
        manifests = {layer: common | {"layer": layer, "feature_shape": list(shapes[layer])} for layer in layers}
        for layer in agreement:
            manifests[layer]["bf16_agreement"] = agreement[layer]
        if paths is None:
            return {layer: Embeddings(rows[layer].vectors, items, manifests[layer], check=False) for layer in layers}
        for layer in layers:
            rows[layer].items, rows[layer].manifest = items, manifests[layer]
    return {layer: Embeddings.open(paths[layer], verify=False) for layer in layers}


def _check_options(
    layers: Sequence[str], batch_size: int, dtype: str, precision: str, shard: tuple[int, int] | None
) -> str:
    """Check what does not depend on the encoder; returns the precision's own name."""
    if not layers:
        raise InputError("Name at least one layer to extract.")
    if batch_size < 1:
        raise InputError(f"The batch size must be at least 1; got {batch_size}.")
    if dtype not in _DTYPES:
        raise InputError(f"Vectors are stored as {' or '.join(_DTYPES)}; got {dtype!r}.")
    if shard is not None:
        check_shard(shard)
    return autocast.check_precision(precision)


def extract_run(
    run: Run,
    images: ImageSet,
    layers: Sequence[str] = (DEFAULT_LAYER,),
    *,
    checkpoint: str = "best",
    splits: Sequence[str] | None = None,
    batch_size: int | None = None,
    precision: str = "auto",
    dtype: str = "float32",
    shard: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> dict[str, Embeddings]:
    """Embed images with a run's checkpoint, into stores below the run.

    A store that is there already is used as it is, when its weights, images, splits and dtype are the ones wanted; one
    that holds more splits gives the part asked for. Otherwise it is made again, with the splits that it had as well.

    Args:
        run: the run.
        checkpoint: a checkpoint's name, `best` or `last`.
        others: as for `extract`.

    Returns:
        one store a layer; `.path` is where it lies.

    Raises:
        RunError: no such checkpoint.
        InputError, DataError, StorageError: as for `extract`.
    """
    from phispace.training.checkpoints import WEIGHTS, read_record
    from phispace.training.restore import load_method

    layers = tuple(dict.fromkeys(layers))
    if batch_size is None:
        batch_size = ENCODERS.get(str(run.config["encoder"]["name"])).extraction_batch
    precision = _check_options(layers, batch_size, dtype, precision, shard)
    place = run.checkpoint(checkpoint)
    record = read_record(place)
    digest = str(record["sha256"][WEIGHTS])

    def path_of(layer: str) -> Path:
        return run.embeddings_path(images.name, place.name, layer)

    found: dict[str, Embeddings] = {}
    wanted: dict[str, tuple[str, ...] | None] = {}
    for layer in layers:
        path = path_of(layer) if shard is None else shard_path(path_of(layer), shard)
        store = _reusable(path, images, digest, dtype, precision)
        held = None if store is None else _tuple(store.manifest.get("splits"))
        if store is None:
            wanted[layer] = _tuple(splits)
        elif shard is not None and (held, store.manifest["batch_size"]) != (_tuple(splits), batch_size):
            wanted[layer] = _tuple(splits)  # a part of another division
        elif shard is not None or held == _tuple(splits):
            found[layer] = store
        elif held is None or (splits and set(splits) <= set(held)):
            found[layer] = store.part(*(splits or ()))
        else:
            wanted[layer] = tuple(dict.fromkeys([*held, *splits])) if splits else None
    if not wanted:
        return found
    method = load_method(run, place.name)
    method.encoder.check_layers(layers)
    check_images(method.encoder, images)
    about: dict[str, Any] = {
        "run": run.name,
        "checkpoint": place.name,
        "weights_sha256": digest,
        "method": run.config.get("method", {}).get("name", type(method).__name__),
        "encoder": run.config.get("encoder", {}).get("name", type(method.encoder).__name__),
        "prediction_classes": list(method.task.classes),
        **{k: record[k] for k in ("epoch", "step") if k in record},
    }
    for group in dict.fromkeys(wanted.values()):
        names = [layer for layer, union in wanted.items() if union == group]
        # An untrained network's predictions say nothing, and test-time averaging makes them dear.
        predict = None if place.name == UNTRAINED else method.predict
        if method.rests and shard is None and dtype == "float32" and (predict is None or method.predict_once is None):
            from phispace.embeddings.features import run_stores

            made = run_stores(
                method, images, names, group, path_of, about,
                precision=precision, predict=predict is not None, progress=progress,
            )  # fmt: skip
            found |= {k: v if group == _tuple(splits) else v.part(*(splits or ())) for k, v in made.items()}
            continue
        made = extract(
            method.encoder,
            images,
            names,
            splits=group,
            batch_size=batch_size,
            precision=precision,
            dtype=dtype,
            out=path_of,
            manifest=about,
            predict=predict,
            predict_once=method.predict_once,
            shard=shard,
            progress=progress,
        )
        found |= {k: v if group == _tuple(splits) else v.part(*(splits or ())) for k, v in made.items()}
    return {layer: found[layer] for layer in layers}


def extract_untrained(
    run: Run, images: ImageSet, layers: Sequence[str] = (DEFAULT_LAYER,), **options: Any
) -> dict[str, Embeddings]:
    """The honest comparison: the same encoder, its weights drawn by the run's seed and not trained.

    Takes the options of `extract_run`; the stores lie below the run's checkpoint `epoch=000`, or below `random` where
    the run began with weights that were trained before.
    """
    if (
        run.record.get("began_with")
        or run.record.get("encoder", {}).get("weights", {}).get("kind", "random") != "random"
    ):
        from phispace.embeddings.features import random_stores

        return random_stores(run, images, layers, splits=options.get("splits"), progress=options.get("progress"))
    return extract_run(run, images, layers, checkpoint=UNTRAINED, **options)


def embed_pixels(
    run: Run, pixels: np.ndarray, layer: str = DEFAULT_LAYER, *, checkpoint: str = "best"
) -> tuple[np.ndarray, str]:
    """Embed a few images that belong to no set, for example queries; nothing is stored.

    Args:
        pixels: uint8 (N, H, W, C), of the run's size and channels.

    Returns:
        vectors float32 (N, D), and the digest of the weights that made them, as a run's stores record it.
    """
    from phispace.training.checkpoints import WEIGHTS, read_record
    from phispace.training.restore import load_method

    place = run.checkpoint(checkpoint)
    ids = np.array([f"{i}" for i in range(len(pixels))], dtype=str)
    images = ImageSet(pixels, np.full(len(ids), -1, np.int64), ids, (), np.full(len(ids), "test"), name="queries")
    made = extract(load_method(run, place.name).encoder, images, (layer,), precision="float32")
    return made[layer].vectors, str(read_record(place)["sha256"][WEIGHTS])


def _tuple(splits: Sequence[str] | None) -> tuple[str, ...] | None:
    return tuple(splits) if splits else None


def _reusable(path: Path, images: ImageSet, digest: str, dtype: str, precision: str) -> Embeddings | None:
    """The store at this path, if it holds what an extraction now would give."""
    if not is_store(path):
        return None
    try:
        store = Embeddings.open(path)
    except DataError:
        return None  # damaged: made again
    manifest = store.manifest
    same = (
        manifest.get("weights_sha256") == digest
        and manifest.get("fingerprint") == images.fingerprint
        and manifest.get("dtype") == dtype
        and precision in ("auto", manifest.get("precision"))
        and manifest.get("classes") == list(images.classes)
    )
    if not same:
        return None
    if manifest.get("shard") is not None:
        return store
    # the fingerprint does not say how the items are divided
    positions = images.where(*(manifest.get("splits") or ()))
    unchanged = np.array_equal(store.ids, images.ids[positions]) and np.array_equal(
        store.splits, images.split[positions]
    )
    return store if unchanged else None
