"""The convolution by products over patches against torch's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from phispace.encoders.build import build_encoder
from phispace.encoders.convolution import MANY_CHANNELS, Conv3x3, PatchProduct, as_one_matrix


def inputs(dtype=torch.float64, channels=3, size=5):
    rng = torch.Generator().manual_seed(0)
    x = torch.randn((2, channels, size, size + 1), generator=rng, dtype=dtype, requires_grad=True)
    weight = torch.randn((4, channels, 3, 3), generator=rng, dtype=dtype, requires_grad=True)
    return x, weight


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_value_and_gradients_are_torchs(layout):
    x, weight = inputs()
    target = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    found = []
    for function in (PatchProduct.apply, lambda x, w: F.conv2d(x, w, padding=1)):
        x.grad = weight.grad = None
        y = function(x.contiguous(memory_format=layout), weight.contiguous(memory_format=layout))
        (y * target).sum().backward()
        found.append((y.detach(), x.grad, weight.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_gradients_are_the_differences():
    assert torch.autograd.gradcheck(PatchProduct.apply, inputs(size=2))


def test_one_pixel_maps():
    x, weight = inputs(size=1)
    torch.testing.assert_close(PatchProduct.apply(x[..., :1], weight), F.conv2d(x[..., :1], weight, padding=1))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 2), (2, 1), (2, 2)])
def test_the_smallest_maps_as_one_matrix(height, width):
    rng = torch.Generator().manual_seed(0)
    x = torch.randn((3, 5, height, width), generator=rng, dtype=torch.float64)
    weight = torch.randn((4, 5, 3, 3), generator=rng, dtype=torch.float64)
    found = []
    for function in (as_one_matrix, lambda x, w: F.conv2d(x, w, padding=1)):
        inputs = [v.clone().requires_grad_() for v in (x, weight)]
        y = function(*inputs)
        (y * torch.arange(y.numel(), dtype=torch.float64).view(y.shape)).sum().backward()
        found.append((y.detach(), *(v.grad for v in inputs)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_in_bfloat16_the_layer_takes_one_matrix_for_the_smallest_maps(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "phispace.encoders.convolution.as_one_matrix", lambda *args: calls.append(1) or as_one_matrix(*args)
    )
    layer, x = Conv3x3(MANY_CHANNELS, 8), torch.rand(2, MANY_CHANNELS, 2, 2)
    for training in (True, False):
        layer.train(training)
        with torch.autocast("cpu", torch.bfloat16):
            fast = layer(x)
        exact = layer(x)
        assert fast.dtype == torch.bfloat16
        assert fast.is_contiguous(memory_format=torch.channels_last)
        assert (fast.float() - exact).norm() / exact.norm() < 0.02
    assert len(calls) == 2, "float32 takes torch's convolution"


def test_in_bfloat16_training_the_layer_takes_the_products_and_agrees(monkeypatch):
    calls = []
    original = PatchProduct.apply
    monkeypatch.setattr(PatchProduct, "apply", lambda *args: calls.append(1) or original(*args))
    layer = Conv3x3(MANY_CHANNELS, 8)
    x = torch.randn((2, MANY_CHANNELS, 4, 4), generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        fast = layer.train()(x)
        fast.float().square().sum().backward()
        gradient = layer.weight.grad.clone()
        assert len(calls) == 1
        plain = layer.eval()(x)
    layer.weight.grad = None
    exact = layer.train()(x)
    exact.square().sum().backward()
    assert len(calls) == 1, "float32 takes torch's convolution"
    assert layer.weight.grad.dtype == torch.float32
    assert fast.dtype == plain.dtype == torch.bfloat16
    assert (fast.float() - exact).norm() / exact.norm() < 0.02
    assert (gradient - layer.weight.grad).norm() / gradient.norm() < 0.02
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        layer(x)
    assert len(calls) == 1


def test_speednet_trains_alike_in_bfloat16_and_float32():
    torch.manual_seed(0)
    encoder = build_encoder("speednet", 3, 16, widths=(16, 128, 128)).train()
    x = torch.rand((16, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    weights = torch.randn((16, 128), generator=torch.Generator().manual_seed(1))
    gradients = []
    for half in (False, True):
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            (encoder(x).float() * weights).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in encoder.parameters() if p.requires_grad]))
    similarity = torch.cosine_similarity(gradients[0], gradients[1], dim=0)
    assert similarity > 0.98
