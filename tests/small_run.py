"""A real run on real digits, made in a second: a plain loop instead of the trainer, the same files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from phispace.data.imageset import ImageSet
from phispace.data.splits import with_protocol_splits
from phispace.run import Run
from phispace.training.assemble import make_method, make_plan
from phispace.training.checkpoints import save_weights
from phispace.training.config import RunConfig

CLASSES = tuple("0123456789")


def digits(n: int = 600) -> ImageSet:
    """The first n of scikit-learn's handwritten digits, 8x8 grey, with the protocol's splits."""
    bunch = load_digits()
    images = (bunch.images[:n] / 16 * 255).round().astype(np.uint8)[..., None]
    ids = np.array([f"digits/{i:04d}" for i in range(n)])
    labels = bunch.target[:n].astype(np.int64)
    return with_protocol_splits(ImageSet(images, labels, ids, CLASSES, np.full(n, "train"), name="digits"))


def make_run(path: Path, images: ImageSet, *, encoder: str = "convnet4", epochs: int = 3, **options: object) -> Run:
    """A run with the checkpoints `epoch=000` (untrained) and `epoch=NNN` (after a short training)."""
    options = options or ({"width": 8, "dense": 32} if encoder == "convnet4" else {})
    tables = {
        "images": {"name": images.name},
        "encoder": {"name": encoder, "options": options},
        "method": {"name": "supervised"},
        "training": {"seed": 0},
    }
    config = RunConfig.build(tables)
    plan = make_plan(config, images)
    task = plan.task
    record = {
        "task": {
            "channels": task.channels,
            "size": task.size,
            "classes": list(task.classes),
            "train_items": task.train_items,
            "steps_per_epoch": task.steps_per_epoch,
        },
        "images": {"name": images.name, "fingerprint": images.fingerprint},
    }
    run = Run.create(path, record, tables)
    method = make_method(plan)
    save_weights(path / "checkpoints" / "epoch=000", method.state_dict(), {"epoch": 0, "step": 0})
    train = plan.items.train
    x = torch.from_numpy(images.images[train]).permute(0, 3, 1, 2).float() / 255
    y = torch.from_numpy(images.labels[train])
    optimizer = torch.optim.Adam(method.parameters(), 3e-3)
    for epoch in range(epochs):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
        for chosen in order.split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(method.logits(x[chosen]), y[chosen]).backward()
            optimizer.step()
    name = f"epoch={epochs:03d}"
    save_weights(path / "checkpoints" / name, method.state_dict(), {"epoch": epochs, "step": epochs * 8})
    run.update(best_checkpoint=name, status="completed")
    return run


__all__ = ["CLASSES", "digits", "make_run"]
