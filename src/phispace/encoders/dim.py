"""The encoder of Deep InfoMax: strided convolutions, a dense layer, a linear code."""

from __future__ import annotations

from torch import nn

from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.convnet import ChannelsLastFlatten
from phispace.encoders.norm import BatchNorm1d, BatchNorm2d
from phispace.encoders.options import Count, Widths
from phispace.errors import InputError

STRIDE = 2
EPSILON, MOMENTUM = 1e-5, 0.1  # torch's, of batch normalisation


class DIMEncoder(Encoder):
    """Convolutions of stride 2, a dense layer and a linear code, as Deep InfoMax was published with.

        conv1 4x4, 64 · conv2 4x4, 128 · conv 4x4, 256 · fc dense 1024 · features linear 64

    Layers, in order: `conv1`, `conv2` ... and the last convolution `conv`; `fc`; `features`, the code that the paper
    calls Y. All but the code are taken after batch normalisation and ReLU. The paper's classifiers sit on `conv`, `fc`
    and Y, its local objective on the map of 8 x 8 pixels, which is `conv2` for images of 32 pixels.

    Options:
        widths: channels of each convolution. The paper's networks: (64, 128, 256) for 32 pixels, (64, 128, 256, 512)
            for 64, (64, 128) with a kernel of 5 for 28.
        kernel: side of the convolutions; they are padded by (kernel - 1) // 2.
        dense: values of `fc`.
        code: values of `features`.

    torch's own initial weights, as published. Departures: a layer before batch normalisation has no bias, which changes
    nothing but the count of parameters; images are normalised by the training images' statistics, not to [-1, 1].

    Source: Hjelm et al., "Learning deep representations by mutual information estimation and maximization", ICLR 2019
    (arXiv 1808.06670), appendix A.1; its code, github.com/rdevon/DIM, cortex_DIM/configs/convnets.py (basic28x28,
    basic32x32, basic64x64).
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        widths: Widths = (64, 128, 256),
        kernel: Count = 4,
        dense: Count = 1024,
        code: Count = 64,
    ) -> None:
        super().__init__(channels, size)
        stages = self.stages
        stages["normalise"] = Normalise(channels)
        inputs, side, padding = channels, size, (kernel - 1) // 2
        for number, outputs in enumerate(widths, start=1):
            if side + 2 * padding < kernel:
                raise InputError(
                    f"Images of {size} pixels are used up before convolution {number} of {len(widths)}, whose kernel "
                    f"of {kernel} meets a map of {side}; set fewer encoder.widths, or take larger images."
                )
            name = "conv" if number == len(widths) else f"conv{number}"
            stages[name] = nn.Sequential(
                nn.Conv2d(inputs, outputs, kernel, STRIDE, padding, bias=False),
                BatchNorm2d(outputs, EPSILON, MOMENTUM),
                nn.ReLU(inplace=True),
            )
            inputs, side = outputs, (side + 2 * padding - kernel) // STRIDE + 1
        stages["fc"] = nn.Sequential(
            ChannelsLastFlatten(),
            nn.Linear(inputs * side * side, dense, bias=False),
            BatchNorm1d(dense, EPSILON, MOMENTUM),
            nn.ReLU(inplace=True),
        )
        stages["features"] = nn.Linear(dense, code)
