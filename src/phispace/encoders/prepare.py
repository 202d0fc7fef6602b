"""What a pretrained network wants of its images: their side, their channels, their mean and standard deviation.

The first stage of a backbone, so that it takes floats in [0, 1] of any side like every other encoder. In batch: a
resampling along one axis is a matrix A (R, S), so an image is A x Aᵀ, two matrix products for all images and channels
at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from phispace.encoders.base import Normalise

Fit = Literal["stretch", "pad"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]


@lru_cache(maxsize=64)
def resampling(size: int, resolution: int, interpolation: str) -> Tensor:
    """The matrix (resolution, size) that resamples one axis, as torch defines it; antialiased when it shrinks.

    Bicubic is Pillow's (a = -1/2), with which the networks were trained, and not torch's without antialiasing (-3/4).
    """
    unit = torch.eye(size)[None, None]
    if interpolation == "nearest":
        return F.interpolate(unit, size=(resolution, size), mode="nearest-exact")[0, 0]
    return F.interpolate(unit, size=(resolution, size), mode=interpolation, antialias=True)[0, 0]


def as_bytes(x: Tensor) -> Tensor:
    """Kept in [0, 1] and rounded to whole levels of 255, as Pillow's bytes are after each axis; the gradient passes.

    The networks were trained on such images and are not indifferent to it: of EfficientNet-Lite0 at 96 pixels the
    features of images without the rounding, a quarter of a level away on average, had a cosine of 0.997 with those of
    timm's own loop; with it they have 0.99999.
    """
    x = x.clamp(0, 1)
    rounded = (x * 255).round() / 255
    return x + (rounded - x).detach() if x.requires_grad else rounded


class Prepare(Normalise):
    """(B, C, H, W) in [0, 1] -> (B, C', R, R), channels_last: resized as Pillow does it, normalised.

        stretch    both axes to R
        pad        the longer axis to R, the other in proportion, centred on black; the same for square images

    Grey images (C = 1) become three equal channels unless the network takes one.

    Args:
        resolution: R.
        mean, std: of the network's training, per channel of the network.
        interpolation: nearest, bilinear or bicubic.
        fit: stretch or pad.
    """

    def __init__(
        self,
        resolution: int,
        mean: Sequence[float],
        std: Sequence[float],
        interpolation: Interpolation = "bicubic",
        fit: Fit = "stretch",
    ) -> None:
        super().__init__(len(mean))
        self.resolution = resolution
        self.interpolation = interpolation
        self.fit = fit
        self.mean.copy_(torch.tensor(mean).view(1, -1, 1, 1))
        self.std.copy_(torch.tensor(std).view(1, -1, 1, 1))

    def measure(self, images: np.ndarray) -> None:
        """Nothing: the statistics are those that the network was trained with."""

    def facts(self) -> dict[str, Any]:
        """For a run's record."""
        return {
            "resolution": self.resolution,
            "interpolation": self.interpolation,
            "fit": self.fit,
            "mean": self.mean.flatten().tolist(),
            "std": self.std.flatten().tolist(),
        }

    def resized(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, R, R), values in [0, 1]."""
        height, width = x.shape[-2:]
        side = self.resolution
        if (height, width) == (side, side):
            return x
        longest = max(height, width)
        high, wide = (
            (side, side) if self.fit == "stretch" else (max(1, round(n * side / longest)) for n in (height, width))
        )
        rows = resampling(height, high, self.interpolation).to(x)
        columns = resampling(width, wide, self.interpolation).to(x)
        # bf16 would take pixels to 8 bits less than they have
        with torch.autocast(x.device.type, enabled=False):
            x = as_bytes(rows @ as_bytes(x.float() @ columns.T))
        top, left = (side - high) // 2, (side - wide) // 2
        return F.pad(x, (left, side - wide - left, top, side - high - top)) if (high, wide) != (side, side) else x

    def forward(self, x: Tensor) -> Tensor:
        x = self.resized(x)
        if x.shape[1] != self.mean.shape[1]:
            x = x.expand(-1, self.mean.shape[1], -1, -1)
        return super().forward(x).contiguous(memory_format=torch.channels_last)
