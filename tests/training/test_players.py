"""Several optimisers in one run: both are in the checkpoint, samples are kept, and what makes no sense is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import small
import torch
from PIL import Image
from pytorch_lightning.callbacks import Callback
from test_ddp import launch

from phispace.data.imageset import ImageSet
from phispace.errors import InputError
from phispace.run import Run
from phispace.training.checkpoints import load
from phispace.training.samples import grid
from phispace.training.table import read_table
from phispace.training.train import train

EPOCHS, STEPS = 3, 8  # an epoch has eight steps


@pytest.fixture(scope="module")
def few() -> ImageSet:
    return small.digits(240)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, few: ImageSet) -> Run:
    return train(small.adversarial(), tmp_path_factory.mktemp("alone") / "run", images=few)


class Stop(Exception):
    """Stands for a crash."""


class CrashAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: object, pl_module: object, batch: object, batch_idx: int) -> None:
        if trainer.current_epoch * STEPS + batch_idx == self.step:  # type: ignore[attr-defined]
            raise Stop


def test_both_optimisers_and_schedules_are_in_the_checkpoint(alone: Run) -> None:
    state = load(alone.path / "checkpoints" / "last")
    first, second = state["optimizer_states"]
    assert len(state["lr_schedulers"]) == 2
    for one in (first, second):
        assert {int(s["step"]) for s in one["state"].values()} == {EPOCHS * STEPS}
    assert [len(one["state"]) for one in (first, second)] != [0, 0]
    rows = read_table(alone.path / "metrics.csv")
    assert [row["step"] for row in rows] == [0, STEPS, 2 * STEPS, 3 * STEPS], "a step with two updates is one step"
    assert {"train_discriminator", "train_generator", "val_real", "health_sample_spread"} <= set(rows[-1])
    assert rows[-1]["learning_rate"] < 0.05 * 1e-3, "the cosine falls over all steps"


#: In the first epoch, at an epoch's first step, inside the second, at the very last.
@pytest.mark.parametrize("step", [3, 8, 13, 23])
def test_a_crash_is_not_seen_afterwards(tmp_path: Path, few: ImageSet, alone: Run, step: int) -> None:
    with pytest.raises(Stop):
        train(small.adversarial(), tmp_path / "cut", images=few, callbacks=[CrashAt(step)])
    run = train(None, tmp_path / "cut", images=few, resume=True)
    assert small.outcome(run.path) == small.outcome(alone.path)
    for one, other in zip(pictures(run), pictures(alone), strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def pictures(run: Run) -> list[Path]:
    return sorted((run.path / "samples").iterdir())


def test_samples_are_kept_epoch_by_epoch(alone: Run) -> None:
    assert [path.name for path in pictures(alone)] == [f"epoch={epoch:03d}.png" for epoch in range(EPOCHS + 1)]
    first, *_, last = (np.asarray(Image.open(path)) for path in pictures(alone))
    assert first.shape == last.shape
    assert (first != last).any()


def test_a_grid_has_each_image_at_its_place() -> None:
    images = torch.arange(64.0).view(64, 1, 1, 1).expand(64, 1, 16, 16) / 64
    made = grid(images)
    assert made.shape == (8 * 34 - 2, 8 * 34 - 2, 3)
    for number in range(64):
        y, x = (number // 8) * 34, (number % 8) * 34
        assert (made[y : y + 32, x : x + 32] == round(number / 64 * 255)).all()
    assert (made[32:34] == 255).all()


def test_the_last_checkpoint_is_the_best(alone: Run) -> None:
    assert alone.record["best_checkpoint"] is None
    assert alone.checkpoint("best").name == "last"
    assert "best_val_loss" not in alone.record["result"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.patience=3", "a lower validation loss of the method 'dcgan' does not mean a better network"),
        ("training.gradient_clip=0.5", "'dcgan' has 2 optimisers that take turns"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, few: ImageSet, setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(small.adversarial(setting), tmp_path / "run", images=few)


@pytest.mark.slow
def test_two_processes_stay_alike(tmp_path: Path) -> None:
    """Each sees other images and draws other codes; gradients are averaged in both turns, so weights stay equal."""
    done = launch(tmp_path / "two", "--adversarial")
    assert done.returncode == 0, done.stderr[-3000:]
    sums = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("weights")]
    assert len(sums) == 1, "the first process says what all have"
    assert len(set(sums[0])) == 1
    assert len(sums[0]) == 2
    assert json.loads((tmp_path / "two" / "run.json").read_text())["status"] == "completed"
