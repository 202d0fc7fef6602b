"""The convolutions of a course's network for Fashion-MNIST and MNIST."""

from __future__ import annotations

from torch import nn

from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.norm import KERAS_EPSILON, KERAS_MOMENTUM, BatchNorm2d, glorot_
from phispace.encoders.options import Count, Share


class VGG4(Encoder):
    """Four same convolutions 3x3 in two blocks, batch normalisation after each ReLU: 32, 32, pool, 64, 64, pool.

    Layers: `conv1` ... `conv4` (after ReLU and normalisation), `pool1` (after 2x2 max pooling and, in training,
    dropout), `features` (the same after the second block, flattened: 3,136 values of images of 28 pixels).

    Options:
        width: channels of the first block; the second has twice as many.
        dropout: share left out after each pooling, in training; 0.25 in the course.

    Glorot uniform weights, zero biases. With the head 512, ReLU, batch normalisation, dropout 0.5, 10 classes (the
    preset `fashion-to-mnist` of the method transfer) it has the 1,679,082 values that Keras counts, which are weights
    and running statistics.
    """

    def __init__(self, channels: int, size: int, *, width: Count = 32, dropout: Share = 0.0) -> None:
        super().__init__(channels, size)
        self.stages["normalise"] = Normalise(channels)
        inputs = channels
        for block, outputs in enumerate((width, 2 * width), start=1):
            for number in (2 * block - 1, 2 * block):
                self.stages[f"conv{number}"] = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True),
                    BatchNorm2d(outputs, KERAS_EPSILON, KERAS_MOMENTUM),
                )  # fmt: skip
                inputs = outputs
            last: list[nn.Module] = [nn.MaxPool2d(2)]
            last += [nn.Dropout(dropout)] if dropout else []
            if block == 2:
                last.append(nn.Flatten())
            self.stages["pool1" if block == 1 else "features"] = nn.Sequential(*last)
        glorot_(self)
