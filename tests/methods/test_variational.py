"""The variational autoencoders: their losses against the formulas, draws that can be repeated, collapse by name."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence
from torch.nn import functional as F

from phispace.encoders.build import build_encoder
from phispace.errors import InputError
from phispace.methods import REGISTRY
from phispace.methods.base import Batch, Task
from phispace.methods.observation import reconstruction_term

NAMES = ("vae", "beta-vae", "beta-tcvae")


def task(size: int = 8, items: int = 64) -> Task:
    return Task(1, size, (), items, 10)


def made(name: str = "vae", encoder: str = "vae-simple", code: int = 3, size: int = 8, **options):
    torch.manual_seed(0)
    kind = REGISTRY.get(name)
    return kind(build_encoder(encoder, 1, size, code=code), kind.Config(**options), task(size))


def data(rows: int = 6, size: int = 8, first: int = 0) -> Batch:
    x = torch.rand((rows, 1, size, size), generator=torch.Generator().manual_seed(1))
    return Batch((x,), torch.full((rows,), -1), torch.arange(first, first + rows))


# -- the reconstruction term


@pytest.mark.parametrize("observation", ["mse-sum", "mse-mean", "gaussian", "bernoulli"])
def test_the_reconstruction_term_is_a_log_likelihood_of_torch_distributions(observation):
    rng = torch.Generator().manual_seed(0)
    x, y = torch.rand((5, 2, 4, 4), generator=rng), torch.randn((5, 2, 4, 4), generator=rng)
    found = float(reconstruction_term(x, y, observation))
    values = 32
    if observation == "bernoulli":
        cross = -Independent(Bernoulli(logits=y, validate_args=False), 3).log_prob(x)
        expected = float(cross.mean())
    elif observation == "gaussian":
        deviation = ((x - y) ** 2).mean().sqrt()
        expected = -float(Independent(Normal(y, deviation), 3).log_prob(x).mean())
    elif observation == "mse-sum":  # a Gaussian of variance 1/2, but for its constant
        density = -Independent(Normal(y, math.sqrt(0.5)), 3).log_prob(x).mean()
        expected = float(density) - 0.5 * values * math.log(math.pi)
    else:
        expected = float(F.mse_loss(y, x))
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_a_perfect_reconstruction_has_a_finite_gaussian_term():
    x = torch.rand(2, 1, 4, 4)
    assert math.isfinite(float(reconstruction_term(x, x, "gaussian")))


# -- the losses


@pytest.mark.parametrize("observation", ["mse-sum", "mse-mean", "gaussian", "bernoulli"])
def test_the_vae_s_loss_is_the_formula(observation):
    method = made(observation=observation, beta=0.7).eval()
    batch = data()
    with torch.no_grad():
        terms = method.loss_terms(batch)
        mean, log_variance = method.posterior(batch.views[0])
        z = mean + (0.5 * log_variance).exp() * method.noise(mean, batch)
        images = method.decoder.logits(z) if observation == "bernoulli" else method.decoder(z)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    kl = kl_divergence(posterior, Normal(0.0, 1.0)).sum(1).mean()
    expected = reconstruction_term(batch.views[0], images, observation) + 0.7 * kl
    torch.testing.assert_close(terms["loss"], expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(terms["kl"], kl, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(terms["mse"], F.mse_loss(method.decode(z), batch.views[0]), rtol=1e-5, atol=1e-6)


def test_the_published_mean_is_the_sum_with_a_heavier_kl():
    """P times the loss of mse-mean at weight w is the loss of mse-sum at weight w P."""
    batch = data()
    mean = made(observation="mse-mean", beta=0.5).eval().loss_terms(batch)["loss"]
    whole = made(observation="mse-sum", beta=0.5 * 64).eval().loss_terms(batch)["loss"]
    torch.testing.assert_close(64 * mean, whole, rtol=1e-5, atol=1e-5)


def test_a_beta_of_one_is_the_vae_and_its_capacity_holds_the_kl():
    batch = data()
    plain, weighed = made().eval().loss_terms(batch), made("beta-vae", beta=1.0).eval().loss_terms(batch)
    assert torch.equal(plain["loss"], weighed["loss"])
    held = made("beta-vae", capacity=2.0, gamma=10.0).eval().loss_terms(batch)
    expected = held["reconstruction"] + 10 * (held["kl"] - 2.0).abs()
    torch.testing.assert_close(held["loss"], expected, rtol=1e-5, atol=1e-5)


def test_the_three_weights_of_beta_tcvae_are_on_their_terms():
    batch = data()
    terms = made("beta-tcvae", alpha=0.5, beta=6.0, gamma=2.0).eval().loss_terms(batch)
    expected = (
        terms["reconstruction"]
        + 0.5 * terms["mutual_information"]
        + 6.0 * terms["total_correlation"]
        + 2.0 * terms["dimension_kl"]
    )
    torch.testing.assert_close(terms["loss"], expected, rtol=1e-5, atol=1e-5)


def test_weights_that_rise_are_whole_in_validation():
    method = made(beta=2.0, kl_warmup=0.5, epochs=2)
    batch = data()
    terms = method.train().loss_terms(batch)  # step 0: the weight is still 0
    assert float(terms["loss"].detach()) == pytest.approx(float(terms["reconstruction"]), rel=1e-6)
    assert method.risen(0.0) == 1.0
    method.eval()
    terms = method.loss_terms(batch)
    assert float(terms["loss"]) == pytest.approx(float(terms["reconstruction"] + 2 * terms["kl"]), rel=1e-5)


def test_free_bits_count_while_training_only():
    method, batch = made(free_bits=100.0), data()
    terms = method.train().loss_terms(batch)
    assert float(terms["loss"].detach()) == pytest.approx(float(terms["reconstruction"]) + 300, rel=1e-5)
    terms = method.eval().loss_terms(batch)
    assert float(terms["loss"]) == pytest.approx(float(terms["reconstruction"] + terms["kl"]), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("beta-vae", {"capacity": 5.0, "free_bits": 0.1}, "free_bits must be 0"),
        ("beta-vae", {"capacity": 5.0, "kl_warmup": 0.1}, "kl_warmup"),
        ("vae", {"beta": -1.0}, "beta"),
        ("beta-tcvae", {"free_bits": 0.1}, "free_bits"),
    ],
)
def test_options_that_would_do_nothing_are_refused(name, options, match):
    with pytest.raises(ValueError, match=match):
        REGISTRY.get(name).Config(**options)


# -- codes and images


@pytest.mark.parametrize("name", NAMES)
def test_the_features_are_the_mean_and_nothing_is_drawn_in_reconstructions(name):
    method, x = made(name).eval(), data().views[0]
    with torch.no_grad():
        mean, log_variance = method.posterior(x)
        assert torch.equal(method.encoder(x), mean)
        assert mean.shape == log_variance.shape == (6, 3)
        again = method.reconstruct(x)
        assert torch.equal(again, method.reconstruct(x))
        assert torch.equal(again, method.decode(mean))
    assert again.shape == x.shape
    assert float(again.min()) >= 0
    assert float(again.max()) <= 1


@pytest.mark.parametrize(
    ("encoder", "size"),
    [
        ("vae-simple", 28),
        ("vae-simple", 32),
        ("vae-deep", 28),
        ("vae-deep", 32),
        ("vae-residual", 28),
        ("vae-residual", 33),
        ("vae-strided", 64),
        ("vae-strided", 28),
        ("vae-strided", 9),
        ("mlp", 28),
    ],
)
def test_the_decoder_restores_the_size(encoder, size):
    method = made(encoder=encoder, code=4, size=size).eval()
    with torch.no_grad():
        assert method.decode(torch.zeros(2, 4)).shape == (2, 1, size, size)


def test_published_networks_have_the_published_layers():
    shapes = build_encoder("vae-simple", 3, 32).shapes()
    assert [shapes[k] for k in ("conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "features")] == [
        (32, 30, 30), (32, 15, 15), (64, 13, 13), (64, 6, 6), (256,), (64,), (2,),
    ]  # fmt: skip
    shapes = build_encoder("vae-deep", 1, 28).shapes()
    assert [shapes[k] for k in ("conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "fc3", "features")] == [
        (32, 26, 26), (32, 13, 13), (128, 11, 11), (128, 5, 5), (1024,), (256,), (32,), (2,),
    ]  # fmt: skip


def test_the_network_of_disentanglement_has_the_published_layers():
    """Layer by layer for images of 64 x 64; what goes up is what torch's own transposed convolution gives."""
    encoder = build_encoder("vae-strided", 1, 64)
    shapes = encoder.shapes()
    assert [shapes[k] for k in ("conv1", "conv2", "conv3", "conv4", "fc1", "features")] == [
        (32, 32, 32), (32, 16, 16), (64, 8, 8), (64, 4, 4), (256,), (10,),
    ]  # fmt: skip
    kernels = [encoder.stages[f"conv{i}"][0].kernel_size for i in (1, 2, 3, 4)]
    assert kernels == [(4, 4), (4, 4), (2, 2), (2, 2)]
    decoder = encoder.decoder()
    h = torch.rand(2, 10)
    met = []
    for module in decoder:
        before, h = h, module(h)
        if isinstance(module, torch.nn.ConvTranspose2d):
            met.append(tuple(h.shape[1:]))
            torch.testing.assert_close(
                h, torch.nn.functional.conv_transpose2d(before, module.weight, module.bias, stride=2, padding=1)
            )
    assert met == [(64, 8, 8), (32, 16, 16), (32, 32, 32), (1, 64, 64)]
    assert h.shape == (2, 1, 64, 64)


def test_an_encoder_without_a_linear_code_is_refused_in_a_sentence():
    kind = REGISTRY.get("vae")
    with pytest.raises(InputError, match=r"linear code, and ConvNet4 does not; .*encoder\.code=16"):
        kind(build_encoder("convnet4", 1, 8), kind.Config(), task())
    assert kind(build_encoder("convnet4", 1, 8, code=4), kind.Config(), task()).posterior(data().views[0])[0].shape == (
        6,
        4,
    )
    with pytest.raises(InputError, match="probabilities"):
        made(observation="bernoulli", output="linear")


# -- draws


def test_draws_are_a_function_of_the_place_in_training():
    method, batch = made(), data()
    mean = torch.zeros(6, 3)
    torch.manual_seed(5)
    one = method.train().noise(mean, batch)
    torch.manual_seed(6)
    assert torch.equal(one, method.noise(mean, batch))
    method.run_seed = 1
    assert not torch.equal(one, method.noise(mean, batch))
    method.eval()
    first = method.noise(mean, batch)
    assert torch.equal(first, method.noise(mean, batch))
    assert not torch.equal(first, method.noise(mean, data(first=6)))


# -- collapse


def test_a_collapsed_posterior_is_named():
    method = made().eval()
    images = [data(40).views[0]]
    with torch.no_grad():
        for layer in (method.encoder.stages["features"], method.log_variance[1]):
            layer.weight.zero_()
        dead = method.measure(images)
        method.encoder.stages["features"].weight[0] = 50.0
        partly = method.measure(images)
    assert dead["active_units"] == 0
    assert dead["kl"] == pytest.approx(0, abs=1e-6)
    assert method.verdict(dead).startswith("POSTERIOR COLLAPSE: none of the 3 dimensions")
    assert partly["active_units"] == 1
    assert partly["kl_0"] > 0.01
    assert method.verdict(partly).startswith("Partial posterior collapse: 1 of 3")
    assert method.verdict({**partly, "active_units": 3.0}).startswith("All 3")
