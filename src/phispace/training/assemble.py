"""What a run is made of, from its configuration: which images it trains on, the task, the encoder, the method, the
batches. All of it is a function of the configuration and the images; nothing here writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from phispace.data.batches import Batch, Order, Views, loader
from phispace.data.imageset import ImageSet
from phispace.data.passes import Passes, whole_order
from phispace.data.views.base import View
from phispace.encoders.base import Encoder
from phispace.errors import InputError
from phispace.methods.base import Method, Stage, Task
from phispace.randomness import key, rng, torch_rng
from phispace.training.config import RunConfig, method_class
from phispace.training.stages import Items, Span, Timeline, lay_out

#: Images that set what an encoder takes from the data (statistics, whitening).
INITIAL_SAMPLE = 5000
_SEED_BITS = 0x7FFF_FFFF_FFFF_FFFF


@dataclass(frozen=True)
class Plan:
    """Everything that training needs beside the trainer."""

    config: RunConfig
    images: ImageSet
    task: Task
    timeline: Timeline

    @property
    def seed(self) -> int:
        return self.config.training.seed

    @property
    def items(self) -> Items:
        """Of the first stage."""
        return self.timeline.spans[0].items

    def in_stages(self, method: Method) -> Plan:
        """The same with the method's stages."""
        tables = self.config.method, self.config.training
        whole = not method.has_gradient
        return replace(self, timeline=lay_out(self.images, method.stages(), *tables, whole=whole))


def make_plan(config: RunConfig, images: ImageSet) -> Plan:
    """Check that images and configuration fit, and count the steps.

    Raises:
        InputError: images that are not square, nothing to train on, or an option of a view that does not fit.
    """
    channels, height, width = images.shape
    if height != width:
        raise InputError(f"Encoders take square images; those of {images.name!r} are {height} x {width}. Use --size.")
    kind = method_class(config.method["name"])
    whole = Stage("", int(config.method["epochs"]), labelled=kind.uses_labels)
    timeline = lay_out(images, (whole,), config.method, config.training, whole=not kind.has_gradient)
    span = timeline.spans[0]
    task = Task(channels, height, images.classes, len(span.items.train), span.steps_per_epoch)
    plan = Plan(config, images, task, timeline)
    make_plan_views(plan)  # says what is wrong with them before anything is begun
    return plan


def make_method(plan: Plan) -> Method:
    """The method with its initial weights: a function of the seed, the configuration and the training images.

    torch's global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(plan.seed, "weights") & _SEED_BITS)
        borrows = plan.config.encoder.start is None
        method = build_method(plan.config if borrows else to_be_filled_later(plan.config), plan.task)
        setattr(method, "run_seed", plan.seed)  # noqa: B010 (read by Method.step_rng; mypy takes it for a module)
        train = plan.items.train
        sample = rng(plan.seed, "initial-sample").choice(train, min(INITIAL_SAMPLE, len(train)), replace=False)
        method.borrows = borrows
        method.encoder.initialise(plan.images.images[np.sort(sample)], torch_rng(plan.seed, "initialise"))
    return method


def to_be_filled_later(config: RunConfig) -> RunConfig:
    """The same for an encoder whose weights will all be replaced: a file of pretrained ones is not looked for."""
    from phispace.encoders.build import to_be_filled

    encoder = config.encoder
    options = to_be_filled(encoder.name, encoder.options)
    return config.model_copy(update={"encoder": encoder.model_copy(update={"options": options})})


def build_method(config: RunConfig, task: Task) -> Method:
    """Encoder and method by name, with weights from torch's global generator."""
    from phispace.encoders.build import build_encoder

    encoder: Encoder = build_encoder(config.encoder.name, task.channels, task.size, **config.encoder.options)
    method: Method = method_class(config.method["name"])(encoder, config.method_config, task)
    return method


def train_loader(plan: Plan, rank: int = 0, world: int = 1, span: Span | None = None) -> DataLoader[Any]:
    """Batches of shuffled, augmented training images of a stage (by default the first); see `Order` for processes.

    Of a method without a gradient one `Pass` an epoch.
    """
    span = span or plan.timeline.spans[0]
    if not method_class(plan.config.method["name"]).has_gradient:
        passes = Passes(Views(plan.images, make_plan_views(plan), plan.seed), int(plan.config.method["batch_size"]))
        return loader(whole_order(span.items.train, plan.seed), passes)
    order = Order(
        span.items.train, span.batch_size, plan.seed, drop_last=span.drop_last, rank=rank, world=world,
    )  # fmt: skip
    return loader(order, Views(plan.images, make_plan_views(plan), plan.seed, rank=rank, world=world))


def val_loader(plan: Plan, rank: int = 0, world: int = 1, span: Span | None = None) -> DataLoader[Batch] | None:
    """Batches of validation images of a stage (by default the first) in their order, or None if there are none.

    Unaugmented where the method takes one view; where it takes several, its own augmentation with the same draws
    in every epoch, because the loss of two equal views says nothing.
    """
    span = span or plan.timeline.spans[0]
    if len(span.items.val) == 0:
        return None
    several = count_views(plan) > 1
    size = max(world, min(max(int(plan.config.method["batch_size"]), 250), 500))
    order = Order(span.items.val, size, plan.seed, drop_last=False, shuffle=False, rank=rank, world=world)
    views = make_plan_views(plan, None if several else "none")
    return loader(order, Views(plan.images, views, plan.seed, purpose="val-views", by_epoch=False, rank=rank))


def make_plan_views(plan: Plan, text: str | None = None) -> list[View]:
    """The augmentations of a step's views, by default those that the configuration names."""
    from phispace.data.views.named import make_views

    return make_views(text or plan.config.method["views"], count_views(plan), plan.task.size)


def count_views(plan: Plan) -> int:
    """How many views of each image a step gets."""
    return int(method_class(plan.config.method["name"]).count_views(plan.config.method_config))


def task_record(task: Task) -> dict[str, Any]:
    """A task for `run.json`."""
    return asdict(task)


def read_task(record: Mapping[str, Any]) -> Task:
    """The inverse of `task_record`."""
    return Task(**{**record, "classes": tuple(record["classes"])})
