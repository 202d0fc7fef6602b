"""A residual decoder from a code of any size to images of any side."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from phispace.encoders.residual import ResidualBlock, halved_sides


class ResidualDecoder(nn.Module):
    """Codes (B, D) -> images (B, C, H, W), linear in the last layer.

    A dense layer onto a map of at most 4 pixels a side, then residual blocks; each larger side by nearest-neighbour
    enlargement (to the very sides of the encoder's way down, 4, 7, 14, 28) and a convolution. Enlargement before a
    convolution avoids the checkerboards of transposed ones (Odena et al., Distill 2016).

    Args:
        code: D.
        channels, size: of the images.
        width: channels at the full side; twice as many at the smaller ones.
        blocks: residual blocks of each side.
    """

    def __init__(self, code: int, channels: int, size: int, width: int = 32, blocks: int = 1) -> None:
        super().__init__()
        sides = halved_sides(size)[::-1]
        scale = 1 / math.sqrt(blocks * len(sides))
        self.sides = sides
        inputs = width if len(sides) == 1 else 2 * width
        self.first = nn.Sequential(
            nn.Linear(code, inputs * sides[0] ** 2), nn.Unflatten(1, (inputs, sides[0], sides[0]))
        )
        self.levels = nn.ModuleList()
        for side in sides:
            outputs = width if side == size else 2 * width
            steps: list[nn.Module] = [] if side == sides[0] else [nn.Conv2d(inputs, outputs, 3, padding=1)]
            steps += [ResidualBlock(outputs, scale) for _ in range(blocks)]
            self.levels.append(nn.Sequential(*steps))
            inputs = outputs
        self.last = nn.Sequential(nn.SiLU(), nn.Conv2d(inputs, channels, 3, padding=1))

    def forward(self, codes: Tensor) -> Tensor:
        x = self.first(codes)
        for side, level in zip(self.sides, self.levels, strict=True):
            if x.shape[-1] != side:
                x = F.interpolate(x, size=(side, side), mode="nearest")
            x = level(x)
        out: Tensor = self.last(x)
        return out
