"""Domains: the same images changed as a whole, and two of them as one set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phispace.data import load_images
from phispace.data.domains import LEAST_CONTRAST, adaptation_set, in_colour, make_domain
from phispace.data.imageset import ImageSet
from phispace.errors import InputError


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    images = load_images("digits")
    return images.take(np.arange(120))


def test_inverted_is_what_is_left_to_white(digits: ImageSet) -> None:
    found = make_domain(digits, "inverted")
    np.testing.assert_array_equal(found.images.astype(int) + digits.images, 255)
    assert found.fingerprint != digits.fingerprint
    assert (found.name, found.source["domain"]) == ("digits inverted", "inverted")
    np.testing.assert_array_equal(found.ids, digits.ids)
    np.testing.assert_array_equal(found.labels, digits.labels)


def test_noise_lies_behind_the_digit_and_is_uniform(digits: ImageSet) -> None:
    found = make_domain(digits, "noisy")
    assert (found.images >= digits.images).all()
    behind = found.images[np.asarray(digits.images) == 0]
    assert behind.mean() == pytest.approx(127.5, abs=5 * 73.9 / np.sqrt(behind.size))
    assert behind.std() == pytest.approx(73.9, rel=0.05)


def test_colours_are_two_for_each_image_mixed_by_the_grey_value(digits: ImageSet) -> None:
    found = make_domain(digits, "coloured")
    assert found.shape == (3, *digits.shape[1:])
    distances = []
    for grey, colour in zip(np.asarray(digits.images)[..., 0], found.images, strict=True):
        background, foreground = colour[grey == 0][0].astype(float), colour[grey == 255]
        assert (colour[grey == 0] == colour[grey == 0][0]).all()
        if len(foreground):
            distances.append(np.linalg.norm(background - foreground[0]))
            middle = grey == 128
            expected = background + (foreground[0] - background) * 128 / 255
            assert np.abs(colour[middle] - expected).max(initial=0) <= 0.5 + 1e-6
    assert len(distances) > 50
    assert min(distances) >= LEAST_CONTRAST
    with pytest.raises(InputError, match="has colours already"):
        make_domain(found, "coloured")


@pytest.mark.parametrize("change", ["noisy", "coloured", "corrupt/impulse-noise/4"])
def test_an_image_is_drawn_by_its_id_and_the_seed_alone(digits: ImageSet, change: str) -> None:
    whole = make_domain(digits, change, seed=3)
    part = make_domain(digits.take(np.arange(50, 60)), change, seed=3)
    np.testing.assert_array_equal(whole.images[50:60], part.images)
    assert (make_domain(digits, change, seed=4).images != whole.images).any()


def test_variants_are_domains_and_others_are_refused(digits: ImageSet) -> None:
    found = make_domain(digits, "corrupt/contrast/5")
    assert isinstance(found.images, np.ndarray)
    assert found.images.std() < digits.images.std()
    with pytest.raises(InputError, match=r"no domain 'upside-down'; there are inverted, noisy, coloured"):
        make_domain(digits, "upside-down")


def test_grey_meets_colour_when_it_has_three_channels(digits: ImageSet) -> None:
    target = make_domain(digits, "coloured")
    with pytest.raises(InputError, match=r"images alike"):
        adaptation_set(digits, target)
    both = adaptation_set(in_colour(digits), target)
    assert both.shape[0] == 3
    assert in_colour(target) is target
    assert set(both.split[both.labels < 0]) == {"unlabelled"}


def test_no_label_of_the_target_is_left_outside_test(digits: ImageSet) -> None:
    both = adaptation_set(digits, make_domain(digits, "inverted"))
    own = np.array([i.startswith("digits:") for i in both.ids])
    assert set(both.split[own]) == {"train", "val"}
    assert set(both.split[~own]) == {"unlabelled", "test"}
    wrong = replace(digits, classes=tuple("abcdefghij"))
    with pytest.raises(InputError, match="same classes"):
        adaptation_set(digits, wrong)
