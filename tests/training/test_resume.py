"""Going on with a run: exactly, longer, or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small
from pytorch_lightning.callbacks import Callback

from phispace import storage
from phispace.data.imageset import ImageSet
from phispace.errors import DataError, RunError
from phispace.methods.optimizers import rate_factor
from phispace.progress import Progress
from phispace.run import Run
from phispace.training.config import make_config
from phispace.training.resume import extension_caveat
from phispace.training.table import read_table
from phispace.training.train import train


class Stop(Exception):
    """Stands for a crash."""


class CrashAt(Callback):
    """Raises at a step, before anything of that step is written."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: object, pl_module: object, batch: object, batch_idx: int) -> None:
        if trainer.fit_loop.total_batch_idx == self.step:  # type: ignore[attr-defined]
            raise Stop


class Heard(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def crash(out: Path, images: ImageSet, step: int, *settings: str, epochs: int = 3) -> None:
    with pytest.raises(Stop):
        train(small.config(*settings, epochs=epochs), out, images=images, callbacks=[CrashAt(step)])
    assert Run.open(out).record["status"] == "failed"


SETTINGS = ("encoder.dropout=true", "method.views=shift-rotate", "training.checkpoint_steps=2")


SCHEDULED = (*SETTINGS, "method.schedule=cosine", "training.drop_last=false")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, images: ImageSet) -> Run:
    return train(small.config(*SCHEDULED, epochs=2), tmp_path_factory.mktemp("alone") / "run", images=images)


@pytest.mark.parametrize("step", [1, 5, 8, 9, 17])
def test_a_crash_at_any_step_is_not_seen_afterwards(tmp_path: Path, images: ImageSet, alone: Run, step: int) -> None:
    """Nine steps an epoch: before the first checkpoint, inside, at the last step, at the first of the next epoch."""
    assert alone.record["task"]["steps_per_epoch"] == 9
    crash(tmp_path / "cut", images, step, *SCHEDULED, epochs=2)
    run = train(None, tmp_path / "cut", images=images, resume=True)
    assert small.outcome(run.path) == small.outcome(alone.path)
    assert run.record["status"] == "completed"
    assert run.record["best_checkpoint"] == alone.record["best_checkpoint"]
    assert len(run.record["sittings"]) == 2


def test_muon_and_sgd_states_resume_too(tmp_path: Path, images: ImageSet) -> None:
    for optimizer in ("sgd", "muon"):
        settings = (f"method.optimizer={optimizer}", "training.checkpoint_steps=2", "method.warmup=0.2")
        alone = train(small.config(*settings, epochs=2), tmp_path / optimizer, images=images)
        crash(tmp_path / f"{optimizer}-cut", images, 11, *settings, epochs=2)
        run = train(None, tmp_path / f"{optimizer}-cut", images=images, resume=True)
        assert small.outcome(run.path) == small.outcome(alone.path)


def test_more_epochs_at_a_constant_rate_are_the_longer_run(tmp_path: Path, images: ImageSet) -> None:
    long = train(small.config(*SETTINGS, epochs=4), tmp_path / "long", images=images)
    train(small.config(*SETTINGS, epochs=2), tmp_path / "short", images=images)
    heard = Heard()
    run = train(None, tmp_path / "short", images=images, resume=True, epochs=4, progress=heard)
    assert small.outcome(run.path) == small.outcome(long.path)
    assert [(e["from"], e["to"]) for e in run.record["extensions"]] == [(2, 4)]
    assert run.config["method"]["epochs"] == 4
    assert not [line for line in heard.lines if "jumps" in line]


def test_more_epochs_with_a_schedule_say_that_the_rate_jumps(tmp_path: Path, images: ImageSet) -> None:
    settings = ("method.schedule=triangular",)
    train(small.config(*settings, epochs=1), tmp_path / "run", images=images)
    heard = Heard()
    asked = small.config(*settings, epochs=9)
    run = train(asked, tmp_path / "run", images=images, resume=True, epochs=3, progress=heard)
    assert run.record["result"]["epochs"] == 3
    assert [line for line in heard.lines if "jumps" in line]


def test_what_else_is_laid_out_over_all_steps_is_named() -> None:
    def said(method: str, *settings: str) -> str:
        config = make_config(method=method, images="digits", epochs=4, settings=["method.schedule=constant", *settings])
        return extension_caveat(config, 2) or ""

    assert said("supervised") == ""
    for method, settings, option in (
        ("byol", ("method.warmup=0.0",), "teacher_schedule"),
        ("dino", ("method.warmup=0.0", "method.teacher_schedule=constant"), "temperature_warmup"),
        ("vae", ("method.kl_warmup=0.5",), "kl_warmup"),
        ("beta-vae", ("method.capacity=5.0",), "capacity_steps"),
    ):
        words = said(method, *settings)
        assert f"laid out over all steps (method.{option}) follows the 4 epochs" in words
        assert "jumps" not in words
    assert "jumps" in said("byol", "method.schedule=cosine")


RATED = (*SETTINGS, "method.schedule=cosine", "method.warmup=0.3", "method.rate_end=0.05")


def test_a_restart_is_the_run_that_restarts_there(tmp_path: Path, images: ImageSet) -> None:
    """Extended after it was complete, and after it was cut; also twice."""
    alone = train(small.config(*RATED, "method.restarts=[2]", epochs=4), tmp_path / "alone", images=images)
    longer = train(small.config(*RATED, "method.restarts=[2,4]", epochs=5), tmp_path / "longer", images=images)
    train(small.config(*RATED, epochs=2), tmp_path / "run", images=images)
    crash(tmp_path / "cut", images, 12, *RATED, epochs=2)
    heard = Heard()
    asked = small.config(*RATED, "training.extend=restart")
    for name in ("run", "cut"):
        run = train(asked, tmp_path / name, images=images, resume=True, epochs=4, progress=heard)
        assert small.outcome(run.path) == small.outcome(alone.path)
        assert run.config["method"]["restarts"] == [2]
        assert [(e["from"], e["to"], e["extend"]) for e in run.record["extensions"]] == [(2, 4, "restart")]
        assert any("begins anew after epoch 2 and is laid out over the 2 added epochs" in x for x in heard.lines)
    run = train(asked, tmp_path / "run", images=images, resume=True, epochs=5)
    assert small.outcome(run.path) == small.outcome(longer.path)


def test_the_rates_of_a_longer_run_are_those_of_the_stated_schedule(tmp_path: Path, images: ImageSet) -> None:
    """The last rate of each epoch, from the formula: of the first schedule, then of the longer or the new one."""
    for extend in ("continue", "restart"):
        train(small.config(*RATED, epochs=2), tmp_path / extend, images=images)
        asked = small.config(*RATED, f"training.extend={extend}")
        run = train(asked, tmp_path / extend, images=images, resume=True, epochs=5)
        steps = run.record["task"]["steps_per_epoch"]
        rates = [row["learning_rate"] for row in read_table(run.path / "metrics.csv")[1:]]
        expected = [rate_factor(e * steps - 1, 2 * steps, "cosine", 0.3, 0.0, 0.05) for e in (1, 2)]
        if extend == "continue":
            expected += [rate_factor(e * steps - 1, 5 * steps, "cosine", 0.3, 0.0, 0.05) for e in (3, 4, 5)]
        else:
            expected += [rate_factor(e * steps - 1, 3 * steps, "cosine", 0.3, 0.0, 0.05) for e in (1, 2, 3)]
        assert rates == pytest.approx([1e-3 * factor for factor in expected], rel=1e-12)


def test_the_first_added_step_has_the_new_rate_already(tmp_path: Path, images: ImageSet) -> None:
    class First(Callback):
        rate = None

        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):  # type: ignore[no-untyped-def]
            self.rate = self.rate or trainer.optimizers[0].param_groups[0]["lr"]

    train(small.config(*RATED, epochs=1), tmp_path / "run", images=images)
    first = First()
    train(None, tmp_path / "run", images=images, resume=True, epochs=3, callbacks=[first])
    steps = Run.open(tmp_path / "run").record["task"]["steps_per_epoch"]
    assert first.rate == pytest.approx(1e-3 * rate_factor(steps, 3 * steps, "cosine", 0.3, 0.0, 0.05), rel=1e-12)


def test_a_constant_rate_has_nothing_to_restart(tmp_path: Path, images: ImageSet) -> None:
    train(small.config(epochs=1), tmp_path / "run", images=images)
    run = train(small.config("training.extend=restart"), tmp_path / "run", images=images, resume=True, epochs=2)
    assert run.config["method"]["restarts"] == []


def test_nothing_to_do_is_said(finished: Run, images: ImageSet) -> None:
    heard = Heard()
    before = (finished.path / "run.json").read_bytes()
    train(None, finished.path, images=images, resume=True, progress=heard)
    assert "is complete: 2 epochs" in heard.lines[0]
    assert (finished.path / "run.json").read_bytes() == before


def test_changed_options_are_refused_with_the_difference(finished: Run, images: ImageSet) -> None:
    changed = small.config("method.learning_rate=0.5", "training.seed=7", "encoder.dense=8")
    with pytest.raises(RunError) as caught:
        train(changed, finished.path, images=images, resume=True)
    text = str(caught.value)
    assert "method.learning_rate: 0.001 -> 0.5" in text
    assert "training.seed: 0 -> 7" in text
    assert "encoder.options.dense: 16 -> 8" in text
    with pytest.raises(RunError, match="not shortened to 1"):
        train(None, finished.path, images=images, resume=True, epochs=1)


def test_options_of_the_machine_may_change(tmp_path: Path, images: ImageSet) -> None:
    crash(tmp_path / "run", images, 12, epochs=2)
    run = train(
        small.config("training.checkpoint_steps=3", "training.log_every=1", epochs=2), tmp_path / "run",
        images=images, resume=True,
    )  # fmt: skip
    assert run.record["status"] == "completed"


def test_changed_images_are_refused(finished: Run, images: ImageSet) -> None:
    pixels = images.images.copy()
    pixels[3, 2, 2, 0] ^= 1
    with pytest.raises(RunError, match=r"other images: fingerprint .* then"):
        train(None, finished.path, images=replace(images, images=pixels), resume=True)
    with pytest.raises(RunError, match=r"train: \d+ -> \d+"):
        train(None, finished.path, images=small.digits(300), resume=True)


def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(tmp_path: Path, images: ImageSet) -> None:
    settings = ("training.checkpoint_steps=2",)
    alone = train(small.config(*settings, epochs=2), tmp_path / "alone", images=images)
    crash(tmp_path / "run", images, 14, *settings, epochs=2)
    damaged = tmp_path / "run" / "checkpoints" / "last" / "state.safetensors"
    data = bytearray(damaged.read_bytes())
    data[-3] ^= 255
    damaged.write_bytes(bytes(data))
    heard = Heard()
    run = train(None, tmp_path / "run", images=images, resume=True, progress=heard)
    assert any("damaged" in line for line in heard.lines)
    assert small.outcome(run.path) == small.outcome(alone.path)


def test_with_no_usable_checkpoint_resuming_is_refused(tmp_path: Path, images: ImageSet) -> None:
    crash(tmp_path / "run", images, 14, "training.checkpoint_steps=2", epochs=2)
    for record in (tmp_path / "run" / "checkpoints").glob("*/state.json"):
        record.write_text("{}")
    with pytest.raises(RunError, match="no checkpoint that training can go on from"):
        train(None, tmp_path / "run", images=images, resume=True)


def test_resuming_what_is_no_run(tmp_path: Path, images: ImageSet) -> None:
    with pytest.raises(DataError, match="is not a run"):
        train(None, tmp_path / "nothing", images=images, resume=True)
    assert not (tmp_path / "nothing").exists()


def test_a_newer_schema_is_not_read(tmp_path: Path, images: ImageSet, finished: Run) -> None:
    (tmp_path / "run").mkdir()
    body = {**json.loads((finished.path / "run.json").read_text()), "schema_version": storage.SCHEMA_VERSION + 1}
    (tmp_path / "run" / "run.json").write_text(json.dumps(body))
    with pytest.raises(DataError, match="Upgrade"):
        train(None, tmp_path / "run", images=images, resume=True)


def test_a_run_without_validation_resumes(tmp_path: Path, images: ImageSet) -> None:
    everything = replace(images, split=np.where(images.split == "val", "train", images.split))
    settings = ("training.checkpoint_steps=4",)
    alone = train(small.config(*settings, epochs=2), tmp_path / "alone", images=everything)
    for step in (6, 10):
        crash(tmp_path / f"cut{step}", everything, step, *settings, epochs=2)
        run = train(None, tmp_path / f"cut{step}", images=everything, resume=True)
        assert small.outcome(run.path) == small.outcome(alone.path)
