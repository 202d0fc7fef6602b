"""The usual network of studies of disentanglement: strided convolutions, and transposed ones back."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.norm import glorot_
from phispace.encoders.options import Count
from phispace.encoders.upward import Unflatten

WIDTHS, KERNELS = (32, 32, 64, 64), (4, 4, 2, 2)
"""Channels and kernels of the convolutions, each of stride 2."""

DENSE = 256


class VAEStrided(Encoder):
    """Four convolutions of stride 2, each followed by ReLU, a dense layer and a linear code, with a decoder of its own.

        conv1 4x4, 32 · conv2 4x4, 32 · conv3 2x2, 64 · conv4 2x2, 64 · fc1 dense 256 · features linear 10

    Every convolution halves the side (rounded up), so that 64 pixels become 4. The decoder goes

        dense 256 · dense 64 x 4 x 4 · transposed convolutions 4x4 of stride 2: 64, 32, 32, C

    with ReLU between; what a rounded side has too much is cut off.

    Layers, in order: `conv1` ... `conv4` (after ReLU), `fc1` (after ReLU), `features`, the code.

    Options:
        code: values of the code.

    Glorot uniform weights, zero biases.

    Source: Higgins et al., "beta-VAE", ICLR 2017, table 1, row 3, as Locatello et al., "Challenging Common Assumptions
    in the Unsupervised Learning of Disentangled Representations", ICML 2019, train it on images of 64 x 64. Departure:
    images are normalised by their mean and standard deviation first, as in every encoder here.
    """

    def __init__(self, channels: int, size: int, *, code: Count = 10) -> None:
        super().__init__(channels, size)
        self.stages["normalise"] = Normalise(channels)
        inputs, sides = channels, [size]
        for number, (outputs, kernel) in enumerate(zip(WIDTHS, KERNELS, strict=True), start=1):
            self.stages[f"conv{number}"] = nn.Sequential(Halving(inputs, outputs, kernel, sides[-1]), nn.ReLU())
            inputs = outputs
            sides.append(math.ceil(sides[-1] / 2))
        self.stages["fc1"] = nn.Sequential(nn.Flatten(), nn.Linear(inputs * sides[-1] ** 2, DENSE), nn.ReLU())
        self.stages["features"] = nn.Linear(DENSE, code)
        self._code, self._sides = code, tuple(sides)
        glorot_(self)

    def decoder(self) -> nn.Module:
        """The published decoder, up to the values before its sigmoid."""
        *larger, least = self._sides
        widths = (WIDTHS[2], WIDTHS[1], WIDTHS[0], self.channels)
        inputs = WIDTHS[3]
        modules: list[nn.Module] = [
            nn.Linear(self._code, DENSE), nn.ReLU(), nn.Linear(DENSE, inputs * least**2), nn.ReLU(),
            Unflatten((inputs, least, least)),
        ]  # fmt: skip
        for side, outputs in zip(reversed(larger), widths, strict=True):
            modules += [Doubling(inputs, outputs, side), nn.ReLU()]
            inputs = outputs
        decoder = nn.Sequential(*modules[:-1])
        glorot_(decoder)
        return decoder


class Halving(nn.Conv2d):
    """A convolution of stride 2 from a side to half of it, rounded up; zeros beyond the border, more of them at the
    end where they do not divide evenly (TensorFlow's `same`).

    Args:
        inputs, outputs: channels.
        kernel: its side.
        side: of the maps that come in.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, side: int) -> None:
        super().__init__(inputs, outputs, kernel, stride=2)
        missing = max(0, 2 * (math.ceil(side / 2) - 1) + kernel - side)
        self.border = (missing // 2, missing - missing // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.border) if any(self.border) else x)


class Doubling(nn.ConvTranspose2d):
    """A transposed 4x4 convolution of stride 2 from (B, C, h, w) to (B, D, side, side) with side 2 h or 2 h - 1."""

    def __init__(self, inputs: int, outputs: int, side: int) -> None:
        super().__init__(inputs, outputs, 4, stride=2, padding=1)
        self.side = side

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return super().forward(x, output_size)[:, :, : self.side, : self.side]
