"""LeJEPA: views of an image agree, and projections are distributed like an isotropic Gaussian (SIGReg).

With projections z_vi of the V views of B images, the first G of which are global,

    L = (1 - λ) I + λ R

    I = 1/(V B D) Σ_v Σ_i |z_vi - m_i|²,   m_i = 1/G Σ_{v≤G} z_vi                  invariance
    R = 1/V Σ_v 1/S Σ_s T(⟨z_v1, a_s⟩, ..., ⟨z_vB, a_s⟩)                           SIGReg
    T(x) = B ∫ |1/B Σ_i exp(j t x_i) - exp(-t²/2)|² exp(-t²/2) dt                  Epps-Pulley

with S directions a_s uniform on the unit sphere, drawn anew at every step, the same for all views; R is taken view by
view. The integral goes from -3 to 3 and is the trapezoidal rule over K = 17 points of its half (the integrand is even).
No teacher, no stop of gradients, no predictor.

Reference: Balestriero and LeCun, "LeJEPA", arXiv 2511.08544, and its published code. The weights are the paper's convex
combination (others use I + λ R). lightly's `SIGReg` computes the same value; it is not used because it draws its
directions from torch's global generator, so that a resumed run would not repeat.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from phispace.methods.base import MethodConfig
from phispace.methods.redundancy import MINUTES, Redundancy, RedundancyConfig
from phispace.randomness import torch_rng


class LeJEPAConfig(RedundancyConfig):
    """Options of LeJEPA."""

    projection: int = Field(64, ge=2, description="values of a projection")
    weight: float = Field(0.05, ge=0, le=1, description="λ, weight of SIGReg; the invariance has 1 - λ")
    slices: int = Field(256, ge=1, description="S, directions a step")
    points: int = Field(17, ge=2, description="K, points of the integral from 0 to 3")
    local_views: int = Field(
        0, ge=0, description="views beside the two global ones; name all in `views`, the global ones first"
    )


class LeJEPA(Redundancy):
    """Learn φ so that views agree and projections are Gaussian. See the module."""

    title = "LeJEPA"
    projector_last = "linear"
    reference = (
        "Balestriero and LeCun, arXiv 2511.08544, with the weights and the integral of the published code; checked "
        "against the closed form of the Epps-Pulley statistic, a direct evaluation in float64 and lightly's SIGReg"
    )
    Config: ClassVar[type[MethodConfig]] = LeJEPAConfig
    presets: ClassVar = {"minutes": MINUTES}

    config: LeJEPAConfig

    @classmethod
    def count_views(cls, config: MethodConfig) -> int:
        return cls.n_views + int(getattr(config, "local_views", 0))

    def terms_of(self, projections: list[Tensor]) -> dict[str, Tensor]:
        """`loss`, and unweighted `invariance` and `sigreg`."""
        z = torch.stack(projections)
        directions = unit_directions(z.shape[-1], self.config.slices, self._rng()).to(z)
        invariance = distance_to_centre(z, self.n_views)
        sigreg = epps_pulley(z @ directions, self.config.points).mean()
        loss = (1 - self.config.weight) * invariance + self.config.weight * sigreg
        return {"loss": loss, "invariance": invariance.detach(), "sigreg": sigreg.detach()}

    def _rng(self) -> torch.Generator:
        """The same on all devices; in validation the same in every epoch."""
        if self.training:
            return self.step_rng("slices")
        return torch_rng(int(getattr(self, "run_seed", 0)), "method/slices/validation")


def unit_directions(width: int, count: int, rng: torch.Generator) -> Tensor:
    """(D, S): directions uniform on the unit sphere of D dimensions, one a column."""
    return F.normalize(torch.randn((width, count), generator=rng), dim=0)


def distance_to_centre(projections: Tensor, centring: int) -> Tensor:
    """I of projections (V, B, D): mean squared difference from the mean of the first `centring` views of each image."""
    return (projections - projections[:centring].mean(0)).square().mean()


def epps_pulley(samples: Tensor, points: int = 17, limit: float = 3.0) -> Tensor:
    """T, the distance of samples from the standard normal distribution, see the module.

    Args:
        samples: float (..., B, S): S samples of B numbers.
        points: K, of the trapezoidal rule from 0 to `limit`.

    Returns:
        (..., S); 0 is a perfect fit, normal samples have sqrt(2π) - sqrt(2π/3) = 1.06 in the mean, whatever B is.
    """
    t = torch.linspace(0, limit, points, dtype=samples.dtype, device=samples.device)
    normal = (-t.square() / 2).exp()
    weights = torch.full_like(t, 2 * limit / (points - 1))
    weights[[0, -1]] /= 2
    angles = samples[..., None] * t
    real, imaginary = angles.cos().mean(-3), angles.sin().mean(-3)
    return ((real - normal).square() + imaginary.square()) @ (weights * normal) * samples.shape[-2]
