"""The autoencoder: its losses against their formulas, the published architecture, what is learnt on digits."""

from __future__ import annotations

import learning
import numpy as np
import pytest
import torch
from torch import nn

from phispace.encoders.build import build_encoder, count_parameters
from phispace.encoders.norm import BatchNorm1d
from phispace.errors import InputError
from phispace.methods.autoencoder import Autoencoder, reconstruction_loss
from phispace.methods.base import Batch, Task

TASK = Task(1, 8, (), 16, 1)


def formula(logits, images, loss: str, output: str, reduction: str) -> float:
    """The module's formulas, term by term in float64."""
    z, x = logits.double().numpy(), images.double().numpy()
    y = 1 / (1 + np.exp(-z)) if output == "sigmoid" else z
    distance = (x - y) ** 2 if loss == "mse" else -(x * np.log(y) + (1 - x) * np.log1p(-y))
    by_image = distance.reshape(len(x), -1).sum(1)
    return float((by_image if reduction == "sum" else by_image / x[0].size).mean())


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("loss", "output"), [("mse", "sigmoid"), ("mse", "linear"), ("bce", "sigmoid")])
def test_losses_are_their_formulas(loss, output, reduction):
    rng = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn((5, 3, 8, 8), generator=rng)
    images = torch.rand((5, 3, 8, 8), generator=rng)
    images[0], images[1] = 0, 1
    found = float(reconstruction_loss(logits, images, loss, output, reduction))
    assert found == pytest.approx(formula(logits, images, loss, output, reduction), rel=1e-5)


def test_cross_entropy_is_exact_where_the_sigmoid_is_not():
    logits = torch.tensor([[[[200.0, -200.0]]]])
    images = torch.tensor([[[[0.0, 1.0]]]])
    assert float(reconstruction_loss(logits, images, "bce")) == 200.0
    assert float(reconstruction_loss(logits, 1 - images, "bce")) == 0.0


@pytest.mark.parametrize("loss", ["mse", "bce"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_terms(loss, reduction):
    """The loss of the batch, and a squared error that does not depend on the choice of loss and reduction."""
    torch.manual_seed(0)
    encoder = build_encoder("convnet4", 1, 8, width=4, dense=8, code=3)
    method = Autoencoder(encoder, Autoencoder.Config(loss=loss, reduction=reduction), TASK).eval()
    images = torch.rand(4, 1, 8, 8)
    with torch.no_grad():
        terms = method.loss_terms(Batch((images,), torch.full((4,), -1), torch.arange(4)))
        logits = method.decoder.logits(method.encoder(images))
        assert float(terms["loss"]) == pytest.approx(formula(logits, images, loss, "sigmoid", reduction), rel=1e-5)
        assert float(terms["mse"]) == pytest.approx(
            float((images - method.reconstruct(images)).square().mean()), rel=1e-5
        )
        assert torch.equal(method.decode(method.codes(images)), method.reconstruct(images))


def test_a_linear_output_is_trained_as_it_is_and_shown_as_pixels():
    torch.manual_seed(0)
    method = Autoencoder(build_encoder("mlp", 1, 8, hidden=(4,)), Autoencoder.Config(output="linear"), TASK).eval()
    with torch.no_grad():
        method.decoder.body[-2].bias.fill_(2.0)
        images = torch.rand(3, 1, 8, 8)
        assert method.reconstruct(images).max() == 1.0
        loss = method.loss_terms(Batch((images,), torch.zeros(3), torch.arange(3)))["loss"]
    assert loss > 1.0


def test_cross_entropy_of_a_linear_output_is_refused():
    with pytest.raises(InputError, match=r"bce needs values in \(0, 1\)"):
        Autoencoder(build_encoder("mlp", 1, 8), Autoencoder.Config(loss="bce", output="linear"), TASK)


def convolution(inputs: int, outputs: int) -> int:
    return 9 * inputs * outputs + outputs


def test_the_two_dimensional_architecture_is_the_published_one():
    """Widths, maps, places of ReLU and batch normalisation, and every parameter counted by hand."""
    preset = Autoencoder.presets["two-dimensional"]
    assert preset["method"]["epochs"] == 40
    encoder = build_encoder(preset["encoder"]["name"], 1, 28)
    method = Autoencoder(encoder, Autoencoder.Config(**preset["method"]), Task(1, 28, (), 100, 1))
    assert encoder.layers == ("block1", "pool1", "block2", "block3", "pool2", "block4", "block5", "features")
    assert list(encoder.shapes().values()) == [
        (32, 28, 28), (32, 14, 14), (32, 14, 14), (16, 14, 14), (16, 7, 7), (16, 7, 7), (8, 7, 7), (2,),
    ]  # fmt: skip
    for number in range(1, 6):
        assert [type(m).__name__ for m in encoder.stages[f"block{number}"]] == ["Conv2d", "ReLU", "BatchNorm2d"]
    down = [(1, 32), (32, 32), (32, 16), (16, 16), (16, 8)]
    expected = sum(convolution(*pair) for pair in down) + 2 * (32 + 32 + 16 + 16 + 8) + (392 * 2 + 2)
    assert count_parameters(encoder) == expected == 18_666

    body = method.decoder.body
    names = [type(m).__name__ for m in body]
    assert names == [
        "BatchNorm1d", "Linear", "ReLU", "BatchNorm1d", "Unflatten", "Sequential", "Sequential", "Upsample",
        "Sequential", "Sequential", "Upsample", "Sequential", "Conv2d",
    ]  # fmt: skip
    assert isinstance(body[0], BatchNorm1d)
    assert body[0].num_features == 2
    assert body[1].out_features == 8 * 7 * 7
    convolutions = [m for m in body.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [8, 16, 16, 32, 32, 1]
    x, sides = torch.rand(2, 2), []
    for module in body:
        x = module(x)
        sides += [x.shape[-1]] if x.ndim == 4 else []
    assert sides == [7, 7, 7, 14, 14, 14, 28, 28, 28]
    up = [(8, 8), (8, 16), (16, 16), (16, 32), (32, 32), (32, 1)]
    expected = 2 * 2 + (2 * 392 + 392) + 2 * 392 + sum(convolution(*pair) for pair in up) + 2 * (8 + 16 + 16 + 32 + 32)
    assert sum(p.numel() for p in body.parameters()) == expected == 20_421
    assert method.reconstruct(torch.rand(2, 1, 28, 28)).shape == (2, 1, 28, 28)


@pytest.mark.parametrize("size", [4, 5, 8, 13, 32])
def test_the_two_dimensional_architecture_goes_back_to_every_size(size):
    encoder = build_encoder("autoencoder-2d", 3, size, code=5)
    method = Autoencoder(encoder, Autoencoder.Config(decoder="published"), Task(3, size, (), 4, 1)).eval()
    assert method.reconstruct(torch.rand(2, 3, size, size)).shape == (2, 3, size, size)
    assert Autoencoder(encoder, Autoencoder.Config(decoder="mirror"), Task(3, size, (), 4, 1)).eval().reconstruct(
        torch.rand(2, 3, size, size)
    ).shape == (2, 3, size, size)


LAPTOP = {"epochs": 25, "learning_rate": 1e-2}


def test_two_values_an_image_are_learnt():
    """Neighbours by 30 points above the untrained encoder; the error below that of two principal components."""
    encoder = {"name": "mlp", "hidden": (128,), "code": 2}
    untrained = learning.neighbours(learning.make("autoencoder", encoder))
    method = learning.learn(learning.make("autoencoder", encoder, **LAPTOP))
    trained = learning.neighbours(method)
    error, mean_image = learning.error(method), learning.mean_image_error()
    assert trained > untrained + 0.3, (trained, untrained)
    assert error < 0.65 * mean_image, (error, mean_image)
    assert error < 0.9 * learning.principal_components_error(2)


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_sixteen_values_an_image_are_learnt(loss):
    encoder = {"name": "mlp", "hidden": (128,), "code": 16}
    untrained = learning.neighbours(learning.make("autoencoder", encoder))
    method = learning.learn(learning.make("autoencoder", encoder, loss=loss, **LAPTOP))
    assert learning.error(method) < 0.85 * learning.principal_components_error(16)
    assert learning.neighbours(method) > untrained + 0.05
