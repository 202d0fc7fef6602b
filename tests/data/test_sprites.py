"""Sprites: known factors, each with a visible effect, none hidden by a symmetry."""

from __future__ import annotations

import numpy as np
import pytest

from phispace.data import load_images
from phispace.data.sprites import COUNTS, FACTORS, SHAPES, render, sample_factors
from phispace.errors import InputError

_MIDDLE = [0, 4, 0, 6, 6, 0]


def _with(name: str, values: range) -> np.ndarray:
    factors = np.tile(_MIDDLE, (len(values), 1))
    factors[:, FACTORS.index(name)] = list(values)
    return factors


def test_the_set() -> None:
    images = load_images("sprites", options={"n": 300})
    assert images.factor_names == FACTORS
    assert images.classes == SHAPES
    assert images.factors is not None
    np.testing.assert_array_equal(images.labels, images.factors[:, 0])
    np.testing.assert_array_equal(images.images, render(images.factors))
    assert len(np.unique(images.factors, axis=0)) == 300


def test_a_smaller_set_is_part_of_a_larger_one() -> None:
    small, large = (load_images("sprites", options={"n": n}) for n in (50, 90))
    assert set(small.ids) < set(large.ids)
    assert set(load_images("sprites", options={"n": 50, "seed": 1}).ids) != set(small.ids)


@pytest.mark.parametrize("shape", range(COUNTS[0]), ids=SHAPES)
@pytest.mark.parametrize("scale", [0, COUNTS[1] - 1])
def test_no_turn_looks_like_another(shape: int, scale: int) -> None:
    factors = _with("rotation", range(COUNTS[2]))
    factors[:, 0], factors[:, 1] = shape, scale
    pictures = render(factors).astype(float).reshape(COUNTS[2], -1)
    ink = pictures.sum(axis=1).mean()
    for i in range(COUNTS[2]):
        for j in range(i):
            assert np.abs(pictures[i] - pictures[j]).sum() > 0.1 * ink


@pytest.mark.parametrize("name", FACTORS)
def test_each_value_of_each_factor_is_another_image(name: str) -> None:
    pictures = render(_with(name, range(COUNTS[FACTORS.index(name)])))
    assert len({p.tobytes() for p in pictures}) == COUNTS[FACTORS.index(name)]


def test_position_moves_the_centre_and_scale_the_area() -> None:
    columns = render(_with("x", range(COUNTS[3]))).sum(axis=(1, 3), dtype=float)
    centres = (columns * np.arange(64)).sum(axis=1) / columns.sum(axis=1)
    steps = np.diff(centres)
    np.testing.assert_allclose(steps, steps.mean(), rtol=0.1)
    areas = render(_with("scale", range(COUNTS[1]))).sum(axis=(1, 2, 3), dtype=float)
    np.testing.assert_allclose(areas[-1] / areas[0], 4.0, rtol=0.05)  # twice the radius


def test_edges_are_smooth_and_shapes_are_whole() -> None:
    corners = np.stack(np.meshgrid(*[(0, c - 1) for c in COUNTS], indexing="ij"), axis=-1).reshape(-1, 6)
    pictures = render(corners)
    assert (pictures[:, 0] == 0).all()
    assert (pictures[:, -1] == 0).all()
    assert (pictures[:, :, 0] == 0).all()
    assert (pictures[:, :, -1] == 0).all()
    assert len(np.unique(render(np.array([[0, 4, 1, 6, 6, 0]]))[..., 0])) > 6


def test_factors_are_sampled_evenly_and_held_fixed() -> None:
    factors = sample_factors(4000, np.random.default_rng(0), {"rotation": 3})
    assert (factors[:, 2] == 3).all()
    for column, count in enumerate(COUNTS):
        if column != 2:
            assert np.bincount(factors[:, column], minlength=count).min() > 0.7 * 4000 / count


@pytest.mark.parametrize(
    "factors",
    [
        np.zeros((2, 5)),
        np.zeros(6),
        np.full((1, 6), -1),
        np.array([COUNTS]),
        np.full((1, 6), 0.5),
        np.full((1, 6), np.nan),
        np.full((1, 6), np.inf),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_bad_factors(factors: np.ndarray) -> None:
    with pytest.raises(InputError):
        render(factors)


def test_bad_fixed_factors() -> None:
    for fixed in ({"size": 1}, {"x": 12}, {"x": -1}):
        with pytest.raises(InputError):
            sample_factors(3, np.random.default_rng(0), fixed)
