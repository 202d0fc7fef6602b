"""A network for accuracy in minutes: whitened patches, few wide groups, GELU, identity start."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.convolution import Conv3x3
from phispace.encoders.norm import BatchNorm2d
from phispace.encoders.options import Count, Epsilon, Momentum, Widths

SAMPLE = 5000
"""Images that the whitening is measured on."""


class Whiten(nn.Module):
    """Frozen 2x2 convolution that whitens patches: y = ± E (x - m), E = diag(1 / sqrt(λ + ε)) Vᵀ.

    V and λ are the eigenvectors and eigenvalues of the covariance of the training images' 2x2 patches, m is their
    mean; each filter is there with both signs, because the activation keeps only one side: 8 C filters in all.

    Args:
        channels: C of the images.
        epsilon: ε, in units of the normalised images' variance.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.filters = 8 * channels
        # Until it is measured: a fixed orthogonal matrix, so that the untrained network sees every pixel.
        basis = torch.linalg.qr(torch.randn(4 * channels, 4 * channels))[0]
        self.register_buffer("weight", torch.cat([basis, -basis]).view(self.filters, channels, 2, 2))
        self.register_buffer("bias", torch.zeros(self.filters))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.weight, self.bias)

    @torch.no_grad()
    def measure(self, x: Tensor) -> None:
        """Set the filters from normalised images (N, C, H, W)."""
        patches = x.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, self.filters // 2).double()
        mean = patches.mean(0)
        patches -= mean
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        whitening = (vectors / (values.clamp_min(0) + self.epsilon).sqrt()).T.flip(0)
        whitening = torch.cat([whitening, -whitening])
        self.weight.copy_(whitening.view_as(self.weight))
        self.bias.copy_(-(whitening @ mean))


class SpeedNet(Encoder):
    """Whitened patches, groups of (3x3 conv, 2x2 max pool, BN, GELU, 3x3 conv, BN, GELU), then one value a channel.

    Layers: `whiten` (after the activation), `group1` ... (after each group), `features` (maximum or mean over what is
    left of the map, 3x3 pixels for images of 32).

    Options:
        widths: channels of each group; pooling is left out where the map is a single pixel.
        depth: convolutions in each group.
        activation: gelu, silu, hardswish or relu.
        epsilon: of the whitening.
        bn_momentum: of the running statistics, in torch's sense.
        pool: max (the published one) or mean of the last map; without labels the mean learns faster.

    Convolutions have no bias and start as the identity on their first channels, normalisation has a shift and no scale.

    Source: Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv 2404.00498, section 3. Departures: the
    whitening's bias is fixed at minus the whitened mean instead of being trained for three epochs; the last pooling
    is over the whole map, so that any image size gives the same width.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        widths: Widths = (64, 256, 256),
        depth: Count = 2,
        activation: Literal["gelu", "silu", "hardswish", "relu"] = "gelu",
        epsilon: Epsilon = 5e-4,
        bn_momentum: Momentum = 0.4,
        pool: Literal["max", "mean"] = "max",
    ) -> None:
        super().__init__(channels, size)
        act = {"gelu": nn.GELU, "silu": nn.SiLU, "hardswish": nn.Hardswish, "relu": nn.ReLU}[activation]
        normalise, whiten = Normalise(channels), Whiten(channels, epsilon)
        self._measured = (normalise, whiten)  # a tuple: not registered twice
        self.stages["normalise"] = normalise
        self.stages["whiten"] = nn.Sequential(whiten, act())
        inputs, side = whiten.filters, size - 1
        for number, width in enumerate(widths, start=1):
            group: list[nn.Module] = []
            for place in range(depth):
                group.append(Conv3x3(inputs, width, identity=True))
                if place == 0 and side > 1:
                    group.append(nn.MaxPool2d(2))
                    side //= 2
                group += [BatchNorm2d(width, eps=1e-12, momentum=bn_momentum, scale=False), act()]
                inputs = width
            self.stages[f"group{number}"] = nn.Sequential(*group)
        self.stages["features"] = _GlobalMaximum() if pool == "max" else _GlobalMean()

    def initialise(self, images: np.ndarray, generator: torch.Generator) -> None:
        """Measure mean and standard deviation on all images, the whitening on up to 5,000 drawn ones."""
        super().initialise(images, generator)
        normalise, whiten = self._measured
        chosen = torch.randperm(len(images), generator=generator)[:SAMPLE].sort().values.numpy()
        x = torch.from_numpy(images[chosen]).to(normalise.mean.device).permute(0, 3, 1, 2).float() / 255
        whiten.measure(normalise(x))


class _GlobalMaximum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.amax((2, 3))


class _GlobalMean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))
