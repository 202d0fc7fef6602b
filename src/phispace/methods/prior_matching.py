"""Codes that follow a prior: an adversary that tells them from draws, in the loss of the one optimiser.

The discriminator D sees draws u of the uniform distribution on (0, 1)^D and codes v = sigmoid(y), and learns by

    L_D = E softplus(-D(u)) + E softplus(D(v)) + λ/2 ( E |∇D(u)|² + E |∇D(v)|² )

while the encoder learns to be taken for the prior (the form of the loss that does not saturate):

    L_E = E softplus(-D(v))

Both gradients are taken at the same weights. L_D sees v as a constant, and L_E the weights of D; so the gradient of
L_D + γ L_E is that of L_D for D and that of γ L_E for the encoder, and since an optimiser works on each matrix by
itself, one optimiser on the sum makes the steps that two would make. A test holds the two to each other. (Clipping the
norm of the whole gradient would join them.)

Source: Hjelm et al., ICLR 2019 (arXiv 1808.06670), equation 7. Layers of 1000 and 200, the uniform prior and λ = 1 are
of its code, github.com/rdevon/DIM, cortex_DIM/models/prior_matching.py and discriminator.py, which takes both gradients
at the same weights too.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

HIDDEN = (1000, 200)


class PriorTerms(NamedTuple):
    """Scalars, float32. encoder: L_E. discriminator: L_D without its penalty. penalty: what λ multiplies."""

    encoder: Tensor
    discriminator: Tensor
    penalty: Tensor


class Discriminator(nn.Module):
    """D: two hidden layers with ReLU, (N, D) -> (N,), and the gradient of its output by its input.

    Args:
        inputs: D.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, HIDDEN[0])
        self.second = nn.Linear(HIDDEN[0], HIDDEN[1])
        self.last = nn.Linear(HIDDEN[1], 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """D(x) (N,) and |∇D(x)|² (N,).

        Written out: the gradient of a network with ReLU is W₁ᵀ diag(h₁ > 0) W₂ᵀ diag(h₂ > 0) w₃, whose own gradient
        needs no second pass back.
        """
        one = self.first(x)
        two = self.second(one.relu())
        logits = self.last(two.relu())
        slope = ((two > 0) * self.last.weight) @ self.second.weight
        slope = ((one > 0) * slope) @ self.first.weight
        return logits[:, 0], slope.square().sum(1)


def prior_terms(discriminator: Discriminator, codes: Tensor, draws: Tensor) -> PriorTerms:
    """See the module. In float32 whatever the autocast.

    Args:
        codes: (N, D), v. draws: (N, D), u.
    """
    with torch.autocast(codes.device.type, enabled=False):
        codes = codes.float()
        real, real_slope = discriminator(draws)
        fake, fake_slope = discriminator(codes.detach())
        fixed = {name: weight.detach() for name, weight in discriminator.named_parameters()}
        taken, _ = functional_call(discriminator, fixed, (codes,))
        return PriorTerms(
            F.softplus(-taken).mean(),
            F.softplus(-real).mean() + F.softplus(fake).mean(),
            (real_slope.mean() + fake_slope.mean()) / 2,
        )


def distance_from_uniform(values: Tensor) -> Tensor:
    """How far values (N, D) in [0, 1] are from uniform ones: Kolmogorov-Smirnov of each dimension, (D,).

    max_i max( i/N - v_(i), v_(i) - (i-1)/N ),   v_(1) <= ... <= v_(N) the sorted values of the dimension
    """
    ordered = values.sort(0).values
    steps = torch.arange(len(values) + 1, device=values.device, dtype=values.dtype)[:, None] / len(values)
    return torch.maximum(steps[1:] - ordered, ordered - steps[:-1]).amax(0)
