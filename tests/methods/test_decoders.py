"""The way back: sizes, geometry, what stands between the layers, what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock

from phispace.encoders import REGISTRY
from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.build import build_encoder, count_parameters, multiply_adds
from phispace.encoders.upward import Upsample
from phispace.errors import InputError
from phispace.methods.decoders import Decoder, make_decoder, mirror

SMALL = {"convnet4": {"width": 4, "dense": 16}, "convnet2": {"width": 4, "dense": 16}, "resnet18": {"width": 4}}
SMALL |= {"speednet": {"widths": (8, 8)}, "mlp": {"hidden": (16, 8)}}
ONE_WAY = ("patch-dictionary", "vit")  # words of patches, and tokens, are no layers that have a mirror
NAMES = [name for name in REGISTRY.names() if name not in ONE_WAY]


class Chain(Encoder):
    """An encoder of the given modules."""

    def __init__(self, channels: int, size: int, *modules: nn.Module) -> None:
        super().__init__(channels, size)
        self.stages["normalise"] = Normalise(channels)
        self.stages["features"] = nn.Sequential(*modules)


def kinds(decoder: Decoder) -> list[str]:
    return [type(module).__name__ for module in decoder.body]


@pytest.mark.parametrize("code", [None, 3])
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 13), (1, 28), (3, 32)])
@pytest.mark.parametrize("name", NAMES)
def test_every_encoder_has_a_way_back_to_its_images(name, channels, size, code):
    if name == "dcgan" and size % 2:
        size += 1  # its networks halve the side, and refuse an odd one
    encoder = build_encoder(name, channels, size, **SMALL.get(name, {}), **({"code": code} if code else {}))
    decoder = make_decoder(encoder)
    x = torch.rand(2, channels, size, size)
    y = decoder(encoder(x))
    assert y.shape == x.shape
    assert y.dtype == torch.float32
    assert y.min() > 0
    assert y.max() <= 1  # a sigmoid of large values rounds to 1
    y.square().mean().backward()
    for key, weight in decoder.named_parameters():
        if weight.requires_grad:
            assert weight.grad is not None, key


@pytest.mark.parametrize("name", ONE_WAY)
def test_a_registered_encoder_of_one_way_is_refused_in_a_sentence(name):
    with pytest.raises(InputError, match=r"has no way back: its stage '\w+' holds a \w+ .* cannot be mirrored"):
        make_decoder(build_encoder(name, 1, 8))


def test_the_sizes_of_the_unpadded_networks_come_back():
    """28 -> 26 -> 13 -> 11 -> 5 and 32 -> 30 -> 15 -> 13 -> 6, and all the way back."""
    for size, sides in ((28, [5, 11, 13, 26, 28]), (32, [6, 13, 15, 30, 32])):
        encoder = Chain(
            1, size, nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.LazyLinear(256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 2),
        )  # fmt: skip
        encoder(torch.rand(2, 1, size, size))
        decoder = mirror(encoder)
        assert decoder(torch.rand(2, 2)).shape == (2, 1, size, size)
        x, seen = torch.rand(2, 2), []
        for module in decoder.body:
            x = module(x)
            seen += [x.shape[-1]] if x.ndim == 4 else []
        assert list(dict.fromkeys(seen)) == sides
        assert kinds(decoder) == [
            "Linear", "ReLU", "Linear", "ReLU", "Linear", "Unflatten", "ReLU", "Upsample", "Conv2d", "ReLU", "Upsample",
            "Conv2d",
        ]  # fmt: skip


def test_upsampling_puts_each_pixel_where_the_pooling_found_it():
    positions = torch.arange(11.0).view(1, 1, 1, 11).expand(1, 1, 11, 11).contiguous()
    first = -nn.functional.max_pool2d(-positions, 2)  # the first column of each window
    back = Upsample((2, 2), (11, 11))(first)
    assert back[0, 0, 0].tolist() == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 8]
    cut = Upsample((2, 2), (7, 8))(torch.arange(16.0).view(1, 1, 4, 4))
    assert cut[0, 0, :, 0].tolist() == [0, 0, 4, 4, 8, 8, 12], "7 became 4 by a stride that rounds up"
    rows = Upsample((2, 3), (5, 9))(torch.arange(6.0).view(1, 1, 2, 3))
    assert rows[0, 0, :, 0].tolist() == [0, 0, 3, 3, 3]
    assert rows[0, 0, 0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("size", range(9, 18))
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 2, 1), (3, 2, 0), (4, 3, 0), (5, 1, 0), (5, 1, 1), (2, 2, 0)]
)
def test_convolutions_of_every_stride_go_back_to_the_pixel(size, kernel, stride, padding):
    convolution = nn.Conv2d(3, 4, kernel, stride, padding)
    side = convolution(torch.zeros(1, 3, size, size)).shape[-1]
    encoder = Chain(3, size, convolution, nn.ReLU(), nn.Flatten(), nn.Linear(4 * side * side, 6))
    assert mirror(encoder)(torch.rand(2, 6)).shape == (2, 3, size, size)


def test_the_cost_of_a_decoder_can_be_counted():
    """The counter takes composite operations apart, as exporters do."""
    from torch.utils.flop_counter import FlopCounterMode

    encoder = build_encoder("vae-simple", 3, 32)
    decoder, counter = mirror(encoder).eval(), FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        decoder(torch.zeros(1, 2))
    assert 1 < counter.get_total_flops() / 2 / multiply_adds(encoder) < 1.3, "convolutions run on the larger maps"
    torch.export.export(decoder, (torch.zeros(2, 2),))


def test_normalisation_and_activation_stand_as_in_the_encoder():
    decoder = mirror(build_encoder("convnet4", 3, 32, code=2))
    assert kinds(decoder) == [
        "Linear", "BatchNorm1d", "ReLU", "Linear", "Unflatten", "BatchNorm2d", "ReLU", "Upsample", "Conv2d",
        "BatchNorm2d", "ReLU", "Conv2d", "BatchNorm2d", "ReLU", "Upsample", "Conv2d", "BatchNorm2d", "ReLU", "Conv2d",
    ]  # fmt: skip
    after = Chain(1, 8, nn.Conv2d(1, 2, 3), nn.Tanh(), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 3))
    assert kinds(mirror(after)) == ["Linear", "Unflatten", "Tanh", "BatchNorm2d", "Conv2d"]


def test_running_statistics_of_the_mirror_keep_up():
    for name, momentum in (("convnet4", 0.1), ("speednet", 0.4)):
        norms = [m for m in mirror(build_encoder(name, 1, 16)).modules() if hasattr(m, "least_momentum")]
        assert norms
        assert {m.least_momentum for m in norms} == {momentum}
        assert all(int(m.num_batches_tracked) == 0 for m in norms)


def test_an_average_over_the_map_becomes_a_dense_layer():
    encoder = build_encoder("resnet18", 3, 64, width=4, code=5)
    decoder = mirror(encoder)
    first = decoder.body[0]
    assert (first.in_features, first.out_features) == (5, 32 * 4 * 4), "one dense layer, to a map of 4 pixels at most"
    blocks = [module for module in decoder.body if isinstance(module, BasicBlock)]
    ups = [(module.scale, module.size) for module in mirror(build_encoder("resnet18", 3, 28, width=4)).body
           if isinstance(module, Upsample)]  # fmt: skip
    assert ups == [((2.0, 2.0), (7, 7)), ((2.0, 2.0), (14, 14)), ((2.0, 2.0), (28, 28))]
    assert [block.conv2.out_channels for block in blocks] == [32, 16, 16, 8, 8, 4, 4, 4]
    plain = mirror(build_encoder("resnet18", 3, 32, width=4))
    assert plain.body[0].in_features == 32


def test_the_mirror_is_about_as_large_as_the_encoder():
    encoder = build_encoder("convnet4", 3, 32, code=16)
    ratio = count_parameters(mirror(encoder)) / count_parameters(encoder)  # type: ignore[arg-type]
    assert 0.98 < ratio < 1.02


def test_the_encoder_is_left_as_it_was():
    encoder = build_encoder("convnet4", 1, 16, width=4, dense=8, dropout=True).train()
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    mirror(encoder)
    assert encoder.training
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


def test_the_decoder_has_weights_of_its_own_that_follow_the_seed():
    encoder = build_encoder("convnet4", 1, 16, width=4, dense=8)
    torch.manual_seed(3)
    one = mirror(encoder)
    torch.manual_seed(3)
    two = mirror(encoder)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    own = {id(p) for p in encoder.parameters()}
    assert not any(id(p) in own for p in one.parameters())


def test_outputs():
    encoder = build_encoder("mlp", 1, 8, hidden=(8,))
    decoder = mirror(encoder)
    codes = torch.rand(3, 8)
    torch.testing.assert_close(decoder(codes), torch.sigmoid(decoder.logits(codes)))
    straight = mirror(encoder, output="linear")
    assert torch.equal(straight(codes), straight.logits(codes))


class Branches(Encoder):
    """Two ways that are added."""

    def __init__(self) -> None:
        super().__init__(1, 8)
        self.stages["normalise"] = Normalise(1)
        self.stages["features"] = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))

    def _taps(self, x, layers):
        x = self.stages["normalise"](x)
        return {"features": self.stages["features"](x) + x.flatten(1)[:, :4]}


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (Chain(1, 8, nn.Conv2d(1, 4, 3, groups=1, dilation=2), nn.Flatten()), "no way back.*'features' holds a Conv2d"),
        (Chain(1, 8, nn.PixelUnshuffle(2), nn.Flatten()), "PixelUnshuffle from .1, 8, 8. to .4, 4, 4."),
    ],
)
def test_an_encoder_without_a_way_back_is_refused(encoder, message):
    with pytest.raises(InputError, match=message):
        mirror(encoder)


def test_an_encoder_that_is_not_a_sequence_is_refused():
    with pytest.raises(InputError, match="not a plain sequence"):
        mirror(Branches())


def test_a_published_decoder_is_asked_for_by_name():
    with pytest.raises(InputError, match="No decoder was published with ConvNet4"):
        make_decoder(build_encoder("convnet4", 1, 8, width=4, dense=8), "published")
