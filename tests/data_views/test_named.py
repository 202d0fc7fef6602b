"""Several views by one text."""

from __future__ import annotations

import pytest
import torch

from phispace.data.views.named import make_views, parse_views
from phispace.errors import InputError
from phispace.training.config import make_config


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        ("flip", 1, [("flip", {})]),
        ("simclr", 2, [("simclr", {})] * 2),
        (" byol-1 + byol-2 ", 2, [("byol-1", {}), ("byol-2", {})]),
        ("2*simclr+crop(crop=[0.05, 0.3])", 3, [("simclr", {})] * 2 + [("crop", {"crop": [0.05, 0.3]})]),
        ("flip(flip=1.0)", 2, [("flip", {"flip": 1.0})] * 2),
        ("flip()+flip( flip = 1 )", 2, [("flip", {}), ("flip", {"flip": 1})]),
    ],
)
def test_texts(text, count, expected):
    assert parse_views(text, count) == expected


@pytest.mark.parametrize(
    ("text", "count", "message"),
    [
        ("byol-1+byol-2", 1, "takes one view of each image; 'byol-1.byol-2' names 2"),
        ("byol-1+byol-2", 3, "takes 3 views of each image; .* names 2"),
        ("3*flip", 2, "names 3"),
        ("byol1+byol-2", 2, "no view named 'byol1'. Did you mean byol-1"),
        ("flip+", 2, "names joined by '[+]'"),
        ("", 1, "names joined by '[+]'"),
        ("0*flip", 1, "repeated 1 to 64 times"),
        ("99999*flip", 1, "repeated 1 to 64 times"),
        ("flip(0.5)", 1, r"written as flip\(key=value"),
        ("flip(flip=0.5", 1, "names joined by"),
    ],
)
def test_what_is_no_text_of_views_is_refused_with_a_sentence(text, count, message):
    with pytest.raises(InputError, match=message):
        parse_views(text, count)


def test_options_reach_the_view():
    images = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    straight, mirrored = (view(images, torch.Generator()) for view in make_views("flip(flip=0.0)+flip(flip=1.0)", 2, 8))
    assert torch.equal(straight.flip(-1), mirrored)
    with pytest.raises(InputError, match="no option 'angle'"):
        make_views("flip(angle=3)", 1, 8)


def test_a_configuration_says_it_before_anything_is_read():
    assert make_config(settings=["method.views=flip(flip=1.0)"]).method["views"] == "flip(flip=1.0)"
    with pytest.raises(InputError, match=r"takes one view of each image; 'flip[+]flip' names 2"):
        make_config(settings=["method.views=flip+flip"])
    with pytest.raises(InputError, match="no view named 'flap'"):
        make_config(settings=["method.views=flap"])
