"""What a training leaves behind, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import CSVLogger

from phispace.data.imageset import ImageSet
from phispace.errors import InputError, RunError
from phispace.methods.base import Batch
from phispace.methods.supervised import Supervised
from phispace.progress import Progress
from phispace.run import Run
from phispace.training.checkpoints import load_weights
from phispace.training.restore import load_method
from phispace.training.table import read_table
from phispace.training.train import train


class Heard(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_the_record(finished: Run, images: ImageSet) -> None:
    record = finished.record
    assert record["status"] == "completed"
    assert record["images"]["fingerprint"] == images.fingerprint
    assert record["images"]["trained_on"] == len(images.where("train"))
    assert record["result"]["epochs"] == 2
    assert record["result"]["steps"] == 2 * record["task"]["steps_per_epoch"]
    assert record["result"]["images_seen"] == 50 * record["result"]["steps"]
    assert record["encoder"]["multiply_adds"] > record["encoder"]["parameters"] > 0
    assert record["choices"]["precision"] == "32-true"
    assert record["choices"]["threads"] == 1
    assert record["provenance"]["packages"]["torch"] == torch.__version__.split("+")[0]
    assert record["result"]["best_val_loss"] == min(
        r["val_loss"] for r in read_table(finished.path / "metrics.csv")[1:]
    )
    assert Run.open(finished.path).record["best_checkpoint"] == record["best_checkpoint"]


def test_metrics_have_every_term_by_name(finished: Run) -> None:
    rows = read_table(finished.path / "metrics.csv")
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert "train_loss" not in rows[0]
    assert "val_loss" in rows[0], "the untrained network is validated too"
    for row in rows[1:]:
        assert row["train_loss"] == row["train_cross_entropy"]
        assert {
            "val_loss",
            "val_accuracy",
            "learning_rate",
            "health_std",
            "health_effective_rank",
            "health_knn",
        } <= set(row)
    assert rows[2]["train_loss"] < rows[1]["train_loss"]
    assert {"seconds", "images_per_second"} <= set(read_table(finished.path / "timings.csv")[1])


def test_checkpoints_are_named_by_epoch_and_loss(finished: Run) -> None:
    rows = read_table(finished.path / "metrics.csv")
    names = [path.name for path in finished.checkpoints()]
    assert names == ["epoch=000", *(f"epoch={r['epoch']:03d}-val_loss={r['val_loss']:.4f}" for r in rows[1:]), "last"]
    assert finished.checkpoint("best").name == finished.record["best_checkpoint"] == names[2]
    best, last = (load_weights(finished.checkpoint(name)) for name in ("best", "last"))
    assert all(torch.equal(best[name], last[name]) for name in last)
    untrained = load_weights(finished.checkpoint("epoch=000"))
    assert not torch.equal(untrained["head.1.weight"], last["head.1.weight"])


def test_nothing_unexpected_lies_in_the_directory(finished: Run) -> None:
    here = {path.name for path in finished.path.iterdir()}
    assert here == {"run.json", "config.toml", "metrics.csv", "timings.csv", "checkpoints", "tensorboard", "run.lock"}
    assert [p.name.split(".")[0] for p in (finished.path / "tensorboard").iterdir()] == ["events"]
    suffixes = {path.suffix for path in (finished.path / "checkpoints").rglob("*") if path.is_file()}
    assert suffixes == {".safetensors", ".json"}, "no pickles"


def test_a_loaded_method_predicts_as_it_was_validated(finished: Run, images: ImageSet) -> None:
    method = load_method(finished)
    assert not method.training
    val = images.where("val")
    pixels = torch.from_numpy(images.images[val]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        found = (method.predict(pixels).argmax(1).numpy() == images.labels[val]).mean()
    assert found == pytest.approx(finished.record["result"]["best_val_accuracy"], abs=1e-6)


def test_same_seed_same_weights_other_seed_others(tmp_path: Path, finished: Run, images: ImageSet) -> None:
    again = train(small.config(), tmp_path / "again", images=images)
    other = train(small.config("training.seed=1"), tmp_path / "other", images=images)
    same, new, third = (small.outcome(run.path) for run in (finished, again, other))
    assert same == new
    assert not set(new.values()) & set(third.values())


def test_the_callers_random_state_and_images_are_left_alone(tmp_path: Path) -> None:
    images = small.digits(200)
    before = images.images.copy()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    np.random.seed(5)
    train(small.config(epochs=1), tmp_path / "run", images=images)
    assert torch.equal(torch.rand(3), expected)
    assert np.array_equal(images.images, before)


def test_test_and_val_are_not_trained_on(tmp_path: Path, images: ImageSet) -> None:
    """Other pixels and labels in test and val change neither the weights nor, in test, the metrics."""
    rng = np.random.default_rng(0)
    hashes = []
    for split in ("test", "val"):
        pixels, labels, items = images.images.copy(), images.labels.copy(), images.where(split)
        pixels[items] = rng.integers(0, 256, pixels[items].shape)
        labels[items] = rng.integers(0, 10, len(items))
        run = train(small.config(), tmp_path / split, images=replace(images, images=pixels, labels=labels))
        hashes.append(small.outcome(run.path))
    plain = small.outcome(train(small.config(), tmp_path / "plain", images=images).path)
    assert hashes[0] == plain
    name = "checkpoints/last/weights.safetensors"
    assert hashes[1][name] == plain[name]
    assert hashes[1]["metrics.csv"] != plain["metrics.csv"]


def test_refit_trains_on_val_too_and_does_not_validate(tmp_path: Path, images: ImageSet) -> None:
    run = train(small.config("training.refit=true"), tmp_path / "run", images=images)
    assert run.record["images"]["trained_on"] == len(images.where("train", "val"))
    assert not any(name.startswith("val_") for row in read_table(run.path / "metrics.csv") for name in row)
    assert [path.name for path in run.checkpoints()] == ["epoch=000", "last"]
    assert run.checkpoint("best").name == "last"


def test_unlabelled_images_are_left_out_where_labels_are_needed(tmp_path: Path, images: ImageSet) -> None:
    labels = images.labels.copy()
    labels[images.where("train")[::2]] = -1
    partly = replace(images, labels=labels)
    run = train(small.config(epochs=1), tmp_path / "run", images=partly)
    assert run.record["images"]["trained_on"] == len(partly.where("train", labelled=True))
    with pytest.raises(InputError, match="no labelled images"):
        train(small.config(), tmp_path / "none", images=replace(images, labels=np.full(len(images), -1)))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("policy", ["all", "last"])
def test_checkpoint_policies(tmp_path: Path, images: ImageSet, policy: str) -> None:
    run = train(small.config(f"training.checkpoints={policy}", epochs=3), tmp_path / "run", images=images)
    names = [path.name.partition("-")[0] for path in run.checkpoints()]
    expected = (
        ["epoch=000", "epoch=001", "epoch=002", "epoch=003", "last"] if policy == "all" else ["epoch=000", "last"]
    )
    assert names == expected
    if policy == "last":
        assert run.checkpoint("best").name == "last"


def test_patience_ends_a_training_that_learns_nothing_more(tmp_path: Path, images: ImageSet) -> None:
    hopeless = small.config("training.patience=2", "method.learning_rate=3.0", "method.optimizer=sgd", epochs=40)
    run = train(hopeless, tmp_path / "run", images=images)
    result = run.record["result"]
    assert result["stopped_early"]
    assert result["epochs"] == result["best_epoch"] + 2 < 40
    heard = Heard()
    train(None, run.path, images=images, resume=True, progress=heard)
    assert "is complete" in heard.lines[0]


def test_a_directory_in_use_is_refused(tmp_path: Path, finished: Run, images: ImageSet) -> None:
    with pytest.raises(RunError, match=r"not empty.*--resume"):
        train(small.config(), finished.path, images=images)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match="not empty"):
        train(small.config(), tmp_path / "other", images=images)
    assert (tmp_path / "other" / "thesis.tex").read_text() == "precious"


def test_loggers_and_callbacks_of_the_user(tmp_path: Path, images: ImageSet) -> None:
    seen: list[int] = []

    class Watch(Callback):
        def on_train_epoch_end(self, trainer: object, pl_module: object) -> None:
            seen.append(len(seen))

    logger = CSVLogger(tmp_path / "logs")
    train(small.config("training.log_every=2"), tmp_path / "run", images=images, loggers=[logger], callbacks=[Watch()])
    assert seen == [0, 1]
    text = (Path(logger.log_dir) / "metrics.csv").read_text()
    assert "train/cross_entropy" in text
    assert "learning_rate" in text


def test_lightning_is_silent(
    tmp_path: Path, images: ImageSet, capfd: pytest.CaptureFixture[str], recwarn: object
) -> None:
    train(small.config(epochs=1), tmp_path / "run", images=images)
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ""
    assert [str(w.message) for w in recwarn.list] == []  # type: ignore[attr-defined]


def test_a_validation_that_draws_numbers_repeats(
    tmp_path: Path, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noisy(self: object, batch: Batch, batch_idx: int) -> dict[str, torch.Tensor]:
        return {"loss": torch.rand(())}

    monkeypatch.setattr(Supervised, "validation_step", noisy)
    found = []
    for number in (1, 2):
        torch.manual_seed(number)
        run = train(small.config(), tmp_path / str(number), images=images)
        found.append([row["val_loss"] for row in read_table(run.path / "metrics.csv")])
    assert found[0] == found[1]
    assert len(set(found[0])) == 1, "the same draws in every epoch"


class GradientNorm(Callback):
    """The norm of the gradient that each step of the optimiser is made of."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_before_zero_grad(self, trainer: object, pl_module: torch.nn.Module, optimizer: object) -> None:
        norms = [p.grad.norm() for p in pl_module.parameters() if p.grad is not None]
        if norms:
            self.found.append(float(torch.stack(norms).norm()))


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_gradient_is_clipped_in_either_precision(precision: str, optimizer: str, tmp_path: Path) -> None:
    """AdamW is fused, which Lightning refuses to clip in mixed precision."""
    norms = []
    for number, clip in enumerate([None, 0.01]):
        watch = GradientNorm()
        settings = [f"method.optimizer={optimizer}", f"training.precision={precision}"]
        if clip is not None:
            settings.append(f"training.gradient_clip={clip}")
        train(small.config(*settings, epochs=1), tmp_path / str(number), images=small.digits(), callbacks=[watch])
        norms.append(watch.found)
    assert min(norms[0]) > 0.05
    assert max(norms[1]) == pytest.approx(0.01, rel=1e-3)
