"""Projectors and predictors: the perceptrons between a representation h and a joint-embedding loss.

They are built with lightly's `ProjectionHead`, whose order of layers is the published one. Of the published heads:

    SimCLR           projector: perceptron(D, D, 128, last="norm")
    MoCo v2          projector: perceptron(D, D, 128, norm=False)
    BYOL             projector and predictor: perceptron(D, 4096, 256)
    SimSiam          projector: perceptron(D, 2048, 2048, layers=3, last="standardise"), predictor: (2048, 512, 2048)
    Barlow Twins     projector: perceptron(D, 8192, 8192, layers=3, last="matrix")
    VICReg           projector: perceptron(D, 8192, 8192, layers=3, last="matrix")
    DINO             projector: perceptron(D, 2048, 256, layers=3, activation=nn.GELU), then 65,536 prototypes
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from phispace.encoders.norm import BatchNorm1d
from phispace.errors import InputError

Last = Literal["linear", "matrix", "norm", "standardise"]
"""What follows the last matrix: its bias; nothing; batch normalisation; batch normalisation without scale and shift."""


def perceptron(
    inputs: int,
    hidden: int,
    outputs: int,
    *,
    layers: int = 2,
    norm: bool = True,
    last: Last = "linear",
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Module:
    """A multi-layer perceptron (B, inputs) -> (B, outputs).

    A layer with normalisation has no bias. torch's own random start (uniform within 1 / sqrt(inputs)).

    Args:
        inputs, hidden, outputs: values of an item before, between and after the layers.
        layers: matrices; 1 is a linear map.
        norm: batch normalisation before each activation.
        last: what follows the last matrix.
        activation: between the layers.

    Raises:
        InputError: fewer than one layer.
    """
    if layers < 1:
        raise InputError(f"A projector or predictor has at least 1 layer; got {layers}.")
    from lightly.models.modules.heads import ProjectionHead

    widths = [inputs, *[hidden] * (layers - 1), outputs]
    blocks: list[tuple[int, int, nn.Module | None, nn.Module | None, bool]] = [
        (a, b, batch_norm(b) if norm else None, activation(), not norm) for a, b in pairwise(widths[:-1])
    ]
    normalised = last in ("norm", "standardise")
    blocks.append(
        (widths[-2], outputs, batch_norm(outputs, last == "norm") if normalised else None, None, last == "linear")
    )
    head: nn.Module = ProjectionHead(blocks)
    return head


def batch_norm(width: int, affine: bool = True) -> BatchNorm1d:
    """torch's batch normalisation with its usual constants, that also takes a batch of one image."""
    norm = BatchNorm1d(width, eps=1e-5, momentum=0.1, scale=affine)
    norm.bias.requires_grad_(affine)
    return norm


class Prototypes(nn.Module):
    """Cosine similarity with K learnt directions: (B, D) -> (B, K), z·w_k / (|z| |w_k|).

    The last layer of DINO's head (Caron et al. 2021, weight normalisation with its norm fixed to 1) and of SwAV.
    """

    def __init__(self, inputs: int, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.normal_(Tensor(count, inputs)))

    def forward(self, z: Tensor) -> Tensor:
        return nn.functional.linear(nn.functional.normalize(z, dim=1), nn.functional.normalize(self.weight, dim=1))
