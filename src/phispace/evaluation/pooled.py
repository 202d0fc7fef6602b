"""Stored feature maps averaged to fewer places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from phispace.evaluation.protocol import Part, Parts

NO_MAP = (
    "Undefined: this needs feature maps, and this store does not have the shape (C, H, W) of any with more than one "
    "place; embed a convolutional layer."
)


def is_map(shape: tuple[int, ...] | None) -> bool:
    """Whether a store's `feature_shape` is that of maps with more than one place."""
    return shape is not None and len(shape) == 3 and shape[1] * shape[2] > 1


def pooled(x: np.ndarray, shape: tuple[int, ...], side: int) -> np.ndarray:
    """Maps (n, C H W) averaged to at most `side` x `side` places, flattened again; x itself where they are no more.

    Args:
        shape: (C, H, W).
        side: a map of 8 places becomes 4 by the means of two neighbours; where sides do not divide, blocks overlap.
    """
    import torch

    from phispace.evaluation.standardise import blocks

    sides = (min(shape[1], side), min(shape[2], side))
    if sides == tuple(shape[1:]):
        return x
    small = np.empty((len(x), shape[0] * sides[0] * sides[1]), np.float32)
    start = 0
    for rows in blocks(x):
        maps = torch.from_numpy(rows).view(len(rows), *shape)
        small[start : start + len(rows)] = torch.nn.functional.adaptive_avg_pool2d(maps, sides).flatten(1).numpy()
        start += len(rows)
    return small


def pooled_parts(parts: Parts, side: int) -> Parts:
    """Parts whose maps have at most `side` x `side` places."""
    shape = parts.feature_shape or ()
    train, val, test = (_pooled_part(part, shape, side) for part in (parts.train, parts.val, parts.test))
    there = (shape[0], min(shape[1], side), min(shape[2], side))
    return replace(parts, train=train, val=val, test=test, feature_shape=there)


def _pooled_part(part: Part, shape: tuple[int, ...], side: int) -> Part:
    return replace(part, x=pooled(part.x, shape, side))
