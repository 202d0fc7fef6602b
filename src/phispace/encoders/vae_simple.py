"""The small convolutional network of the published variational autoencoders, with its code as the last stage."""

from __future__ import annotations

from torch import nn

from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.norm import glorot_
from phispace.encoders.options import Count, Widths


class VAESimple(Encoder):
    """Convolutions 3x3 without padding, each followed by ReLU and 2x2 max pooling, then dense layers and a linear code.

        conv1 3x3, 32 · pool1 · conv2 3x3, 64 · pool2 · fc1 dense 256 · fc2 dense 64 · features linear 2

    Layers, in order: for each convolution `conv1` (its output as it is), `block1` (after ReLU) and `pool1`; for each
    dense layer `fc1` and `hidden1` (after ReLU); `features`, the code, which is the posterior's mean in a variational
    autoencoder. The sides shrink as 28, 26, 13, 11, 5 and as 32, 30, 15, 13, 6.

    Options:
        convolutions: channels of each convolution.
        dense: values of each dense layer.
        code: values of the code.

    Glorot uniform weights, zero biases.

    Departures from the published networks: where the map is under 3 pixels (8x8 digits) a convolution is padded, and
    pooling is left out where the map is a single pixel.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        convolutions: Widths = (32, 64),
        dense: Widths = (256, 64),
        code: Count = 2,
    ) -> None:
        super().__init__(channels, size)
        stages = self.stages
        stages["normalise"] = Normalise(channels)
        inputs, side = channels, size
        for number, outputs in enumerate(convolutions, start=1):
            padded = side < 3
            stages[f"conv{number}"] = nn.Conv2d(inputs, outputs, 3, padding=1 if padded else 0)
            stages[f"block{number}"] = nn.ReLU()
            inputs, side = outputs, side if padded else side - 2
            if side > 1:
                stages[f"pool{number}"] = nn.MaxPool2d(2)
                side //= 2
        width = inputs * side * side
        for number, outputs in enumerate(dense, start=1):
            layer = nn.Linear(width, outputs)
            stages[f"fc{number}"] = nn.Sequential(nn.Flatten(), layer) if number == 1 else layer
            stages[f"hidden{number}"] = nn.ReLU()
            width = outputs
        stages["features"] = nn.Linear(width, code)
        glorot_(self)
