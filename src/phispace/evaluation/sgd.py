"""A linear layer behind batch normalisation, by SGD, at several learning rates side by side.

The heads see the same batches and do not touch each other, so that one matrix product serves all of them; the gradient
of the cross-entropy of softmax is written out. A test holds it against torch's modules and optimiser.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import batch_norm

from phispace.evaluation.standardise import Scaling, blocks
from phispace.randomness import torch_rng

_EPSILON, _RUNNING = 1e-5, 0.1  # of torch's batch normalisation: added to the variance; a batch's share in the average
_FIRST_WEIGHT = 0.01  # deviation of the first weights, as MoCo's linear layer

Schedule = Literal["cosine", "step"]


def rate_at(progress: float, schedule: Schedule) -> float:
    """Learning rate relative to its peak after a share `progress` in [0, 1) of the steps.

    `cosine` falls from 1 to 0; `step` is a tenth from 60 % on and a hundredth from 80 % on, as MoCo's 60 and 80 of 100.
    """
    if schedule == "cosine":
        return (1 + math.cos(math.pi * progress)) / 2
    return 1.0 if progress < 0.6 else 0.1 if progress < 0.8 else 0.01


def even_batches(n: int, size: int, generator: torch.Generator) -> Sequence[Tensor]:
    """Positions 0 .. n-1 in random order, in batches of nearly equal length of at most `size`: none is left over."""
    return torch.tensor_split(torch.randperm(n, generator=generator), math.ceil(n / size))


@dataclass(frozen=True)
class LinearHeads:
    """Heads for L learning rates and C classes.

    Attributes:
        scaling: of the features before all.
        mean, variance: float32 (D,), running statistics of the normalisation.
        weight: float32 (D, L C).
        bias: float32 (L C,).
        classes: C.
        batch_size: that was used.
    """

    scaling: Scaling
    mean: Tensor
    variance: Tensor
    weight: Tensor
    bias: Tensor
    classes: int
    batch_size: int

    def log_probability(self, x: np.ndarray) -> np.ndarray:
        """(m, D) -> float32 (m, L, C)."""
        scale = torch.rsqrt(self.variance + _EPSILON)
        found = []
        for rows in blocks(x):
            z = (torch.from_numpy(self.scaling(rows)) - self.mean) * scale
            logits = torch.addmm(self.bias, z, self.weight).view(len(rows), -1, self.classes)
            found.append(torch.log_softmax(logits, 2))
        return torch.cat(found).numpy()


def fit_linear(
    x: np.ndarray,
    y: np.ndarray,
    n_classes: int,
    rates: Sequence[float],
    seed: int,
    *,
    epochs: int,
    batch_size: int = 256,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    schedule: Schedule = "cosine",
) -> LinearHeads:
    """Train one head a learning rate.

    The features are standardised first, so that the normalisation's small constant means the same at any scale.

    Args:
        x: float32 (n, D).
        y: int64 (n,), 0 .. C-1.
        rates: L peak rates, each times (size of the batch / 256).
        weight_decay: added to the gradient of the weights, not of the biases.
    """
    scaling = Scaling(x)
    z, target = torch.from_numpy(scaling(x)), torch.from_numpy(y)
    (n, d), many = z.shape, len(rates)
    generator = torch_rng(seed, "linear head")
    weight = _FIRST_WEIGHT * torch.randn(d, n_classes, generator=generator).repeat(1, many)
    bias = torch.zeros(many * n_classes)
    v_weight, v_bias = torch.zeros_like(weight), torch.zeros_like(bias)
    peak = torch.tensor(rates, dtype=torch.float32).repeat_interleave(n_classes)
    mean, variance = torch.zeros(d), torch.ones(d)
    steps = epochs * math.ceil(n / batch_size)
    step = 0
    for _ in range(epochs):
        for batch in even_batches(n, batch_size, generator):
            b = len(batch)
            rows = batch_norm(z[batch], mean, variance, training=True, momentum=_RUNNING, eps=_EPSILON)
            logits = torch.addmm(bias, rows, weight).view(b, many, n_classes)
            # torch's softmax takes four times as long over so few classes.
            share = logits.sub_(logits.amax(2, keepdim=True)).exp_()
            share /= share.sum(2, keepdim=True)
            share[torch.arange(b), :, target[batch]] -= 1
            share = share.view(b, -1).div_(b)
            v_weight.mul_(momentum).addmm_(rows.T, share)
            if weight_decay:
                v_weight.add_(weight, alpha=weight_decay)
            v_bias.mul_(momentum).add_(share.sum(0))
            rate = peak * (rate_at(step / steps, schedule) * b / 256)
            weight.addcmul_(v_weight, rate, value=-1)
            bias.addcmul_(v_bias, rate, value=-1)
            step += 1
    return LinearHeads(scaling, mean, variance, weight, bias, n_classes, min(batch_size, n))
