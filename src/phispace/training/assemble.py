"""What a run is made of, from its configuration: which images it trains on, the task, the encoder, the method, the
batches. All of it is a function of the configuration and the images; nothing here writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from phispace.data.batches import Batch, Order, Views, drops_last, loader, steps_per_epoch
from phispace.data.imageset import ImageSet
from phispace.encoders.base import Encoder
from phispace.errors import InputError
from phispace.methods.base import Method, Task
from phispace.randomness import key, rng, torch_rng
from phispace.training.config import RunConfig, method_class

#: Images that set what an encoder takes from the data (statistics, whitening).
INITIAL_SAMPLE = 5000
_SEED_BITS = 0x7FFF_FFFF_FFFF_FFFF


@dataclass(frozen=True)
class Items:
    """Positions of the images that are trained on and validated on; the test split is in neither."""

    train: np.ndarray
    val: np.ndarray


def choose_items(images: ImageSet, kind: type[Method], refit: bool) -> Items:
    """Split train for training (with `unlabelled` if the method uses no labels) and val for validation.

    A method that uses labels gets the labelled images only. With `refit` train and val are trained on together.

    Raises:
        InputError: nothing to train on.
    """
    labelled = True if kind.uses_labels else None
    splits = ("train", "val") if refit else ("train",)
    train = images.where(*splits, *(() if kind.uses_labels else ("unlabelled",)), labelled=labelled)
    if len(train) == 0:
        what = "labelled images" if kind.uses_labels else "images"
        counts = ", ".join(f"{k}: {sum(v.values())}" for k, v in images.counts().items()) or "no images at all"
        raise InputError(f"There are no {what} in the split 'train' of {images.name!r} ({counts}).")
    val = np.empty(0, np.int64) if refit else images.where("val", labelled=labelled)
    return Items(train, val)


@dataclass(frozen=True)
class Plan:
    """Everything that training needs beside the trainer."""

    config: RunConfig
    images: ImageSet
    items: Items
    task: Task
    drop_last: bool

    @property
    def seed(self) -> int:
        return self.config.training.seed


def make_plan(config: RunConfig, images: ImageSet) -> Plan:
    """Check that images and configuration fit, and count the steps.

    Raises:
        InputError: images that are not square, or nothing to train on.
    """
    channels, height, width = images.shape
    if height != width:
        raise InputError(f"Encoders take square images; those of {images.name!r} are {height} x {width}. Use --size.")
    kind = method_class(config.method["name"])
    items = choose_items(images, kind, config.training.refit)
    batch = int(config.method["batch_size"])
    asked = config.training.drop_last
    drop = drops_last(len(items.train), batch) if asked is None else asked and len(items.train) >= batch
    steps = steps_per_epoch(len(items.train), batch, drop)
    return Plan(config, images, items, Task(channels, height, images.classes, len(items.train), steps), drop)


def make_method(plan: Plan) -> Method:
    """The method with its initial weights: a function of the seed, the configuration and the training images.

    torch's global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(plan.seed, "weights") & _SEED_BITS)
        method = build_method(plan.config, plan.task)
        setattr(method, "run_seed", plan.seed)  # noqa: B010 (read by Method.step_rng; mypy takes it for a module)
        train = plan.items.train
        sample = rng(plan.seed, "initial-sample").choice(train, min(INITIAL_SAMPLE, len(train)), replace=False)
        method.encoder.initialise(plan.images.images[np.sort(sample)], torch_rng(plan.seed, "initialise"))
    return method


def build_method(config: RunConfig, task: Task) -> Method:
    """Encoder and method by name, with weights from torch's global generator."""
    from phispace.encoders.build import build_encoder

    encoder: Encoder = build_encoder(config.encoder.name, task.channels, task.size, **config.encoder.options)
    method: Method = method_class(config.method["name"])(encoder, config.method_config, task)
    return method


def train_loader(plan: Plan, rank: int = 0, world: int = 1) -> DataLoader[Batch]:
    """Batches of shuffled, augmented training images; see `Order` for several processes."""
    order = Order(
        plan.items.train, int(plan.config.method["batch_size"]), plan.seed,
        drop_last=plan.drop_last, rank=rank, world=world,
    )  # fmt: skip
    return loader(order, Views(plan.images, _views(plan), plan.seed, rank=rank, world=world))


def val_loader(plan: Plan, rank: int = 0, world: int = 1) -> DataLoader[Batch] | None:
    """Batches of validation images in their order, or None if there are none.

    Unaugmented where the method takes one view; where it takes several, its own augmentation with the same draws
    in every epoch, because the loss of two equal views says nothing.
    """
    if len(plan.items.val) == 0:
        return None
    several = method_class(plan.config.method["name"]).n_views > 1
    size = max(world, min(max(int(plan.config.method["batch_size"]), 250), 500))
    order = Order(plan.items.val, size, plan.seed, drop_last=False, shuffle=False, rank=rank, world=world)
    views = _views(plan, None if several else "none")
    return loader(order, Views(plan.images, views, plan.seed, purpose="val-views", by_epoch=False, rank=rank))


def _views(plan: Plan, name: str | None = None) -> list[Any]:
    from phispace.data.views import make_view

    count = method_class(plan.config.method["name"]).n_views
    return [make_view(name or plan.config.method["views"], plan.task.size) for _ in range(count)]


def task_record(task: Task) -> dict[str, Any]:
    """A task for `run.json`."""
    return asdict(task)


def read_task(record: Mapping[str, Any]) -> Task:
    """The inverse of `task_record`."""
    return Task(**{**record, "classes": tuple(record["classes"])})
