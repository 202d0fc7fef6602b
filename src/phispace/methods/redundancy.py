"""What Barlow Twins, VICReg and LeJEPA share: a wide projector, and a loss that is a statistic of the whole batch.

With several processes the projections of all are brought together, so that the statistics are those of the whole batch,
whatever the number of processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from phispace.methods.base import Batch, MethodConfig
from phispace.methods.heads import Last
from phispace.methods.processes import rows_of_all
from phispace.methods.two_views import TwoViews, TwoViewsConfig

MINUTES: Mapping[str, Mapping[str, Any]] = {
    "encoder": {"name": "speednet", "widths": (32, 64, 256), "pool": "mean"},
    "method": {"epochs": 12, "side": 24, "optimizer": "muon", "learning_rate": 5e-3, "weight_decay": 0.0},
}
"""The preset `minutes`: for small images and a processor."""

SOLO_LEARN: Mapping[str, Mapping[str, Any]] = {
    "encoder": {"name": "resnet18"},
    "method": {
        "epochs": 1000,
        "optimizer": "lars",
        "learning_rate": 0.3,
        "weight_decay": 1e-4,
        "trust": 0.02,
        "trust_clip": True,
        "warmup": 0.01,
        "projector_hidden": 2048,
        "projection": 2048,
        "projector_layers": 3,
    },
}
"""What the presets `solo-learn` share: settings that library publishes CIFAR-10 results with, at a batch of 256."""


def solo_learn(**method: Any) -> Mapping[str, Mapping[str, Any]]:
    """The preset `solo-learn` of a method, with its own options."""
    return {**SOLO_LEARN, "method": {**SOLO_LEARN["method"], **method}}


class RedundancyConfig(TwoViewsConfig):
    """Options of these methods; the defaults are for a laptop and thousands of small images."""

    projection: int = Field(512, ge=2, description="values of a projection")


class Redundancy(TwoViews):
    """Base of these methods; a method defines `terms_of`."""

    projector_last: ClassVar[Last] = "matrix"  # a bias would change no variance and no correlation
    Config: ClassVar[type[MethodConfig]] = RedundancyConfig

    config: Any

    def terms_of(self, projections: list[Tensor]) -> dict[str, Tensor]:
        """`loss` and its terms by name, of the projections (B, D) of each view; the terms are detached."""
        raise NotImplementedError(f"{type(self).__name__} must define terms_of (abstract)")

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, and its terms by name."""
        z = self.projections(batch)
        with torch.autocast(z[0].device.type, enabled=False):  # statistics of bf16 products would be rough
            return self.terms_of(z)

    def projections(self, batch: Batch) -> list[Tensor]:
        """z (B, D) of each view, float32: in training of the B images of all processes, in validation of this one's.

        All views go through the networks in one pass, so batch normalisation sees them as one batch.
        """
        z = self.project(torch.cat(batch.views)).float().chunk(len(batch.views))
        return [rows_of_all(view) if self.training else view for view in z]
