"""Every registered method, cut and resumed, ends as one left alone. A method is tested here by being registered."""

from __future__ import annotations

from pathlib import Path

import pytest
import small
from pytorch_lightning.callbacks import Callback

from phispace.data.imageset import ImageSet
from phispace.methods import REGISTRY
from phispace.training.config import RunConfig, make_config
from phispace.training.train import train

#: The network, and what a method needs beside the options below.
ENCODER = {"patch-kmeans": "patch-dictionary", "infomax": "dim", "mae": "vit"}
NETWORK = ("encoder.hidden=[16]", "encoder.code=32")
SETTINGS = {
    "greedy-layerwise": ("encoder.hidden=[16,8]", "method.layer_epochs=1", "method.epochs=3"),
    "patch-kmeans": ("encoder.words=24", "method.epochs=3"),
    "infomax": ("encoder.widths=[4,8]", "encoder.dense=16", "encoder.code=8", "method.score_width=16"),
    "mae": ("encoder.width=12", "encoder.depth=1", "method.decoder_width=12", "method.decoder_depth=1"),
}
#: Steps at which it is cut, of 4 an epoch.
STEPS = {
    "greedy-layerwise": (2, 6, 8),  # in the first layer, in the second, at the first step of the last stage
    "patch-kmeans": (1, 2),  # its epochs are one step
}


class Stop(Exception):
    """Stands for a crash."""


class CrashAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: object, pl_module: object, batch: object, batch_idx: int) -> None:
        # Lightning's count of steps is one of updates, of which a step may have several or none.
        done = trainer.fit_loop.epoch_loop.total_batch_idx + 1  # type: ignore[attr-defined]
        if done == self.step:
            raise Stop


def config(name: str) -> RunConfig:
    settings = (
        *SETTINGS.get(name, NETWORK), "method.batch_size=40", "training.threads=1", "training.precision=float32",
        "training.accelerator=cpu", "training.devices=1", "training.tensorboard=false", "training.health_items=32",
        "training.checkpoint_steps=1", "training.drop_last=true",
    )  # fmt: skip
    return make_config(name, "digits", encoder=ENCODER.get(name, "mlp"), epochs=2, settings=settings)


@pytest.fixture(scope="module")
def few() -> ImageSet:
    return small.digits(240)


@pytest.mark.parametrize("name", REGISTRY.names())
def test_a_crash_is_not_seen_afterwards(tmp_path: Path, few: ImageSet, name: str) -> None:
    alone = train(config(name), tmp_path / "alone", images=few)
    for step in STEPS.get(name, (2, 5)):
        with pytest.raises(Stop):
            train(config(name), tmp_path / f"cut{step}", images=few, callbacks=[CrashAt(step)])
        run = train(None, tmp_path / f"cut{step}", images=few, resume=True)
        assert small.outcome(run.path) == small.outcome(alone.path), f"cut at step {step}"
