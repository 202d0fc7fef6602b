"""Batches: which images a step sees, and the views that are made of them.

Both are functions of (seed, epoch, step), so there is no state to save: a run that goes on in the middle of an epoch
asks for the step it wants. Images stay where they are, as uint8 (memory-mapped or in memory), one copy for all
processes of a machine; a batch gathers its rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from phispace.data.imageset import ImageSet
from phispace.errors import InputError
from phispace.randomness import rng, torch_rng

if TYPE_CHECKING:
    from phispace.data.views.base import View

T = TypeVar("T")


class Batch(NamedTuple):
    """What a training step gets.

    views: one or more tensors (B, C, H, W), floats in [0, 1], made from the same images.
    labels: int64 (B,), -1 = unknown.
    index: int64 (B,), positions in the image set.
    """

    views: tuple[Tensor, ...]
    labels: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index


class Place(NamedTuple):
    """One batch: where in training it is, and which images are in it.

    positions: int64 (B,), positions in the image set.
    """

    epoch: int
    step: int
    positions: np.ndarray


class Order(Sampler[Place]):
    """The order of the images, epoch by epoch: a permutation from `rng(seed, "order", epoch)` cut into batches.

    With several processes each batch is dealt out among them (image j of a batch goes to process j mod world), so
    that together they see what a single process sees, and the mean of their losses is its loss. Of an uneven last
    batch the images that cannot be dealt out evenly are left out. Without `shuffle` the images are dealt out once.

    Args:
        items: int64 (N,), positions in the image set.
        batch_size: images a step, over all processes.
        seed: of the run.
        drop_last: leave out the images that do not fill the last batch of an epoch.
        shuffle: False keeps the order of `items`, as for validation.
        rank, world: this process's number and how many there are.

    Raises:
        InputError: no images, fewer than a batch with `drop_last`, or a batch that cannot be dealt out evenly.
    """

    def __init__(
        self,
        items: np.ndarray,
        batch_size: int,
        seed: int,
        *,
        drop_last: bool,
        shuffle: bool = True,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if shuffle and batch_size % world:
            raise InputError(f"A batch of {batch_size} images cannot be dealt out evenly among {world} processes.")
        if len(items) == 0:
            raise InputError("There are no images to make batches of.")
        if drop_last and len(items) < batch_size:
            raise InputError(
                f"There are {len(items)} images, fewer than one batch of {batch_size}, and drop_last is on."
            )
        self.items = np.asarray(items, np.int64)
        self.batch_size = batch_size
        self.seed = seed
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.rank = rank
        self.world = world
        self.epoch = 0
        self._start = (0, 0)

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def start_at(self, epoch: int, step: int) -> None:
        """When `epoch` is read, begin with its step number `step`, as a run does that was cut there."""
        self._start = (epoch, step)

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        if not self.shuffle:
            return steps_per_epoch(len(self.items[self.rank :: self.world]), self.share, self.drop_last)
        return steps_per_epoch(len(self.items), self.batch_size, self.drop_last)

    @property
    def share(self) -> int:
        """Images of a full batch that come to this process."""
        return max(1, self.batch_size // self.world)

    def __iter__(self) -> Iterator[Place]:
        # Lightning makes the iterator before it sets the epoch; the body runs at the first `next`, after it.
        epoch = self.epoch
        first = self._start[1] if self._start[0] == epoch else 0
        if self.shuffle:
            order = self.items[rng(self.seed, "order", epoch).permutation(len(self.items))]
        else:
            order = self.items[self.rank :: self.world]
        for step in range(first, len(self)):
            if self.shuffle:
                batch = order[step * self.batch_size : (step + 1) * self.batch_size]
                batch = batch[self.rank : len(batch) // self.world * self.world : self.world]
            else:
                batch = order[step * self.share : (step + 1) * self.share]
            yield Place(epoch, step, batch)


class Views(Dataset[Batch]):
    """Turns places into batches: gathers the images and makes the views.

    Args:
        images: the set.
        views: one augmentation for each view of an image.
        seed: of the run.
        purpose: keeps the draws of training and validation apart.
        by_epoch: False draws the same in each epoch, so that validation compares.
        rank, world: with several processes each draws its own.
    """

    def __init__(
        self,
        images: ImageSet,
        views: Sequence[View],
        seed: int,
        *,
        purpose: str = "views",
        by_epoch: bool = True,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.images = images
        self.views = tuple(views)
        self.seed = seed
        self.purpose = purpose
        self.by_epoch = by_epoch
        self.path = (rank,) if world > 1 else ()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: Place) -> Batch:
        epoch, step, index = place
        pixels = gather(self.images.images, index)
        when = (epoch, step) if self.by_epoch else (step,)
        views = tuple(
            view(pixels, torch_rng(self.seed, self.purpose, *when, number, *self.path))
            for number, view in enumerate(self.views)
        )
        return Batch(views, torch.from_numpy(self.images.labels[index]), torch.from_numpy(index))


def gather(images: np.ndarray, index: np.ndarray) -> Tensor:
    """Rows of uint8 (N, H, W, C) as a tensor (B, C, H, W), channels_last in memory."""
    return torch.from_numpy(images.take(index, axis=0)).permute(0, 3, 1, 2)


def steps_per_epoch(items: int, batch_size: int, drop_last: bool) -> int:
    """Batches in one pass over `items` images."""
    return items // batch_size if drop_last else -(-items // batch_size)


def drops_last(items: int, batch_size: int) -> bool:
    """What is done where nothing was asked for: drop the rest when that costs an epoch less than a tenth of its images.

    A rest is a batch of another size, which disturbs batch statistics; but of 400 images in batches of 256 it is a
    third. A rest of a single image is always dropped where there are other batches: it has no batch statistics.
    """
    rest = items % batch_size
    return items > batch_size and (rest == 1 or rest * 10 <= items)


def loader(order: Order, views: Dataset[T]) -> DataLoader[T]:
    """The two together, in this process: a batch costs too little to be worth sending between processes."""
    return DataLoader(views, sampler=order, batch_size=None, num_workers=0, collate_fn=_as_it_is)


def _as_it_is(batch: Any) -> Any:
    return batch
