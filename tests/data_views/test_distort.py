"""Crops, colours, blur and solarising: each against torchvision for the same parameters.

Largest differences seen over the examples here, for floats in [0, 1]: resized crop 1.5e-6, brightness 0, contrast
6e-8, saturation 7e-8, hue 1.3e-6, grey 0, blur 5e-7, solarise 0; the four of a jitter 1.4e-6, a whole view 1.7e-6.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from phispace.data.views import make_view, to_float
from phispace.data.views.blur import gaussian_blur, kernel_size
from phispace.data.views.colour import OPERATIONS, grey_, jitter, solarise_
from phispace.data.views.crop import Crops, draw_crops, resized_crop
from phispace.errors import InputError

CLOSE = {"rtol": 0.0, "atol": 2e-6}


def generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int, channels: int = 3, size: int = 32, seed: int = 0) -> torch.Tensor:
    """Bytes with greys, pure colours and extremes among them, where formulas of colour have their branches."""
    x = torch.randint(0, 256, (count, channels, size, size), generator=generator(seed), dtype=torch.uint8)
    x[:, :, :4] = (x[:, :, :4] > 127) * 255
    x[:, :, 4:8] = x[:, :1, 4:8]
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 28), (3, 32), (3, 33)])
def test_a_resized_crop_is_torchvisions(channels, size):
    x = to_float(pictures(60, channels, size))
    crops = draw_crops(60, size, generator(), (0.08, 1.0), (3 / 4, 4 / 3))
    flips = torch.arange(60) % 2 == 0
    ours = resized_crop(x, crops, flips)
    for i, (top, left, height, width) in enumerate(zip(*(c.tolist() for c in crops), strict=True)):
        theirs = TF.resized_crop(x[i], top, left, height, width, [size, size], antialias=True)
        torch.testing.assert_close(ours[i], theirs.flip(-1) if flips[i] else theirs, **CLOSE)


def test_one_pixel_and_the_whole_image_are_crops_too():
    x = to_float(pictures(2, 3, 9))
    crops = Crops(*(torch.tensor(v) for v in ([8, 0], [0, 0], [1, 9], [1, 9])))
    ours = resized_crop(x, crops, torch.tensor([False, False]))
    torch.testing.assert_close(ours[0], x[0, :, 8:, :1].expand(3, 9, 9))
    torch.testing.assert_close(ours[1], x[1])


def test_crops_are_drawn_as_torchvision_draws_them():
    """The same distribution of sides and places, by a Kolmogorov-Smirnov test; and inside the image."""
    count, size = 4000, 32
    ours = draw_crops(count, size, generator(), (0.2, 1.0), (3 / 4, 4 / 3))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = [v2.RandomResizedCrop(size, (0.2, 1.0)).make_params([torch.zeros(3, size, size)]) for _ in range(count)]
    for name in Crops._fields:
        found = getattr(ours, name).numpy()
        assert stats.ks_2samp(found, [d[name] for d in drawn]).statistic < 0.04, name  # 1.6 / sqrt(2000) is 1 in 100
    assert int((ours.top + ours.height).max()) == size
    assert int((ours.left + ours.width).max()) == size
    assert int(ours.top.min()) == int(ours.left.min()) == 0


def test_a_crop_that_never_fits_is_the_whole_image():
    crops = draw_crops(50, 32, generator(), (1.0, 1.0), (3.0, 4.0))
    assert set(crops.height.tolist()) == set(crops.width.tolist()) == {32}


OURS_AND_THEIRS = {
    "brightness": (0, TF.adjust_brightness, (0.0, 0.3, 1.0, 1.7)),
    "contrast": (1, TF.adjust_contrast, (0.0, 0.3, 1.0, 1.7)),
    "saturation": (2, TF.adjust_saturation, (0.0, 0.3, 1.0, 1.7)),
    "hue": (3, TF.adjust_hue, (-0.5, -0.13, 0.0, 0.04, 0.31, 0.5)),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OURS_AND_THEIRS)
def test_an_operation_on_colours_is_torchvisions(name, channels):
    number, theirs, values = OURS_AND_THEIRS[name]
    x = to_float(pictures(len(values), channels))
    ours = OPERATIONS[number](x.clone(), torch.tensor(values))
    for image, before, value in zip(ours, x, values, strict=True):
        torch.testing.assert_close(image, theirs(before, value), **CLOSE)


def test_grey_and_solarised_are_torchvisions():
    x = to_float(pictures(4))
    torch.testing.assert_close(grey_(x.clone()), TF.rgb_to_grayscale(x, num_output_channels=3), **CLOSE)
    assert torch.equal(solarise_(x.clone()), TF.solarize(x, 0.5))
    one = to_float(pictures(4, 1))
    assert torch.equal(grey_(one.clone()), one)


@pytest.mark.parametrize(("channels", "size", "kernel"), [(1, 8, 3), (3, 32, 3), (3, 33, 5), (3, 48, 9)])
def test_blur_is_torchvisions(channels, size, kernel):
    x = to_float(pictures(5, channels, size))
    sigma = torch.tensor([0.1, 0.4, 0.9, 1.5, 2.0])
    ours = gaussian_blur(x.contiguous(), sigma, kernel)
    for i in range(5):
        torch.testing.assert_close(ours[i], TF.gaussian_blur(x[i], kernel, float(sigma[i])), **CLOSE)


def test_the_kernel_is_a_tenth_of_the_side():
    assert [kernel_size(side) for side in (8, 28, 32, 64, 96, 224)] == [3, 3, 3, 7, 9, 23]


def torchvision_jitter(image, factors, order):
    """ColorJitter's `transform` with given parameters."""
    names = ("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor")
    parameters = {name: float(f) for name, f in zip(names, factors, strict=True)}
    return v2.ColorJitter(0.4, 0.4, 0.2, 0.1).transform(image, {"fn_idx": order, **parameters})


@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_is_torchvisions_in_any_order(channels):
    """All 24 orders; the differences of four operations add up."""
    view = make_view("simclr", 32)
    draws = view.draw(300, generator())
    assert len({tuple(o) for o in draws.order.tolist()}) == 24
    x = to_float(pictures(300, channels)).contiguous()
    before = x.clone()
    ours = jitter(x, list(draws.factors), draws.order, draws.jittered)
    assert torch.equal(x, before)
    assert 0.7 < draws.jittered.float().mean() < 0.9
    for i in range(300):
        theirs = torchvision_jitter(x[i], draws.factors[:, i], draws.order[i]) if draws.jittered[i] else x[i]
        torch.testing.assert_close(ours[i], theirs, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["crop", "simclr", "simclr-paper", "byol-1", "byol-2"])
def test_a_whole_view_is_torchvisions_chain(name, channels):
    view = make_view(name, 32)
    x = pictures(120, channels)
    draws = view.draw(120, generator())
    ours = view.apply(x, draws)
    assert torch.equal(ours, view(x, generator()))
    for i, image in enumerate(to_float(x)):
        top, left, height, width = (int(c[i]) for c in draws.crops)
        image = TF.resized_crop(image, top, left, height, width, [32, 32])
        image = TF.horizontal_flip(image) if draws.flips[i] else image
        image = torchvision_jitter(image, draws.factors[:, i], draws.order[i]) if draws.jittered[i] else image
        image = TF.rgb_to_grayscale(image, num_output_channels=channels) if draws.greyed[i] else image
        image = TF.gaussian_blur(image, 3, float(draws.sigma[i])) if draws.blurred[i] else image
        if draws.solarised[i]:
            near = (image - 0.5).abs() < 1e-5  # either side of the threshold
            image = torch.where(near, ours[i], TF.solarize(image, 0.5))
        torch.testing.assert_close(ours[i], image, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("crop", (0.5, 0, 0, 0, 0)),
        ("simclr", (0.5, 0.8, 0.2, 0, 0)),
        ("simclr-paper", (0.5, 0.8, 0.2, 0.5, 0)),
        ("byol-1", (0.5, 0.8, 0.2, 1, 0)),
        ("byol-2", (0.5, 0.8, 0.2, 0.1, 0.2)),
    ],
)
def test_so_many_images_are_changed_as_the_name_says(name, shares):
    draws = make_view(name, 32).draw(4000, generator())
    found = [getattr(draws, f) for f in ("flips", "jittered", "greyed", "blurred", "solarised")]
    np.testing.assert_allclose([float(f.float().mean()) for f in found], shares, atol=4 * math.sqrt(0.25 / 4000))


def test_the_drawn_factors_fill_their_ranges():
    factors = make_view("simclr-paper", 32).draw(4000, generator()).factors
    low, high = factors.min(1).values, factors.max(1).values
    torch.testing.assert_close(low, torch.tensor([0.2, 0.2, 0.2, -0.2]), rtol=0, atol=0.01)
    torch.testing.assert_close(high, torch.tensor([1.8, 1.8, 1.8, 0.2]), rtol=0, atol=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 0.2}, "two rising numbers between 0.001 and 1"),
        ({"crop": (0.5, 0.2)}, "two rising numbers"),
        ({"crop": (0.2, 1.0, 2.0)}, "two rising numbers"),
        ({"ratio": ("a", 1)}, "two rising numbers"),
        ({"hue": 0.6}, "'hue' is a number between 0 and 0.5"),
        ({"jitter": True}, "'jitter' is a number"),
        ({"degrees": 3}, "has no option 'degrees'"),
    ],
)
def test_bad_options_are_refused_with_a_sentence(options, message):
    with pytest.raises(InputError, match=message):
        make_view("simclr", 32, **options)
