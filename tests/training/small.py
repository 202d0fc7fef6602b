"""A small training on real images (scikit-learn's digits), for tests and for the scripts that tests start."""

from __future__ import annotations

import hashlib
from dataclasses import replace
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


def staged(*settings: str, epochs: int = 6, encoder: str = "mlp") -> RunConfig:
    """Two layers in turn for two epochs each, then the classes for the rest."""
    widths = ["encoder.hidden=[24,16]"] if encoder == "mlp" else ["encoder.width=4", "encoder.dense=16"]
    return make_config(
        "greedy-layerwise",
        "digits",
        encoder=encoder,
        epochs=epochs,
        settings=[
            *widths,
            "method.layer_epochs=2",
            "method.batch_size=50",
            "training.threads=1",
            "training.precision=float32",
            "training.accelerator=cpu",
            "training.devices=1",
            "training.tensorboard=false",
            "training.health_items=64",
            *settings,
        ],
    )


def compared(*settings: str, epochs: int = 2) -> RunConfig:
    """Views of a class are compared, those of all processes; views are not drawn, nothing is normalised by batch."""
    return make_config(
        "supcon",
        "digits",
        encoder="mlp",
        epochs=epochs,
        settings=[
            "encoder.hidden=[24]",
            "encoder.batch_norm=false",
            "method.views='none'",
            "method.projector_hidden=16",
            "method.projection=8",
            "method.batch_size=50",
            "method.learning_rate=0.01",
            "training.threads=1",
            "training.precision=float32",
            "training.accelerator=cpu",
            "training.devices=1",
            "training.tensorboard=false",
            "training.health_items=64",
            *settings,
        ],
    )


def adversarial(*settings: str, epochs: int = 3) -> RunConfig:
    """A discriminator and a generator of few channels."""
    return make_config(
        "dcgan",
        "digits",
        epochs=epochs,
        settings=[
            "encoder.width=4",
            "method.generator_width=4",
            "method.code=6",
            "method.batch_size=20",
            "method.learning_rate=0.001",
            "method.schedule=cosine",
            "training.threads=1",
            "training.precision=float32",
            "training.accelerator=cpu",
            "training.devices=1",
            "training.tensorboard=false",
            "training.health_items=64",
            "training.drop_last=true",
            "training.checkpoint_steps=4",
            *settings,
        ],
    )


def few_labels(items: int = 600, labelled: int = 130) -> ImageSet:
    """The digits with the labels of all but the first training images hidden."""
    found = digits(items)
    labels, train = found.labels.copy(), found.where("train")
    labels[train[labelled:]] = -1
    return replace(found, labels=labels)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def outcome(run: Path) -> dict[str, str]:
    """Digests of all that must be the same however often a run was cut: metrics, weights, optimiser state."""
    files = [run / "metrics.csv", run / "checkpoints" / "last" / "state.safetensors"]
    files += sorted((run / "checkpoints").glob("[!.]*/weights.safetensors"))
    return {path.relative_to(run).as_posix(): sha256(path) for path in files}
