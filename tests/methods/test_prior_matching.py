"""The adversary that matches a prior: its terms by their formulas, and one optimiser against two."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import nn

from phispace.methods.prior_matching import Discriminator, distance_from_uniform, prior_terms

WIDTH = 5


def inputs(count: int = 7, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn((count, WIDTH), generator=rng).sigmoid(), torch.rand((count, WIDTH), generator=rng)


def plain(network: Discriminator) -> nn.Sequential:
    """The same network as torch makes it."""
    return nn.Sequential(network.first, nn.ReLU(), network.second, nn.ReLU(), network.last)


def test_terms_are_their_formulas():
    torch.manual_seed(0)
    network = Discriminator(WIDTH)
    codes, draws = inputs()
    terms = prior_terms(network, codes, draws)
    found = [float(term.detach()) for term in terms]
    exact = plain(copy.deepcopy(network)).double()

    def value(x: torch.Tensor) -> tuple[np.ndarray, float]:
        x = x.double().requires_grad_()
        out = exact(x)[:, 0]
        (slope,) = torch.autograd.grad(out.sum(), x)
        return out.detach().numpy(), float((slope**2).sum(1).mean())

    (fake, fake_slope), (real, real_slope) = value(codes), value(draws)
    sigmoid = lambda t: 1 / (1 + np.exp(-t))  # noqa: E731
    assert found[0] == pytest.approx(-np.log(sigmoid(fake)).mean(), rel=1e-5)
    expected = -np.log(sigmoid(real)).mean() - np.log(1 - sigmoid(fake)).mean()
    assert found[1] == pytest.approx(expected, rel=1e-5)
    assert found[2] == pytest.approx((fake_slope + real_slope) / 2, rel=1e-5)


def test_the_gradient_of_the_penalty_is_that_of_a_second_pass_back():
    torch.manual_seed(0)
    network = Discriminator(WIDTH)
    codes, draws = inputs()
    prior_terms(network, codes, draws).penalty.backward()
    found = {k: p.grad.clone() for k, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    total = torch.zeros(())
    for x in (codes, draws):
        x = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(plain(network)(x).sum(), x, create_graph=True)
        total = total + slope.square().sum(1).mean() / 2
    total.backward()
    for key, parameter in network.named_parameters():
        if key.endswith("weight"):
            torch.testing.assert_close(found[key], parameter.grad, rtol=1e-5, atol=1e-7)


def test_each_term_reaches_only_its_own_network():
    torch.manual_seed(0)
    network, encoder = Discriminator(WIDTH), nn.Linear(WIDTH, WIDTH)
    codes, draws = inputs()

    def reached(name: str) -> tuple[bool, bool]:
        network.zero_grad()
        encoder.zero_grad()
        getattr(prior_terms(network, encoder(codes).sigmoid(), draws), name).backward()
        return tuple(
            any(p.grad is not None and p.grad.abs().max() > 0 for p in m.parameters()) for m in (encoder, network)
        )

    assert reached("encoder") == (True, False)
    assert reached("discriminator") == (False, True)
    assert reached("penalty") == (False, True)


@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_one_optimiser_on_the_sum_makes_the_steps_of_two(kind):
    """Ten steps of two optimisers, each on its own loss with the other network fixed, and of one on the sum."""

    def made() -> tuple[nn.Module, Discriminator]:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(WIDTH, 16), nn.Tanh(), nn.Linear(16, WIDTH)), Discriminator(WIDTH)

    def optimiser(*modules: nn.Module) -> torch.optim.Optimizer:
        weights = [p for m in modules for p in m.parameters()]
        if kind == "adam":
            return torch.optim.Adam(weights, 1e-3, betas=(0.5, 0.999))
        return torch.optim.SGD(weights, 0.05, momentum=0.9, nesterov=True)

    gamma, weight = 0.3, 1.0
    encoder, network = made()
    both = optimiser(encoder, network)
    for step in range(10):
        x, draws = inputs(32, step)
        terms = prior_terms(network, encoder(x).sigmoid(), draws)
        both.zero_grad()
        (gamma * terms.encoder + terms.discriminator + weight * terms.penalty).backward()
        both.step()

    second_encoder, second_network = made()
    one, two = optimiser(second_encoder), optimiser(second_network)
    for step in range(10):
        x, draws = inputs(32, step)
        score = plain(second_network)
        fake = second_encoder(x).sigmoid()
        encoder_loss = gamma * nn.functional.softplus(-score(fake)).mean()
        slopes = []
        for place in (draws, fake.detach()):
            place = place.clone().requires_grad_()
            (slope,) = torch.autograd.grad(score(place).sum(), place, create_graph=True)
            slopes.append(slope.square().sum(1).mean())
        loss = nn.functional.softplus(-score(draws)).mean() + nn.functional.softplus(score(fake.detach())).mean()
        loss = loss + weight * (slopes[0] + slopes[1]) / 2
        one_gradients = torch.autograd.grad(encoder_loss, list(second_encoder.parameters()))
        two_gradients = torch.autograd.grad(loss, list(second_network.parameters()))
        for weights, gradients in ((second_encoder, one_gradients), (second_network, two_gradients)):
            for parameter, gradient in zip(weights.parameters(), gradients, strict=True):
                parameter.grad = gradient
        one.step()
        two.step()
    for ours, theirs in ((encoder, second_encoder), (network, second_network)):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_codes_become_uniform():
    """Free codes far from the prior are drawn to it: the distance of their distribution falls by half."""
    torch.manual_seed(0)
    raw = nn.Parameter(0.3 * torch.randn(64, WIDTH) + 1)
    network = Discriminator(WIDTH)
    optimizer = torch.optim.Adam([{"params": [raw], "lr": 5e-2}, {"params": network.parameters(), "lr": 1e-3}])

    def distance() -> float:
        return float(distance_from_uniform(raw.detach().sigmoid()).mean())

    before = distance()
    for step in range(80):
        terms = prior_terms(
            network, raw.sigmoid(), torch.rand(64, WIDTH, generator=torch.Generator().manual_seed(step))
        )
        optimizer.zero_grad()
        (terms.encoder + terms.discriminator + terms.penalty).backward()
        optimizer.step()
    assert distance() < before / 2, (before, distance())


def test_the_distance_is_that_of_kolmogorov_and_smirnov():
    values = torch.rand((40, 3), generator=torch.Generator().manual_seed(0)) ** 2
    expected = [kstest(values[:, d].double().numpy(), "uniform").statistic for d in range(3)]
    np.testing.assert_allclose(distance_from_uniform(values.double()).numpy(), expected, rtol=1e-9)
