"""The supervised network: cross-entropy of the known labels.

    L = - 1/n Σ_i Σ_k q_ik log softmax(s z_i)_k,   q_ik = (1 - ε) [k = y_i] + ε / K

with logits z = head(features), scale s (`logit_scale`), label smoothing ε, K classes and the n images of the batch
whose label is known. Images of unknown label are left out; a batch without any gives a zero loss with zero gradient.

Reference: the study "Representation Learning, CIFAR-10" (the preset `keras`): four convolutions with batch
normalisation, a dense layer with batch normalisation before the softmax, Adam 1e-3. Label smoothing as in Szegedy et
al., "Rethinking the Inception Architecture", 2016, section 7. The preset `fast` follows Jordan, "94% on CIFAR-10 in
3.29 Seconds on a Single GPU", arXiv 2404.00498.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from phispace.encoders.base import Encoder
from phispace.encoders.norm import BatchNorm1d, glorot_
from phispace.errors import InputError
from phispace.methods.base import Batch, Method, MethodConfig, Task

UNKNOWN = -1


class SupervisedConfig(MethodConfig):
    """Options of the supervised network."""

    head: Literal["linear", "linear-bn", "linear-no-bias"] = Field(
        "linear", description="dense layer; with batch normalisation after it; without a bias"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target that is spread over all classes")
    logit_scale: float = Field(1.0, gt=0, description="factor of the logits")
    test_time: Literal["none", "mirror", "mirror-shift"] = Field(
        "none", description="average the logits of an image over its mirror image (and one-pixel shifts) to predict"
    )


class Supervised(Method):
    """Learn φ so that a linear head tells the classes apart. See the module."""

    title = "supervised network"
    uses_labels = True
    reference = (
        "cross-entropy with label smoothing (Szegedy et al. 2016, section 7), checked against a direct evaluation of "
        "the formula; network and schedule of the study 'Representation Learning, CIFAR-10' (preset keras)"
    )
    Config = SupervisedConfig
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
        "fast": {
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
    }

    config: SupervisedConfig

    def __init__(self, encoder: Encoder, config: SupervisedConfig, task: Task) -> None:
        super().__init__(encoder, config, task)
        if len(task.classes) < 1:
            raise InputError("Supervised training needs images with classes; these have none.")
        classes = len(task.classes)
        # A bias before batch normalisation would change nothing.
        layers: list[nn.Module] = [nn.Flatten(), nn.Linear(encoder.width(), classes, bias=config.head == "linear")]
        if config.head == "linear-bn":
            layers.append(BatchNorm1d(classes))
        self.head = nn.Sequential(*layers)
        glorot_(self.head)

    def logits(self, images: Tensor) -> Tensor:
        """Scaled class logits, float32 (B, K), of images (B, C, H, W) in [0, 1]."""
        return self.head(self.encoder(images)).float() * self.config.logit_scale

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, `cross_entropy` (the same) and `accuracy`, over the images whose label is known."""
        logits = self.logits(batch.views[0])
        loss = cross_entropy(logits, batch.labels, self.config.label_smoothing)
        return {"loss": loss, "cross_entropy": loss.detach(), "accuracy": accuracy(logits.detach(), batch.labels)}

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
