"""What every registered encoder promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from phispace.encoders import REGISTRY
from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.build import build_encoder, count_parameters, encoder_options, multiply_adds
from phispace.errors import InputError

SHAPES = ((1, 8), (1, 28), (3, 32), (3, 64))
CASES = [(name, channels, size) for name in REGISTRY.names() for channels, size in SHAPES]
NAMES = REGISTRY.names()


def made(name: str, channels: int, size: int):
    torch.manual_seed(0)
    encoder = build_encoder(name, channels, size)
    encoder.initialise(pictures(64, channels, size), torch.Generator().manual_seed(0))
    return encoder


def pictures(count: int, channels: int, size: int) -> np.ndarray:
    """Smooth random uint8 images (N, H, W, C)."""
    rng = torch.Generator().manual_seed(7)
    coarse = torch.rand((count, channels, 4, 4), generator=rng)
    fine = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    return (fine.permute(0, 2, 3, 1) * 255).to(torch.uint8).numpy()


def batch(count: int, channels: int, size: int) -> torch.Tensor:
    x = torch.from_numpy(pictures(count, channels, size)).permute(0, 3, 1, 2)
    return x.float() / 255


@pytest.mark.parametrize(("name", "channels", "size"), CASES)
def test_shape(name, channels, size):
    """Layers come in forward order, all are finite, shapes and width are what they say, also for one image."""
    encoder = made(name, channels, size).eval()
    assert encoder.layers[-1] == "features"
    assert len(set(encoder.layers)) == len(encoder.layers)
    shapes = encoder.shapes()
    assert tuple(shapes) == encoder.layers
    with torch.no_grad():
        found = encoder.taps(batch(1, channels, size), encoder.layers)
    assert tuple(found) == encoder.layers
    for layer, value in found.items():
        assert tuple(value.shape) == (1, *shapes[layer])
        assert value.isfinite().all()
    assert shapes["features"] == (encoder.width(),)


@pytest.mark.parametrize(("name", "channels", "size"), CASES)
def test_every_trainable_weight_gets_a_gradient(name, channels, size):
    encoder = made(name, channels, size).train()
    features = encoder(batch(4, channels, size))
    weights = torch.randn(features.shape, generator=torch.Generator().manual_seed(1))
    (features * weights).sum().backward()
    for key, weight in encoder.named_parameters():
        if weight.requires_grad:
            assert weight.grad is not None, key
            assert weight.grad.isfinite().all(), key
            assert weight.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", NAMES)
def test_a_tap_is_what_the_full_pass_gives_there(name):
    encoder = made(name, 3, 16).eval()
    x = batch(3, 3, 16)
    with torch.no_grad():
        full = encoder.taps(x, encoder.layers)
        for layer in encoder.layers:
            assert torch.equal(encoder(x, layer=layer), full[layer]), layer


@pytest.mark.parametrize("name", NAMES)
def test_the_pass_stops_after_the_last_wanted_layer(name):
    encoder = made(name, 1, 8).eval()
    calls: list[str] = []
    for stage_name, stage in encoder.stages.items():
        stage.register_forward_hook(lambda *_, n=stage_name: calls.append(n))
    first = encoder.layers[0]
    encoder(batch(2, 1, 8), layer=first)
    assert calls == ["normalise", first]


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_is_deterministic_and_by_image(name):
    """Twice the same, and an image's features do not depend on its neighbours in the batch."""
    encoder = made(name, 1, 16).eval()
    x = batch(4, 1, 16)
    with torch.no_grad():
        together = encoder(x)
        assert torch.equal(together, encoder(x))
        alone = torch.cat([encoder(x[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_stage_normalises(name):
    encoder = made(name, 3, 16)
    stage = next(iter(encoder.stages.values()))
    assert isinstance(stage, Normalise)
    out = stage(batch(64, 3, 16))
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(out.std((0, 2, 3)), torch.ones(3), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_constant_images_do_no_harm(name):
    torch.manual_seed(0)
    encoder = build_encoder(name, 3, 16)
    encoder.initialise(np.full((8, 16, 16, 3), 200, np.uint8), torch.Generator())
    with torch.no_grad():
        assert encoder.eval()(torch.full((2, 3, 16, 16), 200 / 255)).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_weights_survive_safetensors(name):
    encoder = made(name, 3, 16)
    encoder.train()
    encoder(batch(8, 3, 16))
    torch.manual_seed(99)
    other = build_encoder(name, 3, 16)
    other.load_state_dict(load(save(encoder.state_dict())))
    x = batch(4, 3, 16)
    with torch.no_grad():
        assert torch.equal(encoder.eval()(x), other.eval()(x))
        assert torch.equal(encoder.train()(x), other.train()(x))
        assert torch.equal(encoder.eval()(x), other.eval()(x))


@pytest.mark.parametrize("name", NAMES)
def test_channels_last_gives_the_same(name):
    encoder = made(name, 3, 16).eval()
    x = batch(4, 3, 16)
    with torch.no_grad():
        plain = encoder(x.contiguous())
        encoder.to(memory_format=torch.channels_last)
        last = encoder(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(plain, last, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_is_near(name):
    encoder = made(name, 3, 16).eval()
    x = batch(4, 3, 16)
    with torch.no_grad():
        exact = encoder(x)
        with torch.autocast("cpu", torch.bfloat16):
            rough = encoder(x).float()
    assert (exact - rough).norm() / exact.norm() < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_unknown_layers_and_options_are_named(name):
    encoder = build_encoder(name, 1, 8)
    with pytest.raises(InputError, match=r"no layer 'nothing'.*features"):
        encoder(batch(1, 1, 8), layer="nothing")
    options = encoder_options(name)
    with pytest.raises(InputError, match=f"no option 'nothing'.*{next(iter(options), 'none')}"):
        build_encoder(name, 1, 8, nothing=1)
    for option in options:
        with pytest.raises(InputError, match=f"option '{option}'.*does not take"):
            build_encoder(name, 1, 8, **{option: object()})


@pytest.mark.parametrize("name", NAMES)
def test_documentation_names_every_option(name):
    documentation = REGISTRY.get(name).__doc__
    assert "Layers" in documentation or REGISTRY.get(name).__base__.__name__ in documentation
    own = [option for option in encoder_options(name) if option not in documentation]
    inherited = " ".join(kind.__doc__ or "" for kind in REGISTRY.get(name).__mro__ if issubclass(kind, Encoder))
    assert all(option in inherited for option in own), own


@pytest.mark.parametrize("name", NAMES)
def test_a_code_of_any_width_ends_every_encoder(name):
    torch.manual_seed(0)
    encoder = build_encoder(name, 1, 16, code=16).train()
    assert encoder.layers[-1] == "features"
    assert encoder.width() == 16
    y = encoder(batch(4, 1, 16))
    assert y.shape == (4, 16)
    assert (y < 0).any()
    assert (y > 0).any(), "a code is linear: it has both signs"
    with pytest.raises(InputError, match="'code'"):
        build_encoder(name, 1, 16, code=0)


def test_a_code_is_a_linear_layer_on_what_were_the_features():
    torch.manual_seed(0)
    plain = build_encoder("convnet4", 1, 16, width=4, dense=8).eval()
    torch.manual_seed(0)
    coded = build_encoder("convnet4", 1, 16, width=4, dense=8, code=3).eval()
    assert coded.layers == (*plain.layers[:-1], "trunk", "features")
    x = batch(4, 1, 16)
    torch.testing.assert_close(coded(x, "trunk"), plain(x))
    dense = coded.stages["features"]
    torch.testing.assert_close(coded(x), plain(x) @ dense.weight.T + dense.bias)


@pytest.mark.parametrize("name", NAMES)
def test_cost_grows_with_depth(name):
    encoder = build_encoder(name, 3, 16)
    costs = [multiply_adds(encoder, layer) for layer in encoder.layers]
    assert costs == sorted(costs)
    assert costs[-1] > 0
    assert 0 < count_parameters(encoder, trainable=True) <= count_parameters(encoder)


def test_a_nonsensical_size_is_refused():
    with pytest.raises(InputError, match="at least 1 channel"):
        build_encoder("convnet4", 0, 32)
    with pytest.raises(InputError, match="Did you mean convnet"):
        build_encoder("convnet", 3, 16)
