"""The supervised network: cross-entropy of the known labels.

    L = - 1/n Σ_i Σ_k q_ik log softmax(s z_i)_k,   q_ik = (1 - ε) [k = y_i] + ε / K

with logits z = head(features), scale s (`logit_scale`), label smoothing ε, K classes and the n images of the batch
whose label is known. Images of unknown label are left out; a batch without any gives a zero loss with zero gradient.

Reference: the study "Representation Learning, CIFAR-10" (the preset `keras`): four convolutions with batch
normalisation, a dense layer with batch normalisation before the softmax, Adam 1e-3. Label smoothing as in Szegedy et
al., "Rethinking the Inception Architecture", 2016, section 7. The preset `airbench`
follows Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv 2404.00498; `fast` and `accurate` are its Muon
recipe shaped to processors: batches of 500, smaller images first, no warm-up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from phispace.encoders.base import Encoder
from phispace.encoders.norm import BatchNorm1d, glorot_
from phispace.encoders.readings import at_side
from phispace.errors import InputError
from phispace.methods.base import Batch, Method, MethodConfig, Schedule, Task
from phispace.methods.curriculum import check_side, mirror_every_other_epoch, side_at

UNKNOWN = -1


class SupervisedConfig(MethodConfig):
    """Options of the supervised network; the defaults are for a laptop and thousands of small images."""

    epochs: int = Field(20, ge=1, description="passes over the training images")
    batch_size: int = Field(128, ge=1, description="images a step, over all devices' shares on one device")
    schedule: Schedule = Field("cosine", description="learning rate over steps")
    head: Literal["linear", "linear-bn", "linear-no-bias"] = Field(
        "linear", description="dense layer; with batch normalisation after it; without a bias"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target that is spread over all classes")
    logit_scale: float = Field(1.0, gt=0, description="factor of the logits")
    test_time: Literal["none", "mirror", "mirror-shift"] = Field(
        "none", description="average the logits of an image over its mirror image (and one-pixel shifts) to predict"
    )
    resolutions: tuple[tuple[int, float], ...] = Field(
        (), description="(side, weight) pairs: train on images of that side for that share of the steps, in this order"
    )
    alternate_flip: bool = Field(False, description="mirror each image in every other epoch (use a view without flips)")

    @field_validator("resolutions")
    @classmethod
    def _positive(cls, value: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
        if any(side < 4 or not weight > 0 for side, weight in value):
            raise ValueError("each pair is a side of at least 4 pixels and a positive weight")
        return value


_MUON = {
    "head": "linear-no-bias",
    "logit_scale": 1 / 9,
    "label_smoothing": 0.2,
    "optimizer": "muon-sgd",
    "learning_rate": 0.15,
    "muon_momentum": 0.6,
    "momentum": 0.85,
    "bias_rate": 176.0,
    "head_rate": 2.7,
    "weight_decay": 0.0067,
    "decay_all": True,
    "batch_size": 500,
    "schedule": "triangular",
    "warmup": 0.0,
    "rate_end": 0.0,
    "views": "translate",
    "alternate_flip": True,
    "test_time": "mirror-shift",
}
"""For processors: the Muon recipe of airbench at a batch of 500, small images first."""


class Supervised(Method):
    """Learn φ so that a linear head tells the classes apart. See the module."""

    title = "supervised network"
    uses_labels = True
    reference = (
        "cross-entropy with label smoothing (Szegedy et al. 2016, section 7), checked against a direct evaluation of "
        "the formula; network and schedule of the study 'Representation Learning, CIFAR-10' (preset keras)"
    )
    Config: ClassVar[type[SupervisedConfig]] = SupervisedConfig
    presets: ClassVar = {
        "keras": {
            "encoder": {"name": "convnet4"},
            "method": {
                "head": "linear-bn",
                "optimizer": "adam",
                "learning_rate": 1e-3,
                "batch_size": 32,
                "epochs": 100,
                "views": "shift-rotate-flip",
                "schedule": "constant",
            },
        },
        "airbench": {
            "encoder": {"name": "speednet"},
            "method": {
                "head": "linear-no-bias",
                "logit_scale": 1 / 9,
                "label_smoothing": 0.2,
                "optimizer": "sgd",
                "learning_rate": 1.5,
                "momentum": 0.85,
                "weight_decay": 0.00133,
                "decay_all": True,
                "bias_rate": 64.0,
                "batch_size": 1024,
                "epochs": 10,
                "schedule": "triangular",
                "warmup": 0.23,
                "rate_start": 0.2,
                "rate_end": 0.07,
                "views": "translate-flip",
            },
        },
        "fast": {"encoder": {"name": "speednet"}, "method": _MUON | {"epochs": 4, "resolutions": ((24, 5), (32, 3))}},
        "accurate": {
            "encoder": {"name": "speednet"},
            "method": _MUON | {"epochs": 9, "resolutions": ((24, 3), (32, 6))},
        },
        "hour": {
            "encoder": {"name": "speednet"},
            "method": _MUON | {"epochs": 30, "resolutions": ((24, 10), (32, 20)), "views": "translate-cutout"},
        },
    }

    config: SupervisedConfig

    def __init__(self, encoder: Encoder, config: SupervisedConfig, task: Task) -> None:
        super().__init__(encoder, config, task)
        if len(task.classes) < 1:
            raise InputError("Supervised training needs images with classes; these have none.")
        for side in {side for side, _ in config.resolutions}:
            check_side(encoder, side, "resolutions")
        self.head = self.make_head(encoder.width(), len(task.classes))
        glorot_(self.head)

    def make_head(self, width: int, classes: int) -> nn.Sequential:
        """From features (B, width) to logits (B, classes), not scaled."""
        # A bias before batch normalisation would change nothing.
        layers: list[nn.Module] = [nn.Flatten(), nn.Linear(width, classes, bias=self.config.head == "linear")]
        if self.config.head == "linear-bn":
            layers.append(BatchNorm1d(classes))
        return nn.Sequential(*layers)

    def classify(self, features: Tensor) -> Tensor:
        """Scaled class logits, float32 (B, K), of what the encoder gives."""
        logits: Tensor = self.head(features)
        return logits.float() * self.config.logit_scale

    def logits(self, images: Tensor) -> Tensor:
        """Scaled class logits, float32 (B, K), of images (B, C, H, W) in [0, 1]."""
        return self.classify(self.encoder(images))

    def predict_from(self, features: Tensor) -> Tensor | None:
        return self.classify(features) if self.config.test_time == "none" else None

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, `cross_entropy` (the same) and `accuracy`, over the images whose label is known."""
        logits = self.logits(self.seen(batch) if self.training else batch.views[0])
        loss = cross_entropy(logits, batch.labels, self.config.label_smoothing)
        return {"loss": loss, "cross_entropy": loss.detach(), "accuracy": accuracy(logits.detach(), batch.labels)}

    def seen(self, batch: Batch) -> Tensor:
        """The view as this step of training sees it: mirrored in turn and at the resolution of the moment."""
        images = batch.views[0]
        if self.config.resolutions:
            total = self.config.epochs * self.task.steps_per_epoch
            images = at_side(images, side_at(self.config.resolutions, self.global_step, total))
        if self.config.alternate_flip:
            images = mirror_every_other_epoch(images, batch.index, self.current_epoch)
        return images

    def predict(self, images: Tensor) -> Tensor:
        """Logits (B, K); with `test_time`, averaged over the mirror image and shifts by one pixel."""
        if self.config.test_time == "none":
            return self.logits(images)
        if self.config.test_time == "mirror":
            return self._mirrored(images)
        side = images.shape[-1]
        padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
        shifted = [padded[:, :, i : i + side, i : i + side] for i in (0, 2)]
        moved = torch.stack([self._mirrored(x) for x in shifted]).mean(0)
        return 0.5 * self._mirrored(images) + 0.5 * moved

    @property
    def predict_once(self) -> Callable[[Tensor], Tensor] | None:
        return None if self.config.test_time == "none" else self.logits

    def _mirrored(self, images: Tensor) -> Tensor:
        return 0.5 * self.logits(images) + 0.5 * self.logits(images.flip(-1))


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy over the rows whose label is known, with label smoothing; 0 where none is.

    Args:
        logits: float (B, K).
        labels: int64 (B,), -1 = unknown.
        smoothing: share ε of the target spread evenly over all K classes.

    Returns:
        a scalar that depends on the logits, so that its gradient exists also where it is zero.
    """
    total = F.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="sum", label_smoothing=smoothing)
    return total / (labels != UNKNOWN).sum().clamp_min(1)


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of the known labels (B,) that have the largest logit (B, K); 0 where no label is known."""
    known = labels != UNKNOWN
    return ((logits.argmax(1) == labels) & known).sum() / known.sum().clamp_min(1)
