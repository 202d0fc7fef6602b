"""MoCo: a view finds what a slow teacher makes of the image's other view among the teacher's keys of past images.

    L = -1/B Σ_i log exp(q_i·k_i / τ) / (exp(q_i·k_i / τ) + Σ_n exp(q_i·n / τ))

with unit vectors: the query q_i is the projection of one view, the key k_i the teacher's of the other, and the
negatives n are the queue of the teacher's keys of earlier steps. Where the queue would be shorter than a batch, the
negatives are the batch's other keys (as in MoCo v3).

So that batch normalisation cannot tell which query and key were in one batch, the teacher sees its batch shuffled and
in groups with statistics of their own: what He et al. (section 3.3) do with several devices.

Reference: He, Fan, Wu, Xie and Girshick, "Momentum Contrast for Unsupervised Visual Representation Learning", CVPR
2020, equation 1 (arXiv 1911.05722); the projector of Chen, Fan, Girshick and He, arXiv 2003.04297. With several
processes the queue takes the keys of all.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from phispace.encoders.base import Encoder
from phispace.methods.base import Batch, MethodConfig, Task
from phispace.methods.processes import process_number, rows_of_all
from phispace.methods.queue import Queue
from phispace.methods.two_views import minutes
from phispace.methods.with_teacher import WithTeacher, WithTeacherConfig


class MoCoConfig(WithTeacherConfig):
    """Options of MoCo."""

    temperature: float = Field(0.2, gt=0, description="τ, of the softmax over keys")
    queue: int = Field(4096, ge=0, description="keys of past images; at most half as many as there are images")
    key_groups: int = Field(4, ge=1, description="groups of the shuffled batch with batch statistics of their own")
    projector_norm: bool = Field(False, description="batch normalisation before the projector's activations")
    symmetric: bool = Field(False, description="both views as queries and as keys, at twice the cost")


class MoCo(WithTeacher):
    """Learn φ by finding the other view's key among the keys of a queue. See the module."""

    title = "MoCo"
    reference = (
        "He et al., CVPR 2020, equation 1; the loss checked against a direct evaluation and against lightly's "
        "NTXentLoss with its memory bank"
    )
    Config: ClassVar[type[MethodConfig]] = MoCoConfig

    presets: ClassVar = {
        "minutes": minutes(16),
        "paper": {
            "encoder": {"name": "resnet18"},
            "method": {
                "epochs": 200,
                "batch_size": 512,
                "temperature": 0.1,
                "queue": 4096,
                "key_groups": 8,
                "teacher_momentum": 0.99,
                "teacher_schedule": "constant",
                "projector_layers": 1,
                "optimizer": "sgd",
                "nesterov": False,
                "learning_rate": 0.06,
                "weight_decay": 5e-4,
                "decay_all": True,
                "warmup": 0.0,
                "views": "simclr(crop=[0.08, 1.0], saturation=0.4)",
            },
        },
    }

    config: MoCoConfig

    def __init__(self, encoder: Encoder, config: Any, task: Task) -> None:
        super().__init__(encoder, config, task)
        size = min(config.queue, task.train_items // 2)
        self.queue: Queue | None = Queue(size, config.projection) if size >= config.batch_size else None

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, and `key_accuracy`: how often the own key is the nearest of all that a query is compared with."""
        terms, pushed = [], []
        for asked, answered in [(0, 1), (1, 0)] if self.config.symmetric else [(0, 1)]:
            queries = F.normalize(self.project(batch.views[asked]).float(), dim=1)
            keys = F.normalize(self.keys(batch.views[answered], answered).float(), dim=1)
            pushed.append(rows_of_all(keys) if self.training else keys)
            terms.append(self._contrast(queries, keys, pushed[-1]))
        if self.training and self.queue is not None:
            self.queue.push(torch.cat(pushed))
        loss, accuracy = (torch.stack(values).mean() for values in zip(*terms, strict=True))
        return {"loss": loss, "key_accuracy": accuracy}

    def _contrast(self, queries: Tensor, keys: Tensor, everyones: Tensor) -> tuple[Tensor, Tensor]:
        if self.queue is not None:
            return against_queue(queries, keys, self.queue.keys.clone(), self.config.temperature)  # it changes in place
        first = process_number() * len(keys) if len(everyones) > len(keys) else 0
        return against_batch(queries, everyones, self.config.temperature, first)

    def keys(self, view: Tensor, number: int) -> Tensor:
        """The teacher's projections (B, D) of a view; in training shuffled and in groups, and back in their order."""
        images = self.seen(view)
        if not self.training or self.config.key_groups == 1:
            return self.teacher(images)
        rank = process_number()
        rng = self.step_rng(f"shuffle/{number}" if rank == 0 else f"shuffle/{number}/{rank}")
        order = torch.randperm(len(images), generator=rng).to(images.device)
        shuffled = torch.cat([self.teacher(part) for part in images[order].chunk(self.config.key_groups)])
        return torch.empty_like(shuffled).index_copy_(0, order, shuffled)


def against_queue(queries: Tensor, keys: Tensor, negatives: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The module's L and the share of queries whose own key is the nearest, two scalars.

    Args:
        queries, keys: unit vectors, float32 (B, D) each, row i of both from image i.
        negatives: unit vectors (K, D).
        temperature: τ.
    """
    with torch.autocast(queries.device.type, enabled=False):
        own = (queries * keys).sum(1, keepdim=True)
        logits = torch.cat([own, queries @ negatives.T], dim=1) / temperature
        return _cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


def against_batch(queries: Tensor, keys: Tensor, temperature: float, first: int = 0) -> tuple[Tensor, Tensor]:
    """The same with the other keys as negatives.

    Args:
        queries: unit vectors, float32 (B, D).
        keys: unit vectors (M, D); that of query i is in row `first` + i.
        temperature: τ.
    """
    with torch.autocast(queries.device.type, enabled=False):
        logits = queries @ keys.T / temperature
        return _cross_entropy(logits, first + torch.arange(len(logits), device=logits.device))


def _cross_entropy(logits: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    return F.cross_entropy(logits, own), (logits.detach().argmax(1) == own).float().mean()
