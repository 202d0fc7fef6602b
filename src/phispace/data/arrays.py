"""Images that come as arrays: their shape understood, their values brought to 0 .. 255 on one range, one size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np

from phispace.data.assemble import MAX_BAD, check_quarantine, keep_rows
from phispace.data.imageset import UNKNOWN, ImageSet, Quarantined
from phispace.data.labels import encode
from phispace.data.origin import Allocate
from phispace.data.ranges import Tally, ValueRange
from phispace.data.resize import default_size, fit, with_channels
from phispace.errors import DataError
from phispace.progress import Progress

_BLOCK_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Part:
    """One array of images.

    Attributes:
        key: its name; ids are `key/000000`, `key/000001` ...
        images: (N, H, W), (N, H, W, C), (N, C, H, W) or (N, D) with D a square.
        labels: an array of N labels, or None.
        split: which split its items belong to.
    """

    key: str
    images: np.ndarray
    labels: np.ndarray | None
    split: str


@dataclass(frozen=True)
class ArrayWishes:
    """What was asked for; None is to be found out."""

    size: int | None = None
    channels: int | None = None
    background: str = "white"
    max_bad: float = MAX_BAD
    classes: Sequence[str] | None = None


def from_arrays(
    parts: Sequence[Part],
    name: str,
    where: str,
    wishes: ArrayWishes,
    allocate: Allocate,
    progress: Progress,
    source: Mapping[str, Any],
) -> ImageSet:
    """One set of all parts, in their order.

    Raises:
        DataError: a shape, type or value that is not an image's; labels that do not fit.
    """
    shaped = [as_images(part.images, f"{part.key!r} of {where}") for part in parts]
    counts = [len(images) for images in shaped]
    if not sum(counts):
        raise DataError(f"{where} holds no images.")
    labels, classes = encode([part.labels for part in parts], counts, wishes.classes, where)
    sizes: Counter[tuple[int, int]] = Counter()
    for images, n in zip(shaped, counts, strict=True):
        sizes[(images.shape[2], images.shape[1])] += n
    size = wishes.size or default_size(sizes)
    colour = any(images.ndim == 4 and images.shape[3] > 1 for images in shaped)
    channels = wishes.channels or (3 if colour else 1)
    value_range = range_of(shaped)
    pixels = allocate((sum(counts), size, size, channels))
    bad: dict[int, str] = {}
    start = 0
    with progress.task("Reading images", sum(counts)) as task:
        for images in shaped:
            step = max(1, _BLOCK_BYTES // max(1, 8 * int(np.prod(images.shape[1:]))))
            for low in range(0, len(images), step):
                block = np.asarray(images[low : low + step])
                if block.dtype.kind == "f":
                    finite = np.isfinite(block).reshape(len(block), -1).all(axis=1)
                    bad |= {start + low + int(i): "holds values that are not finite" for i in np.flatnonzero(~finite)}
                    block = np.where(finite.reshape(-1, *[1] * (block.ndim - 1)), block, 0)
                values = block if value_range is None else value_range.to_uint8(block)
                pixels[start + low : start + low + len(block)] = _to_size(values, size, channels, wishes.background)
                task.advance(len(block))
            start += len(images)
    ids = np.array([f"{part.key}/{i:06d}" for part, n in zip(parts, counts, strict=True) for i in range(n)])
    kept = np.array([i for i in range(len(ids)) if i not in bad], np.int64)
    quarantine = [Quarantined(str(ids[i]), reason) for i, reason in bad.items()]
    check_quarantine(quarantine, len(kept), where, wishes.max_bad)
    record: dict[str, Any] = {
        **source,
        "size": size,
        "sizes": {f"{w}x{h}": n for (w, h), n in sizes.most_common(20)},
        "n_sizes": len(sizes),
        "modes": dict(Counter(_mode(images) for images, n in zip(shaped, counts, strict=True) for _ in range(n))),
    }
    if value_range is not None:
        record["range"] = value_range.record()
    split = np.repeat([part.split for part in parts], counts).astype("<U10")
    all_labels = np.concatenate(labels)
    if (all_labels != UNKNOWN).any():
        unlabelled = np.repeat([part.labels is None and part.split == "train" for part in parts], counts)
        split[unlabelled] = "unlabelled"
    return ImageSet(
        images=keep_rows(pixels, kept, allocate),
        labels=all_labels[kept],
        ids=ids[kept],
        classes=classes,
        split=split[kept],
        name=name,
        quarantine=tuple(quarantine),
        source=record,
    )


def as_images(array: np.ndarray, what: str) -> np.ndarray:
    """A view (N, H, W) or (N, H, W, C), C one of 1, 3, 4.

    Raises:
        DataError: no such shape, an empty side, or a type that no image has.
    """
    shape = array.shape
    if array.dtype.kind not in "buif" or array.dtype.itemsize > 8:
        raise DataError(f"{what} has type {array.dtype}; images are whole numbers, floats or booleans.")
    if array.ndim == 2 and shape[1] and isqrt(shape[1]) ** 2 == shape[1]:
        return array.reshape(shape[0], isqrt(shape[1]), isqrt(shape[1]))
    fits = array.ndim == 3
    if array.ndim == 4 and shape[3] in (1, 3, 4):
        fits = True
    elif array.ndim == 4 and shape[1] in (1, 3, 4):
        array, fits = array.transpose(0, 2, 3, 1), True
    if not fits or 0 in array.shape[1:] or max(array.shape[1:3], default=0) > 4096:
        raise DataError(
            f"{what} has shape {shape}; images are (N, H, W), (N, H, W, C), (N, C, H, W) with C = 1, 3 or 4, or flat "
            "rows of a square number of pixels, with sides of 1 to 4096."
        )
    return array[..., 0] if array.ndim == 4 and array.shape[3] == 1 else array


def range_of(shaped: Sequence[np.ndarray]) -> ValueRange | None:
    """The one range of all arrays, or None if their values are 0 .. 255 already."""
    low, high = np.inf, -np.inf
    whole = all(images.dtype.kind != "f" for images in shaped)
    for block in _blocks(shaped):
        finite = block[np.isfinite(block)] if block.dtype.kind == "f" else block
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if high < low:
        return None
    if whole and low >= 0 and 1 < high <= 255:
        return None
    if whole and low >= 0 and high <= 1:
        only_bytes = all(images.dtype == np.uint8 for images in shaped)
        return None if only_bytes and high < 1 else ValueRange(0.0, 1.0, "values are 0 and 1")
    tally = Tally()
    deep = whole and low >= 0 and high <= 65535
    for block in _blocks(shaped):
        finite = block[np.isfinite(block)] if block.dtype.kind == "f" else block
        tally.add(finite.astype(np.uint16) if deep else finite)
    return tally.range()


def _blocks(shaped: Sequence[np.ndarray]) -> Any:
    for images in shaped:
        step = max(1, _BLOCK_BYTES // max(1, images.itemsize * int(np.prod(images.shape[1:]))))
        for low in range(0, len(images), step):
            yield np.asarray(images[low : low + step])


def _to_size(values: np.ndarray, size: int, channels: int, background: str) -> np.ndarray:
    """uint8 (B, H, W) or (B, H, W, 3 or 4) -> (B, size, size, channels)."""
    if values.ndim == 4 and values.shape[3] == 4:
        alpha = values[..., 3:].astype(np.uint16)
        ground = {"white": 255, "black": 0}[background]
        values = ((values[..., :3] * alpha + ground * (255 - alpha) + 127) // 255).astype(np.uint8)
    if values.shape[1:3] == (size, size) and (values.ndim == 4 or channels == 1) and values.shape[3:] != (1,):
        if values.ndim == 3:
            return values[..., None]
        if channels == 3:
            return values
    return np.stack([with_channels(fit(np.ascontiguousarray(v), size), channels) for v in values])


def _mode(images: np.ndarray) -> str:
    kind = "grey" if images.ndim == 3 else {3: "RGB", 4: "RGBA"}[images.shape[3]]
    return f"{kind} {images.dtype}"
