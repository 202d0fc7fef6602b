"""How an image is observed from its reconstruction: the reconstruction term of variational autoencoders.

Four ways to count it, which decide the balance with the KL term (P = values of an image, C H W):

    mse-sum    Σ_p (x - x̂)²            a Gaussian of variance 1/2, but for a constant; mean over the batch
    mse-mean   1/P Σ_p (x - x̂)²        the published variant: the KL weight is in effect P times that of mse-sum
    gaussian   P/2 (log(2π v) + 1)     a Gaussian whose variance v is the batch's own mean squared error
    bernoulli  cross-entropy, summed   each value is the probability of a white pixel

`gaussian` is the exact negative log-likelihood under the best variance (Rybkin, Daniilidis and Levine, "Simple and
Effective VAE Training with Calibrated Decoders", 2021, section 3.2), so the balance sets itself. A Gaussian density may
exceed 1, so this term may be below 0.
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

Observation = Literal["mse-sum", "mse-mean", "gaussian", "bernoulli"]
LEAST_VARIANCE = (0.5 / 255) ** 2
"""Of `gaussian`: half a grey value. Pixels are no finer than that, and a perfect image has no finite density."""


def reconstruction_term(images: Tensor, decoded: Tensor, observation: Observation) -> Tensor:
    """The term of a batch, a scalar: the mean over its images.

    Args:
        images: (B, C, H, W) in [0, 1].
        decoded: (B, C, H, W), reconstructions; logits for `bernoulli`.
    """
    values = images[0].numel()
    if observation == "bernoulli":
        return F.binary_cross_entropy_with_logits(decoded, images, reduction="sum") / len(images)
    error = (images - decoded).square().mean()
    if observation == "mse-mean":
        return error
    if observation == "mse-sum":
        return values * error
    return 0.5 * values * (error.clamp_min(LEAST_VARIANCE).log() + math.log(2 * math.pi) + 1)
