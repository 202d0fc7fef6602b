"""Colour histograms: against counting pixel by pixel, and as a baseline that knows colours and no places."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from phispace.data.imageset import ImageSet
from phispace.embeddings.histograms import histograms
from phispace.errors import InputError


def images(pixels: np.ndarray) -> ImageSet:
    n = len(pixels)
    return ImageSet(
        images=pixels,
        labels=np.arange(n) % 2,
        ids=np.array([f"i{k}" for k in range(n)]),
        classes=("a", "b"),
        split=np.array(["train", "test"] * n)[:n],
        name="made",
    )


@pytest.mark.parametrize(("channels", "bins"), [(3, 2), (3, 5), (1, 7)])
def test_bins_are_counted_as_by_hand(channels, bins):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 4, channels), dtype=np.uint8)
    found = histograms(images(pixels), bins)
    edges = [256 * b / bins for b in range(bins + 1)]
    for image, row in zip(pixels.reshape(6, -1, channels), found.vectors, strict=True):
        for place, cell in enumerate(itertools.product(range(bins), repeat=channels)):
            inside = np.all([(image[:, c] >= edges[b]) & (image[:, c] < edges[b + 1]) for c, b in enumerate(cell)], 0)
            assert row[place] == pytest.approx(np.sqrt(inside.mean()), abs=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-6)


def test_places_do_not_count():
    pixels = np.random.default_rng(1).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    shuffled = pixels.reshape(64, 3)[np.random.default_rng(2).permutation(64)].reshape(pixels.shape)
    found = histograms(images(np.concatenate([pixels, shuffled, 255 - pixels])))
    assert found.vectors.shape == (3, 512)
    np.testing.assert_array_equal(found.vectors[0], found.vectors[1])
    assert not np.array_equal(found.vectors[0], found.vectors[2])
    assert found.column("image").tolist() == [0, 1, 2]


@pytest.mark.parametrize("bins", [1, 257, 60])
def test_too_few_and_too_many_bins(bins):
    with pytest.raises(InputError, match="2 to 256 bins"):
        histograms(images(np.zeros((2, 4, 4, 3), np.uint8)), bins)
