"""Moves by whole pixels and mirroring: one gather on uint8 bytes."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from phispace.data.views.base import View, check_number, to_float
from phispace.errors import InputError

FILLS = ("reflect", "border", "black")


class Move(View):
    """Each image moved by a whole number of pixels, uniform in [-shift, shift] on both axes, then mirrored by chance.

    The same as a crop at a random place of the image padded by `shift` pixels.

    Options:
        shift: largest move in pixels.
        flip: share of the images that are mirrored left to right.
        fill: what lies beyond the border: its reflection (edge not repeated), its nearest pixel, or black.
    """

    OPTIONS: ClassVar[tuple[str, ...]] = ("shift", "flip", "fill")

    def __init__(self, size: int, shift: int = 0, flip: float = 0.5, fill: str = "reflect") -> None:
        super().__init__(size)
        if fill not in FILLS:
            raise InputError(f"The option 'fill' is one of {', '.join(FILLS)}; got {fill!r}.")
        if not isinstance(shift, int) or not 0 <= shift < size:
            raise InputError(f"The option 'shift' is a whole number of pixels from 0 to {size - 1}; got {shift!r}.")
        self.shift = shift
        self.flip = check_number("flip", flip, 1)
        self.fill = fill

    def augment(self, images: Tensor, rng: torch.Generator) -> Tensor:
        count = len(images)
        moves = torch.randint(-self.shift, self.shift + 1, (2, count), generator=rng)
        flips = torch.rand(count, generator=rng) < self.flip
        return to_float(move(images, moves[0], moves[1], flips, self.fill))


def move(images: Tensor, down: Tensor, right: Tensor, flips: Tensor, fill: str) -> Tensor:
    """Shift, then mirror: the result at (y, x) is the image at (y + down, x' + right), x' = x or size - 1 - x.

    Args:
        images: uint8 (B, C, H, W), best channels_last.
        down, right: int64 (B,).
        flips: bool (B,).
        fill: one of `FILLS`.

    Returns:
        uint8 (B, C, H, W), channels_last.
    """
    count, channels, height, width = images.shape
    device = images.device
    down, right, flips = down.to(device), right.to(device), flips.to(device)
    columns = torch.arange(width, device=device)
    y = down[:, None] + torch.arange(height, device=device)
    x = right[:, None] + torch.where(flips[:, None], width - 1 - columns, columns)
    rows, cols = _inside(y, height, fill), _inside(x, width, fill)
    base = torch.arange(count, device=device)[:, None] * height + rows
    flat = base[:, :, None] * width + cols[:, None, :]
    pixels = images.permute(0, 2, 3, 1).reshape(-1, channels)
    if fill == "black":
        seen = (y == rows)[:, :, None] & (x == cols)[:, None, :]
        flat = torch.where(seen, flat, len(pixels))  # one black pixel more, at the end
        pixels = torch.cat([pixels, pixels.new_zeros(1, channels)])
    moved = pixels.index_select(0, flat.view(-1)).view(count, height, width, channels)
    return moved.permute(0, 3, 1, 2)


def _inside(place: Tensor, side: int, fill: str) -> Tensor:
    """Coordinates brought back into [0, side)."""
    if fill == "reflect":
        place = place.abs()
        return side - 1 - (side - 1 - place).abs()
    return place.clamp(0, side - 1)
