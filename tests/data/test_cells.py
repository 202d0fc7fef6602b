"""Synthetic cells: named as synthetic, three stages that differ where they should, the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from phispace.data import load_images
from phispace.data.cells import CAVEAT, STAGES, draw
from phispace.errors import InputError


def test_the_set_has_the_shape_of_the_task() -> None:
    images = load_images("cells")
    assert images.shape == (1, 40, 40)
    assert images.classes == STAGES
    assert (images.labels >= 0).sum() == 400
    assert len(images.where("unlabelled")) == 3892
    assert (images.labels[images.where("unlabelled")] == -1).all()
    assert np.bincount(images.labels[images.labels >= 0]).min() > 60


def test_it_says_that_it_is_synthetic() -> None:
    images = load_images("cells", options={"labelled": 60, "unlabelled": 10})
    assert all(i.startswith("synthetic-") for i in images.ids)
    assert images.source["synthetic"] is True
    assert CAVEAT in images.source["caveats"]


def test_another_seed_draws_other_cells() -> None:
    options = {"labelled": 60, "unlabelled": 10}
    one, two = (load_images("cells", options={**options, "seed": seed}) for seed in (0, 1))
    assert one.fingerprint != two.fingerprint


def upright(stages: np.ndarray, seed: int) -> np.ndarray:
    """Drawn without noise, each cell turned upright by its second moments, its middle at the image's: (N, 40, 40)."""
    from scipy.ndimage import affine_transform, gaussian_filter

    made = []
    for picture in draw(stages, np.random.default_rng(seed), noise=0.0)[..., 0].astype(float):
        smooth = gaussian_filter(picture, 8)
        weight = np.abs(gaussian_filter(picture - smooth, 1.0))
        weight[weight < 0.35 * weight.max()] = 0
        rows, columns = np.mgrid[:40, :40]
        far = np.hypot(rows - 19.5, columns - 19.5)
        weight = weight * (far < 15)
        centre = np.array([(weight * rows).sum(), (weight * columns).sum()]) / weight.sum()
        spread = np.stack([rows - centre[0], columns - centre[1]]).reshape(2, -1)
        _, axes = np.linalg.eigh((weight.ravel() * spread) @ spread.T)
        turn = axes[:, ::-1]
        made.append(affine_transform(picture, turn, centre - turn @ np.array([19.5, 19.5]), order=1, mode="nearest"))
    return np.stack(made)


def test_a_septum_is_a_dark_line_across_the_middle() -> None:
    """Darker at the middle of the long axis than a little off it, where there is a septum, and only there."""
    dark = []
    for stage in range(3):
        found = upright(np.full(120, stage), seed=stage)
        core = found[:, :, 17:23].mean(axis=2)  # along the long axis
        middle, beside = core[:, 17:23].min(axis=1), core[:, [13, 14, 25, 26]].mean(axis=1)
        dark.append(float(np.median(beside - middle)))
    assert dark[2] > dark[1] > dark[0]
    assert dark[2] > 2 * dark[0]


@pytest.mark.parametrize("size", [16, 40, 64])
def test_any_size(size: int) -> None:
    found = draw(np.array([0, 1, 2, 2]), np.random.default_rng(0), size)
    assert found.shape == (4, size, size, 1)
    assert found.dtype == np.uint8
    assert found.std() > 8


@pytest.mark.parametrize("stages", [np.array([3]), np.array([-1]), np.array([0.5]), np.array([[0]])])
def test_what_is_no_stage_is_refused(stages: np.ndarray) -> None:
    with pytest.raises(InputError, match="whole numbers from 0 to 2"):
        draw(stages, np.random.default_rng(0))
