"""The denoising autoencoder: its noise, where the noise enters, its loss, what is learnt on digits."""

from __future__ import annotations

import learning
import numpy as np
import pytest
import torch
from scipy import stats

from phispace.methods.denoising_autoencoder import DenoisingAutoencoder
from phispace.methods.noise import corrupt

MLP = {"name": "mlp", "hidden": (128,), "code": 16}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_masking_sets_a_share_of_the_values_to_zero():
    x = torch.full((40, 3, 16, 16), 0.7)
    y = corrupt(x, "masking", 0.3, rng=rng())
    hit = y == 0
    assert ((y == x) | hit).all()
    assert stats.binomtest(int(hit.sum()), x.numel(), 0.3).pvalue > 1e-3
    assert (hit.any(1) & ~hit.all(1)).any(), "each value has a draw of its own, also the channels of a pixel"


def test_gaussian_noise_is_normal_and_not_cut():
    x = torch.full((40, 1, 16, 16), 0.5)
    noise = (corrupt(x, "gaussian", 0.4, rng=rng()) - x).flatten().numpy() / 0.4
    assert stats.kstest(noise, "norm").pvalue > 1e-3
    assert np.abs(noise).max() > 2.5


def test_salt_and_pepper_come_half_and_half():
    x = torch.full((40, 1, 16, 16), 0.5)
    y = corrupt(x, "salt-and-pepper", 0.4, rng=rng())
    salt, pepper = int((y == 1).sum()), int((y == 0).sum())
    assert salt + pepper + int((y == 0.5).sum()) == x.numel()
    assert stats.binomtest(salt + pepper, x.numel(), 0.4).pvalue > 1e-3
    assert stats.binomtest(salt, salt + pepper, 0.5).pvalue > 1e-3


@pytest.mark.parametrize("noise", ["masking", "gaussian", "salt-and-pepper"])
def test_the_layout_in_memory_is_kept(noise):
    x = torch.rand(4, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert corrupt(x, noise, 0.5, rng=rng()).is_contiguous(memory_format=torch.channels_last)
    assert corrupt(x, noise, 0.0, rng=rng()) is x


@pytest.mark.parametrize("loss", ["mse", "bce"])
@pytest.mark.parametrize("noise", ["masking", "gaussian", "salt-and-pepper"])
def test_the_loss_is_of_the_clean_image_decoded_from_the_spoilt_one(noise, loss):
    method = learning.make("denoising-autoencoder", MLP, noise=noise, noise_level=0.3, loss=loss)
    images = learning.digits()[0][:20]
    batch = learning.batch_of(images)
    with torch.no_grad():
        terms = method.loss_terms(batch)
        y = torch.sigmoid(method.decoder.body(method.encoder(method.spoilt(batch)))).double().numpy()
    x = images.double().numpy()
    squared = float(((x - y) ** 2).mean())
    expected = squared if loss == "mse" else float(-(x * np.log(y) + (1 - x) * np.log1p(-y)).mean())
    assert float(terms["loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(terms["mse"]) == pytest.approx(squared, rel=1e-5)
    with torch.no_grad():
        assert not torch.allclose(method.spoilt(batch), images)
        torch.testing.assert_close(method.reconstruct(images), method.decode(method.encoder(images)))


def test_draws_follow_the_seed_and_the_step_and_validation_draws_the_same(monkeypatch):
    method = learning.make("denoising-autoencoder", MLP)
    batch, other = learning.batch_of(learning.digits()[0][:8]), learning.batch_of(learning.digits()[0][:8], first=8)
    step = [0]
    monkeypatch.setattr(DenoisingAutoencoder, "global_step", property(lambda _: step[0]))
    seen = {}
    for training in (True, False):
        method.train(training)
        for place in (0, 1, 0):
            step[0] = place
            seen.setdefault((training, place), []).append(method.spoilt(batch))
    assert torch.equal(*seen[True, 0]), "the same step draws the same"
    assert not torch.equal(seen[True, 0][0], seen[True, 1][0]), "another step draws anew"
    assert torch.equal(seen[False, 0][0], seen[False, 1][0]), "validation draws the same in each epoch"
    assert not torch.equal(seen[False, 0][0] == 0, method.spoilt(other) == 0), "each batch has draws of its own"
    method.run_seed = 1
    assert not torch.equal(seen[False, 0][0], method.spoilt(batch))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    method.spoilt(batch)
    assert torch.equal(before, torch.get_rng_state()), "the global generator is left alone"


@pytest.mark.parametrize(("noise", "level"), [("masking", 0.4), ("gaussian", 0.3), ("salt-and-pepper", 0.3)])
def test_it_takes_noise_out_of_digits(noise, level):
    """Half of the noise at least, and more than an autoencoder does that never saw any."""
    images = learning.digits()[0][learning.TRAIN :]
    spoilt = corrupt(images, noise, level, rng=rng(5))
    options = {"epochs": 25, "learning_rate": 1e-2}
    denoising = learning.learn(learning.make("denoising-autoencoder", MLP, noise=noise, noise_level=level, **options))
    plain = learning.learn(learning.make("autoencoder", MLP, **options))
    with torch.no_grad():
        left = [float((m.reconstruct(spoilt) - images).square().mean()) for m in (denoising, plain)]
    assert left[0] < 0.5 * float((spoilt - images).square().mean())
    assert left[0] < 0.9 * left[1], left
    assert learning.neighbours(denoising) > 0.9
