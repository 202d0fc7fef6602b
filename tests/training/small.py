"""A small training on real images (scikit-learn's digits), for tests and for the scripts that tests start."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from phispace.data.imageset import ImageSet
from phispace.data.splits import with_protocol_splits
from phispace.training.config import RunConfig, make_config


@cache
def digits(items: int = 600) -> ImageSet:
    """The first digits: 8 x 8, grey, with the protocol's splits."""
    found = load_digits()
    pixels = (found.images[:items] / 16 * 255).round().astype(np.uint8)[..., None]
    made = ImageSet(
        images=pixels,
        labels=found.target[:items].astype(np.int64),
        ids=np.array([f"digits/{i:04d}" for i in range(items)]),
        classes=tuple("0123456789"),
        split=np.full(items, "train"),
        name="digits",
    )
    return with_protocol_splits(made)


def config(*settings: str, epochs: int = 2) -> RunConfig:
    """Four convolutions of width 4 and 8; one thread, float32, nothing that is not needed."""
    return make_config(
        "supervised",
        "digits",
        encoder="convnet4",
        epochs=epochs,
        settings=[
            "encoder.width=4",
            "encoder.dense=16",
            "method.batch_size=50",
            "method.optimizer=adam",
            "method.learning_rate=0.001",
            "method.schedule=constant",
            "training.threads=1",
            "training.precision=float32",
            "training.accelerator=cpu",
            "training.devices=1",
            "training.tensorboard=false",
            "training.health_items=64",
            *settings,
        ],
    )


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def outcome(run: Path) -> dict[str, str]:
    """Digests of all that must be the same however often a run was cut: metrics, weights, optimiser state."""
    files = [run / "metrics.csv", run / "checkpoints" / "last" / "state.safetensors"]
    files += sorted((run / "checkpoints").glob("[!.]*/weights.safetensors"))
    return {path.relative_to(run).as_posix(): sha256(path) for path in files}
