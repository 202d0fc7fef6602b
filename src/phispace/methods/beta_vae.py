"""The β-VAE: a heavier KL term, or one that is held at a capacity that grows.

    L = reconstruction + β KL                (Higgins et al. 2017, equation 4)
    L = reconstruction + γ |KL - C(step)|    (Burgess et al. 2018, equation 8), where `capacity` > 0

C rises linearly from 0 to `capacity` nats over `capacity_steps` of the steps, so that the code is filled one factor
after the other.

Reference: Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework", ICLR
2017; Burgess et al., "Understanding disentangling in beta-VAE", 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator
from torch import Tensor

from phispace.methods.base import MethodConfig
from phispace.methods.gaussian_codes import kl_by_dimension
from phispace.methods.vae import VAE, VAEConfig


class BetaVAEConfig(VAEConfig):
    """Options of the β-VAE."""

    beta: float = Field(4.0, ge=0, description="weight of the KL term, where there is no capacity")
    capacity: float = Field(0.0, ge=0, description="nats at which the KL is held at the end; 0: plain weight")
    capacity_steps: float = Field(0.5, gt=0, le=1, description="share of the steps over which the capacity rises")
    gamma: float = Field(1000.0, ge=0, description="weight of the distance from the capacity")

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if self.capacity and (self.kl_warmup or self.free_bits):
            raise ValueError("with a capacity there is no KL weight, so kl_warmup and free_bits must be 0")
        return self


class BetaVAE(VAE):
    """A heavier KL term, for codes whose dimensions are independent. See the module."""

    title = "β-VAE"
    reference = (
        "Higgins et al., ICLR 2017, equation 4; Burgess et al. 2018 (arXiv 1804.03599), equation 8; checked against "
        "the formula over torch.distributions"
    )
    Config: ClassVar[type[MethodConfig]] = BetaVAEConfig
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "sprites": {
            "encoder": {"name": "vae-strided"},
            "method": {"observation": "bernoulli", "learning_rate": 5e-4, "batch_size": 64},
        },
        "capacity": {
            "encoder": {"name": "vae-strided"},
            "method": {"observation": "bernoulli", "capacity": 25.0, "learning_rate": 5e-4, "batch_size": 64},
        },
    }

    config: BetaVAEConfig

    def penalty(self, z: Tensor, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if not self.config.capacity:
            return super().penalty(z, mean, log_variance)
        reached = self.config.capacity * self.risen(self.config.capacity_steps)
        kl = kl_by_dimension(mean, log_variance).sum(1).mean()
        return self.config.gamma * (kl - reached).abs(), {}
