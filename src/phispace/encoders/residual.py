"""Residual blocks without normalisation layers, and the sides of the maps that they work at."""

from __future__ import annotations

import math

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + conv(SiLU(conv(SiLU(x)))), both 3x3, for maps (B, C, h, w); the second one's weights begin scaled down.

    Args:
        width: channels.
        scale: factor of the last weights at the start; 1 / sqrt(number of blocks) keeps the output's variance.

    Source: the residual blocks without normalisation of Child, "Very Deep VAEs", 2021, section 3, with one 3x3 pair
    in place of the bottleneck.
    """

    def __init__(self, width: int, scale: float) -> None:
        super().__init__()
        last = nn.Conv2d(width, width, 3, padding=1)
        last.weight.data.mul_(scale)
        self.branch = nn.Sequential(nn.SiLU(), nn.Conv2d(width, width, 3, padding=1), nn.SiLU(), last)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.branch(x)
        return out


def halved_sides(size: int, least: int = 4) -> tuple[int, ...]:
    """The sides of the maps, halved (rounded up) while they are over `least`: 28 -> (28, 14, 7, 4)."""
    sides = [size]
    while sides[-1] > least:
        sides.append(math.ceil(sides[-1] / 2))
    return tuple(sides)
