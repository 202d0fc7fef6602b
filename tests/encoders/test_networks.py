"""Each network against its description."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from phispace.encoders.build import build_encoder, count_parameters, multiply_adds
from phispace.encoders.norm import BatchNorm1d, BatchNorm2d
from phispace.encoders.speednet import Whiten
from phispace.errors import InputError


def test_convnet4_has_the_maps_of_the_study():
    shapes = build_encoder("convnet4", 3, 32).shapes()
    assert shapes["conv1"] == (32, 32, 32)
    assert shapes["conv2"] == (32, 30, 30)
    assert shapes["pool1"] == (32, 15, 15)
    assert shapes["conv3"] == (64, 15, 15)
    assert shapes["conv4"] == (64, 13, 13)
    assert shapes["pool2"] == (64, 6, 6)
    assert shapes["fc1"] == shapes["features"] == (512,)


def test_convnet4_costs_what_a_hand_counts():
    encoder = build_encoder("convnet4", 3, 32)
    filters = 9 * (3 * 32 + 32 * 32 + 32 * 64 + 64 * 64)
    dense = 64 * 6 * 6 * 512
    assert count_parameters(encoder) == filters + dense + 2 * (32 + 32 + 64 + 64 + 512)
    convolutions = 9 * (3 * 32 * 32**2 + 32 * 32 * 30**2 + 32 * 64 * 15**2 + 64 * 64 * 13**2)
    assert multiply_adds(encoder) == convolutions + dense
    assert multiply_adds(encoder, "pool2") == convolutions
    without = build_encoder("convnet4", 3, 32, batch_norm=False)
    assert count_parameters(without) == filters + dense + (32 + 32 + 64 + 64 + 512)


def test_convnet4_is_the_sequence_it_says():
    """The same arithmetic written out with torch's functions."""
    from torch.nn import functional as F

    torch.manual_seed(0)
    encoder = build_encoder("convnet4", 3, 32).eval()
    x = torch.rand(2, 3, 32, 32)
    s = encoder.stages

    def bn(x, layer):
        return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=1e-3)

    h = (x - 0.5) / 0.25
    for number, padding in ((1, 1), (2, 0), (3, 1), (4, 0)):
        h = F.relu(bn(F.conv2d(h, s[f"conv{number}"].weight, padding=padding), s[f"block{number}"][0]))
        if number % 2 == 0:
            h = F.max_pool2d(h, 2)
    fc1 = F.linear(h.permute(0, 2, 3, 1).flatten(1), s["fc1"][1].weight)
    with torch.no_grad():
        found = encoder.taps(x, ("fc1", "features"))
    torch.testing.assert_close(found["fc1"], fc1)
    torch.testing.assert_close(found["features"], F.relu(bn(fc1, s["features"][0])))


def test_convnet_starts_as_keras_does():
    torch.manual_seed(0)
    encoder = build_encoder("convnet4", 3, 32, batch_norm=False)
    weight = encoder.stages["conv3"].weight
    limit = np.sqrt(6 / (9 * (32 + 64)))
    assert weight.abs().max() <= limit
    assert weight.abs().max() > 0.99 * limit
    assert (encoder.stages["conv3"].bias == 0).all()
    norm = build_encoder("convnet4", 3, 32).stages["block1"][0]
    assert norm.eps == 1e-3
    assert norm.least_momentum == pytest.approx(0.01)


@pytest.mark.parametrize("convolutions", [2, 4])
@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("dropout", [True, False])
def test_variants(convolutions, batch_norm, dropout):
    torch.manual_seed(0)
    encoder = build_encoder("convnet4", 3, 32, convolutions=convolutions, batch_norm=batch_norm, dropout=dropout)
    kinds = [type(m) for m in encoder.modules()]
    assert sum(issubclass(k, nn.Conv2d) for k in kinds) == convolutions
    assert sum(issubclass(k, BatchNorm2d | BatchNorm1d) for k in kinds) == (convolutions + 1) * batch_norm
    rates = [m.p for m in encoder.modules() if isinstance(m, nn.Dropout)]
    assert rates == ([0.25, 0.25, 0.5] if dropout else [])
    taps = encoder.eval().taps(torch.rand(2, 3, 32, 32), encoder.layers)
    assert (taps["conv1"] < 0).any(), "the tap before ReLU was overwritten"
    assert (taps["fc1"] < 0).any()
    assert (taps["block1"] >= 0).all()


def test_convnet2_is_convnet4_with_two_convolutions():
    one = build_encoder("convnet2", 3, 32)
    two = build_encoder("convnet4", 3, 32, convolutions=2)
    assert one.layers == two.layers
    assert one.shapes() == two.shapes()


@pytest.mark.parametrize("size", [4, 5, 7, 8, 11, 13])
@pytest.mark.parametrize(
    "name", ["convnet4", "convnet2", "speednet", "nin", "alexnet", "resnet18", "mlp", "vae-strided"]
)
def test_small_images_work(name, size):
    encoder = build_encoder(name, 1, size).eval()
    assert encoder(torch.rand(2, 1, size, size)).isfinite().all()


def test_nin_is_the_sequence_it_says():
    """The same arithmetic written out with torch's functions, at the published widths."""
    from torch.nn import functional as F

    torch.manual_seed(0)
    encoder = build_encoder("nin", 3, 32).eval()
    weights = [m.weight for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    block = [(192, 5), (192, 1), (192, 1)]
    assert [(len(w), w.shape[-1]) for w in weights] == [
        (192, 5), (160, 1), (96, 1), *block, (192, 3), *block[1:], (192, 3), *block[1:],
    ]  # fmt: skip
    x = torch.rand(2, 3, 32, 32)
    h, expected = (x - 0.5) / 0.25, {}
    for number, weight in enumerate(weights):
        h = F.relu(F.conv2d(h, weight, padding=weight.shape[-1] // 2) / (1 + 1e-5) ** 0.5)  # statistics 0 and 1
        if number == 2:
            h = F.max_pool2d(h, 3, 2, 1)
        if number == 5:
            h = F.avg_pool2d(h, 3, 2, 1)
        if number % 3 == 2:
            expected[f"block{number // 3 + 1}"] = h
    with torch.no_grad():
        found = encoder.taps(x, encoder.layers)
    for layer, value in expected.items():
        torch.testing.assert_close(found[layer], value)
    torch.testing.assert_close(found["features"], h.mean((2, 3)))
    assert encoder.shapes()["block2"] == (192, 8, 8)
    assert count_parameters(encoder) == sum(w.numel() + 2 * len(w) for w in weights)
    places = [32**2] * 3 + [16**2] * 3 + [8**2] * 6
    assert multiply_adds(encoder) == sum(w.numel() * p for w, p in zip(weights, places, strict=True))
    for weight in weights:
        assert weight.std().item() == pytest.approx((2 / (weight.shape[-1] ** 2 * len(weight))) ** 0.5, rel=0.05)


def test_nin_is_as_narrow_and_as_deep_as_asked():
    encoder = build_encoder("nin", 1, 28, width=48, blocks=5)
    assert encoder.layers == ("block1", "block2", "block3", "block4", "block5", "features")
    assert [len(m.weight) for m in encoder.stages["block1"] if isinstance(m, nn.Conv2d)] == [48, 40, 24]
    assert encoder.shapes()["block5"] == (48, 7, 7)


def test_alexnet_is_the_published_one_but_for_its_front_and_its_width():
    encoder = build_encoder("alexnet", 3, 32)
    shapes = encoder.shapes()
    assert {name: shapes[name] for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "pool5")} == {
        "conv1": (64, 32, 32), "conv2": (192, 16, 16), "conv3": (384, 8, 8), "conv4": (256, 8, 8),
        "conv5": (256, 8, 8), "pool5": (256, 4, 4),
    }  # fmt: skip
    filters = 25 * (3 * 64 + 64 * 192) + 9 * (192 * 384 + 384 * 256 + 256 * 256)
    dense = 256 * 4 * 4 * 1024 + 1024 * 1024
    assert count_parameters(encoder) == filters + dense + 2 * (64 + 192 + 384 + 256 + 256 + 1024 + 1024)
    x = torch.rand(2, 3, 32, 32)
    taps = encoder.eval().taps(x, encoder.layers)
    torch.testing.assert_close(taps["pool2"], nn.functional.max_pool2d(taps["conv2"], 3, 2, 1))
    assert (taps["features"] >= 0).all()


def test_resnet18_is_torchvisions_but_for_the_stem():
    from torchvision.models import resnet18

    ours, theirs = build_encoder("resnet18", 3, 32), resnet18()
    names = [f"layer{i}" for i in (1, 2, 3, 4)]
    for name in names:
        assert [p.shape for p in ours.stages[name].parameters()] == [
            p.shape for p in getattr(theirs, name).parameters()
        ]
        ours.stages[name].load_state_dict(getattr(theirs, name).state_dict())
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        stem = ours.eval()(x, layer="stem")
        expected = theirs.eval().avgpool(theirs.layer4(theirs.layer3(theirs.layer2(theirs.layer1(stem))))).flatten(1)
        torch.testing.assert_close(ours(x), expected)
    assert stem.shape == (2, 64, 32, 32)


def test_whitening_whitens():
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand((200, 3, 6, 6), generator=rng)
    x = nn.functional.interpolate(coarse, size=(24, 24), mode="bilinear") + 0.05 * torch.rand(
        (200, 3, 24, 24), generator=rng
    )
    whiten = Whiten(3, epsilon=0.0)
    whiten.measure(x)
    y = whiten(x).transpose(0, 1).flatten(1)
    half = y[:12]
    torch.testing.assert_close(half.mean(1), torch.zeros(12), atol=1e-3, rtol=0)
    torch.testing.assert_close(half @ half.T / half.shape[1], torch.eye(12), atol=5e-3, rtol=0)
    torch.testing.assert_close(y[12:], -half)


def test_speednet_convolutions_start_as_the_identity():
    encoder = build_encoder("speednet", 3, 32)
    conv = encoder.stages["group2"][0]
    x = torch.rand(1, 64, 9, 9)
    torch.testing.assert_close(conv(x)[:, :64], x)
    assert conv(x)[:, 64:].std() > 0


def test_speednet_sees_the_same_whitening_for_the_same_generator():
    images = np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    weights = []
    for _ in range(2):
        encoder = build_encoder("speednet", 3, 32)
        encoder.initialise(images, torch.Generator().manual_seed(5))
        weights.append(encoder.stages["whiten"][0].weight.clone())
    assert torch.equal(weights[0], weights[1])


def test_options_that_fit_the_type_but_not_the_network_are_refused():
    for name, options in (
        ("speednet", {"widths": ()}),
        ("speednet", {"depth": 0}),
        ("mlp", {"hidden": (0,)}),
        ("mlp", {"dropout": 1.0}),
        ("resnet18", {"width": 0}),
        ("nin", {"blocks": 0}),
        ("alexnet", {"dense": 0}),
        ("convnet4", {"width": 0}),
        ("convnet4", {"bn_momentum": 0.0}),
    ):
        with pytest.raises(InputError):
            build_encoder(name, 3, 32, **options)


def test_the_statistics_of_the_images_are_those_of_all_values():
    """Over more images than a block holds, of one and of three channels."""
    for channels in (1, 3):
        images = np.random.default_rng(0).integers(0, 200, (700, 5, 5, channels)).astype(np.uint8)
        images[600:] = 255
        encoder = build_encoder("mlp", channels, 5, hidden=(4,))
        encoder.initialise(images, torch.Generator())
        values = images.reshape(-1, channels) / 255
        stage = encoder.stages["normalise"]
        np.testing.assert_allclose(stage.mean.flatten().numpy(), values.mean(0), rtol=1e-6)
        np.testing.assert_allclose(stage.std.flatten().numpy(), values.std(0), rtol=1e-6)
