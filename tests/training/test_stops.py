"""Training that ends before its time: signals, losses that are not finite."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from pytorch_lightning.callbacks import Callback

from phispace.data.imageset import ImageSet
from phispace.errors import DivergedError, InterruptedRunError
from phispace.methods.supervised import Supervised
from phispace.run import Run
from phispace.training import checkpoints
from phispace.training.train import train


class SignalAt(Callback):
    def __init__(self, step: int, number: int) -> None:
        self.step, self.number = step, number

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), self.number)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, images: ImageSet) -> Run:
    return train(small.config("encoder.dropout=true"), tmp_path_factory.mktemp("alone") / "run", images=images)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("step", [3, 7, 8])
def test_a_signal_finishes_the_step_saves_and_resumes_exactly(
    tmp_path: Path, images: ImageSet, alone: Run, number: signal.Signals, code: int, step: int
) -> None:
    """Eight steps an epoch: in the middle, at the last (validation is finished first), at the first of the next."""
    before = [signal.getsignal(s) for s in signal.valid_signals()]
    with pytest.raises(InterruptedRunError, match="Continue it with --resume") as caught:
        train(small.config("encoder.dropout=true"), tmp_path / "run", images=images, callbacks=[SignalAt(step, number)])
    assert caught.value.exit_code == code
    assert [signal.getsignal(s) for s in signal.valid_signals()] == before
    run = Run.open(tmp_path / "run")
    assert run.record["status"] == "interrupted"
    assert checkpoints.check(run.path / "checkpoints" / "last")["step"] == step + 1
    again = train(None, run.path, images=images, resume=True)
    assert small.outcome(again.path) == small.outcome(alone.path)


def test_ctrl_c_in_the_last_step_lets_it_finish(tmp_path: Path, images: ImageSet) -> None:
    run = train(small.config(), tmp_path / "run", images=images, callbacks=[SignalAt(15, signal.SIGINT)])
    assert run.record["status"] == "completed"


CHILD = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
import small
from pytorch_lightning.callbacks import Callback
from phispace.training.train import train
class Twice(Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
train(small.config(), sys.argv[2], images=small.digits(), callbacks=[Twice()])
"""


@pytest.mark.slow
def test_a_second_signal_ends_the_process_at_once(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(tmp_path / "run")], timeout=120, check=False
    )
    assert done.returncode == -signal.SIGTERM
    with Run.open(tmp_path / "run").lock():
        pass


def test_in_another_thread_no_handler_is_touched(tmp_path: Path, images: ImageSet) -> None:
    found: list[Any] = []
    before = signal.getsignal(signal.SIGINT)

    def work() -> None:
        found.append(train(small.config(epochs=1), tmp_path / "run", images=images).record["status"])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == ["completed"]
    assert signal.getsignal(signal.SIGINT) is before


class Poisoned(Callback):
    """Makes the loss, or a weight, not a number at a step."""

    def __init__(self, step: int, what: str) -> None:
        self.step, self.what = step, what

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step and self.what == "input":
            batch.views[0][0, 0, 0, 0] = float("nan")

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step and self.what == "weight":
            with torch.no_grad():
                next(iter(pl_module.head.parameters()))[0] = float("inf")

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        if self.what == "validation" and not trainer.sanity_checking and trainer.current_epoch == 1:
            with torch.no_grad():
                next(iter(pl_module.head.parameters()))[0] = float("nan")


def test_a_loss_that_is_not_finite_stops_at_once(tmp_path: Path, images: ImageSet) -> None:
    settings = ("training.checkpoint_steps=2",)
    with pytest.raises(DivergedError, match=r"The loss is nan \(cross_entropy: nan\) at step 13 \(epoch 2\)"):
        train(small.config(*settings), tmp_path / "run", images=images, callbacks=[Poisoned(12, "input")])
    run = Run.open(tmp_path / "run")
    assert run.record["status"] == "diverged"
    assert "step 13" in run.record["error"]
    last = run.path / "checkpoints" / "last"
    assert checkpoints.check(last)["step"] == 12
    assert all(torch.isfinite(t).all() for t in checkpoints.load_weights(last).values())


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path, images: ImageSet) -> None:
    settings = ("training.checkpoint_steps=4",)
    with pytest.raises(
        DivergedError, match=r"head\.1\.weight are not finite at step 12|loss is (nan|inf).* at step 13"
    ):
        train(small.config(*settings), tmp_path / "run", images=images, callbacks=[Poisoned(12, "weight")])
    last = tmp_path / "run" / "checkpoints" / "last"
    assert all(torch.isfinite(t).all() for t in checkpoints.load_weights(last).values())


def test_a_validation_loss_that_is_not_finite_stops(tmp_path: Path, images: ImageSet) -> None:
    with pytest.raises(DivergedError, match=r"The loss is nan .* on the validation images after epoch 2"):
        train(small.config(epochs=3), tmp_path / "run", images=images, callbacks=[Poisoned(0, "validation")])
    assert checkpoints.check(tmp_path / "run" / "checkpoints" / "last")["step"] == 8


def test_a_bug_in_a_method_is_a_failed_run_with_its_own_error(
    tmp_path: Path, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, batch: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Supervised, "loss_terms", broken)
    with pytest.raises(ZeroDivisionError):
        train(small.config(), tmp_path / "run", images=images)
    record = Run.open(tmp_path / "run").record
    assert record["status"] == "failed"
    assert record["error"] == "ZeroDivisionError: a bug"
