"""The variational autoencoder: codes that are drawn from a distribution near a standard normal one.

    L = reconstruction(x, decoder(z)) + β Σ_d KL(q(z_d | x) || N(0, 1))

How the reconstruction is counted is an option (`phispace.methods.observation`), since the balance of the two terms
decides everything: with the mean over pixels and a KL weight of 1 the code collapses (preset `simple-mean`), and that
is said in the log and the run's record.

Reference: Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, equations 7 and 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor

from phispace.methods.base import MethodConfig
from phispace.methods.gaussian_codes import free_bits, kl_by_dimension
from phispace.methods.variational import Variational, VariationalConfig


class VAEConfig(VariationalConfig):
    """Options of the variational autoencoder; the published trainings are presets."""

    beta: float = Field(1.0, ge=0, description="weight of the KL term")
    kl_warmup: float = Field(0.0, ge=0, le=1, description="share of the steps over which the KL weight rises from 0")
    free_bits: float = Field(0.0, ge=0, description="nats a dimension that the KL term does not count")


_PUBLISHED = {"optimizer": "adam", "learning_rate": 1e-4, "batch_size": 50, "epochs": 10, "schedule": "constant"}


class VAE(Variational):
    """Codes drawn from a posterior near a standard normal prior. See the module."""

    title = "variational autoencoder"
    reference = (
        "Kingma and Welling 2014 (arXiv 1312.6114), equations 7 and 10; checked against torch.distributions and the "
        "exact likelihood of a linear model"
    )
    Config: ClassVar[type[MethodConfig]] = VAEConfig
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
        "simple": {"encoder": {"name": "vae-simple"}, "method": _PUBLISHED},
        "simple-mean": {"encoder": {"name": "vae-simple"}, "method": _PUBLISHED | {"observation": "mse-mean"}},
        "high-dimensional": {
            "encoder": {"name": "vae-simple", "options": {"code": 16}},
            "method": _PUBLISHED | {"beta": 0.0},
        },
        "high-dimensional-kl": {
            "encoder": {"name": "vae-simple", "options": {"code": 16}},
            "method": _PUBLISHED,
        },
        "deep": {"encoder": {"name": "vae-deep"}, "method": _PUBLISHED | {"beta": 0.5}},
        "flat": {
            "encoder": {"name": "mlp", "options": {"hidden": (512,), "batch_norm": False, "code": 2}},
            "method": _PUBLISHED,
        },
        "sprites": {
            "encoder": {"name": "vae-strided"},
            "method": {"observation": "bernoulli", "learning_rate": 5e-4, "batch_size": 64},
        },
        "modern": {
            "encoder": {"name": "vae-residual", "options": {"code": 64}},
            "method": {
                "observation": "gaussian",
                "output": "linear",
                "kl_warmup": 0.2,
                "free_bits": 0.05,
                "optimizer": "adamw",
                "learning_rate": 1e-3,
                "weight_decay": 0.01,
                "batch_size": 100,
                "epochs": 30,
                "schedule": "cosine",
                "warmup": 0.02,
            },
            "training": {"gradient_clip": 200.0},
        },
    }

    config: VAEConfig

    def penalty(self, z: Tensor, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """β KL; while training the weight rises and `free_bits` are free, in evaluation neither."""
        least = self.config.free_bits if self.training else 0.0
        weight = self.config.beta * self.risen(self.config.kl_warmup)
        return weight * free_bits(kl_by_dimension(mean, log_variance), least), {}
