"""Runs of the autoencoders: cut ones end as those left alone, and two domains may be trained on at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small
import torch
from pytorch_lightning.callbacks import Callback

from phispace.data.domains import adaptation_set
from phispace.embeddings.extract import extract_run
from phispace.errors import InputError
from phispace.evaluation.evaluate import evaluate
from phispace.export import export_run, load_encoder
from phispace.run import Run
from phispace.training.config import RunConfig, make_config
from phispace.training.restore import load_method
from phispace.training.table import read_table
from phispace.training.train import train

METHODS = {
    "autoencoder": ["method.loss=bce"],
    "denoising-autoencoder": ["method.noise=salt-and-pepper"],
    "sparse-autoencoder": ["encoder.code=30", "method.k=5", "method.k_start=20"],
}
STEPS = 8


def config(method: str, *settings: str, epochs: int = 2) -> RunConfig:
    return make_config(
        method,
        "digits",
        encoder="convnet4",
        epochs=epochs,
        settings=[
            "encoder.width=4", "encoder.dense=16", "encoder.code=3", "method.batch_size=50", "training.threads=1",
            "training.precision=float32", "training.accelerator=cpu", "training.devices=1",
            "training.tensorboard=false", "training.health_items=64", "training.checkpoint_steps=2",
            *METHODS[method], *settings,
        ],
    )  # fmt: skip


class Stop(Exception):
    """Stands for a crash."""


class CrashAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: object, pl_module: object, batch: object, batch_idx: int) -> None:
        if trainer.global_step == self.step:  # type: ignore[attr-defined]
            raise Stop


@pytest.fixture(scope="module", params=METHODS)
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Run]:
    folder = tmp_path_factory.mktemp("alone")
    return request.param, train(config(request.param), folder / "run", images=small.digits())


@pytest.mark.parametrize("step", [3, STEPS, 2 * STEPS - 1])
def test_a_crash_is_not_seen_afterwards(alone: tuple[str, Run], tmp_path: Path, step: int) -> None:
    method, expected = alone
    assert expected.record["task"]["steps_per_epoch"] == STEPS
    with pytest.raises(Stop):
        train(config(method), tmp_path / "cut", images=small.digits(), callbacks=[CrashAt(step)])
    run = train(None, tmp_path / "cut", images=small.digits(), resume=True)
    assert small.outcome(run.path) == small.outcome(expected.path)


def test_what_is_logged(alone: tuple[str, Run]) -> None:
    method, run = alone
    rows = read_table(run.path / "metrics.csv")
    assert {"train_loss", "train_mse", "val_loss", "val_mse"} <= set(rows[-1])
    assert float(rows[2]["train_mse"]) < float(rows[1]["train_mse"])
    if method == "sparse-autoencoder":
        assert float(rows[-1]["val_active"]) == pytest.approx(5 / 30)
        assert float(rows[1]["train_active"]) > float(rows[2]["train_active"])
        assert {"health_active", "health_dead", "health_hoyer"} <= set(rows[-1])


def test_a_run_gives_its_method_back_and_its_encoder_leaves(alone: tuple[str, Run], tmp_path: Path) -> None:
    method, run = alone
    images = small.digits()
    found = load_method(run)
    x = torch.from_numpy(images.images[:7]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        assert found.reconstruct(x).shape == x.shape
        codes = found.encoder(x)
        torch.testing.assert_close(found.decode(codes), found.reconstruct(x))
    export_run(run, tmp_path / "out", formats=("safetensors",))
    with torch.no_grad():
        assert torch.equal(load_encoder(tmp_path / "out")(x), codes)
    stored = extract_run(run, images, ("features",))["features"].vectors
    if method == "sparse-autoencoder":
        assert (np.asarray(stored) != 0).sum(1).max() == 5


def test_two_domains_at_once(tmp_path: Path) -> None:
    """Digits with their labels and inverted digits without; the classifier of the ones is tested on the others."""
    source = small.digits()
    target = replace(source, images=255 - source.images, name="inverted", known_fingerprint=None)
    both = adaptation_set(source, target)
    assert both.counts().keys() == {"train", "val", "test", "unlabelled"}
    assert (both.labels[both.where("unlabelled")] == -1).all()
    assert len(both.where("train")) == len(source.where("train"))
    assert len(both.where("unlabelled")) == len(target.where("train", "val"))
    np.testing.assert_array_equal(both.images[both.where("test")], target.images[target.where("test")])
    np.testing.assert_array_equal(both.labels[both.where("test")], target.labels[target.where("test")])
    run = train(config("denoising-autoencoder", epochs=1), tmp_path / "run", images=both)
    assert run.record["task"]["train_items"] == len(both.where("train", "unlabelled"))
    store = extract_run(run, both, ("features",))["features"]
    found = evaluate(store, ["knn"])["knn"]
    assert found.n["test"] == len(target.where("test"))
    assert found.n["train"] == len(source.where("train"))


def test_domains_that_do_not_fit_are_refused() -> None:
    source = small.digits()
    with pytest.raises(InputError, match=r"\(1, 8, 8\).*\(1, 16, 16\)"):
        adaptation_set(source, replace(source, images=source.images.repeat(2, 1).repeat(2, 2), known_fingerprint=None))
    with pytest.raises(InputError, match="classes"):
        adaptation_set(source, replace(source, classes=tuple("abcdefghij"), known_fingerprint=None))
