"""What all corruptions share: draws by image id, values in [0, 1], lengths that grow with the side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from phispace.errors import InputError
from phispace.randomness import rng

SIDE = 32
"""The side in pixels that the constants were made for."""


class Draws:
    """One generator an image, from (seed, kind, id): the same in any batch and at any severity.

    Args:
        ids: of the images of this batch.
        kind: the corruption's name.
        seed: of all draws.
    """

    def __init__(self, ids: Sequence[str], kind: str, seed: int) -> None:
        self._ids = ids
        self._path = (seed, f"corrupt/{kind}")

    def generators(self) -> list[np.random.Generator]:
        """A fresh generator for each image."""
        return [rng(*self._path, i) for i in self._ids]

    def normal(self, *shape: int) -> np.ndarray:
        """Standard normal float32 (B, *shape)."""
        return np.stack([g.standard_normal(shape, np.float32) for g in self.generators()])

    def uniform(self, *shape: int) -> np.ndarray:
        """Uniform in [0, 1), float32 (B, *shape)."""
        return np.stack([g.random(shape, np.float32) for g in self.generators()])


def check_images(images: np.ndarray, ids: Sequence[str] | np.ndarray) -> None:
    """Raise InputError if these are not uint8 images with an id each."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise InputError(
            f"Corruptions take uint8 images (B, H, W, C), C = 1 or 3, at least one; got {images.dtype} {images.shape}."
        )
    if len(ids) != len(images):
        raise InputError(f"There are {len(images)} images and {len(ids)} ids; one each is expected.")


def floats(images: np.ndarray) -> np.ndarray:
    """uint8 -> float32 in [0, 1]."""
    return images.astype(np.float32) / np.float32(255)


def bytes_of(x: np.ndarray) -> np.ndarray:
    """Floats -> uint8: cut to [0, 1], rounded to the nearest of 256 values."""
    return np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)


def scale(images: np.ndarray) -> float:
    """Factor of lengths: the smaller side over 32."""
    return min(images.shape[1:3]) / SIDE
