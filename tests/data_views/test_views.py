"""Views: against independent resampling, and what every view promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torchvision.transforms.v2 import functional as TF

from phispace.data.views import describe_view, make_view, to_float, view_names
from phispace.data.views.affine import shift_rotate
from phispace.data.views.move import GREY, cut_out, move
from phispace.errors import InputError

NAMES = view_names()
SHAPES = [(1, 8), (3, 28), (3, 32)]


def pictures(count: int, channels: int, size: int, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (count, channels, size, size), generator=rng, dtype=torch.uint8)
    return x.contiguous(memory_format=torch.channels_last)


def generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "size"), SHAPES)
def test_contract(name, channels, size):
    """float32 in [0, 1], channels_last, same for the same generator, input untouched, another for another generator."""
    x = pictures(24, channels, size)
    before = x.clone()
    view = make_view(name, size)
    y = view(x, generator())
    assert y.dtype == torch.float32
    assert y.shape == x.shape
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert y.min() >= 0
    assert y.max() <= 1
    assert torch.equal(x, before)
    assert torch.equal(y, view(x, generator()))
    if name != "none":
        assert not torch.equal(y, view(x, generator(4)))


@pytest.mark.parametrize("name", NAMES)
def test_views_are_the_same_where_networks_run_in_bf16(name):
    x, view = pictures(24, 3, 32), make_view(name, 32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = view(x, generator())
    assert torch.equal(inside, view(x, generator()))


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("name", ["simclr-paper", "byol-2", "projective"])
def test_images_of_other_channels_have_views_too(name, channels):
    x = pictures(24, channels, 16)
    y = make_view(name, 16)(x, generator())
    assert y.shape == x.shape
    assert y.min() >= 0
    assert y.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_same_pixels_give_the_same_views_in_any_memory_layout(name):
    x = pictures(6, 3, 32)
    view = make_view(name, 32)
    assert torch.equal(view(x, generator()), view(x.contiguous(), generator()))


@pytest.mark.parametrize("name", [n for n in NAMES if n != "none"])
def test_parameters_differ_by_image(name):
    """One picture repeated comes out in several ways."""
    x = pictures(1, 3, 32).expand(32, -1, -1, -1)
    distinct = {y.numpy().tobytes() for y in make_view(name, 32)(x, generator())}
    assert len(distinct) >= (2 if name == "flip" else 6)


@pytest.mark.parametrize("name", NAMES)
def test_draws_do_not_depend_on_the_content(name):
    one, two = generator(), generator()
    view = make_view(name, 8)
    view(pictures(5, 1, 8, seed=1), one)
    view(pictures(5, 3, 8, seed=2), two)
    assert torch.equal(torch.rand(4, generator=one), torch.rand(4, generator=two))


@pytest.mark.parametrize(
    "name", ["none", "flip", "translate", "translate-flip", "shift-rotate", "shift-rotate-flip", "crop"]
)
def test_constant_images_stay_as_they_are_where_nothing_is_filled_in_or_coloured(name):
    x = torch.full((8, 3, 32, 32), 77, dtype=torch.uint8)
    torch.testing.assert_close(make_view(name, 32)(x, generator()), torch.full((8, 3, 32, 32), 77 / 255))


@pytest.mark.parametrize("name", NAMES)
def test_descriptions(name):
    assert len(describe_view(name)) > 10


def test_half_of_the_images_are_mirrored():
    x = pictures(1, 1, 8).expand(2000, -1, -1, -1)
    mirrored = (make_view("flip", 8)(x, generator()) == to_float(x[:1].flip(-1))).flatten(1).all(1)
    assert 0.45 < mirrored.float().mean() < 0.55


@settings(max_examples=40, deadline=None)
@given(
    down=st.integers(-4, 4),
    right=st.integers(-4, 4),
    flip=st.booleans(),
    fill=st.sampled_from(["reflect", "border", "black"]),
    channels=st.sampled_from([1, 3]),
    size=st.sampled_from([5, 8, 9]),
)
def test_move_is_torchvisions_pad_crop_and_mirror(down, right, flip, fill, channels, size):
    x = pictures(1, channels, size, seed=size)
    mode = {"reflect": "reflect", "border": "edge", "black": "constant"}[fill]
    expected = TF.crop(TF.pad(x, [4], padding_mode=mode), 4 + down, 4 + right, size, size)
    if flip:
        expected = TF.horizontal_flip(expected)
    assert torch.equal(move(x, torch.tensor([down]), torch.tensor([right]), torch.tensor([flip]), fill), expected)


def keras_resample(image: np.ndarray, angle: float, down: float, right: float, flip: bool) -> np.ndarray:
    """What ImageDataGenerator does to one channel (H, W), by scipy: its matrices, its centre, its interpolation."""
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    shift = np.array([[1, 0, down], [0, 1, right], [0, 0, 1]])
    height, width = image.shape
    to_centre = np.array([[1, 0, height / 2 - 0.5], [0, 1, width / 2 - 0.5], [0, 0, 1]])
    back = np.array([[1, 0, -(height / 2 - 0.5)], [0, 1, -(width / 2 - 0.5)], [0, 0, 1]])
    matrix = to_centre @ rotation @ shift @ back
    out = ndimage.affine_transform(image, matrix[:2, :2], matrix[:2, 2], order=1, mode="nearest")
    return out[:, ::-1] if flip else out


@settings(max_examples=40, deadline=None)
@given(
    angle=st.floats(-3.1, 3.1),
    down=st.floats(-4, 4),
    right=st.floats(-4, 4),
    flip=st.booleans(),
    size=st.sampled_from([7, 8, 28, 32]),
)
def test_shift_rotate_is_keras_affine_transform(angle, down, right, flip, size):
    x = to_float(pictures(1, 1, size, seed=size))
    ours = shift_rotate(x, *(torch.tensor([v]) for v in (angle, down, right)), torch.tensor([flip]))
    expected = keras_resample(x[0, 0].double().numpy(), angle, down, right, flip)
    np.testing.assert_allclose(ours[0, 0].numpy(), expected, atol=2e-4)


@pytest.mark.parametrize("size", [7, 8, 28, 31, 32, 64])
def test_no_rotation_and_no_shift_give_the_image_itself(size):
    x = pictures(4, 3, size)
    zero = torch.zeros(4)
    for flip in (False, True):
        y = shift_rotate(to_float(x), zero, zero, zero, torch.full((4,), flip))
        expected = x.flip(-1) if flip else x
        assert torch.equal((y * 255).round().to(torch.uint8), expected)
        torch.testing.assert_close(y, to_float(expected), rtol=0, atol=2e-5)


def test_the_drawn_angles_and_shifts_fill_their_ranges():
    """A single bright pixel is carried to the places that the ranges allow, and to no other."""
    x = torch.zeros(4000, 1, 33, 33, dtype=torch.uint8)
    x[:, :, 16, 16] = 255
    y = make_view("shift-rotate", 33, degrees=0.0, shift=0.1)(x, generator())
    place = torch.arange(33.0)
    mass = y.sum((1, 2, 3))
    row = ((y.sum((1, 3)) * place).sum(1) / mass - 16).abs()
    assert row.max() <= 3.3 + 1e-3
    assert row.max() > 3.2
    assert row.mean() == pytest.approx(1.65, abs=0.1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("flp", {}, "Did you mean flip"),
        ("flip", {"angle": 3}, "no option 'angle'.*shift, flip, fill"),
        ("none", {"flip": 0.5}, "its options are: none"),
        ("flip", {"flip": 1.5}, "between 0 and 1"),
        ("flip", {"flip": "often"}, "between 0 and 1"),
        ("flip", {"fill": "pink"}, "one of reflect"),
        ("translate-flip", {"shift": 8}, "from 0 to 7"),
        ("translate-flip", {"shift": 1.5}, "whole number"),
        ("shift-rotate", {"degrees": -1}, "between 0 and 180"),
        ("shift-rotate", {"degrees": None}, "between 0 and 180"),
    ],
)
def test_bad_options_are_refused_with_a_sentence(name, options, message):
    with pytest.raises(InputError, match=message):
        make_view(name, 8, **options)


def test_bad_images_are_refused():
    view = make_view("flip", 8)
    with pytest.raises(InputError, match="uint8"):
        view(torch.rand(2, 1, 8, 8), generator())
    with pytest.raises(InputError, match=r"\(B, C, 8, 8\)"):
        view(torch.zeros(2, 1, 9, 8, dtype=torch.uint8), generator())


def test_the_names_cost_no_torch():
    import subprocess
    import sys

    code = "import sys, phispace.data.views as v; v.view_names(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("side", [1, 3, 4])
def test_cutout_greys_one_square_that_may_reach_over_the_border(side):
    """Against slicing, for all centres of a small image."""
    size = 6
    places = torch.cartesian_prod(torch.arange(size), torch.arange(size))
    x = pictures(len(places), 3, size)
    found = cut_out(x, places[:, 0], places[:, 1], side)
    for image, row, column, result in zip(x, *places.T.tolist(), found, strict=True):
        expected = image.clone()
        top, left = row - side // 2, column - side // 2
        expected[:, max(top, 0) : top + side, max(left, 0) : left + side] = GREY
        assert torch.equal(result, expected)
    view = make_view("translate", size=32, cutout=0.375)
    white = torch.full((200, 1, 32, 32), 255, dtype=torch.uint8)
    grey = (view(white, generator()) < 1).float().mean()
    assert 0.08 < grey < 12 * 12 / 32**2  # a little is always lost over the border
