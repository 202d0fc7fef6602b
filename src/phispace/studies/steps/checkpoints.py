"""A layer of a fixed subset of images at every stored checkpoint: what films and numbers by epoch are made from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from phispace import storage
from phispace.data.imageset import ImageSet
from phispace.embeddings.extract import extract, weights_digest
from phispace.embeddings.store import Embeddings, is_store
from phispace.run import Run
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.train import run_of
from phispace.studies.study import images_subset
from phispace.training.restore import load_method


class CheckpointsOptions(StepOptions):
    """Options of the step `checkpoints`: how many images of each split are followed."""

    run: str
    layer: str = "features"
    train: int = Field(5000, ge=1)
    val: int = Field(5000, ge=1)
    test: int = Field(2000, ge=1)
    at_most: int = Field(40, ge=2, description="checkpoints; more are thinned evenly, first and last kept")


class EmbedCheckpoints(Step[CheckpointsOptions]):
    """One store a checkpoint, all over the same ids."""

    Options = CheckpointsOptions

    def title(self, options: CheckpointsOptions) -> str:
        return f"Extracting {options.layer} at every stored checkpoint of {options.run}"

    def run(self, context: Context, name: str, options: CheckpointsOptions) -> Outcome:
        run = run_of(context, options.run)
        followed = images_subset(context.images, train=options.train, val=options.val, test=options.test)
        places = thinned(run, options.at_most)
        frames = []
        with context.progress.task(f"Extracting {options.layer}", total=len(places)) as task:
            for place, record in places:
                method = load_method(run, place.name)
                path = context.place("checkpoints", options.run, place.name, options.layer)
                digest = weights_digest(method)
                if not _whole(path, digest, followed):
                    extract(
                        method.encoder,
                        followed,
                        (options.layer,),
                        out=path,
                        predict=method.predict,
                        manifest={
                            "run": run.name,
                            "checkpoint": place.name,
                            "weights_sha256": digest,
                            "epoch": record.get("epoch"),
                            "prediction_classes": list(method.task.classes),
                        },
                    )
                frames.append({**record, "checkpoint": place.name, "path": path.relative_to(context.out).as_posix()})
                task.advance()
        return Outcome({"frames": frames, "layer": options.layer, "run": options.run})


def thinned(run: Run, at_most: int) -> list[tuple[Path, dict[str, Any]]]:
    """The run's checkpoints by epoch with their records, evenly thinned; each training step once."""
    by_step: dict[int, tuple[Path, dict[str, Any]]] = {}
    for path in run.checkpoints():
        record = storage.read_json(path / "checkpoint.json")
        if path.name.startswith("epoch="):
            kept = {k: record[k] for k in ("epoch", "step", "val_loss", "val_accuracy") if record.get(k) is not None}
            by_step[int(record["step"])] = (path, kept)
    places = [by_step[step] for step in sorted(by_step)]
    if len(places) <= at_most:
        return places
    return [places[i] for i in np.unique(np.linspace(0, len(places) - 1, at_most).round().astype(int))]


def stores_of_frames(context: Context, identity: str) -> Iterator[tuple[dict[str, Any], Embeddings]]:
    """Each checkpoint's record and store, in training order."""
    for frame in context.result(identity)["frames"]:
        yield frame, Embeddings.open(context.out / frame["path"])


def as_validation(store: Embeddings) -> Embeddings:
    """Train and val alone, val named test: what evaluations then call test is the validation split."""
    import pyarrow as pa

    part = store.part("train", "val")
    splits = np.where(part.splits == "val", "test", "train")
    items = part.items.set_column(part.items.column_names.index("split"), "split", pa.array(splits.tolist()))
    return Embeddings(part.vectors, items, part.manifest, check=False)


def _whole(path: Path, digest: str, images: ImageSet) -> bool:
    if not is_store(path):
        return False
    manifest = storage.read_json(path / "manifest.json")
    return manifest.get("weights_sha256") == digest and manifest.get("fingerprint") == images.fingerprint
