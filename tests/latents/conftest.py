"""A small variational autoencoder, trained on real digits in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from small_vae import config

from phispace.data.imageset import ImageSet
from phispace.data.splits import with_protocol_splits
from phispace.run import Run
from phispace.training.train import train


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def images() -> ImageSet:
    """900 digits with the protocol's splits."""
    found = load_digits()
    pixels = (found.images[:900] / 16 * 255).round().astype(np.uint8)[..., None]
    made = ImageSet(
        images=pixels,
        labels=found.target[:900].astype(np.int64),
        ids=np.array([f"digits/{i:04d}" for i in range(900)]),
        classes=tuple("0123456789"),
        split=np.full(900, "train"),
        name="digits",
    )
    return with_protocol_splits(made)


@pytest.fixture(scope="session")
def vae_run(tmp_path_factory: pytest.TempPathFactory, images: ImageSet) -> Run:
    """Code of two dimensions, all checkpoints kept. Of 64 pixels a KL of weight 1 would leave nothing to learn."""
    out: Path = tmp_path_factory.mktemp("latents") / "vae"
    settings = ("encoder.hidden=[128]", "encoder.code=2", "method.beta=0.05", "method.batch_size=25")
    kept = ("training.checkpoints=all", "training.tensorboard=true", "training.log_every=5")
    return train(config("vae", *settings, *kept, epochs=12, encoder="mlp"), out, images=images)


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory, images: ImageSet) -> dict[str, Run]:
    """Runs of other kinds: a code of eight dimensions with drawn pixels, an autoencoder, a classifier."""
    folder, quiet = tmp_path_factory.mktemp("others"), "training.tensorboard=false"
    return {
        "wide": train(
            config("beta-tcvae", "method.observation=bernoulli", quiet, "encoder.code=8", epochs=1),
            folder / "wide", images=images,
        ),
        "auto": train(
            config("autoencoder", quiet, "encoder.code=3", epochs=1), folder / "auto", images=images
        ),
        "plain": train(
            config("supervised", quiet, "encoder.width=4", "encoder.dense=8", epochs=1, encoder="convnet4"),
            folder / "plain", images=images,
        ),
    }  # fmt: skip
