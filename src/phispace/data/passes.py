"""All training images of an epoch as one thing, for methods that set their weights pass by pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from phispace.data.batches import Batch, Order, Place, Views


class Pass:
    """The images of one epoch, in batches; to be gone through as often as wanted, the same each time.

    Attributes:
        labels: int64 (N,), -1 = unknown.
        before_each: called before each batch; what it raises ends the pass.
    """

    def __init__(self, views: Views, place: Place, batch_size: int) -> None:
        self._views = views
        self._place = place
        self._batch_size = batch_size
        self.labels: Tensor = torch.from_numpy(views.images.labels[place.positions])
        self.before_each: Callable[[], None] = _nothing

    def __len__(self) -> int:
        """Batches."""
        return -(-len(self._place.positions) // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        positions: np.ndarray = self._place.positions
        for step in range(len(self)):
            self.before_each()
            part = positions[step * self._batch_size : (step + 1) * self._batch_size]
            yield self._views[Place(self._place.epoch, step, part)]


class Passes(Dataset[Pass]):
    """Turns places that hold a whole epoch (see `whole_order`) into passes.

    Args:
        views: what makes a batch.
        batch_size: images of a batch.
    """

    def __init__(self, views: Views, batch_size: int) -> None:
        self.views = views
        self.batch_size = batch_size

    def __len__(self) -> int:
        return 1

    def __getitem__(self, place: Place) -> Pass:
        return Pass(self.views, place, self.batch_size)


def whole_order(items: np.ndarray, seed: int) -> Order:
    """The order of the images with an epoch as its only batch."""
    return Order(items, len(items), seed, drop_last=False)


def _nothing() -> None:
    pass
