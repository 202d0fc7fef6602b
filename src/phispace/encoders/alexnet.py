"""AlexNet for small images."""

from __future__ import annotations

from torch import nn

from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.norm import BatchNorm1d, BatchNorm2d
from phispace.encoders.options import Count


class AlexNet(Encoder):
    """The AlexNet of RotNet and AET, with batch normalisation, made fit for images of 32 pixels.

        conv1 5x5, 64 · pool1 · conv2 5x5, 192 · pool2 · conv3 3x3, 384 · conv4 3x3, 256 · conv5 3x3, 256 · pool5
        · fc1 1024 · features 1024

    Layers: `conv1` ... `conv5` (maps after batch normalisation and ReLU), `pool1`, `pool2`, `pool5` (max pooling
    3x3 / 2; of 32 pixels 16x16, 8x8 and 4x4), `fc1` and `features` (dense, after batch normalisation and ReLU).

    Options:
        width: channels of the first convolution; the others have 3, 6, 4 and 4 times as many.
        dense: values of the two dense layers.

    Weights start from N(0, 2 / (k² outputs)).

    Source: the code of Gidaris, Singh and Komodakis, ICLR 2018 (AlexNet.py), for 224 pixels. The adaptation is ours:
    the first convolution is 5x5 of stride 1 instead of 11x11 of stride 4, so that 32 pixels keep 16 places a side after
    the first pooling, where 224 keep 27; pooling pads by one, so that each halves the side, and is left out where the
    map is a single pixel; the dense layers have 1,024 values instead of 4,096, as the last map has 16 places instead
    of 36. Convolutions have no bias, as normalisation follows.
    """

    def __init__(self, channels: int, size: int, *, width: Count = 64, dense: Count = 1024) -> None:
        super().__init__(channels, size)
        self.stages["normalise"] = Normalise(channels)
        inputs, side = channels, size
        for number, (factor, kernel) in enumerate(((1, 5), (3, 5), (6, 3), (4, 3), (4, 3)), start=1):
            outputs = factor * width
            self.stages[f"conv{number}"] = nn.Sequential(
                nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
                BatchNorm2d(outputs, eps=1e-5, momentum=0.1),
                nn.ReLU(inplace=True),
            )
            inputs = outputs
            if number in (1, 2, 5):
                self.stages[f"pool{number}"] = nn.MaxPool2d(3, 2, 1) if side > 1 else nn.Identity()
                side = -(-side // 2)
        for name, width_in in (("fc1", inputs * side * side), ("features", dense)):
            self.stages[name] = nn.Sequential(
                nn.Flatten(),
                nn.Linear(width_in, dense, bias=False),
                BatchNorm1d(dense, 1e-5, 0.1),
                nn.ReLU(inplace=True),
            )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
