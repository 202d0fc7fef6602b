"""Rotation and shift by fractions of a pixel: one bilinear resampling, filled with the nearest pixel."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from phispace.data.views.base import View, check_number, to_float


class ShiftRotate(View):
    """Rotation about the centre, shift and mirroring, as Keras' ImageDataGenerator draws and applies them.

    The angle is uniform in [-degrees, degrees], the shifts uniform in [-shift, shift] times the side, independent on
    both axes; mirroring comes last.

    Options:
        degrees: largest angle.
        shift: largest shift as a share of the side.
        flip: share of the images that are mirrored left to right.

    Source: `keras.preprocessing.image.ImageDataGenerator(rotation_range, width_shift_range, height_shift_range,
    horizontal_flip, fill_mode="nearest")` with its default first-order interpolation.
    """

    OPTIONS: ClassVar[tuple[str, ...]] = ("degrees", "shift", "flip")

    def __init__(self, size: int, degrees: float = 15.0, shift: float = 0.1, flip: float = 0.5) -> None:
        super().__init__(size)
        self.degrees = check_number("degrees", degrees, 180)
        self.shift = check_number("shift", shift, 1)
        self.flip = check_number("flip", flip, 1)

    def augment(self, images: Tensor, rng: torch.Generator) -> Tensor:
        drawn = torch.rand((4, len(images)), generator=rng)
        angle = (2 * drawn[0] - 1) * math.radians(self.degrees)
        down = (2 * drawn[1] - 1) * (self.shift * self.size)
        right = (2 * drawn[2] - 1) * (self.shift * self.size)
        return shift_rotate(to_float(images), angle, down, right, drawn[3] < self.flip)


def shift_rotate(images: Tensor, angle: Tensor, down: Tensor, right: Tensor, flips: Tensor) -> Tensor:
    """Resample: the result at p is the image at R(p - c + t) + c, with p = (row, column) and c the centre.

    R = [[cos, -sin], [sin, cos]] and t = (down, right), Keras' order of the two; then mirroring.

    Args:
        images: float (B, C, H, H).
        angle: radians (B,); down, right: pixels (B,); flips: bool (B,).

    Returns:
        float (B, C, H, H), channels_last; all-zero parameters give the same image.
    """
    side = images.shape[-1]
    unit = 2.0 / side  # a pixel in grid_sample's coordinates, where the image spans [-1, 1] (align_corners=False)
    cos, sin = angle.cos(), angle.sin()
    sign = 1.0 - 2.0 * flips.to(angle.dtype)  # mirroring negates the column measured from the centre
    theta = torch.stack(
        [
            torch.stack([cos * sign, sin, (cos * right + sin * down) * unit], dim=1),
            torch.stack([-sin * sign, cos, (cos * down - sin * right) * unit], dim=1),
        ],
        dim=1,
    ).to(images.device)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    sampled = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled.contiguous(memory_format=torch.channels_last)
