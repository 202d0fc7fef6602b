"""SimCLR: the two views of an image find each other among all views of the batch.

    L = 1/2B Σ_i -log exp(s(i, p(i)) / τ) / Σ_{k ≠ i} exp(s(i, k) / τ),    s(i, k) = z_i·z_k / (|z_i| |z_k|)

over the 2B projections of B images, with p(i) the other view of the same image and temperature τ.

Reference: Chen, Kornblith, Norouzi and Hinton, "A Simple Framework for Contrastive Learning of Visual Representations",
ICML 2020, equation 1 and algorithm 1 (arXiv 2002.05709). With several processes the negatives are those of all.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from phispace.methods.base import Batch, MethodConfig
from phispace.methods.processes import process_count
from phispace.methods.two_views import TwoViews, TwoViewsConfig, minutes


class SimCLRConfig(TwoViewsConfig):
    """Options of SimCLR."""

    temperature: float = Field(0.2, gt=0, description="τ, of the softmax over views")


class SimCLR(TwoViews):
    """Learn φ by telling the other view of an image from those of other images. See the module."""

    title = "SimCLR"
    reference = (
        "Chen et al., ICML 2020, equation 1 (NT-Xent); lightly's NTXentLoss, checked with its gradient against a "
        "direct evaluation of the formula"
    )
    Config: ClassVar[type[MethodConfig]] = SimCLRConfig

    projector_last = "norm"
    presets: ClassVar = {
        "minutes": minutes(12),
        "hour": {
            "encoder": {"name": "speednet", "widths": (64, 128, 512), "pool": "mean"},
            "method": {
                "epochs": 60,
                "batch_size": 512,
                "side": 24,
                "optimizer": "muon",
                "learning_rate": 6e-3,
                "weight_decay": 0.0,
                "projector_hidden": 1024,
            },
        },
        "paper": {
            "encoder": {"name": "resnet18"},
            "method": {
                "epochs": 1000,
                "batch_size": 512,
                "temperature": 0.5,
                "optimizer": "lars",
                "learning_rate": 2.0,
                "weight_decay": 1e-4,
                "warmup": 0.01,
                "views": "simclr(crop=[0.08, 1.0], saturation=0.4)",
            },
        },
    }

    config: SimCLRConfig

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, and `contrast_accuracy`: how often the other view is the nearest of all that the loss compares."""
        first, second = self.project_together(batch)
        loss, accuracy = nt_xent(first, second, self.config.temperature, everywhere=self.training)
        return {"loss": loss, "contrast_accuracy": accuracy}


def nt_xent(first: Tensor, second: Tensor, temperature: float, *, everywhere: bool = False) -> tuple[Tensor, Tensor]:
    """The loss of the module's formula and the share of views whose other view is the most similar one.

    Args:
        first, second: projections of the two views, (B, D) each, row i of both from image i.
        temperature: τ.
        everywhere: contrast with the rows of all processes, of which each must have as many; the loss is the mean
            over this process's views.

    Returns:
        two scalars, float32; the second has no gradient.
    """
    from lightly.loss.ntx_ent_loss import NTXentLoss

    everywhere = everywhere and process_count() > 1
    with torch.autocast(first.device.type, enabled=False):
        a, b = first.float(), second.float()
        loss: Tensor = NTXentLoss(temperature, gather_distributed=everywhere)(a, b)
        return loss, matched(a.detach(), b.detach())


def matched(first: Tensor, second: Tensor) -> Tensor:
    """Share of the 2 B views (B, D), (B, D) of this process to which their other view is nearer than any third one."""
    z = nn.functional.normalize(torch.cat([first, second]), dim=1)
    similarity = (z @ z.T).fill_diagonal_(-torch.inf)
    wanted = torch.arange(len(z), device=z.device).roll(len(first))
    return (similarity.argmax(1) == wanted).float().mean()
