"""Other readings of a layer: mean with the mirror image, of the resized image, means of a grid, or several joined.

They stand behind a layer's name: `features+mirror`, `block2+40px`, `group2+2x2`, `features+40px+mirror`; a comma joins
layers, each read in its own way, to one vector: `features+mirror,group2+2x2`. docs/encoders.md has what they bring.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from phispace.data.resize import LARGEST, SMALLEST
from phispace.errors import InputError

_SIDE, _GRID = re.compile(r"([0-9]+)px"), re.compile(r"([1-9][0-9]{0,2})x\1")

Taps = Callable[[Tensor, tuple[str, ...]], dict[str, Tensor]]


@dataclass(frozen=True)
class Reading:
    """How one layer is read.

    Attributes:
        layer: its name.
        mirror: the mean with the mirror image's.
        side: in pixels, that images are resized to, or None.
        grid: cells along each side of which a map's means are taken, or None.
    """

    layer: str
    mirror: bool = False
    side: int | None = None
    grid: int | None = None


def is_reading(name: str) -> bool:
    """Whether this is more than a layer's name."""
    return "+" in name or "," in name


def readings(name: str) -> tuple[Reading, ...]:
    """What a name stands for: layers joined by commas, each with `+mirror`, `+40px`, `+2x2` behind it in any order.

    Raises:
        InputError: anything else behind a `+`, one of them twice, or a side that is not 4 to 1024.
    """
    return tuple(_reading(part) for part in name.split(","))


def _reading(name: str) -> Reading:
    layer, *marks = name.split("+")
    found: dict[str, int | bool] = {}
    for mark in marks:
        side, grid = _SIDE.fullmatch(mark), _GRID.fullmatch(mark)
        kind = "mirror" if mark == "mirror" else "side" if side else "grid" if grid else ""
        if not kind or kind in found:
            raise InputError(
                f"No such reading of a layer: {name!r}. Behind the layer's name there can be, each once, '+mirror' "
                "(mean with the mirror image), '+40px' (images resized to this side) and '+2x2' (means of quadrants)."
            )
        found[kind] = int(side[1][:9]) if side else int(grid[1]) if grid else True
    if "side" in found and not SMALLEST <= found["side"] <= LARGEST:
        raise InputError(f"Images are read at sides of {SMALLEST} to {LARGEST} pixels; got {name!r}.")
    return Reading(layer, **found)  # type: ignore[arg-type]


def at_side(images: Tensor, side: int) -> Tensor:
    """Images (B, C, H, W) resized to (B, C, side, side), bilinear, antialiased; or the same tensor if they are so."""
    if images.shape[-2:] == (side, side):
        return images
    resized = F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
    return resized.contiguous(memory_format=torch.channels_last)


def read(taps: Taps, x: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Readings by name, each pass of images (B, C, H, W) through the network made once.

    Maps (B, D, h, w) of mirror images are mirrored back before the mean is taken. Joined layers are (B, D).

    Raises:
        InputError: a grid of a layer that is no map, or is smaller.
    """
    wanted = {name: readings(name) for name in names}
    passes: dict[tuple[int | None, bool], dict[str, None]] = {}
    for one in (one for parts in wanted.values() for one in parts):
        for mirrored in (False, True) if one.mirror else (False,):
            passes.setdefault((one.side, mirrored), {})[one.layer] = None
    found = {}
    for (side, mirrored), layers in passes.items():
        seen = x if side is None else at_side(x, side)
        found[side, mirrored] = taps(seen.flip(-1) if mirrored else seen, tuple(layers))

    def value(one: Reading) -> Tensor:
        value = found[one.side, False][one.layer]
        if one.mirror:
            other = found[one.side, True][one.layer]
            value = (value + (other.flip(-1) if other.ndim == 4 else other)) / 2
        return value if one.grid is None else _means(value, one)

    out = {}
    for name, parts in wanted.items():
        values = [value(one) for one in parts]
        out[name] = values[0] if len(values) == 1 else torch.cat([v.flatten(1) for v in values], 1)
    return out


def _means(value: Tensor, one: Reading) -> Tensor:
    if value.ndim != 4 or min(value.shape[2:]) < (one.grid or 1):
        shape = " x ".join(map(str, value.shape[1:]))
        raise InputError(f"The layer {one.layer!r} ({shape}) is no map of {one.grid} x {one.grid} places or more.")
    return F.adaptive_avg_pool2d(value, one.grid or 1)
