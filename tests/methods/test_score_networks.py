"""Score networks: each score against the formula of a single pair, and what they begin as."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from phispace.encoders.build import build_encoder
from phispace.errors import InputError
from phispace.methods.score_networks import Encode, GlobalScores, LocalScores, draw_locations, locations
from phispace.methods.upper_layers import map_of_side, upper_copy

COUNT, CHANNELS, SIDE, CODE = 5, 6, 3, 4
KINDS = ("encode-and-dot", "linear", "concat-and-convolve")


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.randn((COUNT, CHANNELS, SIDE, SIDE), generator=rng), torch.randn((COUNT, CODE), generator=rng)


def encoded(network: Encode, x: torch.Tensor) -> torch.Tensor:
    """What `Encode` makes of one vector, in evaluation mode, in float64."""
    hidden = network.first.weight.double() @ x.double()
    norm = network.norm
    hidden = (hidden - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
    y = (
        network.second.weight.double() @ hidden.relu()
        + network.second.bias
        + network.shortcut.weight.double() @ x.double()
    )
    y = (y - y.mean()) / (y.var(unbiased=False) + network.last.eps).sqrt()
    return y * network.last.weight + network.last.bias


def single(kind: str, network: nn.Module, feature: torch.Tensor, code: torch.Tensor) -> float:
    """The score of one pair."""
    if kind == "encode-and-dot":
        return network.scale * float(encoded(network.features, feature) @ encoded(network.codes, code))
    if kind == "linear":
        a = network.features.weight.double() @ feature.double() + network.features.bias
        return network.scale * float(a @ (network.codes.weight.double() @ code.double() + network.codes.bias))
    whole = torch.cat([network.features.weight, network.codes.weight], dim=1).double()
    hidden = (whole @ torch.cat([feature, code]).double() + network.features.bias).relu()
    hidden = (network.rest[1].weight.double() @ hidden + network.rest[1].bias).relu()
    return float(network.last.weight[0].double() @ hidden + network.last.bias)


@pytest.mark.parametrize("kind", KINDS)
def test_each_score_is_that_of_its_pair(kind):
    torch.manual_seed(0)
    network = LocalScores(kind, CHANNELS, CODE, 16, negatives=2, scale=1.5)
    features, codes = inputs()
    network.train()
    network(locations(features), codes)  # gives the normalisation statistics that are not 0 and 1
    network.eval()
    with torch.no_grad():
        found = network(locations(features), codes)
        others = 2 if kind == "concat-and-convolve" else COUNT - 1
        assert found.others == others
        for j in range(COUNT):
            images = [(j + shift) % COUNT for shift in (1, 2)] if others == 2 else range(COUNT)
            for column, i in enumerate(images):
                for place in range(SIDE * SIDE):
                    feature = features[i, :, place // SIDE, place % SIDE]
                    expected = single(kind, network.network, feature, codes[j])
                    if i == j:
                        assert found.negative[j, column, place] == -torch.inf
                    else:
                        assert float(found.negative[j, column, place]) == pytest.approx(expected, abs=1e-5, rel=1e-5)
            own = [single(kind, network.network, features[j, :, p // SIDE, p % SIDE], codes[j]) for p in range(SIDE**2)]
            torch.testing.assert_close(found.positive[j].double(), torch.tensor(own).double(), rtol=1e-5, atol=1e-5)


def test_an_encoding_begins_near_the_identity():
    torch.manual_seed(0)
    network = Encode(8, 32)
    weight = network.shortcut.weight.detach()
    assert torch.equal(weight.diagonal(), torch.ones(8))
    assert weight.flatten()[1:].abs()[weight.flatten()[1:] < 1].max() <= 0.01
    narrow = Encode(32, 8).shortcut.weight.detach()
    assert (narrow.abs() < 1).all(), "where the identity does not fit, torch's own start"


def test_scores_stay_exact_under_autocast():
    """The product is made in float32: what bfloat16 costs comes from the vectors alone."""
    torch.manual_seed(0)
    network = LocalScores("linear", CHANNELS, CODE, 16, negatives=1)
    features, codes = inputs()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = network(locations(features), codes)
        a, b = network.network.features(locations(features)), network.network.codes(codes)
    assert found.positive.dtype == found.negative.dtype == torch.float32
    expected = torch.einsum("nu,nlu->nl", b.double(), a.double())
    torch.testing.assert_close(found.positive.double(), expected, rtol=1e-6, atol=1e-6)


def test_the_last_layer_of_concat_and_convolve_is_exact_under_autocast():
    network = LocalScores("concat-and-convolve", CHANNELS, CODE, 16, negatives=1)
    features, codes = inputs()
    seen = []
    network.network.last.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = network(locations(features), codes)
    (hidden, score), *_ = seen
    last = network.network.last
    expected = hidden.double() @ last.weight.double().t() + last.bias.double()
    torch.testing.assert_close(score.double(), expected, rtol=1e-6, atol=1e-6)
    assert found.positive.dtype == torch.float32


def test_a_large_batch_of_few_images_has_few_others():
    network = LocalScores("concat-and-convolve", CHANNELS, CODE, 16, negatives=10)
    features, codes = inputs()
    assert network(locations(features), codes).others == COUNT - 1
    alone = network(locations(features[:1]), codes[:1])
    assert alone.others == 0
    assert alone.negative.shape == (1, 0, SIDE * SIDE)


@pytest.mark.parametrize("kind", KINDS)
def test_the_global_objective_scores_whole_maps(kind):
    torch.manual_seed(0)
    encoder = build_encoder("dim", 1, 16, widths=(4, 6, 8), dense=12, code=CODE)
    network = GlobalScores(kind, encoder, "conv2", 16, negatives=2).eval()
    features = torch.randn((COUNT, *encoder.shapes()["conv2"]))
    codes = inputs()[1]
    with torch.no_grad():
        found = network(features, codes)
        assert found.positive.shape == (COUNT, 1)
        if kind == "encode-and-dot":
            upper = network.network.features
            a = F.linear(upper[:-1](features), upper[-1].weight, upper[-1].bias)
            expected = (a * network.network.codes(codes)).sum(1)
        else:
            expected = torch.tensor(
                [single(kind, network.network, features[j].flatten(), codes[j]) for j in range(COUNT)]
            )
    torch.testing.assert_close(found.positive[:, 0].double(), expected.double(), rtol=1e-5, atol=1e-5)


def test_the_upper_layers_are_of_the_same_form_with_weights_of_their_own():
    torch.manual_seed(0)
    encoder = build_encoder("dim", 3, 32)
    upper = upper_copy(encoder, "conv2", 20)
    with torch.no_grad():
        assert upper.eval()(torch.randn(2, 128, 8, 8)).shape == (2, 20)
    ours = [p for name in ("conv", "fc") for p in encoder.stages[name].parameters()]
    copied = list(upper.parameters())[: len(ours)]
    assert [p.shape for p in ours] == [p.shape for p in copied]
    assert all(not torch.equal(a, b) for a, b in zip(ours, copied, strict=True) if a.ndim > 1)
    assert len({p.data_ptr() for p in (*ours, *copied)}) == 2 * len(ours)


def test_the_last_layer_below_the_code_has_nothing_above_it_to_copy():
    encoder = build_encoder("dim", 1, 16, widths=(4, 6), dense=12, code=CODE)
    assert [type(m) for m in upper_copy(encoder, "fc", 7)] == [nn.Flatten, nn.Linear]


def test_an_encoder_that_is_no_plain_sequence_is_refused():
    encoder = build_encoder("dim", 1, 16, widths=(4,), dense=12, code=CODE)

    class Winding(type(encoder)):
        def _taps(self, x, layers):
            return super()._taps(x, layers)

    encoder.__class__ = Winding
    with pytest.raises(InputError, match=r"Winding is not a plain sequence.*method\.score"):
        upper_copy(encoder, "conv", 7)


@pytest.mark.parametrize(
    ("name", "size", "layer"),
    [("dim", 32, "conv2"), ("dim", 28, "conv2"), ("dim", 64, "conv"), ("resnet18", 32, "layer3"),
     ("speednet", 32, "group2"), ("mlp", 8, "fc1")],
)  # fmt: skip
def test_the_local_layer_is_the_map_nearest_to_eight_pixels(name, size, layer):
    options = {"resnet18": {"width": 4}, "speednet": {"widths": (8, 8, 8)}}.get(name, {})
    assert map_of_side(build_encoder(name, 3, size, **options), 8) == layer


def test_locations_are_rows_of_the_map():
    features, _ = inputs()
    rows = locations(features)
    assert torch.equal(rows[1, 5], features[1, :, 1, 2])
    last = locations(features.contiguous(memory_format=torch.channels_last))
    assert torch.equal(last, rows)
    assert last.is_contiguous()
    assert locations(features[:, :, 0, 0]).shape == (COUNT, 1, CHANNELS)


def test_drawn_locations_are_each_images_own_and_none_comes_twice():
    places = torch.arange(50 * 9.0).view(50, 9, 1)
    drawn = draw_locations(places, 4, torch.Generator().manual_seed(0))[:, :, 0]
    assert drawn.shape == (50, 4)
    assert all(len(set(row.tolist())) == 4 for row in drawn)
    assert torch.equal(drawn // 9, torch.arange(50.0)[:, None].expand(-1, 4).floor())
    assert len({tuple((row % 9).tolist()) for row in drawn}) > 25
    again = draw_locations(places, 4, torch.Generator().manual_seed(0))[:, :, 0]
    assert torch.equal(drawn, again)
