"""A layer of a fixed subset of images at every stored checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import Field

from phispace.embeddings.checkpoints import extract_checkpoints
from phispace.embeddings.store import Embeddings
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.train import images_of, run_of
from phispace.studies.study import images_subset


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
        moments = extract_checkpoints(
            run_of(context, options.run),
            images_subset(images_of(context, options.run), train=options.train, val=options.val, test=options.test),
            options.layer,
            lambda checkpoint: context.place("checkpoints", options.run, checkpoint, options.layer),
            at_most=options.at_most,
            progress=context.progress,
        )
        frames = [
            {**m.record, "checkpoint": m.name, "path": m.store.path.relative_to(context.out).as_posix()}
            for m in moments
            if m.store.path is not None
        ]
        return Outcome({"frames": frames, "layer": options.layer, "run": options.run})


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
