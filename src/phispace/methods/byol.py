"""BYOL: a prediction from one view meets what a slow teacher makes of the other view. No negatives.

    L = 1/B Σ_i |p̄_i - t̄'_i|² + |p̄'_i - t̄_i|²,    p = predictor(z of a view),  t = the teacher's z of a view

with v̄ = v / |v|, and a prime for the second view. Between 0 and 8; each term is 2 - 2 cos. A collapse would make it 0;
the predictor and the teacher keep training from it.

Reference: Grill et al., "Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning", NeurIPS 2020,
equation 2 and appendix J (arXiv 2006.07733).
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor

from phispace.encoders.base import Encoder
from phispace.methods.alignment import negative_cosine
from phispace.methods.base import Batch, MethodConfig, Task
from phispace.methods.heads import perceptron
from phispace.methods.two_views import minutes
from phispace.methods.with_teacher import WithTeacher, WithTeacherConfig


class BYOLConfig(WithTeacherConfig):
    """Options of BYOL."""

    predictor_hidden: int = Field(512, ge=1, description="values between the predictor's two layers")


class BYOL(WithTeacher):
    """Learn φ by predicting what a slow copy of it makes of another view. See the module."""

    title = "BYOL"
    reference = (
        "Grill et al., NeurIPS 2020, equation 2; the loss checked against a direct evaluation of the squared distances"
    )
    Config: ClassVar[type[MethodConfig]] = BYOLConfig

    presets: ClassVar = {
        "minutes": minutes(9),
        "paper": {
            "encoder": {"name": "resnet18"},
            "method": {
                "epochs": 1000,
                "batch_size": 512,
                "teacher_momentum": 0.996,
                "projector_hidden": 4096,
                "predictor_hidden": 4096,
                "projection": 256,
                "optimizer": "lars",
                "learning_rate": 0.4,
                "weight_decay": 1.5e-6,
                "warmup": 0.01,
                "views": "byol-1+byol-2",
            },
        },
    }

    config: BYOLConfig

    def __init__(self, encoder: Encoder, config: Any, task: Task) -> None:
        super().__init__(encoder, config, task)
        self.predictor = perceptron(config.projection, config.predictor_hidden, config.projection)

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, and `cosine` of predictions and targets, both ways."""
        predictions = [self.predictor(z) for z in self.project_apart(batch)]
        targets = [self.teacher(self.seen(view)) for view in batch.views]
        loss = byol_loss(predictions[0], targets[1]) + byol_loss(predictions[1], targets[0])
        return {"loss": loss, "cosine": 1 - loss.detach() / 4}


def byol_loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """1/B Σ_i |p_i / |p_i| - t_i / |t_i||², a scalar from 0 to 4, of predictions and targets (B, D)."""
    return 2 + 2 * negative_cosine(predictions, targets)
