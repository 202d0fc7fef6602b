"""The way from a vector to a map and from a small map to a large one, for decoders."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Upsample(nn.Module):
    """(B, C, h, w) -> (B, C, *size): pixel i becomes the pixels i s ... i s + s - 1, s = size // h.

    This is where a pooling with window s found them. What the pooling left over at the border (the last row of 11 when
    it went to 5) repeats the last pixel.
    """

    def __init__(self, before: tuple[int, int], size: tuple[int, int]) -> None:
        super().__init__()
        self.size = list(size)
        self.scale = (float(size[0] // before[0]), float(size[1] // before[1]))

    def forward(self, x: Tensor) -> Tensor:
        # `interpolate` takes a size or a scale; given both, the pixel of an odd size is floor(i / scale) as it should.
        repeated: Tensor = torch.ops.aten.upsample_nearest2d(x, self.size, *self.scale)
        return repeated

    def extra_repr(self) -> str:
        return f"size={tuple(self.size)}, scale={self.scale}"


class Unflatten(nn.Module):
    """(B, h w C) -> (B, C, h, w), lying channels_last in memory: no copy for the convolution that follows."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        channels, height, width = self.shape
        return x.reshape(-1, height, width, channels).permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        return f"shape={self.shape}"
