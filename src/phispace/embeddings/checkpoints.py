"""A layer of the same images at every stored checkpoint: what films and numbers by epoch are made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phispace import storage
from phispace.data.imageset import ImageSet
from phispace.embeddings.extract import extract, weights_digest
from phispace.embeddings.store import Embeddings, is_store
from phispace.errors import RunError
from phispace.progress import SILENT, Progress
from phispace.run import Run
from phispace.training.restore import load_method
from phispace.training.table import read_table

_KEPT = ("epoch", "step", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class Moment:
    """One checkpoint's record (`epoch`, `step`, `val_loss` ... as far as known) and its store."""

    name: str
    record: dict[str, Any]
    store: Embeddings


def by_epoch(run: Run, at_most: int = 40) -> list[tuple[Path, dict[str, Any]]]:
    """The run's named checkpoints in training order with their records, each training step once.

    Args:
        at_most: more are thinned evenly; the first and the last are kept.
    """
    by_step: dict[int, tuple[Path, dict[str, Any]]] = {}
    table = run.path / "metrics.csv"
    measured = {int(row["step"]): row for row in (read_table(table) if table.exists() else [])}
    for path in run.checkpoints():
        if path.name.startswith("epoch="):
            record = storage.read_json(path / "checkpoint.json")
            step = int(record["step"])
            record = {**measured.get(step, {}), **record}
            by_step[step] = (path, {k: record[k] for k in _KEPT if record.get(k) is not None})
    places = [by_step[step] for step in sorted(by_step)]
    if len(places) <= at_most:
        return places
    return [places[i] for i in np.unique(np.linspace(0, len(places) - 1, at_most).round().astype(int))]


def extract_checkpoints(
    run: Run,
    images: ImageSet,
    layer: str,
    place: Callable[[str], Path],
    *,
    at_most: int = 40,
    progress: Progress | None = None,
) -> list[Moment]:
    """One store a checkpoint, all over the same images.

    Args:
        place: a checkpoint's name -> where its store goes; a store there of the same weights and images is kept.

    Raises:
        RunError: fewer than two checkpoints are stored.
    """
    places = by_epoch(run, at_most)
    if len(places) < 2:
        raise RunError(
            f"{run.path} has {len(places)} checkpoints by epoch; two or more are needed. Train with --set "
            "training.checkpoints=\"'all'\"."
        )
    moments = []
    with (progress or SILENT).task(f"Extracting {layer} at {len(places)} checkpoints", total=len(places)) as task:
        for path, record in places:
            method, target = load_method(run, path.name), place(path.name)
            digest = weights_digest(method)
            if not _whole(target, digest, images):
                about = {
                    "run": run.name,
                    "checkpoint": path.name,
                    "weights_sha256": digest,
                    "epoch": record.get("epoch"),
                }
                extract(method.encoder, images, (layer,), out=target, manifest=about)
            moments.append(Moment(path.name, record, Embeddings.open(target)))
            task.advance()
    return moments


def _whole(path: Path, digest: str, images: ImageSet) -> bool:
    if not is_store(path):
        return False
    manifest = storage.read_json(path / "manifest.json")
    return manifest.get("weights_sha256") == digest and manifest.get("fingerprint") == images.fingerprint
