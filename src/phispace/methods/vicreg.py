"""VICReg: views of an image agree, every dimension varies, no two dimensions say the same.

With projections Z, Z' (B, D) of two views of B images,

    L = λ s(Z, Z') + μ [v(Z) + v(Z')] / 2 + ν [c(Z) + c(Z')]

    s(Z, Z') = 1/(B D) Σ_i |z_i - z'_i|²                         invariance
    v(Z)     = 1/D Σ_j max(0, 1 - sqrt(Var(Z_j) + ε))            variance, ε = 1e-4
    c(Z)     = 1/D Σ_{j≠k} Cov(Z)_jk²                            covariance

with variance and covariance over the batch, divided by B - 1.

Reference: Bardes, Ponce and LeCun, "VICReg", ICLR 2022, arXiv 2105.04906, equations 1 to 6, with the two factors that
the authors' code has and the paper's equations have not, for the published weights 25, 25, 1 belong to them: the mean
over dimensions in s (the paper sums them), and the mean over the two views in v (the paper adds them). The three terms
are lightly's functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from phispace.methods.base import MethodConfig
from phispace.methods.redundancy import MINUTES, Redundancy, RedundancyConfig, solo_learn

SHRUNK = 0.1
"""Mean deviation of the projections' dimensions under which they have collapsed."""


class VICRegConfig(RedundancyConfig):
    """Options of VICReg."""

    invariance: float = Field(25.0, ge=0, description="λ, weight of the distance between views")
    variance: float = Field(25.0, ge=0, description="μ, weight of the hinge on each dimension's standard deviation")
    covariance: float = Field(1.0, ge=0, description="ν, weight of the squared covariances")


class VICReg(Redundancy):
    """Learn φ so that views of an image agree while dimensions vary and are not correlated. See the module."""

    title = "VICReg"
    reference = (
        "Bardes, Ponce and LeCun, ICLR 2022, arXiv 2105.04906, equations 1 to 6 with the factors of the authors' code; "
        "lightly's terms checked against a direct evaluation of the formulas in float64"
    )
    Config: ClassVar[type[MethodConfig]] = VICRegConfig
    presets: ClassVar = {
        "minutes": {**MINUTES, "method": {**MINUTES["method"], "covariance": 10.0}},
        # That library adds the variance terms of both views, of which this is the mean.
        "solo-learn": solo_learn(variance=50.0, views="simclr(solarise=0.1)"),
    }

    config: VICRegConfig

    def terms_of(self, projections: list[Tensor]) -> dict[str, Tensor]:
        """`loss`, and unweighted `invariance`, `variance` (mean of both views) and `covariance` (their sum)."""
        invariance, variance, covariance = vicreg_terms(projections[0], projections[1])
        config = self.config
        return {
            "loss": config.invariance * invariance + config.variance * variance + config.covariance * covariance,
            "invariance": invariance.detach(),
            "variance": variance.detach(),
            "covariance": covariance.detach(),
        }

    def measure(self, images: Iterable[Tensor]) -> dict[str, float]:
        """Also `projection_deviation`, the mean standard deviation of z's dimensions over the first batch."""
        kept = list(images)
        deviation = self.compared(kept[0]).float().std(0).mean()
        return super().measure(kept) | {"projection_deviation": float(deviation)}

    def verdict(self, found: Mapping[str, float]) -> str:
        """Also names projections that have shrunk, which no measure of directions sees."""
        deviation = found["projection_deviation"]
        if deviation < SHRUNK:
            return (
                f"The projections, which the loss compares, have collapsed: they deviate by {deviation:.3f} where the "
                "variance term asks for 1."
            )
        return super().verdict(found)

    def collapsed(self, found: Mapping[str, float]) -> bool:
        """As `verdict` says."""
        return found["projection_deviation"] < SHRUNK or super().collapsed(found)


def vicreg_terms(one: Tensor, two: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """s, [v + v'] / 2 and c + c' of projections float (B, D) of two views; see the module.

    A single image has no variance: then the last two are 0.
    """
    from lightly.loss.vicreg_loss import covariance_loss, invariance_loss, variance_loss

    invariance = invariance_loss(one, two)
    if len(one) < 2:
        return invariance, torch.zeros_like(invariance), torch.zeros_like(invariance)
    variance = 0.5 * (variance_loss(one) + variance_loss(two))
    return invariance, variance, covariance_loss(one) + covariance_loss(two)
