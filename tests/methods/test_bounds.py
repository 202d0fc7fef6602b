"""Bounds on the likelihood against a linear Gaussian model, whose likelihood is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch.distributions import Bernoulli, Independent, Normal

from phispace.methods.bounds import bernoulli_log_density, bounds, gaussian_log_density

VARIANCE = 0.3


class Linear:
    """x = W z + b + noise with W^T W diagonal, so that the true posterior is a Gaussian of independent dimensions."""

    def __init__(self, values: int = 6, width: int = 2) -> None:
        rng = np.random.default_rng(0)
        turn, _ = np.linalg.qr(rng.normal(size=(values, width)))
        self.w = torch.from_numpy(turn * np.array([2.0, 0.5])[:width])
        self.b = torch.from_numpy(rng.normal(size=values))

    def images(self, n: int) -> torch.Tensor:
        rng = torch.Generator().manual_seed(1)
        z = torch.randn((n, self.w.shape[1]), generator=rng, dtype=torch.float64)
        noise = math.sqrt(VARIANCE) * torch.randn((n, len(self.b)), generator=rng, dtype=torch.float64)
        return z @ self.w.T + self.b + noise

    def posterior(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        precision = 1 + self.w.square().sum(0) / VARIANCE
        mean = (x - self.b) @ self.w / VARIANCE / precision
        return mean, (-precision.log()).expand_as(mean)

    def density(self, x: torch.Tensor):
        def of(z: torch.Tensor) -> torch.Tensor:
            decoded = z.double() @ self.w.T + self.b
            return gaussian_log_density(x[:, None, None], decoded[:, None, None], [VARIANCE])

        return of

    def exact(self, x: torch.Tensor) -> np.ndarray:
        covariance = (self.w @ self.w.T).numpy() + VARIANCE * np.eye(len(self.b))
        return np.atleast_1d(multivariate_normal(self.b.numpy(), covariance).logpdf(x.numpy()))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_with_the_true_posterior_the_weighted_bound_is_the_likelihood():
    """The weight p(x, z) / q(z | x) is p(x) for every draw, so one draw is enough and the bound is exact."""
    model = Linear()
    x = model.images(20)
    found = bounds(*model.posterior(x), model.density(x), 1, generator())
    np.testing.assert_allclose(found.iwae[0].numpy(), model.exact(x), rtol=1e-5, atol=1e-5)
    many = bounds(*model.posterior(x), model.density(x), 2000, generator())
    np.testing.assert_allclose(many.elbo[0].numpy(), model.exact(x), atol=0.15)
    assert abs(float(many.elbo.mean()) - model.exact(x).mean()) < 0.02


def test_with_a_wrong_posterior_the_bounds_are_below_and_rise_to_the_likelihood():
    model = Linear()
    x = model.images(50)
    mean, log_variance = model.posterior(x)
    wrong = mean + 0.7, log_variance + 0.8
    exact = model.exact(x).mean()
    found = [bounds(*wrong, model.density(x), k, generator()) for k in (1, 10, 3000)]
    means = [float(f.iwae.mean()) for f in found]
    assert means[0] < means[1] < means[2] <= exact + 0.02
    assert means[2] == pytest.approx(exact, abs=0.05)
    assert float(found[2].elbo.mean()) < exact - 0.3
    # The ELBO in closed form: likelihood minus the divergence from the true posterior.
    gap = torch.distributions.kl_divergence(
        Normal(wrong[0], (0.5 * wrong[1]).exp()), Normal(mean, (0.5 * log_variance).exp())
    ).sum(1)
    assert float(found[2].elbo.mean()) == pytest.approx(exact - float(gap.mean()), abs=0.05)


def test_densities_are_those_of_torch_distributions():
    rng = torch.Generator().manual_seed(3)
    x, y = torch.rand((4, 2, 3, 3), generator=rng), torch.rand((4, 2, 3, 3), generator=rng)
    found = gaussian_log_density(x, y, [0.2, 1.5])
    assert found.shape == (2, 4)
    for row, variance in enumerate((0.2, 1.5)):
        expected = Independent(Normal(y, math.sqrt(variance)), 3).log_prob(x)
        torch.testing.assert_close(found[row].float(), expected, rtol=1e-5, atol=1e-4)
    bits = (x > 0.5).float()
    expected = Independent(Bernoulli(logits=y), 3).log_prob(bits)
    torch.testing.assert_close(bernoulli_log_density(bits, y)[0].float(), expected, rtol=1e-5, atol=1e-5)
