"""The stages of a training laid out over its epochs and steps.

A method with one objective has one stage of all epochs. A method that trains in turns (`Method.stages`) has several:
the count of epochs and steps runs on over all of them, each has its own images, batch size and steps per epoch, and
its optimiser and schedule begin anew at its first step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy

from phispace.data.batches import drops_last, steps_per_epoch
from phispace.data.imageset import ImageSet
from phispace.errors import InputError
from phispace.methods.base import Method, Stage


@dataclass(frozen=True)
class Items:
    """Positions of the images that are trained on and validated on; the test split is in neither."""

    train: np.ndarray
    val: np.ndarray


def choose_items(images: ImageSet, labelled: bool, refit: bool) -> Items:
    """Split train for training (with `unlabelled` where labels are not needed) and val for validation.

    Args:
        labelled: the labelled images only.
        refit: train and val are trained on together.

    Raises:
        InputError: nothing to train on.
    """
    known = True if labelled else None
    splits = ("train", "val") if refit else ("train",)
    train = images.where(*splits, *(() if labelled else ("unlabelled",)), labelled=known)
    if len(train) == 0:
        what = "labelled images" if labelled else "images"
        counts = ", ".join(f"{k}: {sum(v.values())}" for k, v in images.counts().items()) or "no images at all"
        raise InputError(f"There are no {what} in the split 'train' of {images.name!r} ({counts}).")
    val = np.empty(0, np.int64) if refit else images.where("val", labelled=known)
    return Items(train, val)


@dataclass(frozen=True)
class Span:
    """A stage at its place.

    Attributes:
        number: of the stage, from 0.
        name: of the stage; "" where there is only one.
        epochs: counted from 0 over the whole training.
        first_step: steps of all stages before.
    """

    number: int
    name: str
    epochs: range
    first_step: int
    items: Items
    batch_size: int
    drop_last: bool

    @property
    def steps_per_epoch(self) -> int:
        return steps_per_epoch(len(self.items.train), self.batch_size, self.drop_last)

    @property
    def steps(self) -> int:
        """Of the whole stage."""
        return len(self.epochs) * self.steps_per_epoch


@dataclass(frozen=True)
class Timeline:
    """All stages, in their order. Epochs and steps are counted from 0."""

    spans: tuple[Span, ...]

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return sum(span.steps for span in self.spans)

    @property
    def staged(self) -> bool:
        """Whether there are several stages."""
        return len(self.spans) > 1

    def at_epoch(self, epoch: int) -> Span:
        """The stage of an epoch; epochs after the last one belong to the last stage."""
        return next((span for span in self.spans if epoch < span.epochs.stop), self.spans[-1])

    def at_step(self, step: int) -> Span:
        """The stage of a step."""
        return next((span for span in self.spans if step < span.first_step + span.steps), self.spans[-1])

    def first_step(self, epoch: int) -> int:
        """The first step of an epoch."""
        span = self.at_epoch(epoch)
        return span.first_step + (epoch - span.epochs.start) * span.steps_per_epoch

    def place(self, done: int) -> tuple[int, int]:
        """Whole epochs and the batches of the next one, after so many steps."""
        span = self.at_step(done)
        epochs, batches = divmod(done - span.first_step, span.steps_per_epoch)
        return span.epochs.start + epochs, batches


def lay_out(
    images: ImageSet, stages: Sequence[Stage], config: Mapping[str, Any], training: Any, *, whole: bool = False
) -> Timeline:
    """Place stages one after the other.

    Args:
        stages: of the method.
        config: the table [method]; a stage's options come before it.
        training: the table [training].
        whole: an epoch is one step over all its images, as of a method without a gradient.

    Raises:
        InputError: a stage without images to train on.
    """
    spans: list[Span] = []
    epoch = step = 0
    for number, stage in enumerate(stages):
        items = choose_items(images, stage.labelled, training.refit)
        batch = len(items.train) if whole else int(stage.options.get("batch_size", config["batch_size"]))
        asked = training.drop_last
        drop = drops_last(len(items.train), batch) if asked is None else asked and len(items.train) >= batch
        span = Span(number, stage.name, range(epoch, epoch + stage.epochs), step, items, batch, drop)
        spans.append(span)
        epoch, step = span.epochs.stop, step + span.steps
    return Timeline(tuple(spans))


class Turns(Callback):
    """Hands a method from one stage to the next: what trains, its optimiser and its schedule.

    Comes before the other callbacks, which look at the optimiser. Resuming enters the stage whose optimiser the
    checkpoint holds, before Lightning builds the optimiser that it fills.
    """

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.timeline.staged and type(trainer.strategy) not in (SingleDeviceStrategy, DDPStrategy):
            raise InputError(
                f"A method that trains in stages runs on one device or with the strategy ddp, not with "
                f"{type(trainer.strategy).__name__}."
            )
        self._enter(pl_module, self.timeline.spans[0])

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._enter(pl_module, self.timeline.at_step(int(checkpoint["phispace"]["record"]["step"]) - 1))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        span = self.timeline.at_epoch(trainer.current_epoch)
        if not self.timeline.staged or not isinstance(pl_module, Method) or pl_module.stage_number == span.number:
            return
        self._enter(pl_module, span)
        # Builds the optimisers anew and, with several processes, what averages the gradients of these weights.
        trainer.strategy.model = pl_module
        trainer.strategy.setup(trainer)

    @staticmethod
    def _enter(method: pl.LightningModule, span: Span) -> None:
        if isinstance(method, Method):
            method.enter_stage(span.number, span.steps)
