"""Stores of changed images: what a run's encoder, and the baselines, make of the same images under named changes.

An evaluation sees stores only. What it needs of changed images (`Evaluation.variants`) is embedded here first, a
variant at a time and its images a batch at a time, and kept below the run:

    embeddings/{images}.variants/{checkpoint, or the baseline}/{layer}/{variant}/
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

import numpy as np

from phispace import storage
from phispace.data.changed import ChangedPixels
from phispace.data.imageset import ImageSet
from phispace.data.variants import make_variant
from phispace.embeddings.baselines import Components, fit_pca, pixel_rows, pixels
from phispace.embeddings.extract import UNTRAINED, extract
from phispace.embeddings.store import Embeddings, is_store
from phispace.embeddings.streaming import items_table
from phispace.embeddings.writer import writing_store
from phispace.errors import DataError, InputError, UnfitError
from phispace.methods.base import Method
from phispace.progress import SILENT, Progress
from phispace.randomness import unit_hash
from phispace.run import Run, safe_name

_REMEMBERED = 64 << 20  # bytes of changed images that are kept until all stores of a variant are made


def variant_stores(
    run: Run,
    images: ImageSet,
    *,
    layer: str = "features",
    checkpoint: str = "best",
    wanted: Mapping[str, str],
    labels: Sequence[str],
    components: Components | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, dict[str, Embeddings]]:
    """Embed the variants that evaluations want. A store that is there of the same weights and images is used again.

    Args:
        run: the run.
        images: the images as they are.
        layer, checkpoint: what is embedded of the run.
        wanted: variant (see `phispace.data.variants`) -> the splits that are needed, joined by `+`; `test:1000` is at
            most 1,000 items of test, always the same ones.
        labels: of the stores that are scored: `pixels`, `pca` and `untrained`, the layer's name behind them or not, are
            the baselines (`pca` of the layer's width, fitted on the clean train part), any other label stands for the
            run's layer itself.
        components: what `fit_pca` gave for `pca`, where it is at hand; otherwise it is fitted when a store needs it.
        seed: of the changes' draws.

    Returns:
        label -> variant -> store, memory-mapped. A change that these images cannot undergo is left out, and said.

    Raises:
        InputError: no such variant, split, layer or checkpoint.
        DataError, StorageError: as for `extract`.
    """
    progress = progress or SILENT
    sources: dict[str, _Source] = {
        label: _source(label, run, images, layer, checkpoint, components) for label in labels
    }
    found: dict[str, dict[str, Embeddings]] = {label: {} for label in labels}
    items = {splits: wanted_items(images, splits) for splits in dict.fromkeys(wanted.values())}
    with progress.task("Embedding changed images", total=len(wanted) * len(sources)) as task:
        for variant, splits in wanted.items():
            positions = items[splits]
            try:
                changed = make_variant(images, variant, seed=seed)
            except UnfitError as error:
                progress.say(f"{variant} is left out. {error}")
                task.advance(len(sources))
                continue
            if len(positions) * int(np.prod(images.shape)) <= _REMEMBERED:
                cast(ChangedPixels, changed.images).remember(positions)
            for label, source in sources.items():
                task.note(f"{variant} of {label}")
                path = source.folder / safe_name(variant if seed == 0 else f"{variant}-seed{seed}")
                found[label][variant] = _kept(path, source, changed, positions) or _made(
                    path, source, changed, positions
                )
                task.advance()
    return found


def wanted_items(images: ImageSet, splits: str) -> np.ndarray:
    """Positions, ascending, of what `wanted` names: `test`, `test+val`, `test:1000`.

    Of a split with a number those items are taken whose ids have the smallest hashes: a fixed draw at random, a larger
    one holds the smaller.

    Raises:
        InputError: no such split, no number, or a split without items.
    """
    chosen = [np.empty(0, np.int64)]
    for term in splits.split("+"):
        split, colon, most = term.partition(":")
        members = images.where(split)
        if not len(members):
            raise InputError(f"{images.name!r} has no items of split {split!r}, whose variants are wanted.")
        if colon and not (most.isdecimal() and int(most) > 0):
            raise InputError(f"The items wanted are SPLIT or SPLIT:NUMBER, joined by '+'; got {splits!r}.")
        if colon and int(most) < len(members):
            hashes = [unit_hash(str(i), "variant-items-0") for i in images.ids[members]]
            members = members[np.argsort(hashes, kind="stable")[: int(most)]]
        chosen.append(members)
    return np.unique(np.concatenate(chosen))


class _Source(Protocol):
    """What turns changed images into vectors.

    Attributes:
        folder: where its stores lie.
        digest: of what decides the vectors, the images aside.
        dtype: of the stored vectors.
    """

    @property
    def folder(self) -> Path: ...

    @property
    def digest(self) -> str: ...

    @property
    def dtype(self) -> str: ...

    def write(self, path: Path, changed: ImageSet, positions: np.ndarray) -> None:
        """Write the store of these items."""


def _source(
    label: str, run: Run, images: ImageSet, layer: str, checkpoint: str, components: Components | None
) -> _Source:
    if label == "pixels":
        return _Pixels(run, images)
    kind = label.partition(" ")[0]
    encoded = _Encoded(run, images, layer, UNTRAINED if kind == "untrained" else checkpoint)
    return _Pca(run, images, encoded, components) if kind == "pca" else encoded


def _kept(path: Path, source: _Source, changed: ImageSet, positions: np.ndarray) -> Embeddings | None:
    """The store at this path if it is the one wanted."""
    if not is_store(path):
        return None
    try:
        store = Embeddings.open(path)
    except DataError:
        return None  # damaged: made again
    if store.manifest.get("made_from") != _made_from(source, changed):
        return None
    ids = changed.ids[positions]
    if np.array_equal(store.ids, ids):
        return store
    # one that holds more items gives the part asked for
    at = {item: row for row, item in enumerate(store.ids.tolist())}
    rows = [at.get(item) for item in ids.tolist()]
    return None if None in rows else store.take(np.array(rows, np.int64))


def _made_from(source: _Source, changed: ImageSet) -> list[str]:
    """What decides the vectors, as the manifest keeps it: a store of the same is used again."""
    return [source.digest, changed.fingerprint, source.dtype]


def _made(path: Path, source: _Source, changed: ImageSet, positions: np.ndarray) -> Embeddings:
    source.write(path, changed, positions)
    return Embeddings.open(path, verify=False)


class _Encoded:
    """A layer of a run's checkpoint; the weights are loaded when the first store has to be made."""

    dtype: ClassVar[str] = "float32"

    def __init__(self, run: Run, images: ImageSet, layer: str, checkpoint: str) -> None:
        from phispace.training.checkpoints import WEIGHTS, read_record

        self.run, self.layer = run, layer
        self.place = run.checkpoint(checkpoint)
        self.record = read_record(self.place)
        self.weights = str(self.record["sha256"][WEIGHTS])
        self.folder = run.embeddings_path(f"{images.name}.variants", self.place.name, layer)
        # as the clean images were embedded, so that only the change makes a difference
        clean = run.embeddings_path(images.name, self.place.name, layer)
        told = storage.read_json(clean / "manifest.json").get("precision") if is_store(clean) else None
        self.precision = str(told or "float32")
        self.digest = f"{self.weights} {self.precision}"

    @cached_property
    def method(self) -> Method:
        from phispace.training.restore import load_method

        return load_method(self.run, self.place.name)

    @property
    def width(self) -> int:
        """Dimensions of the layer."""
        self.method.encoder.check_layers((self.layer,))
        return int(np.prod(self.method.encoder.shapes()[self.layer]))

    def write(self, path: Path, changed: ImageSet, positions: np.ndarray) -> None:
        about: dict[str, Any] = {
            "run": self.run.name,
            "checkpoint": self.place.name,
            "weights_sha256": self.weights,
            "variant": changed.source["variant"],
            "made_from": _made_from(self, changed),
            **{k: self.record[k] for k in ("epoch", "step") if k in self.record},
        }
        extract(
            self.method.encoder,
            changed,
            (self.layer,),
            positions=positions,
            precision=self.precision,
            out=path,
            manifest=about,
        )


class _Pixels:
    """The pixels themselves, in half precision: 1/255 is far above its rounding."""

    dtype: ClassVar[str] = "float16"
    digest: ClassVar[str] = "pixels"

    def __init__(self, run: Run, images: ImageSet) -> None:
        self.folder = run.embeddings_path(f"{images.name}.variants", "pixels", "pixels")

    def write(self, path: Path, changed: ImageSet, positions: np.ndarray) -> None:
        about = {"name": "pixels", "layer": "pixels", "feature_shape": list(changed.shape)}
        rows = pixel_rows(changed, positions)
        _write(path, rows, int(np.prod(changed.shape)), self, changed, positions, about)


class _Pca:
    """Principal components of the clean train part's pixels, as many as the layer is wide."""

    dtype: ClassVar[str] = "float32"

    def __init__(self, run: Run, images: ImageSet, encoded: _Encoded, components: Components | None) -> None:
        self.images, self._fitted = images, components
        train = images.where("train")
        self.count = min(encoded.width, int(np.prod(images.shape)), len(train))
        text = f"pca\x1f{self.count}\x1f{images.fingerprint}\x1f".encode()
        self.digest = hashlib.sha256(text + train.tobytes()).hexdigest()
        self.folder = run.embeddings_path(f"{images.name}.variants", "pca", f"pca-{self.count}")

    @cached_property
    def components(self) -> Components:
        return self._fitted or fit_pca(pixels(self.images, ("train",)), self.count)

    def write(self, path: Path, changed: ImageSet, positions: np.ndarray) -> None:
        about = {"name": "pca", "layer": "pca of pixels", "n_components": self.components.weights.shape[1]}
        rows = (self.components.project(block) for block in pixel_rows(changed, positions))
        _write(path, rows, self.components.weights.shape[1], self, changed, positions, about)


def _write(
    path: Path,
    rows: Iterable[np.ndarray],
    dim: int,
    source: _Source,
    changed: ImageSet,
    positions: np.ndarray,
    about: Mapping[str, Any],
) -> None:
    """A store of rows that come block by block."""
    with writing_store(path, len(positions), dim, source.dtype) as store:
        for block in rows:
            store.append(block.astype(source.dtype))
        store.items = items_table(changed, positions)
        store.manifest = {
            **about,
            "images": changed.name,
            "fingerprint": changed.fingerprint,
            "classes": list(changed.classes),
            "variant": changed.source["variant"],
            "made_from": _made_from(source, changed),
        }
