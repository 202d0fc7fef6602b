"""ResNet-18 for small images."""

from __future__ import annotations

from torch import nn

from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.options import Count


class ResNet18(Encoder):
    """torchvision's ResNet-18 with the stem for small images: a 3x3 convolution of stride 1 and no max pooling.

    Layers: `stem`, `layer1` ... `layer4` (maps), `features` (average over the map, 512 values at full width).

    Options:
        width: channels of the first layer; the later ones have 2, 4 and 8 times as many. 64 is the published one.

    Source: He et al., "Deep Residual Learning for Image Recognition", 2016; the stem as in Chen et al., "A Simple
    Framework for Contrastive Learning", 2020, appendix B.9.
    """

    def __init__(self, channels: int, size: int, *, width: Count = 64) -> None:
        super().__init__(channels, size)
        from torchvision.models.resnet import BasicBlock

        self.stages["normalise"] = Normalise(channels)
        self.stages["stem"] = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        inputs = width
        for number, stride in enumerate((1, 2, 2, 2), start=1):
            outputs = width * 2 ** (number - 1)
            shortcut = None
            if stride > 1:
                shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            self.stages[f"layer{number}"] = nn.Sequential(
                BasicBlock(inputs, outputs, stride, shortcut), BasicBlock(outputs, outputs)
            )
            inputs = outputs
        self.stages["features"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
