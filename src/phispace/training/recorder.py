"""What happened: every term of the loss by name, learning rate, images a second; and whether it is still finite."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from phispace.errors import DivergedError
from phispace.progress import Task as ProgressTask
from phispace.training.assemble import Plan
from phispace.training.health import Health
from phispace.training.sums import Sums
from phispace.training.table import Row, read_table, write_table

METRICS, TIMINGS = "metrics.csv", "timings.csv"
#: Steps between looks at the loss where a look makes the processor wait for the device.
_LOOK_EVERY = 20


class Recorder(Callback):
    """Writes metrics.csv and timings.csv, feeds the loggers and the progress bar.

    Attributes:
        step: steps that are done.
        rows: of metrics.csv, one an epoch; row 0 is the untrained network's.
        seconds: of training up to now, over all sittings.
        cpu_seconds: of the processor, all threads of this process.
        bad: what was not finite, or None.
    """

    def __init__(self, folder: Path, plan: Plan, task: ProgressTask, health: Health | None) -> None:
        self.folder = folder
        self.plan = plan
        self.task = task
        self.health = health
        self.step = 0
        self.images_seen = 0
        self.rows: list[Row] = []
        self.timings: list[Row] = []
        self.bad: str | None = None
        self._train, self._val = Sums(), Sums()
        self._rate: float | None = None
        self._seconds = self._cpu_seconds = 0.0
        self._since, self._cpu_since = time.perf_counter(), time.process_time()
        self._epoch_began = (0.0, 0)
        self._val_seconds = 0.0
        self._last_log = (0.0, 0)
        self._val_began = 0.0
        self._unseen: list[tuple[int, Tensor]] = []

    @property
    def seconds(self) -> float:
        return self._seconds + time.perf_counter() - self._since

    @property
    def cpu_seconds(self) -> float:
        return self._cpu_seconds + time.process_time() - self._cpu_since

    @property
    def latest(self) -> Row:
        """The newest row of metrics.csv."""
        return self.rows[-1] if self.rows else {}

    def start_sitting(self, seconds: float, cpu_seconds: float = 0.0) -> None:
        """Called when training begins or goes on; `seconds` were spent before."""
        self._seconds, self._since = seconds, time.perf_counter()
        self._cpu_seconds, self._cpu_since = cpu_seconds, time.process_time()
        self._epoch_began = self._last_log = (self.seconds, self.images_seen)

    # -- steps

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        if groups:  # of a method without a gradient there are none
            self._rate = float(groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        here = len(batch.labels)
        values = self._train.add(outputs, here)
        self.step += 1
        self.images_seen += here * trainer.world_size
        self._unseen.append((self.step, values))
        if values.device.type == "cpu" or self.step % _LOOK_EVERY == 0:
            self.look()
        if self.step % self.plan.config.training.log_every == 0:
            self._log(trainer, values.tolist())
        self.task.advance(1)

    def look(self) -> str | None:
        """Whether all losses up to now are finite; if not, `bad` names the first step and its terms."""
        for step, values in self._unseen:
            numbers = dict(zip(self._train.names, values.tolist(), strict=False))
            if self.bad is None and not _finite(numbers["loss"]):
                self.bad = f"{_name_terms(numbers)} at step {step} (epoch {self._epoch_of(step)})"
        self._unseen.clear()
        return self.bad

    def _epoch_of(self, step: int) -> int:
        return self.plan.timeline.place(step - 1)[0] + 1

    def _log(self, trainer: pl.Trainer, values: Sequence[float]) -> None:
        seconds, seen = self.seconds, self.images_seen
        speed = (seen - self._last_log[1]) / max(seconds - self._last_log[0], 1e-9)
        self._last_log = (seconds, seen)
        named = {f"train/{k}": v for k, v in zip(self._train.names, values, strict=True)}
        extra = {"images_per_second": speed} | ({} if self._rate is None else {"learning_rate": self._rate})
        for logger in trainer.loggers:
            logger.log_metrics({**named, **extra}, step=self.step)
        self.task.note(f"loss {named['train/loss']:.4f}, {speed:,.0f} images/s")

    # -- validation

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._val.clear()
        self._val_began = time.perf_counter()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        self._val.add(outputs, len(batch.labels))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._val_seconds = time.perf_counter() - self._val_began

    # -- epochs

    def close_epoch(self, trainer: pl.Trainer, method: Any, epoch: int) -> Row:
        """Make the row of an epoch that is done (0: before the first step), and write both tables.

        Raises:
            DivergedError: the validation loss is not finite.
        """
        train, val = self._train.reduced(trainer.strategy).means(), self._val.reduced(trainer.strategy).means()
        row: Row = {"epoch": epoch, "step": self.step, "images_seen": self.images_seen}
        if self.plan.timeline.staged:
            row["stage"] = self.plan.timeline.at_epoch(max(epoch - 1, 0)).name
        if epoch and self._rate is not None:
            row["learning_rate"] = self._rate
        row |= {f"train_{k}": v for k, v in train.items()} | {f"val_{k}": v for k, v in val.items()}
        if val and not _finite(val["loss"]):
            raise DivergedError(
                f"{_name_terms(val)} on the validation images after epoch {epoch} (step {self.step}); "
                "the last good checkpoint is kept. Try a lower learning rate."
            )
        if self.health is not None:
            row |= self.health.row(trainer, method, epoch)
        self.rows.append(row)
        self._train.clear()
        self._val.clear()
        seconds, (began, seen) = self.seconds, self._epoch_began
        self.timings.append({
            "epoch": epoch, "step": self.step, "seconds": round(seconds, 3),
            "epoch_seconds": round(seconds - began, 3), "val_seconds": round(self._val_seconds, 3),
            "images_per_second": round((self.images_seen - seen) / max(seconds - began, 1e-9), 1),
        })  # fmt: skip
        self._epoch_began = (seconds, self.images_seen)
        if trainer.is_global_zero:
            write_table(self.folder / METRICS, self.rows)
            write_table(self.folder / TIMINGS, self.timings, durable=False)
            shown = {k.replace("_", "/", 1): v for k, v in row.items() if isinstance(v, float) and k != "learning_rate"}
            for logger in trainer.loggers:
                logger.log_metrics({**shown, "epoch": epoch}, step=self.step)
        return row

    # -- checkpoints

    def state(self, trainer: pl.Trainer) -> dict[str, Any]:
        """For a checkpoint; called on all processes."""
        return {
            "step": self.step,
            "images_seen": self.images_seen,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "epoch_began": self._epoch_began,
            "train": self._train.reduced(trainer.strategy).state(),
        }

    def load(self, state: Mapping[str, Any], first: bool) -> None:
        """Go on from a checkpoint's state: later rows are dropped, they will come again.

        Args:
            first: whether this is the process that keeps the sums of an epoch that was cut.
        """
        self.step, self.images_seen = int(state["step"]), int(state["images_seen"])
        if first:
            self._train.load(state["train"])
        for name, rows in ((METRICS, self.rows), (TIMINGS, self.timings)):
            path = self.folder / name
            rows[:] = [row for row in read_table(path) if row["step"] <= self.step] if path.exists() else []
        self.start_sitting(float(state["seconds"]), float(state.get("cpu_seconds", 0.0)))
        began, seen = state["epoch_began"]
        self._epoch_began = (float(began), int(seen))


def _finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")


def _name_terms(numbers: Mapping[str, float]) -> str:
    """`The loss is nan (reconstruction: nan)`."""
    terms = [f"{k}: {v}" for k, v in numbers.items() if k != "loss" and not _finite(v)]
    return f"The loss is {numbers['loss']}" + (f" ({', '.join(terms)})" if terms else "")
