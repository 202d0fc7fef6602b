"""Supervised contrastive learning: the views of a class find each other. The ceiling for methods without labels.

    L = 1/2B Σ_i -1/|P(i)| Σ_{p in P(i)} log exp(s(i, p) / τ) / Σ_{a ≠ i} exp(s(i, a) / τ)

over the 2B projections of B images, with cosine s, and P(i) the other views of i's class: the other one of its image
and those of the other images with its label. Where every image has a class of its own this is SimCLR's loss.

Reference: Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, equation 2, L_out (arXiv 2004.11362). With
several processes the views of all are compared.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from phispace.data.imageset import UNKNOWN
from phispace.methods.base import Batch, MethodConfig, Stage
from phispace.methods.processes import process_count, process_number, rows_of_all
from phispace.methods.two_views import TwoViews, TwoViewsConfig, minutes


class SupConConfig(TwoViewsConfig):
    """Options of supervised contrastive learning."""

    temperature: float = Field(0.1, gt=0, description="τ, of the softmax over views")
    projector_norm: bool = Field(False, description="batch normalisation before the projector's activations")
    unlabelled: Literal["leave-out", "own-class"] = Field(
        "leave-out", description="images of unknown label are not trained on, or are a class of their own each"
    )


class SupCon(TwoViews):
    """Learn φ so that views of a class are near each other. See the module."""

    title = "supervised contrastive"
    uses_labels = True
    comparable: ClassVar[bool] = False  # its validation loss rises while neighbours and probes still gain
    reference = "Khosla et al., NeurIPS 2020, equation 2; checked against a direct evaluation of the formula"
    Config: ClassVar[type[MethodConfig]] = SupConConfig

    presets: ClassVar = {
        "minutes": minutes(12),
        "paper": {
            "encoder": {"name": "resnet18"},
            "method": {
                "epochs": 1000,
                "batch_size": 1024,
                "temperature": 0.1,
                "optimizer": "sgd",
                "nesterov": False,
                "learning_rate": 0.714,  # the authors' 0.5 and 1e-4 are of a loss multiplied by 0.1 / 0.07
                "weight_decay": 7e-5,
                "decay_all": True,
                "warmup": 0.01,
                "views": "simclr(saturation=0.4)",
            },
        },
    }

    config: SupConConfig

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("", self.config.epochs, labelled=self.config.unlabelled == "leave-out"),)

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`."""
        first, second = self.project_together(batch)
        return {"loss": supcon_loss(first, second, batch.labels, self.config.temperature, everywhere=self.training)}


def supcon_loss(
    first: Tensor, second: Tensor, labels: Tensor, temperature: float, *, everywhere: bool = False
) -> Tensor:
    """The module's L, a scalar, float32.

    Args:
        first, second: projections of the two views, (B, D) each, row i of both from image i.
        labels: int64 (B,); an image of unknown label, -1, is a class of its own.
        temperature: τ.
        everywhere: compare with the rows of all processes, of which each must have as many; the loss is the mean over
            this process's views.
    """
    count, here = (process_count(), process_number()) if everywhere else (1, 0)
    with torch.autocast(first.device.type, enabled=False):
        z = F.normalize(torch.stack([first, second]).float(), dim=2)  # (2, B, D)
        others, known = z, labels
        if count > 1:
            others, known = rows_of_all(z.transpose(0, 1).contiguous()).transpose(0, 1), rows_of_all(labels)
        rows, columns = z.flatten(0, 1), others.flatten(0, 1)
        items = torch.arange(len(known), device=labels.device)
        own = items[here * len(labels) : (here + 1) * len(labels)]
        itself = torch.cat([own, own + len(known)])[:, None] == torch.arange(len(columns), device=labels.device)
        classes = torch.where(known == UNKNOWN, -1 - items, known)
        positive = (classes[own].repeat(2)[:, None] == classes.repeat(2)) & ~itself
        logits = (rows @ columns.T / temperature).masked_fill(itself, -torch.inf)
        log_share = logits - logits.logsumexp(1, keepdim=True)
        return -(log_share.masked_fill(~positive, 0).sum(1) / positive.sum(1)).mean()
