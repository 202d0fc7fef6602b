"""Gaussian posteriors over codes: divergences, draws and densities. Pure functions, natural logarithms.

q(z | x) = N(mean, diag exp(log_variance)), prior p(z) = N(0, 1).
"""

from __future__ import annotations

import math

from torch import Tensor

LOG_TAU = math.log(2 * math.pi)
ACTIVE = 0.01
"""A dimension is in use where its posterior mean varies over the images by more than this (variance).

Source: Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders", 2016, section 5.2."""


def kl_by_dimension(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(q(z_d | x) || N(0, 1)) in nats, (B, D): (mean² + variance - 1 - log variance) / 2.

    Source: Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, appendix B.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def draw(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """z = mean + deviation * noise; noise (..., B, D) of N(0, 1) gives codes of its own shape."""
    return mean + (0.5 * log_variance).exp() * noise


def log_normal(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(z; mean, exp(log_variance)) of each value; shapes are broadcast."""
    return -0.5 * (LOG_TAU + log_variance + (z - mean).square() * (-log_variance).exp())


def log_standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, 1) of each value."""
    return -0.5 * (LOG_TAU + z.square())


def free_bits(kl: Tensor, least: float) -> Tensor:
    """Sum over dimensions of max(least, mean over the batch of the dimension's KL): a scalar.

    What a dimension carries up to `least` nats costs nothing, so it has no reason to go silent.

    Args:
        kl: (B, D), of `kl_by_dimension`.
        least: nats a dimension; 0 gives the plain mean of the sums.

    Source: Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow", 2016, equation 15.
    """
    return kl.mean(0).clamp_min(least).sum()


def decompose(z: Tensor, mean: Tensor, log_variance: Tensor, items: int) -> tuple[Tensor, Tensor, Tensor]:
    """The mean KL in three parts, estimated from one batch by minibatch-weighted sampling.

        I(z; n)  index-code mutual information = E[log q(z | n) - log q(z)]
        TC       total correlation             = E[log q(z) - Σ_d log q(z_d)]
        KL_d     dimension-wise KL             = E[Σ_d (log q(z_d) - log p(z_d))]

        log q(z_i) ≈ log Σ_j q(z_i | x_j) - log(N M),     log q(z_id) ≈ log Σ_j q(z_id | x_j) - log(N M)

    Their sum is the one-draw estimate of the KL, whatever N is. The estimates are biased, since a batch has M of the N
    components, and N M enters each of them as a constant (I by + log(N M), TC by (D - 1) log(N M), KL_d by
    - D log(N M)): compare them between runs of the same N and M only. The gradient does not depend on N.

    Args:
        z: (M, D), one draw of each posterior.
        mean, log_variance: (M, D).
        items: N, images of the training set.

    Returns:
        three scalars, means over the batch in nats.

    Source: Chen et al., "Isolating Sources of Disentanglement in Variational Autoencoders", 2018, equations 2 and 5
    and appendix C.1.
    """
    size = math.log(items * len(z))
    pairs = log_normal(z[:, None], mean[None], log_variance[None])
    own = log_normal(z, mean, log_variance).sum(1)
    whole = pairs.sum(2).logsumexp(1) - size
    product = (pairs.logsumexp(1) - size).sum(1)
    prior = log_standard_normal(z).sum(1)
    return (own - whole).mean(), (whole - product).mean(), (product - prior).mean()


def in_use(means: Tensor) -> Tensor:
    """Which dimensions carry something: bool (D,), where the variance of the means (N, D) over images is > `ACTIVE`."""
    return means.var(0, correction=0) > ACTIVE
