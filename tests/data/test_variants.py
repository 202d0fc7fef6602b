"""Variants: the same images under a named change, made when they are read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_run import digits

from phispace.data.corruptions import corrupt
from phispace.data.imageset import ImageSet
from phispace.data.variants import make_variant
from phispace.data.views import make_view, view_names
from phispace.errors import InputError, UnfitError
from phispace.metrics.partners import partners
from phispace.randomness import torch_rng

NAMES = ["corrupt/fog/3", "shift/2,-1", "view/shift-rotate-flip/4", "mix/0.25"]


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return digits(120)


@pytest.mark.parametrize("name", NAMES)
def test_only_the_pixels_change(images: ImageSet, name: str) -> None:
    made = make_variant(images, name)
    for what in ("ids", "labels", "split"):
        assert np.array_equal(getattr(made, what), getattr(images, what))
    assert made.classes == images.classes
    assert made.shape == images.shape
    whole = np.asarray(made.images)
    assert whole.dtype == np.uint8
    assert not np.array_equal(whole, images.images)
    some = np.array([7, 3, 90])
    assert np.array_equal(made.images[some], whole[some]), "an image does not depend on the batch"
    assert np.array_equal(made.images.take(some, axis=0), whole[some])
    assert np.array_equal(made.images[5:9], whole[5:9])
    assert np.array_equal(made.images[4], whole[4])
    assert np.array_equal(made.images[some, 2:4, :, 0], whole[some, 2:4, :, 0])
    assert np.array_equal(made.take(some).images, whole[some])
    mask = np.arange(len(images)) % 7 == 0
    assert np.array_equal(made.images[mask], whole[mask])


def test_fingerprints_tell_variants_apart(images: ImageSet) -> None:
    other = digits(119)
    prints = [make_variant(images, name, seed=seed).fingerprint for name in NAMES for seed in (0, 1)]
    prints += [images.fingerprint, make_variant(other, NAMES[0]).fingerprint]
    assert len(set(prints)) == len(prints)
    assert make_variant(images, NAMES[0]).fingerprint == prints[0]


def test_nothing_is_made_before_it_is_read(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = corrupt
    monkeypatch.setattr("phispace.data.corruptions.corrupt", lambda x, *a: asked.append(len(x)) or real(x, *a))
    made = make_variant(images, "corrupt/fog/1")
    assert made.fingerprint
    assert not asked
    made.images[np.array([1, 2])]
    assert asked == [2]
    made.images.remember(np.array([3, 5, 9]))
    first = made.images[np.array([9, 3])]
    assert asked == [2, 3]
    assert np.array_equal(made.images[np.array([3, 9, 5])][[1, 0]], first)
    assert asked == [2, 3]
    assert len(made.images[np.array([3, 4])]) == 2
    assert asked == [2, 3, 2], "one that is not remembered is made"


def test_corruptions_and_seeds(images: ImageSet) -> None:
    made = make_variant(images, "corrupt/gaussian-noise/2", seed=4)
    assert np.array_equal(made.images[:9], corrupt(images.images[:9], images.ids[:9], "gaussian-noise", 2, 4))
    assert not np.array_equal(made.images[:9], make_variant(images, "corrupt/gaussian-noise/2").images[:9])


def test_a_shift_goes_right_and_down(images: ImageSet) -> None:
    x = np.asarray(images.images)
    made = np.asarray(make_variant(images, "shift/2,1").images)
    assert np.array_equal(made[:, 1:, 2:], x[:, :-1, :-2])
    assert np.array_equal(made[:, 0, 2:], x[:, 1, :-2])  # reflected at the upper edge, which is not repeated
    left = np.asarray(make_variant(images, "shift/-3,0").images)
    assert np.array_equal(left[:, :, :-3], x[:, :, 3:])
    assert np.array_equal(np.asarray(make_variant(images, "shift/0,0").images), x)


@pytest.mark.parametrize("view", view_names())
def test_views_are_the_registered_ones(images: ImageSet, view: str) -> None:
    made = make_variant(images, f"view/{view}/1", seed=2).images[10:13]
    for k in range(3):
        pixels = torch.from_numpy(images.images[10 + k : 11 + k]).permute(0, 3, 1, 2)
        seen = make_view(view, 8)(pixels, torch_rng(2, f"variant/{view}", 1, str(images.ids[10 + k])))
        assert np.abs(made[k] - seen[0].permute(1, 2, 0).numpy() * 255).max() <= 0.501
    other = make_variant(images, f"view/{view}/2", seed=2).images[:50]
    again = make_variant(images, f"view/{view}/1", seed=2).images[:50]
    assert np.array_equal(other, again) == (view == "none")


def test_a_mix_is_on_the_way_to_the_partner(images: ImageSet) -> None:
    test = images.where("test")
    partner = test[partners(images.ids[test])]
    x = images.images.astype(float)
    assert np.array_equal(make_variant(images, "mix/0").images[test], images.images[test])
    assert np.array_equal(make_variant(images, "mix/1").images[test], images.images[partner])
    made = make_variant(images, "mix/0.3").images[test]
    assert np.abs(made - (0.7 * x[test] + 0.3 * x[partner])).max() <= 0.501


def test_partners_are_a_circle() -> None:
    ids = np.array([f"i{k}" for k in range(50)])
    found = partners(ids)
    assert sorted(found) == list(range(50))
    assert (found != np.arange(50)).all()
    place, seen = 0, set()
    while place not in seen:
        seen.add(place)
        place = found[place]
    assert len(seen) == 50
    shuffled = np.random.default_rng(0).permutation(50)
    assert np.array_equal(ids[shuffled][partners(ids[shuffled])], ids[found][shuffled])
    assert partners(ids[:1]).tolist() == [0]
    assert len(partners([])) == 0


@pytest.mark.parametrize(
    "name", ["", "fog/3", "corrupt/fog", "corrupt/fog/x", "shift/1", "shift/a,b", "view/flip", "mix/2", "mix/x"]
)
def test_names_that_are_none(images: ImageSet, name: str) -> None:
    with pytest.raises(InputError, match="There is no variant named"):
        make_variant(images, name)


def test_changes_that_these_images_cannot_have(images: ImageSet) -> None:
    for name, words in (
        ("shift/8,0", "leaves nothing of images of 8 x 8"),
        ("corrupt/saturate/1", "these images are grey"),
    ):
        with pytest.raises(UnfitError, match=words):
            make_variant(images, name)
    wide = ImageSet(
        np.zeros((3, 4, 6, 3), np.uint8), np.zeros(3, np.int64), np.array(["a", "b", "c"]), ("x",), np.full(3, "test")
    )
    with pytest.raises(UnfitError, match="square"):
        make_variant(wide, "view/flip/0")
    with pytest.raises(InputError, match="There is no corruption named"):
        make_variant(images, "corrupt/rain/1")
