"""Small stores with a known shape, for the tests of maps."""

from __future__ import annotations

import numpy as np

from phispace.data.imageset import ImageSet
from phispace.embeddings.store import Embeddings


def blobs(
    n: int = 150, classes: int = 3, dim: int = 12, apart: float = 8.0, seed: int = 0, noise: float = 1.0
) -> Embeddings:
    """Gaussian blobs around the axes' ends, labels in turn."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    vectors = noise * random.normal(size=(n, dim)) + apart * np.eye(classes, dim)[labels]
    return Embeddings.build(
        vectors.astype(np.float32),
        [f"item-{k:04d}" for k in range(n)],
        labels,
        "test",
        [f"kind {k}" for k in range(classes)],
    )


def drifting(frames: int = 4, n: int = 200, classes: int = 5, dim: int = 24, seed: int = 0) -> list[Embeddings]:
    """Stores of the same items over training: classes draw apart, the space turns slowly, each frame has own noise."""
    from scipy.linalg import expm

    random = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    items, centres = random.normal(size=(n, dim)), random.normal(size=(classes, dim))
    turn = random.normal(size=(dim, dim))
    turn = 0.01 * (turn - turn.T)
    stores = []
    for t in range(frames):
        apart = 0.5 + 1.5 * t / max(frames - 1, 1)
        vectors = (items + apart * centres[labels] + 0.2 * random.normal(size=(n, dim))) @ expm(turn * t)
        stores.append(
            Embeddings.build(
                vectors.astype(np.float32),
                [f"item-{k:04d}" for k in range(n)],
                labels,
                "test",
                [f"kind {k}" for k in range(classes)],
                epoch=t + 1,
                accuracy=0.4 + 0.1 * t,
            )
        )
    return stores


def coloured_images(store: Embeddings, channels: int = 3, size: tuple[int, int] = (8, 8)) -> ImageSet:
    """An image of one colour for each item, all different, in another order than the store."""
    n = len(store)
    order = np.random.default_rng(1).permutation(n)
    pixels = np.zeros((n, *size, channels), np.uint8)
    values = 20 + 200 * np.arange(n) // max(n, 1)
    pixels[..., 0] = values[:, None, None]
    if channels == 3:
        pixels[..., 1] = (40 + 7 * np.arange(n) % 180)[:, None, None]
        pixels[..., 2] = (30 + 13 * np.arange(n) % 190)[:, None, None]
    return ImageSet(pixels[order], store.labels[order], store.ids[order], store.classes, np.full(n, "test"), "coloured")
