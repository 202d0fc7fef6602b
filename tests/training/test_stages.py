"""Training in turns: what is frozen stays as it is, each stage begins anew, and a cut run ends as one left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import small
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import FSDPStrategy
from test_ddp import SETTINGS as PLAIN
from test_ddp import TOLERANCE, launch

from phispace.data.imageset import ImageSet
from phispace.encoders.build import build_encoder
from phispace.errors import InputError
from phispace.methods.base import Stage, Task
from phispace.methods.greedy_layerwise import GreedyLayerwise
from phispace.run import Run
from phispace.training.assemble import make_method, make_plan
from phispace.training.checkpoints import load_weights
from phispace.training.config import RunConfig
from phispace.training.restore import load_method
from phispace.training.stages import Turns, lay_out
from phispace.training.table import read_table
from phispace.training.train import train

SETTINGS = (
    "encoder.dropout=0.2", "method.views=shift-rotate", "training.checkpoint_steps=2", "method.schedule=cosine",
    "method.last_batch_size=20", "method.last_learning_rate=0.003", "training.checkpoints=all",
)  # fmt: skip
#: 430 images in batches of 50 (8 a pass, the rest is dropped), twice for each layer; 130 labelled in batches of 20.
FIRST, SECOND, LAST, END = 0, 16, 32, 44


@pytest.fixture(scope="module")
def few() -> ImageSet:
    return small.few_labels()


def test_a_schedule_that_restarts_does_so_within_its_stage(few: ImageSet) -> None:
    plan = make_plan(small.staged("method.restarts=[1,5]"), few)
    method = make_method(plan)
    cycles = []
    for span in plan.in_stages(method).timeline.spans:
        method.enter_stage(span.number, span.steps)
        cycles.append(method.cycles(span.steps))
    assert cycles == [(0, 8), (0,), (0, 3)]  # 430 images in batches of 50, then 130 labelled ones


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, few: ImageSet) -> Run:
    return train(small.staged(*SETTINGS), tmp_path_factory.mktemp("alone") / "run", images=few)


class Stop(Exception):
    """Stands for a crash."""


class CrashAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: object, pl_module: object, batch: object, batch_idx: int) -> None:
        if trainer.global_step == self.step:  # type: ignore[attr-defined]
            raise Stop


class Watch(Callback):
    """What each step saw: the stage, the rate, which weights the optimiser had, which parts trained."""

    def __init__(self) -> None:
        self.steps: list[dict] = []

    def on_train_batch_end(
        self, trainer: object, pl_module: torch.nn.Module, outputs: dict, batch: object, batch_idx: int
    ) -> None:
        names = {p: n for n, p in pl_module.named_parameters()}
        optimizer = trainer.optimizers[0]  # type: ignore[attr-defined]
        self.steps.append({
            "stage": pl_module.stage.name,
            "rate": optimizer.param_groups[0]["lr"],
            "optimised": {names[p] for group in optimizer.param_groups for p in group["params"]},
            "updates": {int(state["step"]) for state in optimizer.state.values()},
            "training": {n for n, m in pl_module.named_modules() if m.training},
            "labelled": bool((batch.labels >= 0).all()),
            "images": len(batch.labels),
        })  # fmt: skip


def test_the_table_names_the_stage(alone: Run) -> None:
    rows = read_table(alone.path / "metrics.csv")
    assert [row["stage"] for row in rows] == ["layer 1", *["layer 1"] * 2, *["layer 2"] * 2, *["fine-tune"] * 2]
    assert [row["step"] for row in rows] == [0, 8, 16, 24, 32, 38, 44]
    assert [row["images_seen"] for row in rows] == [0, 400, 800, 1200, 1600, 1720, 1840]
    assert {"train_reconstruction", "val_explained"} <= set(rows[4])
    assert "train_cross_entropy" not in rows[4]
    assert {"train_cross_entropy", "val_accuracy"} <= set(rows[5])
    assert [(s["name"], s["epochs"], s["trained_on"], s["batch_size"]) for s in alone.record["stages"]] == [
        ("layer 1", [1, 2], 430, 50), ("layer 2", [3, 4], 430, 50), ("fine-tune", [5, 6], 130, 20),
    ]  # fmt: skip


def test_the_best_checkpoint_is_of_the_last_stage(alone: Run) -> None:
    rows = read_table(alone.path / "metrics.csv")
    assert rows[2]["val_loss"] < rows[6]["val_loss"], "losses of different stages do not compare"
    assert alone.record["result"]["best_epoch"] in (5, 6)
    assert alone.record["result"]["best_val_loss"] == min(row["val_loss"] for row in rows[5:])


def test_what_is_frozen_is_not_touched(alone: Run) -> None:
    states = [load_weights(path) for path in alone.checkpoints()[:-1]]
    lower = [n for n in states[0] if n.startswith(("encoder.stages.fc1", "encoder.stages.hidden1", "decoders.0"))]
    upper = [n for n in states[0] if n.startswith(("encoder.stages.fc2", "encoder.stages.features", "decoders.1"))]
    assert any("running_mean" in n for n in lower)

    def moved(names: list[str], before: int, after: int) -> set[bool]:
        return {not torch.equal(states[before][n], states[after][n]) for n in names}

    assert moved(lower, 0, 2) == {True}
    assert moved([*upper, "head.1.weight"], 0, 2) == {False}
    assert moved([*lower, "head.1.weight"], 2, 4) == {False}
    assert moved(upper, 2, 4) == {True}
    decoders = [n for n in states[0] if n.startswith("decoders")]
    assert moved(decoders, 4, 6) == {False}
    assert moved([n for n in lower + upper if n not in decoders] + ["head.1.weight"], 4, 6) == {True}


def test_each_stage_begins_anew(tmp_path: Path, few: ImageSet) -> None:
    watch = Watch()
    train(small.staged(*SETTINGS), tmp_path / "run", images=few, callbacks=[watch])
    steps = watch.steps
    assert len(steps) == END
    starts = (FIRST, SECOND, LAST)
    assert [steps[s]["stage"] for s in starts] == ["layer 1", "layer 2", "fine-tune"]
    assert [steps[s]["updates"] for s in starts] == [{1}] * 3
    assert [steps[s - 1]["updates"] for s in (*starts[1:], END)] == [{16}, {16}, {12}]
    # The cosine falls to nearly nothing over each stage and is back at its peak with the next.
    assert [steps[s]["rate"] > 0.95 * peak for s, peak in zip(starts, (1e-3, 1e-3, 3e-3), strict=True)] == [True] * 3
    assert [steps[s - 1]["rate"] < 0.05 * 3e-3 for s in (*starts[1:], END)] == [True] * 3
    assert all(n.startswith(("encoder.stages.fc1", "encoder.stages.hidden1", "decoders.0"))
               for n in steps[FIRST]["optimised"])  # fmt: skip
    assert "encoder.stages.hidden1" not in steps[SECOND]["training"]
    assert "encoder.stages.features.2" in steps[SECOND]["training"], "dropout of the trained layer is on"
    assert {step["images"] for step in steps[LAST:]} == {20}
    assert all(step["labelled"] for step in steps[LAST:])
    assert not all(step["labelled"] for step in steps[:LAST])


#: In each stage: before the first checkpoint, inside an epoch, at the first step of a stage, of an epoch, at the last.
@pytest.mark.parametrize("step", [1, 7, 15, SECOND, SECOND + 1, 25, LAST - 1, LAST, LAST + 3, END - 1])
def test_a_crash_at_any_step_is_not_seen_afterwards(tmp_path: Path, few: ImageSet, alone: Run, step: int) -> None:
    with pytest.raises(Stop):
        train(small.staged(*SETTINGS), tmp_path / "cut", images=few, callbacks=[CrashAt(step)])
    run = train(None, tmp_path / "cut", images=few, resume=True)
    assert small.outcome(run.path) == small.outcome(alone.path)
    assert run.record["best_checkpoint"] == alone.record["best_checkpoint"]
    assert run.record["stages"] == alone.record["stages"]


@pytest.mark.parametrize("encoder", ["convnet2", "convnet4"])
def test_convolutional_layers_resume_too(tmp_path: Path, encoder: str) -> None:
    images, count = small.digits(200), {"convnet2": 3, "convnet4": 5}[encoder]
    settings = ("method.layer_epochs=1", "training.checkpoint_steps=1", "method.then=classifier")
    asked = small.staged(*settings, epochs=count + 1, encoder=encoder)
    alone = train(asked, tmp_path / "alone", images=images)
    assert alone.record["stages"][-2]["name"] == f"layer {count}"
    with pytest.raises(Stop):
        train(asked, tmp_path / "cut", images=images, callbacks=[CrashAt(2 * count - 3)])
    run = train(None, tmp_path / "cut", images=images, resume=True)
    assert small.outcome(run.path) == small.outcome(alone.path)


def test_more_epochs_lengthen_the_last_stage(tmp_path: Path, few: ImageSet) -> None:
    settings = ("training.checkpoint_steps=2",)
    long = train(small.staged(*settings, epochs=7), tmp_path / "long", images=few)
    train(small.staged(*settings, epochs=5), tmp_path / "short", images=few)
    run = train(None, tmp_path / "short", images=few, resume=True, epochs=7)
    assert small.outcome(run.path) == small.outcome(long.path)
    assert run.record["stages"] == long.record["stages"]


def test_patience_counts_in_the_last_stage_alone(tmp_path: Path, few: ImageSet) -> None:
    """With a rate that moves nothing, every epoch is without progress; the layers get theirs all the same."""
    settings = ("method.learning_rate=1e-30", "encoder.batch_norm=false", "method.noise_level=0", "training.patience=1")
    run = train(small.staged(*settings, epochs=9), tmp_path / "run", images=few)
    assert run.record["result"]["stopped_early"]
    stages = [row["stage"] for row in read_table(run.path / "metrics.csv")[1:]]
    assert stages[:4] == ["layer 1", "layer 1", "layer 2", "layer 2"]
    assert 1 <= len(stages[4:]) < 5
    assert set(stages[4:]) == {"fine-tune"}


@pytest.mark.slow
def test_two_processes_do_as_one(tmp_path: Path) -> None:
    """The gradients of a later stage's weights are averaged too, though they were frozen when training began."""
    settings = ("method.noise_level=0", "method.last_batch_size=20")
    alone = train(small.staged(*PLAIN, *settings), tmp_path / "alone", images=small.few_labels())
    done = launch(tmp_path / "two", "--staged", *settings)
    assert done.returncode == 0, done.stderr[-3000:]
    rows, expected = read_table(tmp_path / "two" / "metrics.csv"), read_table(alone.path / "metrics.csv")
    assert [(r["step"], r["stage"]) for r in rows] == [(r["step"], r["stage"]) for r in expected]
    for row, wanted in zip(rows[1:], expected[1:], strict=True):
        assert row["train_loss"] == pytest.approx(wanted["train_loss"], abs=TOLERANCE), row["epoch"]
        assert row["val_loss"] == pytest.approx(wanted["val_loss"], abs=TOLERANCE), row["epoch"]


def test_the_timeline_agrees_with_itself(few: ImageSet) -> None:
    config: RunConfig = small.staged()
    stages = [Stage("a", 2), Stage("b", 1, labelled=True, options={"batch_size": 20}), Stage("c", 3)]
    timeline = lay_out(few, stages, config.method, config.training)
    steps = [8] * 2 + [6] + [8] * 3
    assert timeline.steps == sum(steps)
    for done in range(timeline.steps + 1):
        epoch = int(np.searchsorted(np.cumsum(steps), done, side="right"))
        assert timeline.place(done) == (epoch, done - sum(steps[:epoch]))
    for epoch in range(6):
        assert timeline.first_step(epoch) == sum(steps[:epoch])
        assert timeline.at_epoch(epoch).name == "aabccc"[epoch]


def test_a_loaded_method_is_whole(alone: Run, few: ImageSet) -> None:
    method = load_method(alone)
    assert not any(module.training for module in method.modules())
    val = few.where("val")
    pixels = torch.from_numpy(few.images[val]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        found = (method.predict(pixels).argmax(1).numpy() == few.labels[val]).mean()
    assert found == pytest.approx(alone.record["result"]["best_val_accuracy"], abs=1e-6)


def test_what_does_not_fit_is_said(tmp_path: Path, few: ImageSet) -> None:
    with pytest.raises(InputError, match=r"2 layers of 2 epochs each .* at least 5 are needed"):
        train(small.staged(epochs=4), tmp_path / "a", images=few)
    nothing = replace(few, labels=np.full(len(few), -1), classes=())
    with pytest.raises(InputError, match=r"method\.then=nothing"):
        train(small.staged(), tmp_path / "b", images=nothing)
    unknown = replace(few, labels=np.full(len(few), -1))
    with pytest.raises(InputError, match="no labelled images"):
        train(small.staged(), tmp_path / "c", images=unknown)


def test_a_strategy_that_cannot_take_turns_is_refused(few: ImageSet) -> None:
    config = small.staged()
    turns = Turns(lay_out(few, [Stage("a", 1), Stage("b", 1)], config.method, config.training))
    with pytest.raises(InputError, match="one device or with the strategy ddp, not with FSDPStrategy"):
        turns.setup(SimpleNamespace(strategy=FSDPStrategy()), pl.LightningModule(), "fit")


def test_what_the_encoder_fixed_stays_fixed() -> None:
    """speednet's normalisation has no scale to learn: not in fine-tuning either."""
    torch.manual_seed(0)
    encoder = build_encoder("speednet", 1, 8, widths=(8, 8))
    fixed = {name for name, p in encoder.named_parameters() if not p.requires_grad}
    config = GreedyLayerwise.Config(epochs=3, layer_epochs=1)
    method = GreedyLayerwise(encoder, config, Task(1, 8, ("a", "b"), 10, 1))
    assert [stage.name for stage in method.stages()] == ["layer 1", "layer 2", "fine-tune"]
    for number in range(3):
        method.enter_stage(number)
        trained = {name for name, p in encoder.named_parameters() if p.requires_grad}
        assert fixed
        assert not trained & fixed
    assert trained == {name for name, _ in encoder.named_parameters()} - fixed


def test_without_classes_only_layers_are_trained(tmp_path: Path, few: ImageSet) -> None:
    nothing = replace(few, labels=np.full(len(few), -1), classes=())
    run = train(small.staged("method.then=nothing", epochs=4), tmp_path / "run", images=nothing)
    assert json.loads((run.path / "run.json").read_text())["stages"][-1]["name"] == "layer 2"
    method = load_method(run)
    assert method.predict(torch.zeros(2, 1, 8, 8)) is None
