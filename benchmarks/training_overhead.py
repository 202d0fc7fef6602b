"""What does training cost beside the network? A step of `phispace train` against a bare PyTorch loop.

    python benchmarks/training_overhead.py [--batch 250 32] [--rounds 20] [--view NAME] [--precision float32]

Both run in one process and take turns of a few steps: (A) the real training (order, gather, views, Lightning, terms,
finiteness, logging to CSV and TensorBoard), (B) forward, backward, optimiser and schedule of a copy of the same method
on batches that lie ready in memory. Printed is the median of A over the median of B, and where the difference goes.
Validation and the checkpoints between epochs are not in it (see timings.csv of a run). Wall time and processor time
are both shown: on a machine that others use too, processor time says more.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning.callbacks import Callback

from phispace.data import batches
from phispace.data.imageset import ImageSet
from phispace.data.splits import with_protocol_splits
from phispace.training.config import make_config
from phispace.training.guard import Guard
from phispace.training.recorder import Recorder
from phispace.training.train import train


def synthetic(items: int) -> ImageSet:
    rng = np.random.default_rng(0)
    made = ImageSet(
        images=rng.integers(0, 256, (items, 32, 32, 3), dtype=np.uint8),
        labels=rng.integers(0, 10, items),
        ids=np.array([str(i) for i in range(items)]),
        classes=tuple("0123456789"),
        split=np.full(items, "train"),
        name="noise",
    )
    return with_protocol_splits(made)


class Parts:
    """Time inside our own pieces of a step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.on = False

    def wrap(self, owner: type, name: str, part: str) -> None:
        real = getattr(owner, name)

        def timed(*args, **kwargs):
            start = time.perf_counter()
            try:
                return real(*args, **kwargs)
            finally:
                if self.on:
                    self.seconds[part] += time.perf_counter() - start

        setattr(owner, name, timed)


class Turns(Callback):
    """After each `steps` steps of the training, as many of the bare loop."""

    def __init__(self, steps: int, rounds: int, batch: int, precision: str, parts: Parts) -> None:
        self.steps, self.rounds, self.batch, self.parts = steps, rounds, batch, parts
        self.precision = precision
        self.ours: list[tuple[float, float]] = []
        self.bare: list[tuple[float, float]] = []
        self.count = 0

    def on_train_start(self, trainer, pl_module) -> None:
        trainer_reference, pl_module._trainer = pl_module._trainer, None
        self.copy = copy.deepcopy(pl_module)
        pl_module._trainer = trainer_reference
        made = self.copy.configure_optimizers()
        self.optimizer, self.schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
        self.ready = []
        for _ in range(8):
            view = torch.rand(self.batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
            self.ready.append(batches.Batch((view,), torch.randint(0, 10, (self.batch,)), torch.arange(self.batch)))
        for _ in range(3):
            self._bare()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.count += 1
        last = batch_idx + 1 == trainer.num_training_batches
        if not last and self.count >= self.steps:
            if self.started is not None:
                self.ours.append(_since(self.started, self.count))
            self.parts.on = False
            begin = _now()
            for number in range(self.steps):
                self._bare(number)
            self.bare.append(_since(begin, self.steps))
            self.count = 0
            self.parts.on = True
            self.started = _now()
            if len(self.ours) >= self.rounds:
                self.parts.on = False
                trainer.should_stop = True
                trainer.fit_loop.epoch_loop.batch_progress.is_last_batch = True
        elif last:
            self.started = None
            self.parts.on = False

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        self.started, self.count = None, 0

    def _bare(self, number: int = 0) -> None:
        batch = self.ready[number % len(self.ready)]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
            loss = self.copy.loss_terms(batch)["loss"]
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(start: tuple[float, float], steps: int) -> tuple[float, float]:
    return (time.perf_counter() - start[0]) / steps, (time.process_time() - start[1]) / steps


def measure(batch: int, rounds: int, view: str, precision: str, threads: int | None, encoder: str) -> None:
    steps = max(4, 1000 // batch)
    parts = Parts()
    parts.wrap(batches.Views, "__getitem__", "gather and views")
    parts.wrap(Guard, "_save", "of which checkpoints inside epochs")
    for hook in ("on_train_batch_start", "on_train_batch_end"):
        parts.wrap(Recorder, hook, "terms, finiteness, logging")
        parts.wrap(Guard, hook, "seeds, signals, checkpoint clock")
    turns = Turns(steps, rounds, batch, precision, parts)
    images = synthetic(steps * batch * 15 * 2)
    settings = [f"method.batch_size={batch}", f"method.views={view}", f"training.precision={precision}"]
    config = make_config(
        "supervised", "noise", encoder=encoder, epochs=200, settings=settings, training={"threads": threads}
    )
    with tempfile.TemporaryDirectory() as folder:
        run = train(config, Path(folder) / "run", images=images, callbacks=[turns])
    wall_ours, cpu_ours = (statistics.median(x[i] for x in turns.ours) for i in (0, 1))
    wall_bare, cpu_bare = (statistics.median(x[i] for x in turns.bare) for i in (0, 1))
    print(f"batch {batch}, {encoder}, {precision}, {run.record['choices']['threads']} threads, views {view}")
    for clock, ours, bare in (("wall", wall_ours, wall_bare), ("processor", cpu_ours, cpu_bare)):
        print(f"  {clock + ':':<10} ours {1e3 * ours:8.2f} ms  bare {1e3 * bare:8.2f} ms  ratio {ours / bare:.3f}")
    counted = len(turns.ours) * steps
    for name, seconds in parts.seconds.items():
        share = seconds / counted
        print(f"  {name:<34} {1e3 * share:7.3f} ms a step, {share / wall_bare:6.1%} of the bare step")
    named = sum(seconds for name, seconds in parts.seconds.items() if not name.startswith("of which"))
    rest = wall_ours - wall_bare - named / counted
    print(f"  {'Lightning and the rest':<34} {1e3 * rest:7.3f} ms a step, {rest / wall_bare:6.1%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[250, 32])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--view", default="shift-rotate-flip")
    parser.add_argument("--precision", default="float32", choices=["float32", "bf16"])
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--encoder", default="convnet4")
    options = parser.parse_args()
    for size in options.batch:
        measure(size, options.rounds, options.view, options.precision, options.threads, options.encoder)
