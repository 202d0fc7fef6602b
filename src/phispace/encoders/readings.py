"""Other readings of a layer: the mean over an image and its mirror image, or what it says of the resized image.

They stand behind a layer's name: `features+mirror`, `block2+40px`, `features+40px+mirror`. A network trained on crops
has seen objects larger than they are in whole images; docs/encoders.md has what it brings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from phispace.data.resize import LARGEST, SMALLEST
from phispace.errors import InputError

MIRROR = "mirror"

Taps = Callable[[Tensor, tuple[str, ...]], dict[str, Tensor]]


@dataclass(frozen=True)
class Reading:
    """Attributes: the layer; mean with the mirror image's; side in pixels that images are resized to, or None."""

    layer: str
    mirror: bool = False
    side: int | None = None


def reading(name: str) -> Reading:
    """What a name stands for: a layer, with `+mirror`, `+40px` or both behind it in any order.

    Raises:
        InputError: anything else behind a `+`, one of them twice, or a side that is not 4 to 1024.
    """
    layer, *marks = name.split("+")
    mirror, side = False, None
    for mark in marks:
        digits = mark.removesuffix("px")
        if mark == MIRROR and not mirror:
            mirror = True
        elif mark != digits and digits.isascii() and digits.isdigit() and side is None:
            side = int(digits[:9])
            if not SMALLEST <= side <= LARGEST:
                raise InputError(f"Images are read at sides of {SMALLEST} to {LARGEST} pixels; got {name!r}.")
        else:
            raise InputError(
                f"No such reading of a layer: {name!r}. Behind the layer's name there can be, each once, '+{MIRROR}' "
                "(mean with the mirror image) and '+40px' (images resized to this side)."
            )
    return Reading(layer, mirror, side)


def at_side(images: Tensor, side: int) -> Tensor:
    """Images (B, C, H, W) resized to (B, C, side, side), bilinear, antialiased; or the same tensor if they are so."""
    if images.shape[-2:] == (side, side):
        return images
    resized = F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
    return resized.contiguous(memory_format=torch.channels_last)


def read(taps: Taps, x: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Readings by name, each pass of images (B, C, H, W) through the network made once.

    Maps (B, D, h, w) of mirror images are mirrored back before the mean is taken.
    """
    wanted = {name: reading(name) for name in names}
    passes: dict[tuple[int | None, bool], dict[str, None]] = {}
    for one in wanted.values():
        for mirrored in (False, True) if one.mirror else (False,):
            passes.setdefault((one.side, mirrored), {})[one.layer] = None
    found = {}
    for (side, mirrored), layers in passes.items():
        seen = x if side is None else at_side(x, side)
        found[side, mirrored] = taps(seen.flip(-1) if mirrored else seen, tuple(layers))
    out = {}
    for name, one in wanted.items():
        value = found[one.side, False][one.layer]
        if one.mirror:
            other = found[one.side, True][one.layer]
            value = (value + (other.flip(-1) if other.ndim == 4 else other)) / 2
        out[name] = value
    return out
