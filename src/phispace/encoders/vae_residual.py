"""A residual encoder for variational autoencoders: no normalisation layers, a linear code."""

from __future__ import annotations

import math

from torch import nn

from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.options import Count
from phispace.encoders.residual import ResidualBlock, halved_sides
from phispace.encoders.residual_decoder import ResidualDecoder


class VAEResidual(Encoder):
    """Residual blocks at sides that are halved by strided convolutions down to 4 pixels, then a linear code.

    Its decoder is the way back, `ResidualDecoder`, of the same width and blocks.

    Layers, in order: `stem` (a 3x3 convolution), `level1` ... (the blocks of one side; from the second on after a
    convolution of stride 2), `features` (the code, linear).

    Options:
        width: channels of the first side; all later ones have twice as many.
        blocks: residual blocks of each side.
        code: values of the code.
    """

    def __init__(self, channels: int, size: int, *, width: Count = 32, blocks: Count = 1, code: Count = 64) -> None:
        super().__init__(channels, size)
        self.back = (code, width, blocks)
        sides = halved_sides(size)
        scale = 1 / math.sqrt(blocks * len(sides))
        self.stages["normalise"] = Normalise(channels)
        self.stages["stem"] = nn.Conv2d(channels, width, 3, padding=1)
        inputs = width
        for number in range(1, len(sides) + 1):
            outputs = width if number == 1 else 2 * width
            steps: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, 2, 1)] if number > 1 else []
            steps += [ResidualBlock(outputs, scale) for _ in range(blocks)]
            self.stages[f"level{number}"] = nn.Sequential(*steps)
            inputs = outputs
        self.stages["features"] = nn.Sequential(nn.SiLU(), nn.Flatten(), nn.Linear(inputs * sides[-1] ** 2, code))

    def decoder(self) -> nn.Module:
        """A `ResidualDecoder` of the same width and blocks, linear in its last layer."""
        code, width, blocks = self.back
        return ResidualDecoder(code, self.channels, self.size, width, blocks)
