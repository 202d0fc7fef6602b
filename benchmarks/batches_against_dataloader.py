"""Making batches: ours against a torch DataLoader with torchvision's per-image PIL transforms.

    python benchmarks/batches_against_dataloader.py [--batch 250] [--images 10000] [--rounds 5] [--workers 0 2]

The same augmentation on both sides: rotation by up to 15 degrees, shifts by up to a tenth, mirroring, to a float
tensor. torchvision's transforms know no filling with the nearest pixel, so its side fills with black, which is less
work, not more. The sides take turns; printed are median images a second and the ratio. With workers the DataLoader
keeps that many processors busy with nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from phispace.data.batches import Order, Views, loader
from phispace.data.imageset import ImageSet
from phispace.data.views import make_view


class Pictures(Dataset):
    """One image at a time, as most training scripts do it."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images
        self.transform = transforms.Compose(
            [
                transforms.RandomAffine(15, translate=(0.1, 0.1), interpolation=transforms.InterpolationMode.BILINEAR),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.transform(Image.fromarray(self.images[index]))


def noise(count: int) -> ImageSet:
    rng = np.random.default_rng(0)
    return ImageSet(
        images=rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8),
        labels=np.zeros(count, np.int64),
        ids=np.array([str(i) for i in range(count)]),
        classes=("noise",),
        split=np.full(count, "train"),
    )


def ours(images: ImageSet, batch: int, epoch: int) -> Iterator[torch.Tensor]:
    order = Order(np.arange(len(images)), batch, 0, drop_last=True)
    order.set_epoch(epoch)
    views = Views(images, [make_view("shift-rotate-flip", 32)], 0)
    return (made.views[0] for made in loader(order, views))


def rate(batches: Iterator[torch.Tensor]) -> float:
    """Images a second of one pass."""
    seen, start = 0, time.perf_counter()
    for made in batches:
        seen += len(made)
    return seen / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 2])
    options = parser.parse_args()
    torch.set_num_threads(2)
    images = noise(options.images)
    peers = {
        f"DataLoader, {n} workers": DataLoader(
            Pictures(images.images), options.batch, shuffle=True, drop_last=True, num_workers=n
        )
        for n in options.workers
    }
    found: dict[str, list[float]] = {"phispace": [], **{name: [] for name in peers}}
    rate(ours(images, options.batch, 99))
    for epoch in range(options.rounds):
        found["phispace"].append(rate(ours(images, options.batch, epoch)))
        for name, peer in peers.items():
            found[name].append(rate(iter(peer)))
    best = statistics.median(found["phispace"])
    for name, rates in found.items():
        middle = statistics.median(rates)
        print(f"{name:24} {middle:10,.0f} images/s   phispace is {best / middle:.1f} times as fast")


if __name__ == "__main__":
    main()
