"""Barlow Twins: the correlations between the dimensions of two views are to be the identity.

With projections Z, Z' (B, D) of two views of B images, standardised over the batch to z̄ (variance divided by B, and
1e-5 added to it),

    L = Σ_j (1 - C_jj)² + λ Σ_{j≠k} C_jk²,   C_jk = 1/B Σ_i z̄_ij z̄'_ik

The first term wants the views to agree, the second that no two dimensions say the same.

Reference: Zbontar, Jing, Misra, LeCun and Deny, "Barlow Twins", ICML 2021, arXiv 2103.03230, equations 1 and 2; the
standardisation is the batch normalisation without scale and shift of the authors' code. The loss is lightly's.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from phispace.methods.base import MethodConfig
from phispace.methods.redundancy import MINUTES, Redundancy, RedundancyConfig, solo_learn


class BarlowTwinsConfig(RedundancyConfig):
    """Options of Barlow Twins."""

    redundancy: float = Field(5e-3, gt=0, description="λ, weight of the correlations off the diagonal")


class BarlowTwins(Redundancy):
    """Learn φ so that two views' dimensions correlate with themselves alone. See the module."""

    title = "Barlow Twins"
    reference = (
        "Zbontar et al., ICML 2021, arXiv 2103.03230, equations 1 and 2 with the batch normalisation of the authors' "
        "code; lightly's loss checked against a direct evaluation of the formula in float64"
    )
    Config: ClassVar[type[MethodConfig]] = BarlowTwinsConfig
    presets: ClassVar = {
        "minutes": {**MINUTES, "method": {**MINUTES["method"], "redundancy": 0.02}},
        # That library multiplies the loss by 0.1, which moves what LARS does not adapt.
        "solo-learn": solo_learn(
            bias_rate=0.1, views="simclr(crop=[0.08, 1.0])+simclr(crop=[0.08, 1.0], solarise=0.2)"
        ),
    }

    config: BarlowTwinsConfig

    def terms_of(self, projections: list[Tensor]) -> dict[str, Tensor]:
        """`loss`, `invariance` (first sum) and `redundancy` (second sum, without its weight)."""
        loss, invariance = barlow_terms(projections[0], projections[1], self.config.redundancy)
        redundancy = (loss.detach() - invariance) / self.config.redundancy
        return {"loss": loss, "invariance": invariance, "redundancy": redundancy}


def barlow_terms(one: Tensor, two: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """L and its first sum (detached) of projections float (B, D) of two views; see the module.

    A single image has no correlations: then both are 0.
    """
    from lightly.loss import BarlowTwinsLoss

    if len(one) < 2:
        nothing = (one * two).sum() * 0
        return nothing, nothing.detach()
    loss: Tensor = BarlowTwinsLoss(weight)(one, two)
    with torch.no_grad():
        invariance: Tensor = BarlowTwinsLoss(0.0)(one, two)
    return loss, invariance
