"""Moves by whole pixels, mirroring and cutout: one gather on uint8 bytes."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from phispace.data.views.base import View, check_number, to_float
from phispace.errors import InputError

FILLS = ("reflect", "border", "black")
GREY = 128
"""What a cut-out square shows: the middle of the range, near the mean of photographs."""


class Move(View):
    """Each image moved by a whole number of pixels, uniform in [-shift, shift] on both axes, then mirrored by chance.

    The same as a crop at a random place of the image padded by `shift` pixels. With `cutout`, a square at a random
    place is then grey: its centre is uniform over the image, so that it may reach over the border (DeVries and
    Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", arXiv 1708.04552).

    Options:
        shift: largest move in pixels.
        flip: share of the images that are mirrored left to right.
        fill: what lies beyond the border: its reflection (edge not repeated), its nearest pixel, or black.
        cutout: side of the grey square as a share of the image's, rounded to pixels; 0: none.
    """

    OPTIONS: ClassVar[tuple[str, ...]] = ("shift", "flip", "fill", "cutout")

    def __init__(self, size: int, shift: int = 0, flip: float = 0.5, fill: str = "reflect", cutout: float = 0) -> None:
        super().__init__(size)
        if fill not in FILLS:
            raise InputError(f"The option 'fill' is one of {', '.join(FILLS)}; got {fill!r}.")
        if not isinstance(shift, int) or not 0 <= shift < size:
            raise InputError(f"The option 'shift' is a whole number of pixels from 0 to {size - 1}; got {shift!r}.")
        self.shift = shift
        self.cutout = round(check_number("cutout", cutout, 1) * size)
        self.flip = check_number("flip", flip, 1)
        self.fill = fill

    def augment(self, images: Tensor, rng: torch.Generator) -> Tensor:
        count = len(images)
        moves = torch.randint(-self.shift, self.shift + 1, (2, count), generator=rng)
        flips = torch.rand(count, generator=rng) < self.flip
        moved = move(images, moves[0], moves[1], flips, self.fill)
        if self.cutout:
            centres = torch.randint(0, self.size, (2, count), generator=rng)
            moved = cut_out(moved, centres[0], centres[1], self.cutout)
        return to_float(moved)


def cut_out(images: Tensor, row: Tensor, column: Tensor, side: int) -> Tensor:
    """A grey square of `side` pixels in each image, its middle at (row, column), clipped at the border.

    Args:
        images: uint8 (B, C, H, W).
        row, column: int64 (B,).
        side: of the square; where it is even, it reaches one pixel further up and left.
    """
    height, width = images.shape[-2:]
    covered = [
        (torch.arange(extent) - place[:, None] + side // 2).div(side, rounding_mode="floor") == 0
        for extent, place in ((height, row), (width, column))
    ]
    square = covered[0][:, None, :, None] & covered[1][:, None, None, :]
    return images.masked_fill(square.to(images.device), GREY)


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
