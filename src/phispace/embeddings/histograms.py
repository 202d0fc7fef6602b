"""Colour histograms: what an image's colours say without their places, the oldest baseline of image retrieval.

    h_b = sqrt(n_b / P)      n_b of the P pixels fall into bin b; each channel is cut into equal ranges

The root makes the cosine of two histograms their Bhattacharyya coefficient, and every vector has length 1.

Sources: Swain and Ballard, "Color Indexing", International Journal of Computer Vision 7, 1991 (joint histograms);
Bhattacharyya, 1943 (the coefficient).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet

_BLOCK = 4096
MOST_BINS = 65536


def histograms(images: ImageSet, bins: int | None = None) -> Embeddings:
    """The joint histogram of the channels of every image.

    Args:
        images: any set.
        bins: ranges of each channel; by default 8 for colour (512 in all) and 64 for grey.

    Returns:
        float32 (N, bins ** C), rows of length 1; the items carry `image`, the position in the set.

    Raises:
        InputError: fewer than 2 or more than 256 bins a channel, or more than 65,536 in all.
    """
    channels = images.shape[0]
    bins = (64 if channels == 1 else 8) if bins is None else bins
    if not 2 <= bins <= 256 or bins**channels > MOST_BINS:
        raise InputError(
            f"A histogram has 2 to 256 bins a channel and at most {MOST_BINS} in all; got {bins} for {channels} "
            "channels."
        )
    width = bins**channels
    weights = bins ** np.arange(channels - 1, -1, -1)
    vectors = np.empty((len(images), width), np.float32)
    for start in range(0, len(images), _BLOCK):
        block = np.asarray(images.images[start : start + _BLOCK])
        bin_of = ((block.astype(np.int64) * bins) // 256) @ weights
        rows = bin_of.reshape(len(block), -1) + width * np.arange(len(block))[:, None]
        counts = np.bincount(rows.ravel(), minlength=width * len(block)).reshape(len(block), width)
        vectors[start : start + len(block)] = np.sqrt(counts / (block.shape[1] * block.shape[2]))
    return Embeddings.build(
        vectors,
        images.ids,
        images.labels,
        images.split,
        images.classes,
        columns=images.columns(np.arange(len(images))),
        name="colour histograms",
        layer="histogram",
        images=images.name,
        fingerprint=images.fingerprint,
    )
