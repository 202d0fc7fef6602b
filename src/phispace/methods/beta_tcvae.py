"""The β-TCVAE: only the part of the KL term that makes the code's dimensions dependent is weighed up.

    L = reconstruction + α I(z; n) + β TC(z) + γ Σ_d KL(q(z_d) || p(z_d))

The three parts are estimated from the batch by minibatch-weighted sampling; see `phispace.methods.gaussian_codes`. With
α = β = γ = 1 their sum is the one-draw estimate of the KL, and the method is a VAE.

Reference: Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders", NeurIPS 2018, equation 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor

from phispace.methods.base import MethodConfig
from phispace.methods.gaussian_codes import decompose
from phispace.methods.variational import Variational, VariationalConfig


class BetaTCVAEConfig(VariationalConfig):
    """Options of the β-TCVAE."""

    beta: float = Field(6.0, ge=0, description="weight of the total correlation")
    alpha: float = Field(1.0, ge=0, description="weight of the mutual information of code and image")
    gamma: float = Field(1.0, ge=0, description="weight of the dimension-wise KL")
    kl_warmup: float = Field(0.0, ge=0, le=1, description="share of the steps over which the three weights rise from 0")


class BetaTCVAE(Variational):
    """A heavier total correlation, for codes whose dimensions are independent. See the module."""

    title = "β-TCVAE"
    reference = (
        "Chen et al., NeurIPS 2018 (arXiv 1802.04942), equation 4 and appendix C.1; checked against a loop over all "
        "pairs with torch.distributions"
    )
    Config: ClassVar[type[MethodConfig]] = BetaTCVAEConfig
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "sprites": {
            "encoder": {"name": "vae-strided"},
            "method": {"observation": "bernoulli", "learning_rate": 5e-4, "batch_size": 64},
        },
    }

    config: BetaTCVAEConfig

    def penalty(self, z: Tensor, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        information, correlation, marginal = decompose(z, mean, log_variance, self.task.train_items)
        whole = self.config.alpha * information + self.config.beta * correlation + self.config.gamma * marginal
        parts = {
            "mutual_information": information.detach(),
            "total_correlation": correlation.detach(),
            "dimension_kl": marginal.detach(),
        }
        return self.risen(self.config.kl_warmup) * whole, parts
