"""Readings of a layer: with the mirror image, at another side."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_run import digits
from torch.nn import functional as F

from phispace.embeddings.extract import extract
from phispace.encoders.base import Encoder
from phispace.encoders.build import build_encoder
from phispace.encoders.readings import Reading, at_side, is_reading, readings
from phispace.errors import InputError

X = torch.rand((3, 3, 16, 16), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def pooled() -> Encoder:
    torch.manual_seed(0)
    return build_encoder("speednet", 3, 16, widths=(8,), pool="mean")


def test_names() -> None:
    assert readings("features") == (Reading("features"),)
    assert readings("blocks.5+mirror") == (Reading("blocks.5", mirror=True),)
    assert readings("conv+40px+mirror") == readings("conv+mirror+40px") == (Reading("conv", mirror=True, side=40),)
    assert readings("a+2x2,b+12px") == (Reading("a", grid=2), Reading("b", side=12))
    assert [is_reading(name) for name in ("blocks.5", "a+mirror", "a,b")] == [False, True, True]


WRONG = "f+ f+flip f+mirror+mirror f+40 f+px f+-4px f+40px+41px f+4.5px f+²px f+Mirror f+2x3 f+0x0 f+2x2+3x3 f,f+"


@pytest.mark.parametrize("name", WRONG.split())
def test_what_is_no_reading(name: str) -> None:
    with pytest.raises(InputError, match=r"No such reading of a layer: 'f\+"):
        readings(name)


@pytest.mark.parametrize("side", ["3", "0", "1025", "9" * 5000])
def test_sides_that_no_image_has(side: str) -> None:
    with pytest.raises(InputError, match="sides of 4 to 1024"):
        readings(f"features+{side}px")


@torch.no_grad()
def test_values(pooled: Encoder) -> None:
    pooled.eval()
    plain, mirrored = pooled(X), pooled(X.flip(-1))
    assert not torch.allclose(plain, mirrored, atol=1e-3)
    torch.testing.assert_close(pooled(X, layer="features+mirror"), (plain + mirrored) / 2)
    large = F.interpolate(X, size=(24, 24), mode="bilinear")
    torch.testing.assert_close(pooled(X, layer="features+24px"), pooled(large), rtol=1e-4, atol=1e-5)
    both = (pooled(large) + pooled(large.flip(-1))) / 2
    torch.testing.assert_close(pooled(X, layer="features+mirror+24px"), both, rtol=1e-4, atol=1e-5)
    assert torch.equal(pooled(X, layer="features+16px"), plain)


@torch.no_grad()
def test_maps_are_mirrored_back(pooled: Encoder) -> None:
    """The map of an image and of its mirror image are one another's, at the places of the image."""
    pooled.eval()
    layer = next(name for name, shape in pooled.shapes().items() if len(shape) == 3)
    ours, others = (pooled(x, layer=f"{layer}+mirror") for x in (X, X.flip(-1)))
    torch.testing.assert_close(ours, others.flip(-1))
    assert pooled.shapes_of((f"{layer}+32px",))[f"{layer}+32px"] == pooled(at_side(X, 32), layer=layer).shape[1:]


@torch.no_grad()
def test_means_of_a_grid_and_joined_layers(pooled: Encoder) -> None:
    pooled.eval()
    layer = next(name for name, shape in pooled.shapes().items() if len(shape) == 3)
    whole, cells = pooled(X, layer=layer), pooled(X, layer=f"{layer}+1x1")
    torch.testing.assert_close(cells.flatten(1), whole.mean((2, 3)))
    quadrants = pooled(X, layer=f"{layer}+2x2+mirror+12px")
    expected = F.adaptive_avg_pool2d(pooled(X, layer=f"{layer}+mirror+12px"), 2)
    torch.testing.assert_close(quadrants, expected)
    joined = pooled(X, layer=f"features+mirror,{layer}+2x2")
    parts = [pooled(X, layer="features+mirror"), pooled(X, layer=f"{layer}+2x2").flatten(1)]
    torch.testing.assert_close(joined, torch.cat(parts, 1))
    assert pooled.width(f"features+mirror,{layer}+2x2") == joined.shape[1]
    with pytest.raises(InputError, match=r"'features' \(8\) is no map of 2 x 2 places"):
        pooled.shapes_of(("features+2x2",))
    with pytest.raises(InputError, match="is no map of 99 x 99 places"):
        pooled.shapes_of((f"{layer}+99x99",))
    with pytest.raises(InputError, match="no layer 'nothing'"):
        pooled.taps(X, ("features,nothing",))


@torch.no_grad()
def test_a_pass_of_the_same_images_is_made_once(pooled: Encoder) -> None:
    pooled.eval()
    passes: list[int] = []
    pooled.stages["normalise"].register_forward_hook(lambda _m, _i, out: passes.append(out.shape[-1]))
    joined = "features+24px,features+mirror"
    names = (pooled.layers[0], "features+mirror", "features", "features+mirror+24px", "features+24px", joined)
    assert tuple(pooled.taps(X, names)) == names
    assert sorted(passes) == [16, 16, 24, 24]


@pytest.mark.parametrize("name", ["dcgan", "patch-dictionary", "vit"])
@torch.no_grad()
def test_branches_too(name: str) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(name, 3, 16).eval()
    for layer in encoder.layers:
        plain, mirrored = encoder(X, layer=layer), encoder(X.flip(-1), layer=layer)
        other = mirrored.flip(-1) if mirrored.ndim == 4 else mirrored
        torch.testing.assert_close(encoder(X, layer=f"{layer}+mirror"), (plain + other) / 2)


def test_refused(pooled: Encoder) -> None:
    with pytest.raises(InputError, match="no layer 'nothing'; there are: "):
        pooled.taps(X, ("nothing+mirror",))
    dense = build_encoder("convnet4", 3, 16)
    with pytest.raises(InputError, match="built for images of 16 pixels and does not take 40"):
        dense.shapes_of(("features+40px",))
    assert len(dense.shapes_of((f"{dense.layers[0]}+40px",))) == 1  # a map before the dense layer


def test_extraction() -> None:
    images, name = digits(30), "features+mirror+12px,group1+2x2"
    encoder = build_encoder("speednet", 1, 8, widths=(8,), pool="mean").eval()
    stores = extract(encoder, images, ("features", name), precision="float32")
    pixels = torch.from_numpy(images.images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        expected = encoder(pixels, layer=name).numpy()
    np.testing.assert_allclose(stores[name].vectors, expected, rtol=1e-4, atol=1e-5)
    assert stores[name].manifest["layer"] == name
    assert stores["features"].manifest["layer"] == "features"
