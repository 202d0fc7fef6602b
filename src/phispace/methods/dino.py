"""DINO: the student's distribution over prototypes meets the teacher's, of the other view.

    L = 1/2 [ H(P_t(x), P_s(x')) + H(P_t(x'), P_s(x)) ],    H(a, b) = -Σ_k a_k log b_k, a mean over images
    P_s = softmax(s / τ_s),    P_t = softmax((t - c) / τ_t)

with x, x' the views, s and t the cosines of the projections with K learnt prototypes, student's and teacher's. The
centre c follows the teacher's mean output, c <- m c + (1 - m) mean(t): it keeps one prototype from taking all; the low
temperature τ_t keeps them from sharing alike.

Reference: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021, equations 1 to 4 and
algorithm 1 (arXiv 2104.14294), with two global views. With several processes the centre is that of all.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from phispace.encoders.base import Encoder
from phispace.methods.base import Batch, MethodConfig, Task
from phispace.methods.heads import Prototypes, perceptron
from phispace.methods.processes import mean_over_all
from phispace.methods.two_views import minutes
from phispace.methods.with_teacher import WithTeacher, WithTeacherConfig


class DINOConfig(WithTeacherConfig):
    """Options of DINO."""

    projector_layers: int = Field(3, ge=1, description="matrices of the projector, before the prototypes")
    prototypes: int = Field(1024, ge=2, description="K, directions whose cosines are compared")
    student_temperature: float = Field(0.1, gt=0, description="τ_s")
    teacher_temperature: float = Field(0.04, gt=0, description="τ_t after its warm-up")
    first_teacher_temperature: float = Field(0.04, gt=0, description="τ_t at the first step")
    temperature_warmup: float = Field(0.1, ge=0, le=1, description="share of the steps in which τ_t goes to its end")
    centre_momentum: float = Field(0.9, ge=0, le=1, description="share that the centre keeps of itself in a step")
    fixed_prototypes: int = Field(1, ge=0, description="first epochs in which the prototypes are not trained")


class DINO(WithTeacher):
    """Learn φ by agreeing with a slow copy on which prototypes a view is like. See the module."""

    title = "DINO"
    reference = (
        "Caron et al., ICCV 2021, equations 1 to 4; the loss checked against a direct evaluation and against lightly's "
        "DINOLoss"
    )
    experimental: ClassVar[str] = (
        "ten minutes of one core bring less than 10 points of linear probe over its untrained encoder on CIFAR-10"
    )
    Config: ClassVar[type[MethodConfig]] = DINOConfig

    presets: ClassVar = {
        "minutes": minutes(9),
        "paper": {
            "encoder": {"name": "resnet18"},
            "method": {
                "epochs": 800,
                "batch_size": 256,
                "prototypes": 65536,
                "projector_hidden": 2048,
                "projection": 256,
                "teacher_momentum": 0.996,
                "teacher_temperature": 0.07,
                "temperature_warmup": 0.06,
                "optimizer": "sgd",
                "nesterov": False,
                "learning_rate": 0.03,
                "weight_decay": 1e-4,
                "warmup": 0.0125,
                "views": "byol-1(crop=[0.14, 1.0])+byol-2(crop=[0.14, 1.0])",
            },
        },
    }

    config: DINOConfig
    centre: Tensor

    def __init__(self, encoder: Encoder, config: Any, task: Task) -> None:
        super().__init__(encoder, config, task)
        self.register_buffer("centre", torch.zeros(config.prototypes))

    def make_projector(self, width: int) -> nn.Module:
        config = self.config
        layers, hidden, outputs = config.projector_layers, config.projector_hidden, config.projection
        head = perceptron(width, hidden, outputs, layers=layers, norm=config.projector_norm, activation=nn.GELU)
        for layer in head.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
        return nn.Sequential(head, Prototypes(outputs, self.config.prototypes))

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`; `teacher_entropy`, the mean entropy of P_t in nats (0: a single prototype an image); and
        `prototypes_used`, exp of the entropy of P_t's mean over the batch (1: the same one for all)."""
        student = torch.stack(self.project_together(batch)).float()
        with torch.no_grad():
            teacher = self.teacher(torch.cat([self.seen(view) for view in batch.views])).float()
        targets = dino_targets(teacher, self.centre, self.teacher_temperature())
        loss = dino_loss(student, targets.view_as(student), self.config.student_temperature)
        if self.training:
            keep = self.config.centre_momentum
            self.centre.mul_(keep).add_(mean_over_all(teacher.mean(0)), alpha=1 - keep)
        return {
            "loss": loss,
            "teacher_entropy": entropy(targets).mean(),
            "prototypes_used": entropy(targets.mean(0)).exp(),
        }

    def compared(self, images: Tensor) -> Tensor:
        """The vectors (B, D) before the prototypes, whose cosines with them vary in no more directions."""
        vectors: Tensor = self.projector.get_submodule("0")(self.encoder(self.seen(images)).flatten(1))
        return vectors

    def teacher_temperature(self) -> float:
        """τ_t of this step: linear from the first to the last value in the warm-up."""
        steps = self.config.temperature_warmup * self.config.epochs * self.task.steps_per_epoch
        done = min(1.0, self.global_step / steps) if steps > 0 else 1.0
        first, last = self.config.first_teacher_temperature, self.config.teacher_temperature
        return first + done * (last - first)

    def on_after_backward(self) -> None:
        """Lightning's hook: in the first epochs the prototypes stay as they are."""
        if self.current_epoch < self.config.fixed_prototypes:
            for prototypes in self.projector.modules():
                if isinstance(prototypes, Prototypes):
                    prototypes.weight.grad = None


def dino_targets(teacher: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """P_t of the teacher's outputs (..., K) and the centre (K,)."""
    return ((teacher - centre) / temperature).softmax(-1)


def dino_loss(student: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """The module's L, a scalar.

    Args:
        student: outputs for both views, float32 (2, B, K).
        targets: P_t of both views, (2, B, K), without gradient.
        temperature: τ_s.
    """
    log_p = F.log_softmax(student / temperature, dim=-1)
    return -(targets * log_p.flip(0)).sum(-1).mean()


def entropy(p: Tensor) -> Tensor:
    """-Σ_k p_k log p_k of distributions (..., K), in nats."""
    return torch.special.entr(p).sum(-1)
