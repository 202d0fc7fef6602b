"""The published autoencoder of MNIST into two dimensions: its encoder, and the decoder that goes with it."""

from __future__ import annotations

from torch import nn

from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.norm import BatchNorm1d, BatchNorm2d, glorot_
from phispace.encoders.options import Count
from phispace.encoders.upward import Unflatten, Upsample

WIDTHS = (32, 32, 16, 16, 8)
"""Channels of the encoder's convolutions; the decoder's are the same in reverse order."""

POOLED = (1, 3)
"""Convolutions that a pooling follows."""


class Autoencoder2D(Encoder):
    """Five 3x3 convolutions and a linear code of two values, with a decoder of its own.

        conv 32 · pool · conv 32, conv 16 · pool · conv 16, conv 8 · dense 2, linear

    Each convolution keeps the size and is followed by ReLU, then batch normalisation; poolings are maxima over 2x2
    pixels, so the maps of MNIST are 28, 14 and 7 pixels wide. The decoder normalises the code over the batch, then

        dense 8*7*7 · conv 8, conv 16 · up · conv 16, conv 32 · up · conv 32 · conv 1

    with ReLU and batch normalisation after each but the last, whose values become pixels by the method's output (a
    sigmoid in the source). Going up repeats pixels.

    Layers, in order: `block1` ... `block5` (each convolution after ReLU and batch normalisation), with `pool1` after
    `block1` and `pool2` after `block3`; `features`, the code.

    Options:
        code: values of the code.

    Glorot uniform weights, zero biases.

    Source: a course's unit on representation learning. It gives the widths, their order, the place of batch
    normalisation, the linear code and the sigmoid; its text names a pooling after the third group, its code has two,
    which is followed here. Kernels of 3x3 with zero padding, pooling by maxima and going up by repeating are our
    reading. Departures: the image is normalised by its mean and standard deviation before the first convolution, as in
    every encoder here; where the map is a single pixel (images under 8 pixels), pooling is left out.
    """

    def __init__(self, channels: int, size: int, *, code: Count = 2) -> None:
        super().__init__(channels, size)
        self.stages["normalise"] = Normalise(channels)
        inputs, sides = channels, [size]
        for number, outputs in enumerate(WIDTHS, start=1):
            self.stages[f"block{number}"] = _convolution(inputs, outputs)
            inputs = outputs
            if number in POOLED:
                side = max(1, sides[-1] // 2)
                self.stages[f"pool{len(sides)}"] = nn.MaxPool2d(2) if side < sides[-1] else nn.Identity()
                sides.append(side)
        self.stages["features"] = nn.Sequential(nn.Flatten(), nn.Linear(inputs * sides[-1] ** 2, code))
        self._code, self._sides = code, tuple(sides)
        glorot_(self)

    def decoder(self) -> nn.Module:
        """The published decoder, up to the values before its sigmoid."""
        side, *larger = reversed(self._sides)
        inputs = WIDTHS[-1]
        modules: list[nn.Module] = [
            BatchNorm1d(self._code), nn.Linear(self._code, inputs * side**2), nn.ReLU(inplace=True),
            BatchNorm1d(inputs * side**2), Unflatten((inputs, side, side)),
        ]  # fmt: skip
        for place, outputs in enumerate(reversed(WIDTHS), start=1):
            modules.append(_convolution(inputs, outputs))
            inputs = outputs
            if len(WIDTHS) - place in POOLED:
                before, side = side, larger.pop(0)
                scale = 2 if before < side else 1
                modules.append(Upsample((scale, scale), (side, side)))
        decoder = nn.Sequential(*modules, nn.Conv2d(inputs, self.channels, 3, padding=1))
        glorot_(decoder)
        return decoder


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True), BatchNorm2d(outputs))
