"""The discriminator of DCGAN: strided convolutions, and all of them pooled together as its authors' features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from phispace.encoders.base import DEFAULT_LAYER, Encoder, Normalise
from phispace.encoders.norm import BatchNorm2d
from phispace.encoders.options import Count, Share
from phispace.errors import InputError

POOLED = "pooled"
_GRID = 4
_DEVIATION = 0.02
_SMALLEST = 4


def halved(size: int) -> list[int]:
    """The sides of an image's maps: halved while they are even and above 4. 32 -> 32, 16, 8, 4 and 28 -> 28, 14, 7.

    Raises:
        InputError: an odd side, which is not halved even once.
    """
    sides = [size]
    while sides[-1] % 2 == 0 and sides[-1] > _SMALLEST:
        sides.append(sides[-1] // 2)
    if len(sides) < 2:
        raise InputError(
            f"The networks of DCGAN halve an image's side at least once; {size} pixels must be even and above "
            f"{_SMALLEST}. Load the images with --size, best with a multiple of 4."
        )
    return sides


def dcgan_start_(module: nn.Module) -> None:
    """The published start: filters and matrices from N(0, 0.02), scales from N(1, 0.02), biases and shifts 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, _DEVIATION)
        elif isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.normal_(layer.weight, 1.0, _DEVIATION)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


class DCGAN(Encoder):
    """Convolutions 4x4 of stride 2, each with twice the channels, batch normalisation but in the first, leaky ReLU.

    Their number follows from the size: three for 32 pixels (to 4x4), two for 28 (to 7x7), four for 64.

    Layers: `conv1` ... (after the activation), `pooled` (each of them pooled by maximum to 4x4, flattened and
    concatenated: the published features), `features` (the last map, flattened: what the discriminator's answer is
    linear in).

    Options:
        width: channels of the first convolution.
        slope: of the leaky ReLU below 0.

    Source: Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
    Adversarial Networks", ICLR 2016 (arXiv 1511.06434), sections 3 and 5.1. Departures: filters are 4x4 instead of 5x5
    (as in the authors' later code), and the width is an option; the paper's discriminator is wider and was trained on
    ImageNet-1k.
    """

    def __init__(self, channels: int, size: int, *, width: Count = 64, slope: Share = 0.2) -> None:
        super().__init__(channels, size)
        self.stages["normalise"] = Normalise(channels)
        inputs = channels
        for number in range(1, len(halved(size))):
            outputs = width * 2 ** (number - 1)
            parts: list[nn.Module] = [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=number == 1)]
            if number > 1:
                parts.append(BatchNorm2d(outputs, eps=1e-5, momentum=0.1))
            parts.append(nn.LeakyReLU(slope, inplace=True))
            self.stages[f"conv{number}"] = nn.Sequential(*parts)
            inputs = outputs
        self.stages[DEFAULT_LAYER] = nn.Flatten()
        dcgan_start_(self)

    @property
    def maps(self) -> tuple[str, ...]:
        """Names of the layers that `pooled` is made of."""
        return tuple(name for name in self.stages if name.startswith("conv"))

    @property
    def layers(self) -> tuple[str, ...]:
        return (*self.maps, POOLED, *(name for name in super().layers if name not in self.maps))

    def _taps(self, x: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        """As of every encoder; `pooled` is a branch off all the maps."""
        if POOLED not in layers:
            return super()._taps(x, layers)
        rest = (name for name in layers if name != POOLED)
        found = super()._taps(x, tuple(dict.fromkeys((*rest, *self.maps))))
        found[POOLED] = torch.cat([F.adaptive_max_pool2d(found[name], _GRID).flatten(1) for name in self.maps], dim=1)
        return {name: found[name] for name in self.layers if name in layers}
