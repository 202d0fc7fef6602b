"""Runs of variational autoencoders: what they learn, that they resume bit by bit, that a collapse is named."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from pytorch_lightning.callbacks import Callback
from small_vae import config

from phispace.data.imageset import ImageSet
from phispace.embeddings.extract import extract_run, extract_untrained
from phispace.evaluation.evaluate import make_evaluation
from phispace.run import Run
from phispace.training.restore import load_method
from phispace.training.table import read_table
from phispace.training.train import train


class Stop(Exception):
    """Stands for a crash."""


class CrashAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: object, pl_module: object, batch: object, batch_idx: int) -> None:
        if trainer.fit_loop.total_batch_idx == self.step:  # type: ignore[attr-defined]
            raise Stop


def digest(run: Path) -> list[str]:
    files = [run / "metrics.csv", *sorted((run / "checkpoints").glob("[!.]*/weights.safetensors"))]
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def test_a_trained_code_tells_digits_better_than_an_untrained_one(vae_run: Run, images: ImageSet):
    learnt = extract_run(vae_run, images)["features"]
    untrained = extract_untrained(vae_run, images)["features"]
    knn = make_evaluation("knn", {"metric": "euclidean"})
    found, before = (knn.run(store).metrics["accuracy"] for store in (learnt, untrained))
    assert found > before + 0.2, (found, before)
    assert found > 0.5
    rows = read_table(vae_run.path / "metrics.csv")
    assert rows[-1]["val_mse"] < 0.6 * rows[0]["val_mse"]
    assert rows[-1]["health_active_units"] == 2
    assert rows[-1]["health_kl_0"] + rows[-1]["health_kl_1"] == pytest.approx(rows[-1]["health_kl"], rel=1e-5)
    assert vae_run.record["health"].startswith("All 2 dimensions of the code are in use")


def test_the_stored_code_is_the_mean(vae_run: Run, images: ImageSet):
    import torch

    store = extract_run(vae_run, images, splits=("test",))["features"]
    method = load_method(vae_run)
    x = torch.from_numpy(images.images[images.where("test")]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        mean = method.posterior(x)[0].numpy()
    np.testing.assert_allclose(np.asarray(store.vectors), mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["vae", "beta-tcvae"])
def test_a_run_that_was_cut_ends_bit_equal(tmp_path: Path, images: ImageSet, method: str):
    asked = config(method, "training.checkpoint_steps=3", "method.kl_warmup=0.5", "training.tensorboard=false")
    whole = train(asked, tmp_path / "whole", images=images)
    with pytest.raises(Stop):
        train(asked, tmp_path / "cut", images=images, callbacks=[CrashAt(17)])
    resumed = train(None, tmp_path / "cut", images=images, resume=True)
    assert digest(whole.path) == digest(resumed.path)


def test_the_published_mean_collapses_and_that_is_said(tmp_path: Path, images: ImageSet):
    asked = config("vae", "method.observation=mse-mean", "training.tensorboard=false", epochs=6)
    run = train(asked, tmp_path / "mean", images=images)
    assert run.record["health"].startswith("POSTERIOR COLLAPSE: none of the 2 dimensions")
    assert read_table(run.path / "metrics.csv")[-1]["health_active_units"] == 0


def test_presets_are_the_published_trainings():
    from phispace.methods import REGISTRY

    presets = REGISTRY.get("vae").presets
    for name in ("simple", "simple-mean", "high-dimensional", "high-dimensional-kl", "deep", "flat"):
        method = presets[name]["method"]
        assert (method["learning_rate"], method["batch_size"], method["epochs"]) == (1e-4, 50, 10)
        assert method["optimizer"] == "adam"
    assert presets["deep"]["method"]["beta"] == 0.5
    assert presets["high-dimensional"]["method"]["beta"] == 0
    assert presets["high-dimensional"]["encoder"]["options"]["code"] == 16
    assert presets["modern"]["encoder"]["options"]["code"] >= 64
