"""Bounds on the log-likelihood of images under a latent-variable model, image by image.

    ELBO    log p(x) >= E_q(z|x)[log p(x | z)] - KL(q(z | x) || p(z))
    IWAE_k  log p(x) >= E[log 1/k Σ_j p(x | z_j) p(z_j) / q(z_j | x)],  z_j ~ q(z | x);   IWAE_1 = ELBO, grows with k

Sources: Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, equation 3; Burda, Grosse and Salakhutdinov,
"Importance Weighted Autoencoders", 2016, equation 8.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from phispace.methods.gaussian_codes import draw, kl_by_dimension, log_normal, log_standard_normal

Density = Callable[[Tensor], Tensor]
"""Codes (B, D) -> log p(x_i | z_i) of the batch's images in nats, (V, B): under V observation models."""


@dataclass(frozen=True)
class Bounds:
    """Of each image of a batch, float64, in nats.

    Attributes:
        elbo: (V, B), with the KL in closed form and the expectation over the same draws as `iwae`.
        iwae: (V, B), of all draws.
        kl: (B,), of the posterior to the prior.
    """

    elbo: Tensor
    iwae: Tensor
    kl: Tensor


def bounds(mean: Tensor, log_variance: Tensor, density: Density, k: int, generator: torch.Generator) -> Bounds:
    """Both bounds from k draws, one batch of codes at a time: memory does not grow with k.

    Args:
        mean, log_variance: (B, D) of q(z | x).
        density: decodes and scores.
        k: draws of each image, at least 1.
        generator: on the CPU.
    """
    kl = kl_by_dimension(mean.double(), log_variance.double()).sum(1)
    expected = torch.zeros((), dtype=torch.float64, device=kl.device)
    whole = torch.full((), -math.inf, dtype=torch.float64, device=kl.device)
    for _ in range(k):
        noise = torch.randn(mean.shape, generator=generator).to(mean.device)
        z = draw(mean, log_variance, noise)
        likelihood = density(z).double()
        prior = log_standard_normal(z.double()).sum(1)
        posterior = log_normal(z.double(), mean.double(), log_variance.double()).sum(1)
        expected = expected + likelihood / k
        whole = torch.logaddexp(whole, likelihood + prior - posterior)
    return Bounds(expected - kl, whole - math.log(k), kl)


def gaussian_log_density(images: Tensor, decoded: Tensor, variances: Sequence[float]) -> Tensor:
    """log N(x; decoded, variance) of each image (B, C, H, W) under each of V variances: float64 (V, B)."""
    values = images[0].numel()
    error = (images.double() - decoded.double()).square().flatten(1).sum(1)
    return torch.stack([-0.5 * (values * math.log(2 * math.pi * v) + error / v) for v in variances])


def bernoulli_log_density(bits: Tensor, logits: Tensor) -> Tensor:
    """Σ log Bernoulli(bit; sigmoid(logit)) of each image (B, C, H, W): float64 (1, B)."""
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.double(), bits.double(), reduction="none")
    return -loss.flatten(1).sum(1)[None]
