"""RotNet: which of K rotations was the image turned by?

    L = - 1/(B K) Σ_i Σ_k log softmax( W φ(r_k x_i) + b )_k

r_k turns the image about its centre by the angle a_k, against the clock; all K copies of each image are in the batch,
as published. Multiples of 90 degrees move pixels and change none; other angles are one bilinear resampling with grey
beyond the border. The image is cropped (padded by 4 pixels) and mirrored before it is turned.

Reference: Gidaris, Singh and Komodakis, "Unsupervised Representation Learning by Predicting Image Rotations", ICLR
2018, equations 1 to 3, and the settings of its code, github.com/gidariss/FeatureLearningRotNet, for CIFAR-10.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from phispace.data.views.geometry import Affine, affine_matrices
from phispace.data.views.warp import warp
from phispace.encoders.base import Encoder
from phispace.encoders.norm import glorot_
from phispace.methods.base import Batch, Method, MethodConfig, Schedule, Task
from phispace.methods.pretext import GREY, PUBLISHED_SGD
from phispace.methods.supervised import accuracy, cross_entropy

QUARTERS = (0.0, 90.0, 180.0, 270.0)


class RotationConfig(MethodConfig):
    """Options of rotation prediction."""

    batch_size: int = Field(128, ge=1, description="images a step before they are turned, over all devices' shares")
    schedule: Schedule = Field("cosine", description="learning rate over steps")
    views: str = Field("crop-flip", description="augmentation of an image before it is turned; see `views.named`")
    angles: tuple[float, ...] = Field(QUARTERS, description="degrees, against the clock; each image in each of them")

    @field_validator("angles")
    @classmethod
    def _distinct(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not all(map(math.isfinite, value)) or len({angle % 360 for angle in value}) < max(2, len(value)):
            raise ValueError("at least two angles are needed, no two of them equal up to whole turns")
        return value


class Rotation(Method):
    """Learn φ so that a linear head tells by which angle an image was turned. See the module."""

    title = "rotation prediction"
    reference = (
        "Gidaris, Singh and Komodakis, ICLR 2018 (arXiv 1803.07728), equations 1 to 3; the loss checked against a "
        "direct evaluation of the formula, quarter turns against numpy's rot90, others against PIL's rotate"
    )
    default_encoder = "nin"
    Config = RotationConfig
    presets: ClassVar = {
        "minutes": {
            "encoder": {"name": "nin", "width": 32},
            "method": {"batch_size": 64, "learning_rate": 3e-3, "epochs": 6},
        },
        "paper": {
            "encoder": {"name": "nin"},
            "method": PUBLISHED_SGD
            | {"batch_size": 128, "epochs": 200, "schedule": "step", "drops": ((0.3, 0.2), (0.6, 0.04), (0.8, 0.008))},
        },
    }

    config: RotationConfig

    def __init__(self, encoder: Encoder, config: RotationConfig, task: Task) -> None:
        super().__init__(encoder, config, task)
        self.head = nn.Linear(encoder.width(), len(config.angles))
        glorot_(self.head)

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, and `rotation_accuracy`: the share of the turned copies whose angle is named right."""
        images, angles = batch.views[0], self.config.angles
        turned = [turn(images, angle) for angle in angles]
        if self.training:  # one pass, so that batch statistics are those of all copies
            logits = self._logits(torch.cat(turned).contiguous(memory_format=torch.channels_last))
        else:
            logits = torch.cat([self._logits(copy) for copy in turned])
        target = torch.arange(len(angles), device=logits.device).repeat_interleave(len(images))
        loss = cross_entropy(logits, target)
        return {"loss": loss, "rotation_accuracy": accuracy(logits.detach(), target)}

    def _logits(self, images: Tensor) -> Tensor:
        return self.head(self.encoder(images).flatten(1)).float()


def turn(images: Tensor, angle: float) -> Tensor:
    """Images (B, C, H, H) turned about their centre by an angle in degrees, against the clock; the same shape.

    Multiples of 90 degrees are exact. Beyond the border it is grey (128 of 255).
    """
    quarters, rest = divmod(angle % 360, 90)
    if rest == 0:
        return torch.rot90(images, int(quarters), (2, 3)).contiguous(memory_format=torch.channels_last)
    zero, one = torch.zeros(len(images)), torch.ones(len(images))
    clockwise = torch.full((len(images),), -math.radians(angle))
    return warp(images, affine_matrices(Affine(clockwise, zero, zero, one, zero), images.shape[-1]), GREY)
