"""The convolutional network of the study "Representation Learning, CIFAR-10", and its variants."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.norm import KERAS_EPSILON, KERAS_MOMENTUM, BatchNorm1d, BatchNorm2d, glorot_
from phispace.encoders.options import Count, Epsilon, Momentum


class ConvNet4(Encoder):
    """Four convolutions and one dense layer.

        conv1 3x3, 32, same · conv2 3x3, 32, valid · pool1 2x2 · conv3 3x3, 64, same · conv4 3x3, 64, valid · pool2 2x2
        · fc1 dense 512

    Layers, in order: for each convolution `conv1` (its output as it is) and `block1` (after batch normalisation and
    ReLU); `pool1`, `pool2` (after max pooling and, in training, dropout); `fc1` (the dense output before batch
    normalisation and ReLU); `features` (after them and, in training, dropout).

    Options:
        convolutions: 4, or 2 (the first of each pair).
        batch_norm: batch normalisation before each ReLU.
        dropout: 0.25 after each pooling and 0.5 after the dense layer, in training.
        width: channels of the first pair; the second has twice as many.
        dense: values of `fc1`.
        bn_epsilon, bn_momentum: of batch normalisation, in torch's sense.

    Glorot uniform weights, zero biases.

    Departures from the study: a convolution or dense layer before batch normalisation has no bias, which changes
    nothing but the count of parameters. On small maps (8x8 digits) a valid convolution becomes a same one where the
    map is under 3 pixels, and pooling is left out where it is a single pixel. Running statistics: see `norm.py`.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        convolutions: Literal[2, 4] = 4,
        batch_norm: bool = True,
        dropout: bool = False,
        width: Count = 32,
        dense: Count = 512,
        bn_epsilon: Epsilon = KERAS_EPSILON,
        bn_momentum: Momentum = KERAS_MOMENTUM,
    ) -> None:
        super().__init__(channels, size)
        stages = self.stages
        stages["normalise"] = Normalise(channels)
        number, inputs, side = 0, channels, size
        for pool, outputs in enumerate((width, 2 * width), start=1):
            for same in (True, False)[: convolutions // 2]:
                number += 1
                padded = same or side < 3
                stages[f"conv{number}"] = nn.Conv2d(inputs, outputs, 3, padding=1 if padded else 0, bias=not batch_norm)
                # In place only on the fresh output of the normalisation: otherwise conv1's tap would be overwritten.
                stages[f"block{number}"] = (
                    nn.Sequential(BatchNorm2d(outputs, bn_epsilon, bn_momentum), nn.ReLU(inplace=True))
                    if batch_norm
                    else nn.ReLU()
                )
                inputs, side = outputs, side if padded else side - 2
            steps: list[nn.Module] = []
            if side > 1:
                steps.append(nn.MaxPool2d(2))
                side //= 2
            if dropout:
                steps.append(nn.Dropout(0.25))
            stages[f"pool{pool}"] = nn.Sequential(*steps)
        stages["fc1"] = nn.Sequential(
            ChannelsLastFlatten(), nn.Linear(inputs * side * side, dense, bias=not batch_norm)
        )
        last: list[nn.Module] = [BatchNorm1d(dense, bn_epsilon, bn_momentum)] if batch_norm else []
        last.append(nn.ReLU())
        if dropout:
            last.append(nn.Dropout(0.5))
        stages["features"] = nn.Sequential(*last)
        glorot_(self)


class ChannelsLastFlatten(nn.Module):
    """(B, C, h, w) -> (B, h w C), Keras' order: no copy for what lies channels_last in memory, forward or backward."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class ConvNet2(ConvNet4):
    """`ConvNet4` with two convolutions, the first of each pair (both same): conv 32, pool, conv 64, pool, dense 512.

    Options: those of `ConvNet4`, without `convolutions`.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        batch_norm: bool = True,
        dropout: bool = False,
        width: Count = 32,
        dense: Count = 512,
        bn_epsilon: Epsilon = KERAS_EPSILON,
        bn_momentum: Momentum = KERAS_MOMENTUM,
    ) -> None:
        super().__init__(
            channels,
            size,
            convolutions=2,
            batch_norm=batch_norm,
            dropout=dropout,
            width=width,
            dense=dense,
            bn_epsilon=bn_epsilon,
            bn_momentum=bn_momentum,
        )
