"""Lightning's Trainer as we use it, and which process of how many this is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger

from phispace.errors import InputError
from phispace.methods.base import Method
from phispace.provenance import usable_processors
from phispace.training.assemble import Plan, train_loader, val_loader
from phispace.training.checkpoints import SafeCheckpointIO
from phispace.training.config import TrainingConfig
from phispace.training.precision import FLOAT32, Choice, choose_precision
from phispace.training.stages import Span

if TYPE_CHECKING:
    from phispace.training.guard import Guard


#: DDP waits for the gradients of all weights, unless it is told to look which of them are there.
_IN_TURNS = "ddp_find_unused_parameters_true"


@dataclass(frozen=True)
class World:
    """Who takes part.

    size: processes. rank: this one's number. local: processes on this machine. accelerator: `cpu`, `cuda`, `mps` ...
    """

    size: int
    rank: int
    local: int
    accelerator: str

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def threads(self) -> int:
        """Threads of one process: the usable processors, shared among the processes that compute on them."""
        return max(1, usable_processors() // (self.local if self.accelerator == "cpu" else 1))

    def choose_precision(self, plan: Plan, method: Method) -> Choice:
        """What the configuration asks for, or what `auto` means here."""
        asked = plan.config.training.precision
        if asked == "auto" and not method.has_gradient:
            return Choice(FLOAT32, "weights are set without a gradient", {})
        if asked != "auto":
            return Choice(asked, "asked for", {})
        if method.known is not None:
            return Choice(FLOAT32, "only a head is trained, on values of the encoder that are known", {})
        batch = next(iter(train_loader(plan)))
        return choose_precision(method, batch, accelerator=self.accelerator, world=self.size)


def find_world(options: TrainingConfig) -> World:
    """Ask Lightning what the options mean on this machine.

    Raises:
        InputError: Lightning does not accept them.
    """
    trainer = _trainer(options, precision=FLOAT32, logger=False, enable_checkpointing=False)
    accelerator = trainer.strategy.root_device.type
    return World(trainer.world_size, trainer.global_rank, trainer.num_devices, accelerator)


def build_trainer(
    options: TrainingConfig,
    folder: Path,
    precision: str,
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    *,
    epochs: int,
    resumed: bool,
    step: int,
    staged: bool = False,
    players: bool = False,
) -> pl.Trainer:
    """The trainer of a run.

    Args:
        folder: run directory.
        resumed: a run that begins validates its untrained weights first; one that goes on does not.
        step: first step of this sitting; TensorBoard drops what it has from later ones.
        staged: whether the images may change from epoch to epoch.
        players: whether, in several processes, optimisers take turns, so that a gradient reaches a part of the weights.
    """
    ours: list[Logger] = [_tensorboard(folder, step)] if options.tensorboard else []
    return _trainer(
        options,
        strategy=_IN_TURNS if players and options.strategy in ("auto", "ddp") else options.strategy,
        precision=precision,
        logger=[*ours, *loggers] or False,
        callbacks=list(callbacks),
        max_epochs=epochs,
        default_root_dir=folder,
        plugins=[SafeCheckpointIO()],
        num_sanity_val_steps=0 if resumed else -1,
        gradient_clip_val=options.gradient_clip,
        sync_batchnorm=options.sync_batchnorm,
        enable_checkpointing=False,
        log_every_n_steps=options.log_every,
        reload_dataloaders_every_n_epochs=1 if staged else 0,
    )


def measuring_trainer(options: TrainingConfig, precision: str, callbacks: Sequence[Callback]) -> pl.Trainer:
    """Like `build_trainer`, but it validates and writes nothing, and goes on until a callback stops it."""
    return _trainer(
        options,
        precision=precision,
        logger=False,
        callbacks=list(callbacks),
        max_epochs=-1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        gradient_clip_val=options.gradient_clip,
        enable_checkpointing=False,
    )


def _trainer(options: TrainingConfig, **settings: Any) -> pl.Trainer:
    devices = options.devices
    settings.setdefault("strategy", options.strategy)
    try:
        return pl.Trainer(
            accelerator=options.accelerator,
            devices=list(devices) if isinstance(devices, tuple) else devices,
            num_nodes=options.num_nodes,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_autolog_hparams=False,
            use_distributed_sampler=False,
            **settings,
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"Lightning does not accept accelerator={options.accelerator!r}, devices={devices!r}, "
            f"num_nodes={options.num_nodes}, strategy={options.strategy!r}, precision={options.precision!r}: {error}"
        ) from error


def _tensorboard(folder: Path, step: int) -> Logger:
    from pytorch_lightning.loggers import TensorBoardLogger

    class Events(TensorBoardLogger):
        """Without the hparams.yaml that Lightning would add; the run's record has all options."""

        def save(self) -> None:
            self.experiment.flush()

    more: dict[str, Any] = {"purge_step": step + 1} if step else {}
    return Events(save_dir=folder, name="", version="tensorboard", default_hp_metric=False, **more)


class Loaders(pl.LightningDataModule):
    """Batches for this process, once Lightning has said which one it is."""

    def __init__(self, plan: Plan, guard: Guard) -> None:
        super().__init__()
        self.plan = plan
        self.guard = guard

    def train_dataloader(self) -> Any:
        made = train_loader(self.plan, *self._place(), self._span())
        if self.guard.resumed_at is not None:
            order: Any = made.sampler
            order.start_at(*self.guard.resumed_at)
        return made

    def val_dataloader(self) -> Any:
        made = val_loader(self.plan, *self._place(), self._span())
        return made if made is not None else []

    def _span(self) -> Span:
        return self.plan.timeline.at_epoch(self.trainer.current_epoch if self.trainer is not None else 0)

    def _place(self) -> tuple[int, int]:
        trainer = self.trainer
        return (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)
