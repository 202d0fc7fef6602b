"""The first stage of a backbone against Pillow and torch, and what it does to images of any shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from phispace.encoders.prepare import Prepare, resampling

PIL = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def picture(height: int, width: int) -> np.ndarray:
    """uint8 (height, width, 3), smooth with sharp edges."""
    y, x = np.mgrid[:height, :width]
    red = (127 + 120 * np.sin(x / 3)).astype(np.uint8)
    green = np.where((x // 5 + y // 5) % 2, 250, 5).astype(np.uint8)
    blue = (255 * y / height).astype(np.uint8)
    return np.stack([red, green, blue], axis=2)


def as_batch(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("size", "resolution"), [(32, 96), (32, 224), (28, 65), (96, 32), (40, 33)])
def test_resizing_is_pillows(interpolation, size, resolution):
    """The same bytes, but for a few where Pillow's whole numbers round the other way: one level of 255."""
    pixels = picture(size, size)
    theirs = np.asarray(Image.fromarray(pixels).resize((resolution, resolution), PIL[interpolation])).astype(float)
    prepare = Prepare(resolution, (0.0,) * 3, (1.0,) * 3, interpolation)
    ours = prepare(as_batch(pixels))[0].permute(1, 2, 0).numpy() * 255
    difference = np.abs(ours - theirs)
    assert difference.max() < 1.001
    assert np.mean(difference < 0.001) > 0.97


@pytest.mark.parametrize("interpolation", ["nearest-exact", "bilinear", "bicubic"])
def test_two_products_are_torchs_interpolation(interpolation):
    x = torch.rand(3, 3, 20, 31, generator=torch.Generator().manual_seed(0))
    name = interpolation.removesuffix("-exact")
    ours = resampling(20, 48, name) @ x @ resampling(31, 12, name).T
    theirs = F.interpolate(x, (48, 12), mode=interpolation, **({} if name == "nearest" else {"antialias": True}))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_padding_keeps_the_proportions_and_stretching_does_not():
    x = torch.ones(1, 3, 20, 40)
    padded = Prepare(64, (0.0,) * 3, (1.0,) * 3, "bilinear", "pad")(x)
    assert padded.shape == (1, 3, 64, 64)
    assert padded[:, :, 16:48].eq(1).all()
    assert padded[:, :, :16].eq(0).all()
    assert padded[:, :, 48:].eq(0).all()
    assert Prepare(64, (0.0,) * 3, (1.0,) * 3, "bilinear", "stretch")(x).allclose(torch.ones(1))


def test_statistics_are_given_and_grey_becomes_three_equal_channels():
    prepare = Prepare(16, (0.2, 0.4, 0.6), (0.1, 0.2, 0.4), "bicubic")
    prepare.measure(np.zeros((4, 16, 16, 3), np.uint8))  # statistics of the images change nothing
    out = prepare(torch.full((2, 1, 16, 16), 0.5))
    torch.testing.assert_close(out[0, :, 0, 0], torch.tensor([3.0, 0.5, -0.25]))
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_bicubic_overshoot_is_clipped_as_pillow_clips_it():
    x = (torch.arange(32).view(1, 1, 1, 32) >= 16).float().expand(1, 3, 32, 32)
    out = Prepare(96, (0.0,) * 3, (1.0,) * 3, "bicubic")(x)
    assert out.min() == 0
    assert out.max() == 1


def test_the_gradient_passes_through_the_rounding():
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    Prepare(32, (0.0,) * 3, (1.0,) * 3, "bilinear")(x).sum().backward()
    torch.testing.assert_close(x.grad.sum(), torch.tensor(3.0 * 32 * 32), rtol=1e-4, atol=0)


def test_pixels_keep_their_precision_under_autocast():
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    prepare = Prepare(48, (0.5,) * 3, (0.5,) * 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(prepare(x), prepare(x).float())
        coarse = prepare(x)
    assert torch.equal(coarse, prepare(x))
