"""Network in network with four blocks: the encoder of RotNet and of auto-encoding transformations (AET)."""

from __future__ import annotations

from torch import nn

from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.convolution import Conv3x3
from phispace.encoders.norm import BatchNorm2d
from phispace.encoders.options import Count


class NIN(Encoder):
    """Blocks of one convolution over places and two over channels, batch normalisation and ReLU after each.

        block1 5x5, 192 · 1x1, 160 · 1x1, 96 · max pool 3x3 / 2
        block2 5x5, 192 · 1x1, 192 · 1x1, 192 · mean pool 3x3 / 2
        block3 3x3, 192 · 1x1, 192 · 1x1, 192 · no pooling, and so block4

    Layers: `block1` ... `block4` (maps; the papers' conv1 ... conv4; of 32 pixels 16x16, then 8x8), `features` (mean
    over the last map, 192 values).

    Options:
        width: channels; 192 as published. The other two of block1 have 5/6 and 1/2 of it.
        blocks: 4; RotNet also tried 3 and 5.

    Convolutions have no bias; weights start from N(0, 2 / (k² outputs)) for filters of k x k.

    Source: Gidaris, Singh and Komodakis, "Unsupervised Representation Learning by Predicting Image Rotations", ICLR
    2018, and the code of Zhang et al., "AET vs. AED", CVPR 2019 (NetworkInNetwork.py, four stages, no pooling in the
    third). The start is that of AET's code; RotNet's has it too and never calls it.
    """

    def __init__(self, channels: int, size: int, *, width: Count = 192, blocks: Count = 4) -> None:
        super().__init__(channels, size)
        self.stages["normalise"] = Normalise(channels)
        inputs = channels
        for number in range(1, blocks + 1):
            widths = (width, max(1, width * 5 // 6), max(1, width // 2)) if number == 1 else (width,) * 3
            layers: list[nn.Module] = []
            for side, outputs in zip((5 if number < 3 else 3, 1, 1), widths, strict=True):
                layers.append(
                    Conv3x3(inputs, outputs)
                    if side == 3
                    else nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False)
                )
                layers += [BatchNorm2d(outputs, eps=1e-5, momentum=0.1), nn.ReLU(inplace=True)]
                inputs = outputs
            if number < 3:
                layers.append((nn.MaxPool2d, nn.AvgPool2d)[number - 1](3, 2, 1))
            self.stages[f"block{number}"] = nn.Sequential(*layers)
        self.stages["features"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
