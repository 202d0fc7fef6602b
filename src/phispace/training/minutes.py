"""As many epochs as fit into so many minutes on this machine: measured on a few steps, said, and recorded.

A copy of the method is trained for a few steps by the trainer that the run will have, with its views, its optimiser and
its precision, at four places of each stage, because steps may cost more later (larger images, more of the network). The
first step at a place is not counted. A pass over the validation images and a measurement of health are timed too. The
run itself sees nothing of it: it begins with the weights and draws that it would have had. Its configuration has the
number of epochs in place of the minutes, so that resuming and repeating it use the number.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from itertools import islice
from statistics import fmean, median
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from phispace.encoders.base import evaluating
from phispace.errors import InputError
from phispace.methods.base import Method
from phispace.training.assemble import Plan, train_loader, val_loader
from phispace.training.engine import measuring_trainer
from phispace.training.health import Health
from phispace.training.quiet import quiet_lightning
from phispace.training.stages import Span

_PLACES = (1 / 8, 3 / 8, 5 / 8, 7 / 8)
#: Further rounds over the places end after so many steps, seconds, or this share of the minutes.
_STEPS, _SECONDS, _SHARE = 24, 12.0, 0.05
#: However slow the steps are, no more of the minutes than this goes into measuring.
_MOST = 0.2
#: Batches of validation images that are timed.
_VALIDATED = 3


@dataclass(frozen=True)
class Fit:
    """What was measured and chosen.

    Attributes:
        minutes: asked for.
        epochs: of all stages together.
        epoch_seconds: of each stage, with validation and health.
        step_seconds: of each stage.
        spent: seconds that measuring took; they count.
        expected: seconds of all.
    """

    minutes: float
    epochs: int
    epoch_seconds: tuple[float, ...]
    step_seconds: tuple[float, ...]
    spent: float
    expected: float

    def record(self) -> dict[str, Any]:
        """For the run's choices."""
        return {
            "minutes": self.minutes,
            "epochs": self.epochs,
            "epoch_seconds": [round(seconds, 4) for seconds in self.epoch_seconds],
            "step_seconds": [round(seconds, 6) for seconds in self.step_seconds],
        }

    def sentence(self) -> str:
        """For the log."""
        each = ", ".join(f"{seconds:.3g} s" for seconds in self.epoch_seconds)
        stages = "" if len(self.epoch_seconds) == 1 else " in each stage"
        number = f"{self.epochs} epoch" + ("s" if self.epochs != 1 else "")
        if self.expected > self.minutes * 60:
            end = f"not even one fits into {self.minutes:g} minutes; one is trained"
        else:
            end = f"{number} fit into {self.minutes:g} minutes and take about {self.expected / 60:.3g}"
        return f"An epoch takes about {each}{stages}, measured on a few steps: {end}."


def fit_minutes(plan: Plan, method: Method, precision: str, minutes: float, began: float) -> Fit:
    """Measure, and choose the number of epochs.

    Args:
        plan: with the method's stages.
        method: untrained; it is copied.
        precision: by Lightning's name.
        minutes: for the whole training, what was spent since `began` included.
        began: when that was, of `time.perf_counter`.

    Raises:
        InputError: the stages before the last one, whose lengths are options of the method, leave nothing for it.
    """
    spans = plan.timeline.spans
    around, steps = 0.0, []
    for span in spans:
        watch = _Watch(plan, span, minutes * 60)
        trainer = measuring_trainer(plan.config.training, precision, [watch])
        tried = copy.deepcopy(method)
        tried.enter_stage(span.number, span.steps)
        tried.to(memory_format=torch.channels_last)
        with quiet_lightning(), torch.random.fork_rng():
            trainer.fit(tried, train_dataloaders=train_loader(plan, span=span))
        steps.append(watch.step_seconds)
        around = watch.around
    epochs = [span.steps_per_epoch * seconds + around for span, seconds in zip(spans, steps, strict=True)]
    spent = time.perf_counter() - began
    before = sum(len(span.epochs) * seconds for span, seconds in zip(spans[:-1], epochs[:-1], strict=True))
    left = minutes * 60 - spent - around - before  # the untrained network is validated and measured once
    last = math.floor(left / epochs[-1])
    if last < 1 and len(spans) > 1:
        raise InputError(
            f"The stages before the last one take about {(before + spent) / 60:.3g} minutes, which leaves no epoch of "
            f"{epochs[-1]:.3g} s of {minutes:g} minutes. Give more minutes, or make those stages shorter."
        )
    last = max(1, last)
    expected = spent + around + before + last * epochs[-1]
    total = sum(len(span.epochs) for span in spans[:-1]) + last
    return Fit(minutes, total, tuple(epochs), tuple(steps), spent, expected)


class _Watch(Callback):
    """Times steps at several places of a stage, then validation and health.

    Attributes:
        around: seconds of a validation and of the share of a health measurement that an epoch has.
    """

    def __init__(self, plan: Plan, span: Span, seconds: float) -> None:
        self.plan = plan
        self.span = span
        self.budget = seconds
        self.around = 0.0
        self._found: dict[int, list[float]] = {place: [] for place in range(len(_PLACES))}
        self._batch = 0
        self._began = self._since = time.perf_counter()

    @property
    def step_seconds(self) -> float:
        """Mean over the places of their median."""
        return fmean(median(seconds) for seconds in self._found.values() if seconds)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._began = self._since = time.perf_counter()
        self._pretend(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        _synchronise(trainer)
        now = time.perf_counter()
        place, counted = _place_of(self._batch)
        if counted:
            self._found[place].append(now - self._since)
        self._batch += 1
        trainer.should_stop = self._enough(now - self._began)
        self._pretend(pl_module)
        self._since = time.perf_counter()

    def _enough(self, spent: float) -> bool:
        first_round = 2 * len(_PLACES)
        if self._batch < 2:
            return False
        if self._batch < first_round:
            return spent > self.budget * _MOST
        return self._batch >= _STEPS or spent > min(_SECONDS, self.budget * _SHARE)

    def _pretend(self, method: pl.LightningModule) -> None:
        """The method believes to be at that place of its training."""
        if isinstance(method, Method):
            share = _PLACES[_place_of(self._batch)[0]]
            step = self.span.first_step + int(share * self.span.steps)
            method.pretended_step = step * max(1, len(method.players))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(pl_module, Method):
            self.around = self._validation_seconds(trainer, pl_module) + self._health_seconds(trainer, pl_module)

    def _validation_seconds(self, trainer: pl.Trainer, method: Method) -> float:
        """Of a pass over the validation images, from its first batches."""
        loader = val_loader(self.plan, span=self.span)
        if loader is None:
            return 0.0
        seconds, since = [], time.perf_counter()
        with evaluating(method), torch.no_grad(), trainer.precision_plugin.forward_context():
            for number, batch in enumerate(islice(loader, _VALIDATED)):
                method.validation_step(trainer.strategy.batch_to_device(batch), number)
                _synchronise(trainer)
                seconds.append(time.perf_counter() - since)
                since = time.perf_counter()
        return min(seconds) * len(loader)

    def _health_seconds(self, trainer: pl.Trainer, method: Method) -> float:
        """An epoch's share of a measurement."""
        health = Health(self.plan)
        since = time.perf_counter()
        health.row(trainer, method, 0)
        return (time.perf_counter() - since) / health.every if health.every else 0.0


def _synchronise(trainer: pl.Trainer) -> None:
    """Wait for what a GPU still has to do."""
    if trainer.strategy.root_device.type == "cuda":
        torch.cuda.synchronize()


def _place_of(batch: int) -> tuple[int, bool]:
    """Of a batch: the place, and whether it is counted. First two at each place, of which the first is not counted."""
    if batch < 2 * len(_PLACES):
        return batch // 2, batch % 2 == 1
    return batch % len(_PLACES), True
