"""Deep InfoMax as a run: its adversary, noise and drawn locations resume exactly; its alias; its measurements."""

from __future__ import annotations

from pathlib import Path

import pytest
import small
from pytorch_lightning.callbacks import Callback

from phispace.errors import InputError
from phispace.run import Run
from phispace.training.config import RunConfig, make_config
from phispace.training.table import read_table
from phispace.training.train import train

KINDS = {
    "adversarial": ("method.prior=adversarial", "method.alpha=0.5", "method.estimator=dv"),
    "noise": ("method.prior=noise-normal", "method.locations=3", "method.estimator=jsd"),
    "uniform": ("method.prior=noise-uniform", "method.score=concat-and-convolve", "method.negatives=2"),
}


class CrashAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: object, pl_module: object, batch: object, batch_idx: int) -> None:
        if trainer.global_step == self.step:  # type: ignore[attr-defined]
            raise InputError("stands for a crash")


def config(*settings: str, epochs: int = 2) -> RunConfig:
    common = (
        "encoder.widths=[4,8]", "encoder.dense=16", "encoder.code=8", "method.batch_size=40", "method.score_width=16",
        "training.threads=1", "training.precision=float32", "training.accelerator=cpu", "training.devices=1",
        "training.tensorboard=false", "training.health_items=32", "training.checkpoint_steps=1",
        "training.drop_last=true",
    )  # fmt: skip
    return make_config("dim", "digits", epochs=epochs, settings=(*common, *settings))


@pytest.mark.parametrize("kind", KINDS)
def test_a_crash_is_not_seen_afterwards(tmp_path: Path, kind: str) -> None:
    images = small.digits(240)
    alone = train(config(*KINDS[kind]), tmp_path / "alone", images=images)
    for step in (2, 5):
        with pytest.raises(InputError, match="stands for a crash"):
            train(config(*KINDS[kind]), tmp_path / f"cut{step}", images=images, callbacks=[CrashAt(step)])
        run = train(None, tmp_path / f"cut{step}", images=images, resume=True)
        assert small.outcome(run.path) == small.outcome(alone.path), f"cut at step {step}"


def test_the_alias_and_what_is_logged(tmp_path: Path) -> None:
    run = train(config("method.prior=adversarial", "method.alpha=1"), tmp_path / "run", images=small.digits(240))
    assert Run.open(run.path).config["method"]["name"] == "infomax"
    assert run.config["encoder"]["name"] == "dim"
    last = read_table(run.path / "metrics.csv")[-1]
    for name in ("loss", "local", "global", "prior", "discriminator", "penalty"):
        assert f"train_{name}" in last
        assert f"val_{name}" in last
    assert last["val_loss"] == pytest.approx(-last["val_local"] - last["val_global"], rel=1e-5)
    assert 0 < last["health_prior_distance"] < 1
