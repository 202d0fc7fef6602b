"""Two domains as one set of images: what is learnt on both and told apart on one is tested on the other.

A second domain may be another set of the same classes, or the same images changed as a whole (`make_domain`):

    inverted   255 - x
    noisy      max(x, u), u uniform in 0 .. 255 for each pixel value, after the sets `bg-rand` of Larochelle et al. 2007
    coloured   (255 - x) background / 255 + x foreground / 255, two colours drawn for each image; grey images only
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from phispace.data.imageset import UNKNOWN, ImageSet
from phispace.errors import InputError
from phispace.randomness import rng

LEAST_CONTRAST = 100.0
"""Distance between the two colours of a coloured image, in RGB values; two random colours lie 169 apart on average."""


def make_domain(images: ImageSet, change: str, *, seed: int = 0) -> ImageSet:
    """The same images as another domain: pixels changed, everything else kept.

    Args:
        images: any set.
        change: `inverted`, `noisy` or `coloured` (which has three channels), or a variant such as
            `corrupt/impulse-noise/4`, see `phispace.data.variants`.
        seed: of the draws; an image's depends on its id and not on the others.

    Raises:
        InputError: no such change, or colour images that are to be coloured.
    """
    if "/" in change:
        from phispace.data.variants import make_variant

        variant = make_variant(images, change, seed=seed)
        pixels = np.asarray(variant.images[np.arange(len(images))])
    elif change in CHANGES:
        pixels = CHANGES[change](images, seed)
    else:
        raise InputError(
            f"There is no domain {change!r}; there are {', '.join(CHANGES)}, and the variants, for example "
            "corrupt/impulse-noise/4."
        )
    source = {**images.source, "domain": change, "domain_seed": seed}
    return replace(images, images=pixels, name=f"{images.name} {change}", source=source, known_fingerprint=None)


def in_colour(images: ImageSet) -> ImageSet:
    """Grey images with their channel three times; colour images as they are."""
    if images.shape[0] == 3:
        return images
    return replace(images, images=np.repeat(np.asarray(images.images), 3, axis=-1), known_fingerprint=None)


def _inverted(images: ImageSet, seed: int) -> np.ndarray:
    return 255 - np.asarray(images.images)


def _noisy(images: ImageSet, seed: int) -> np.ndarray:
    pixels = np.array(images.images)
    for place, name in enumerate(images.ids):
        noise = rng(seed, "domain/noisy", str(name)).integers(0, 256, pixels.shape[1:], np.uint8)
        np.maximum(pixels[place], noise, out=pixels[place])
    return pixels


def _coloured(images: ImageSet, seed: int) -> np.ndarray:
    if images.shape[0] != 1:
        raise InputError(f"{images.name!r} has colours already; only grey images can be coloured.")
    share = np.asarray(images.images).astype(np.float32) / 255
    colours = np.stack([_two_colours(seed, str(name)) for name in images.ids])[:, :, None, None]
    return np.rint((1 - share) * colours[:, 0] + share * colours[:, 1]).astype(np.uint8)


def _two_colours(seed: int, name: str) -> np.ndarray:
    """Background and foreground, float32 (2, 3), at least `LEAST_CONTRAST` apart."""
    draws = rng(seed, "domain/coloured", name)
    while True:
        colours = draws.integers(0, 256, (2, 3)).astype(np.float32)
        if np.linalg.norm(colours[0] - colours[1]) >= LEAST_CONTRAST:
            return colours


CHANGES: dict[str, Callable[[ImageSet, int], np.ndarray]] = {
    "inverted": _inverted,
    "noisy": _noisy,
    "coloured": _coloured,
}


def adaptation_set(source: ImageSet, target: ImageSet) -> ImageSet:
    """Labelled images of a source domain and images of a target domain without their labels.

        train, val    the source's, with labels
        unlabelled    the target's train, val and unlabelled images; labels hidden
        test          the target's, with labels

    A method that uses no labels trains on the images of both domains (train and unlabelled); every evaluation then
    fits its classifier on the source and tests it on the target. The source's own test images are left out.

    Args:
        source, target: images of one size with the same classes; pixels are copied.

    Returns:
        ids begin with the set's name, made distinct if both have the same.

    Raises:
        InputError: sizes or classes that differ.
    """
    if source.shape != target.shape:
        raise InputError(
            f"Both domains need images alike; {source.name!r} has (C, H, W) = {source.shape} and {target.name!r} "
            f"{target.shape}. Load both with the same --size."
        )
    if source.classes != target.classes:
        raise InputError(
            f"Both domains need the same classes; {source.name!r} has {', '.join(source.classes) or 'none'} and "
            f"{target.name!r} {', '.join(target.classes) or 'none'}."
        )
    names = (source.name, target.name) if source.name != target.name else (source.name, f"{target.name} (target)")
    ours, theirs = source.where("train", "val"), target.where("train", "val", "unlabelled", "test")
    tested = target.split[theirs] == "test"
    return ImageSet(
        images=np.concatenate([source.images[ours], target.images[theirs]]),
        labels=np.concatenate([source.labels[ours], np.where(tested, target.labels[theirs], UNKNOWN)]),
        ids=np.array([f"{names[0]}:{i}" for i in source.ids[ours]] + [f"{names[1]}:{i}" for i in target.ids[theirs]]),
        classes=source.classes,
        split=np.concatenate([source.split[ours], np.where(tested, "test", "unlabelled")]),
        name=f"{source.name}-to-{target.name}",
        source={"domains": list(names), "fingerprints": [source.fingerprint, target.fingerprint]},
    )
