"""Two SimCLR views of each image: ours in batch against lightly's per-image transforms in a torch DataLoader.

    python benchmarks/views_against_lightly.py [--batch 256] [--images 2048] [--rounds 5] [--workers 0 2] [--threads 2]

The same augmentation on both sides, 32x32 colour: a crop of a fifth to all, mirroring, jitter (0.4, 0.4, 0.2, 0.1) of
four images in five, a fifth grey, no blur, to a float tensor without normalisation. lightly's side is its own
`SimCLRTransform` on PIL images; ours is what a training step gets, with gathering and a generator for each batch. Both
run in the process as `phispace train` sets it up (threads, an allocator that keeps its memory).

The sides take turns. Printed are medians over the rounds: images a second of wall time (two views count as one image),
and processor time an image over all processes. On a machine that does other work too, only the latter compares.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
import warnings
from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from phispace.data.batches import Order, Views, loader
from phispace.data.imageset import ImageSet
from phispace.data.views.named import make_views
from phispace.training.speed import fast_process

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lightly.transforms import SimCLRTransform


class Pictures(Dataset):
    """One image at a time, as most training scripts do it."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images
        self.transform = SimCLRTransform(
            input_size=32,
            min_scale=0.2,
            cj_strength=1.0,
            cj_bright=0.4,
            cj_contrast=0.4,
            cj_sat=0.2,
            cj_hue=0.1,
            gaussian_blur=0.0,
            normalize=None,
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> list[torch.Tensor]:
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


def processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def cost(batches: Iterable[list[torch.Tensor]]) -> tuple[float, float]:
    """Seconds of wall and of processor time an image, over one pass."""
    seen, wall, busy = 0, time.perf_counter(), processor_seconds()
    for first, second in batches:
        seen += len(first)
        del second
    return (time.perf_counter() - wall) / seen, (processor_seconds() - busy) / seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 2])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with fast_process(options.threads):
        compare(options)


def compare(options: argparse.Namespace) -> None:
    images = noise(options.images)
    order = Order(np.arange(len(images)), options.batch, 0, drop_last=True)
    ours = loader(order, Views(images, make_views("simclr", 2, 32), 0))
    peers = {
        f"lightly, {n} workers": DataLoader(
            Pictures(images.images), options.batch, shuffle=True, drop_last=True, num_workers=n
        )
        for n in options.workers
    }
    found: dict[str, list[tuple[float, float]]] = {"phispace": [], **{name: [] for name in peers}}
    cost(batch.views for batch in ours)
    for epoch in range(options.rounds):
        order.set_epoch(epoch)
        found["phispace"].append(cost(batch.views for batch in ours))
        for name, peer in peers.items():
            found[name].append(cost(peer))
    middle = {name: [statistics.median(values) for values in zip(*pairs, strict=True)] for name, pairs in found.items()}
    base = middle["phispace"]
    for name, (wall, busy) in middle.items():
        print(
            f"{name:20} {1 / wall:8,.0f} images/s, {busy * 1e6:7,.1f} us of processor an image;   phispace is "
            f"{wall / base[0]:.1f} times as fast by wall time, {busy / base[1]:.1f} by processor time"
        )


if __name__ == "__main__":
    main()
