"""The hooks of a training: counter-based randomness for each step, stopping, and checkpoints at the right moments.

Checkpoints are written where Lightning can go on from: after a step that is not an epoch's last, or after an epoch
with its validation. What is written in which order: metrics.csv, the named checkpoint, `last`, run.json. So whatever
moment the process dies at, `last` is older than everything else, and what is newer than it is made again, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch.optim.lr_scheduler import LambdaLR

from phispace import storage
from phispace.data.passes import Pass
from phispace.errors import CollapsedError, DivergedError, RunError
from phispace.methods.base import Method
from phispace.methods.borrowed import without
from phispace.methods.optimizers import renew_rates
from phispace.randomness import key
from phispace.run import Run
from phispace.training import checkpoints
from phispace.training.assemble import Plan
from phispace.training.recorder import Recorder
from phispace.training.signals import StopSignals, interrupted

_SEED_BITS = 0x7FFF_FFFF_FFFF_FFFF
#: Epochs shorter than this do not each write `last`, where nothing else is due.
_SHORT = 10.0


class Guard(Callback):
    """See the module.

    Attributes:
        best: lowest validation loss, its epoch and the name of its checkpoint (None where it is not kept).
        stopped_early: whether `patience` ended the training.
        alive: the newest checkpoint that was measured not to have collapsed, where `stop_on_collapse` asks for it:
            its name and epoch, whether it is kept for that reason alone, and how often since then it had collapsed.
    """

    def __init__(self, run: Run, plan: Plan, recorder: Recorder, signals: StopSignals) -> None:
        self.run = run
        self.plan = plan
        self.recorder = recorder
        self.signals = signals
        self.best: dict[str, Any] = {"val_loss": None, "epoch": 0, "checkpoint": None}
        self.stopped_early = False
        self.alive: dict[str, Any] = {"checkpoint": checkpoints.UNTRAINED, "epoch": 0, "alone": False, "since": 0}
        self.resumed_at: tuple[int, int] | None = None
        self._saved_at = time.perf_counter()
        self._folder = run.path / "checkpoints"

    # -- before training

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.signals.install()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.signals.install()
        self._saved_at = time.perf_counter()
        if self.resumed_at is not None:
            for each in trainer.lr_scheduler_configs:
                if isinstance(each.scheduler, LambdaLR):
                    renew_rates(each.scheduler)
            return
        self.recorder.start_sitting(0.0)
        row = self.recorder.close_epoch(trainer, pl_module, 0)
        weights = trainer.strategy.lightning_module_state_dict()
        if trainer.is_global_zero:
            weights, told = without(weights, pl_module.borrowed if isinstance(pl_module, Method) else ())
            record = {**self._record(row.get("val_loss")), **told}
            checkpoints.save_weights(self._folder / checkpoints.UNTRAINED, weights, record)
        trainer.strategy.barrier("untrained")

    # -- steps

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        step = self.recorder.step
        if self.plan.timeline.first_step(trainer.current_epoch) + batch_idx != step:
            raise RunError(
                f"Lightning is at batch {batch_idx} of epoch {trainer.current_epoch + 1}, the run at step {step}; "
                "they must agree. This version of Lightning resumes in another way than was tested."
            )
        self._seed(trainer, "torch", step)
        if isinstance(batch, Pass):
            batch.before_each = self._stop_within_the_pass

    def _stop_within_the_pass(self) -> None:
        """A pass over all images may take long; one that is stopped is made again."""
        if self.signals.received:
            raise interrupted(self.signals.received, self.run.path, saved=(self._folder / checkpoints.LAST).exists())

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._seed(trainer, "torch-validation")  # the same draws each time, so that epochs compare

    def _seed(self, trainer: pl.Trainer, purpose: str, *path: int) -> None:
        """Set torch's global generator, for dropout and what else a method draws from it."""
        rank = (trainer.global_rank,) if trainer.world_size > 1 else ()
        number = key(self.plan.seed, purpose, *path, *rank) & _SEED_BITS
        torch.default_generator.manual_seed(number)
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.manual_seed(number)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        bad, stop, due = self._agree(trainer, self.recorder.bad is not None, self.signals.received, self._due())
        if bad:
            self._diverged()
        last_of_epoch = batch_idx + 1 >= self.plan.timeline.at_epoch(trainer.current_epoch).steps_per_epoch
        if last_of_epoch:
            return  # validation comes next; on_train_epoch_end saves
        if stop or due:
            self._save(trainer)
        if stop:
            raise interrupted(stop, self.run.path, saved=True)

    def _due(self) -> bool:
        options = self.plan.config.training
        if options.checkpoint_steps is not None and self.recorder.step % options.checkpoint_steps == 0:
            return True
        return time.perf_counter() - self._saved_at >= options.checkpoint_seconds

    def _agree(self, trainer: pl.Trainer, bad: bool, stop: int, due: bool) -> tuple[bool, int, bool]:
        """The same answers on all processes: what one of them has seen, all act on."""
        if trainer.world_size == 1:
            return bad, stop, due
        flags = torch.tensor([float(bad), float(stop), float(due)], device=trainer.strategy.root_device)
        flags = trainer.strategy.reduce(flags, reduce_op="max")
        return bool(flags[0]), int(flags[1]), bool(flags[2])

    def _diverged(self) -> None:
        what = self.recorder.bad or "The loss is not finite on another process"
        raise DivergedError(f"{what}; the last good checkpoint is kept. Try a lower learning rate.")

    # -- epochs

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        bad, stop, due = self._agree(trainer, self.recorder.look() is not None, self.signals.received, False)
        if bad:
            self._diverged()
        epoch = trainer.current_epoch + 1
        row = self.recorder.close_epoch(trainer, pl_module, epoch)
        lives = self._lives(trainer, epoch)
        loss = row.get("val_loss")
        span = self.plan.timeline.at_epoch(trainer.current_epoch)
        if trainer.current_epoch == span.epochs.start:  # losses of different stages do not compare
            self.best = {"val_loss": None, "epoch": trainer.current_epoch, "checkpoint": None}
        policy = self.plan.config.training.checkpoints
        comparable = isinstance(pl_module, Method) and pl_module.comparable
        improved = comparable and loss is not None and (self.best["val_loss"] is None or loss < self.best["val_loss"])
        named = None
        if policy == "all" or (policy == "improved" and improved):
            named = _name(epoch, loss)
        if improved:
            self.best = {"val_loss": loss, "epoch": epoch, "checkpoint": named}
        outlived = None
        if lives:
            outlived = self.alive["checkpoint"] if self.alive["alone"] else None
            alone, named = named is None, named or _name(epoch, loss)
            self.alive = {"checkpoint": named, "epoch": epoch, "alone": alone, "since": 0}
        patience = self.plan.config.training.patience
        waited = patience is not None and loss is not None and epoch - self.best["epoch"] >= patience
        self.stopped_early = waited and span.number == self.plan.timeline.spans[-1].number
        final = self.stopped_early or epoch >= int(self.plan.config.method["epochs"])
        long = time.perf_counter() - self._saved_at >= min(_SHORT, self.plan.config.training.checkpoint_seconds)
        _, stop, due = self._agree(trainer, False, self.signals.received or stop, self._due() or long)
        if named or final or stop or due:
            self._save(trainer, named)
            if trainer.is_global_zero:
                self.run.update(best_checkpoint=self.best["checkpoint"], health=self._health())
                if outlived:
                    storage.remove_directory(self._folder / outlived)
        if self.stopped_early:
            trainer.should_stop = True
        if stop and not final:
            raise interrupted(stop, self.run.path, saved=True)

    def _lives(self, trainer: pl.Trainer, epoch: int) -> bool:
        """Whether this epoch's weights were measured not to have collapsed, where a collapse is to stop the training.

        Raises:
            CollapsedError: they have, and had at the measurement before.
        """
        health = self.recorder.health
        if not self.plan.config.training.stop_on_collapse or health is None or not health.due(epoch):
            return False
        if not self._agree(trainer, health.collapsed, 0, False)[0]:
            return True
        self.alive["since"] += 1
        if self.alive["since"] < 2:
            return False  # the first epochs of some methods pass through few directions
        kept = self.alive["checkpoint"]
        if trainer.is_global_zero:
            best = kept if self.best["epoch"] > self.alive["epoch"] else self.best["checkpoint"] or kept
            self.run.update(best_checkpoint=best, health=health.verdict)
        raise CollapsedError(
            f"After epoch {epoch} (step {self.recorder.step}) the representation has collapsed, as it had when it was "
            f"measured before, and training.stop_on_collapse is on. {health.verdict or ''} The last weights that had "
            f"not are kept in {kept}."
        )

    def _health(self) -> str | None:
        return self.recorder.health.verdict if self.recorder.health else None

    # -- checkpoints

    def _record(self, val_loss: float | None) -> dict[str, Any]:
        step = self.recorder.step
        epoch, batch = self.plan.timeline.place(step)
        return {"epoch": epoch, "batch": batch, "step": step, "images_seen": self.recorder.images_seen,
                "val_loss": val_loss}  # fmt: skip

    def _save(self, trainer: pl.Trainer, named: str | None = None) -> None:
        """Write `last`, and a named one with the same weights. All processes take part."""
        broken = [n for n, p in trainer.lightning_module.named_parameters() if not bool(torch.isfinite(p).all())]
        if self.recorder.look() is not None or broken:
            if broken and self.recorder.bad is None:
                self.recorder.bad = f"The weights {broken[0]} are not finite at step {self.recorder.step}"
            self._diverged()
        options = {"named": named} if named else None
        trainer.save_checkpoint(self._folder / checkpoints.LAST, weights_only=False, storage_options=options)
        self._saved_at = time.perf_counter()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        at_end = self.plan.timeline.place(self.recorder.step)[1] == 0
        loss = self.recorder.latest.get("val_loss") if at_end else None
        checkpoint["phispace"] = {
            "record": self._record(loss),
            "recorder": self.recorder.state(trainer),
            "best": dict(self.best),
            "alive": dict(self.alive),
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Mapping[str, Any]
    ) -> None:
        state = checkpoint["phispace"]
        self.recorder.load(state["recorder"], trainer.is_global_zero)
        self.best = dict(state["best"])
        self.alive = dict(state.get("alive", self.alive))
        self.resumed_at = (int(state["record"]["epoch"]), int(state["record"]["batch"]))
        if trainer.is_global_zero:
            self._drop_newer()
        self.recorder.task.advance(self.recorder.step)

    def _drop_newer(self) -> None:
        """Remove what was written after the checkpoint that training goes on from; it will be made again."""
        for path in self.run.checkpoints():
            record = checkpoints.read_record(path)
            if int(record["step"]) > self.recorder.step and path.name != checkpoints.LAST:
                storage.remove_directory(path)
        self.run.update(best_checkpoint=self.best["checkpoint"])


def _name(epoch: int, loss: float | None) -> str:
    return f"epoch={epoch:03d}" + ("" if loss is None else f"-val_loss={loss:.4f}")
