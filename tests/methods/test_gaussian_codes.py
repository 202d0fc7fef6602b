"""Divergences, draws and the decomposition of the KL against torch.distributions and loops over all pairs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from phispace.methods.gaussian_codes import (
    decompose,
    draw,
    free_bits,
    in_use,
    kl_by_dimension,
    log_normal,
    log_standard_normal,
)


def posteriors(rows: int, width: int, seed: int, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return scale * torch.randn((rows, width), generator=rng), torch.randn((rows, width), generator=rng)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 7), width=st.integers(1, 5), scale=st.sampled_from([0.0, 1.0, 20.0]), seed=st.integers(0, 99)
)
def test_kl_and_densities_are_those_of_torch_distributions(rows, width, scale, seed):
    mean, log_variance = posteriors(rows, width, seed, scale)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    prior = Normal(torch.zeros(()), torch.ones(()))
    torch.testing.assert_close(
        kl_by_dimension(mean, log_variance), kl_divergence(posterior, prior), rtol=1e-5, atol=1e-5
    )
    z = posteriors(rows, width, seed + 1, 3.0)[0]
    torch.testing.assert_close(log_normal(z, mean, log_variance), posterior.log_prob(z), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(log_standard_normal(z), prior.log_prob(z), rtol=1e-5, atol=1e-5)


def test_a_posterior_equal_to_the_prior_costs_nothing():
    zero = torch.zeros(3, 2)
    assert (kl_by_dimension(zero, zero) == 0).all()
    assert not in_use(zero).any()


def test_draws_have_the_posterior_s_mean_and_deviation():
    mean, log_variance = posteriors(1, 3, 0)
    noise = torch.randn((200_000, 3), generator=torch.Generator().manual_seed(1))
    z = draw(mean, log_variance, noise)
    torch.testing.assert_close(z.mean(0), mean[0], rtol=0, atol=0.02)
    torch.testing.assert_close(z.var(0), log_variance.exp()[0], rtol=0.02, atol=0)


def by_pairs(z: torch.Tensor, mean: torch.Tensor, log_variance: torch.Tensor, items: int) -> list[float]:
    """The three parts, image by image and pair by pair, in double precision."""
    m, d = z.shape
    z, mean, deviation = z.double(), mean.double(), (0.5 * log_variance.double()).exp()
    parts = [0.0, 0.0, 0.0]
    for i in range(m):
        own = sum(float(Normal(mean[i, k], deviation[i, k]).log_prob(z[i, k])) for k in range(d))
        whole, by_dimension = 0.0, [0.0] * d
        for j in range(m):
            each = [float(Normal(mean[j, k], deviation[j, k]).log_prob(z[i, k])) for k in range(d)]
            whole += math.exp(sum(each))
            by_dimension = [a + math.exp(b) for a, b in zip(by_dimension, each, strict=True)]
        log_q = math.log(whole) - math.log(items * m)
        log_product = sum(math.log(q) - math.log(items * m) for q in by_dimension)
        log_p = sum(float(Normal(0.0, 1.0).log_prob(z[i, k])) for k in range(d))
        for place, value in enumerate((own - log_q, log_q - log_product, log_product - log_p)):
            parts[place] += value / m
    return parts


@pytest.mark.parametrize(("rows", "width", "items"), [(1, 1, 1), (1, 3, 50), (5, 2, 50), (7, 4, 1000)])
def test_the_three_parts_are_the_sums_over_all_pairs(rows, width, items):
    mean, log_variance = posteriors(rows, width, 3)
    z = draw(mean, log_variance, posteriors(rows, width, 4)[0])
    ours = [float(part) for part in decompose(z, mean, log_variance, items)]
    assert ours == pytest.approx(by_pairs(z, mean, log_variance, items), rel=1e-5, abs=1e-5)


def test_the_parts_add_up_to_the_kl_of_the_draw_whatever_the_number_of_images():
    mean, log_variance = posteriors(6, 3, 5)
    z = draw(mean, log_variance, posteriors(6, 3, 6)[0])
    kl = (log_normal(z, mean, log_variance) - log_standard_normal(z)).sum(1).mean()
    for items in (6, 60_000):
        torch.testing.assert_close(sum(decompose(z, mean, log_variance, items)), kl, rtol=1e-5, atol=1e-4)


def test_the_gradient_does_not_depend_on_the_number_of_images():
    grown = []
    for items in (10, 100_000):
        mean, log_variance = (x.requires_grad_() for x in posteriors(6, 3, 5))
        z = draw(mean, log_variance, posteriors(6, 3, 6)[0])
        information, correlation, marginal = decompose(z, mean, log_variance, items)
        (information + 6 * correlation + marginal).backward()
        grown.append(mean.grad)
    torch.testing.assert_close(grown[0], grown[1], rtol=1e-4, atol=1e-6)


def test_dependent_dimensions_have_the_larger_total_correlation():
    """Two equal dimensions against two independent ones of the same marginals."""
    rng = torch.Generator().manual_seed(0)
    one, other = (3 * torch.randn((500, 1), generator=rng) for _ in range(2))
    narrow = torch.full((500, 2), -4.0)
    found = []
    for mean in (torch.cat([one, one], 1), torch.cat([one, other], 1)):
        z = draw(mean, narrow, torch.randn((500, 2), generator=rng))
        found.append(float(decompose(z, mean, narrow, 500)[1]))
    assert found[0] > found[1] + 1


def test_free_bits_are_the_larger_of_each_dimension_s_mean_and_the_allowance():
    kl = torch.tensor([[0.0, 1.0, 5.0], [0.2, 0.0, 1.0]])
    assert float(free_bits(kl, 0.0)) == pytest.approx(0.1 + 0.5 + 3.0)
    assert float(free_bits(kl, 0.5)) == pytest.approx(0.5 + 0.5 + 3.0)
    assert float(free_bits(kl, 4.0)) == pytest.approx(12.0)


def test_a_dimension_is_in_use_above_a_hundredth_of_variance():
    mean = torch.tensor([[0.0, 0.0, -1.0], [0.19, 0.21, 1.0]])  # variances 0.009, 0.011, 1
    assert in_use(mean).tolist() == [False, True, True]
