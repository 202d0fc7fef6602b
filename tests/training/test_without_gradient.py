"""A method without a gradient trains in passes: the run is like any other, also when it is cut inside a pass."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import small
import torch

from phispace.data.batches import Views
from phispace.data.imageset import ImageSet
from phispace.data.passes import Pass, Passes, whole_order
from phispace.data.views import make_view
from phispace.errors import InputError, InterruptedRunError
from phispace.methods.base import Batch
from phispace.methods.patch_kmeans import PatchKMeans
from phispace.run import Run
from phispace.training.checkpoints import newest_resumable
from phispace.training.config import RunConfig, make_config
from phispace.training.restore import load_method
from phispace.training.table import read_table
from phispace.training.train import train

EPOCHS = 4


def config(*settings: str, epochs: int = EPOCHS) -> RunConfig:
    common = (
        "encoder.words=20", "encoder.patch=4", "method.batch_size=40", "training.threads=1",
        "training.accelerator=cpu", "training.devices=1", "training.tensorboard=false", "training.health_items=32",
        "training.checkpoint_seconds=0.001", "method.views=shift-rotate",
    )  # fmt: skip
    return make_config("patch-kmeans", "digits", epochs=epochs, settings=[*common, *settings])


@pytest.fixture(scope="module")
def few() -> ImageSet:
    return small.digits(240)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, few: ImageSet) -> Run:
    return train(config(), tmp_path_factory.mktemp("alone") / "run", images=few)


def test_the_run_is_like_any_other(alone: Run) -> None:
    rows = read_table(alone.path / "metrics.csv")
    assert [row["epoch"] for row in rows] == list(range(EPOCHS + 1))
    assert [row["step"] for row in rows] == list(range(EPOCHS + 1)), "a pass is a step"
    assert rows[-1]["images_seen"] == EPOCHS * alone.record["images"]["trained_on"]
    assert {"train_loss", "val_loss", "health_effective_rank"} <= set(rows[-1])
    assert "learning_rate" not in rows[-1]
    assert rows[-1]["val_loss"] < rows[0]["val_loss"]
    assert alone.record["status"] == "completed"
    assert alone.record["choices"]["precision"] == "32-true"
    assert alone.record["health"]
    assert newest_resumable(alone.path / "checkpoints")[0] == alone.path / "checkpoints" / "last"
    best = min(rows[1:], key=lambda row: row["val_loss"])["epoch"]
    assert alone.checkpoint("best").name.startswith(f"epoch={best:03d}")
    assert int(load_method(alone, "last").passes) == EPOCHS


class Crash(Exception):
    """Stands for a crash."""


def crash_at(monkeypatch: pytest.MonkeyPatch, batch: int, action: object) -> None:
    """Before the batch of that number, counted over all passes, something happens, once."""
    count, drawn = [0], PatchKMeans._drawn

    def counted(self: PatchKMeans, images: Batch, generator: torch.Generator) -> torch.Tensor:
        if not torch.is_grad_enabled() and self.trainer.training:
            count[0] += 1
            if count[0] == batch:
                action()  # type: ignore[operator]
        return drawn(self, images, generator)

    monkeypatch.setattr(PatchKMeans, "_drawn", counted)


#: 5 batches a pass: in the whitening of the first, in its iteration, in the second, in the last one.
@pytest.mark.parametrize("batch", [2, 8, 13, 24])
def test_a_crash_inside_a_pass_is_not_seen_afterwards(
    tmp_path: Path, few: ImageSet, alone: Run, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    def crash() -> None:
        raise Crash

    with monkeypatch.context() as patched:
        crash_at(patched, batch, crash)
        with pytest.raises(Crash):
            train(config(), tmp_path / "cut", images=few)
    if not (tmp_path / "cut" / "checkpoints" / "last").exists():
        assert batch <= 10, "only the first pass is before the first checkpoint"
    run = train(None, tmp_path / "cut", images=few, resume=True)
    assert small.outcome(run.path) == small.outcome(alone.path)
    assert run.record["best_checkpoint"] == alone.record["best_checkpoint"]


def test_a_signal_stops_within_the_pass(
    tmp_path: Path, few: ImageSet, alone: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        crash_at(patched, 13, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(InterruptedRunError, match="SIGTERM; its state is saved"):
            train(config(), tmp_path / "cut", images=few)
    assert [row["epoch"] for row in read_table(tmp_path / "cut" / "metrics.csv")] == [0, 1], "the second was not ended"
    run = train(None, tmp_path / "cut", images=few, resume=True)
    assert small.outcome(run.path) == small.outcome(alone.path)


def test_more_epochs_are_more_passes(tmp_path: Path, few: ImageSet, alone: Run) -> None:
    train(config(epochs=2), tmp_path / "short", images=few)
    run = train(None, tmp_path / "short", images=few, resume=True, epochs=EPOCHS)
    assert small.outcome(run.path) == small.outcome(alone.path)


def test_a_pass_is_the_same_each_time_and_has_every_image_once(few: ImageSet) -> None:
    items = few.where("train")
    order, views = whole_order(items, 7), Views(few, [make_view("shift-rotate", 8)], 7)
    passes = Passes(views, 40)
    seen = []
    for epoch in (0, 1):
        order.set_epoch(epoch)
        (place,) = list(order)
        images: Iterable[Batch] = passes[place]
        assert isinstance(images, Pass)
        once, twice = list(images), list(images)
        assert len(once) == len(images) == -(-len(items) // 40)
        for one, two in zip(once, twice, strict=True):
            assert torch.equal(one.views[0], two.views[0])
        positions = torch.cat([batch.index for batch in once]).numpy()
        assert (np.sort(positions) == items).all()
        assert torch.equal(torch.cat([batch.labels for batch in once]), images.labels)
        seen.append(positions)
    assert (seen[0] != seen[1]).any(), "each epoch has an order of its own"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["training.gradient_clip=1.0"], r"gradient_clip is 1, but the method 'patch-kmeans' follows no gradient"),
        (["training.devices=2", "training.strategy=ddp"], "in one process, not in 2"),
        (["method.learning_rate=0.1"], "learning_rate"),
        (["encoder.start=runs/other"], "'patch-kmeans' sets all weights of the encoder"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, few: ImageSet, settings: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(config(*settings), tmp_path / "run", images=few)
    assert not (tmp_path / "run").exists()
