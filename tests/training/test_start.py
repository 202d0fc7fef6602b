"""Beginning with the weights of another run's encoder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import small
import torch

from phispace.data.imageset import ImageSet
from phispace.errors import DataError, InputError
from phispace.run import Run
from phispace.training.checkpoints import load_weights, read_record
from phispace.training.outputs import OUTPUTS, WatchOutputs, probabilities, read_outputs
from phispace.training.restore import load_method
from phispace.training.train import train


def encoder_of(path: Path) -> dict[str, torch.Tensor]:
    return {k: v for k, v in load_weights(path).items() if k.startswith("encoder.")}


def test_training_begins_where_the_other_run_ended(tmp_path: Path, finished: Run, images: ImageSet) -> None:
    run = train(small.config(f"encoder.start={finished.path}", "training.seed=3"), tmp_path / "run", images=images)
    first, learnt = encoder_of(run.checkpoint("epoch=000")), encoder_of(finished.checkpoint("best"))
    assert all(torch.equal(first[name], learnt[name]) for name in {**first, **learnt})
    heads = [load_weights(r.checkpoint("epoch=000"))["head.1.weight"] for r in (run, finished)]
    assert not torch.equal(*heads), "the head is this run's own"
    began = run.record["began_with"]
    assert began["run"] == str(finished.path)
    assert began["id"] == finished.record["id"]
    assert began["checkpoint"] == finished.record["best_checkpoint"]
    sums = read_record(finished.checkpoint("best"))["sha256"]
    assert began["weights_sha256"] == sums["weights.safetensors"]
    assert "start" in (run.path / "config.toml").read_text()


def test_another_checkpoint_may_be_named(tmp_path: Path, finished: Run, images: ImageSet) -> None:
    start = f"encoder.start='{finished.path}@epoch=000'"
    run = train(small.config(start, "training.seed=3", epochs=1), tmp_path / "run", images=images)
    first, named = encoder_of(run.checkpoint("epoch=000")), encoder_of(finished.checkpoint("epoch=000"))
    assert all(torch.equal(first[name], named[name]) for name in named)


def test_it_goes_on_when_the_other_run_is_gone(tmp_path: Path, finished: Run, images: ImageSet) -> None:
    shutil.copytree(finished.path, tmp_path / "other")
    start = f"encoder.start={tmp_path / 'other'}"
    train(small.config(start, epochs=1), tmp_path / "run", images=images)
    shutil.rmtree(tmp_path / "other")
    run = train(None, tmp_path / "run", images=images, resume=True, epochs=2)
    assert run.record["result"]["epochs"] == 2
    assert load_method(run).predict(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


def test_what_does_not_fit_is_said(tmp_path: Path, finished: Run, images: ImageSet) -> None:
    with pytest.raises(InputError, match=r"does not fit this one: encoder|does not fit this one: stages"):
        train(small.config(f"encoder.start={finished.path}", "encoder.width=6"), tmp_path / "a", images=images)
    assert not (tmp_path / "a" / "run.json").exists()
    with pytest.raises(DataError, match="is not a run"):
        train(small.config(f"encoder.start={tmp_path / 'none'}"), tmp_path / "b", images=images)


class Crash(WatchOutputs):
    """Raises at a step, after it was looked at."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)
        if trainer.global_step == 11:
            raise RuntimeError("stop")


def test_outputs_are_seen_and_nothing_is_changed(tmp_path: Path, finished: Run, images: ImageSet) -> None:
    looked = images.images[images.where("test")][:20]
    watch = WatchOutputs(tmp_path / "run", looked, [0, 1, 8, 12])
    run = train(small.config(), tmp_path / "run", images=images, callbacks=[watch])
    assert small.outcome(run.path) == small.outcome(finished.path)
    steps, outputs = read_outputs(run.path / OUTPUTS)
    assert steps.tolist() == [0, 1, 8, 12, 16]
    assert outputs.shape == (5, 20, 10)
    for name, at in (("epoch=000", 0), (run.checkpoints()[1].name, 2), ("last", 4)):
        expected = probabilities(load_method(run, name), looked)
        np.testing.assert_allclose(outputs[at], expected, atol=1e-3)
        pixels = torch.from_numpy(looked).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            direct = load_method(run, name).predict(pixels).softmax(1).numpy()
        np.testing.assert_allclose(expected, direct, atol=1e-6)
    with pytest.raises(RuntimeError, match="stop"):
        train(
            small.config("training.checkpoint_steps=2"), tmp_path / "cut", images=images,
            callbacks=[Crash(tmp_path / "cut", looked, [0, 1, 8, 11, 12])],
        )  # fmt: skip
    watch = WatchOutputs(tmp_path / "cut", looked, [0, 1, 8, 12])
    train(None, tmp_path / "cut", images=images, resume=True, callbacks=[watch])
    again, same = read_outputs(tmp_path / "cut" / OUTPUTS)
    assert again.tolist() == [0, 1, 8, 11, 12, 16]
    assert np.array_equal(same[[0, 1, 2, 4, 5]], outputs)


def test_what_holds_no_outputs_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not hold the outputs"):
        read_outputs(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"not a zip")
    with pytest.raises(DataError, match="does not hold the outputs"):
        read_outputs(tmp_path / "bad.npz")
