"""AET's maps and targets, against the arithmetic of its code, Pillow and torchvision; the distance of two maps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as TF

from phispace.data.views.geometry import draw_affine, draw_projective
from phispace.data.views.warp import warp
from phispace.methods.drawn_maps import (
    Ranges,
    affine_named,
    affine_targets,
    draw_maps,
    projective_named,
    sheared,
)
from phispace.methods.moved_points import distance, grid_loss, homography, in_half_sides, in_pixels, move, square_grid
from phispace.methods.pretext import GREY

AFFINE = Ranges(180.0, 0.2, (0.7, 1.3), 30.0)
PROJECTIVE = Ranges(180.0, 0.125, (0.8, 1.2), 30.0)
COUNT = 200


def rng(seed: int = 4) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(count: int, size: int = 32) -> torch.Tensor:
    coarse = torch.rand((count, 1, 5, 5), generator=rng(0))
    return torch.nn.functional.interpolate(coarse, size=size, mode="bicubic").clamp(0, 1)


def by_the_code(angle: float, right: float, down: float, scale: float, shear: float, size: int) -> np.ndarray:
    """The coefficients that AET's code gives to Pillow, step by step in float64, about the true centre."""
    translation, centre, rss = np.eye(3), np.eye(3), np.eye(3)
    translation[:2, 2] = right, down
    centre[:2, 2] = size / 2
    rss[:2, :2] = scale * np.array(
        [[math.cos(angle), -math.sin(angle + shear)], [math.sin(angle), math.cos(angle + shear)]]
    )
    return np.linalg.inv(translation @ centre @ rss @ np.linalg.inv(centre))


@pytest.mark.parametrize("size", [8, 32])
def test_affine_maps_are_those_of_the_code(size):
    """Largest difference of an entry, the shift in sides of the image: 2e-7."""
    drawn = draw_affine(COUNT, size, rng())
    ours = sheared(drawn, size).double().numpy()
    expected = np.stack([by_the_code(*(float(v) for v in row), size) for row in zip(*drawn, strict=True)])
    difference = np.abs(ours - expected) / np.array([[1, 1, size], [1, 1, size], [1, 1, 1]])
    assert difference.max() < 1e-6, difference.max()


def test_affine_maps_shear_as_torchvision_did():
    """Today's torchvision divides the second column of the same matrix by cos h."""
    drawn = draw_affine(20, 32, rng())
    ours = torch.linalg.inv(sheared(drawn, 32).double())[:, :2, :2]
    for i in range(20):
        theirs = TF._get_inverse_affine_matrix(
            [0.0, 0.0], math.degrees(drawn.angle[i]), [0.0, 0.0], float(drawn.scale[i]),
            [math.degrees(drawn.shear[i]), 0.0], inverted=False,
        )  # fmt: skip
        theirs = torch.tensor(theirs, dtype=torch.float64).view(2, 3)[:, :2]
        theirs[:, 1] *= math.cos(drawn.shear[i])
        torch.testing.assert_close(ours[i], theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("kind", "ranges"), [("affine", AFFINE), ("projective", PROJECTIVE)])
def test_pillow_makes_the_same_picture_of_the_same_coefficients(kind, ranges):
    """Where no point lies beyond the border; largest difference 5e-6 of full scale."""
    x = smooth(20)
    drawn = draw_maps(kind, 20, 32, rng(), ranges)
    ours = warp(x, drawn.matrices, GREY)
    inside = warp(torch.ones_like(x), drawn.matrices, 0.0) > 1 - 1e-4
    how = Image.Transform.AFFINE if kind == "affine" else Image.Transform.PERSPECTIVE
    for i in range(20):
        eight = drawn.matrices[i].double().flatten().tolist()[: 6 if kind == "affine" else 8]
        picture = Image.fromarray(x[i, 0].numpy())
        theirs = torch.from_numpy(
            np.array(picture.transform((32, 32), how, eight, Image.Resampling.BILINEAR, fillcolor=GREY))
        )
        assert inside[i, 0].float().mean() > 0.3
        assert (ours[i, 0] - theirs).abs()[inside[i, 0]].max() < 2e-5


def test_projective_targets_are_pillows_coefficients_normalised():
    """Against torchvision's solution for the drawn corners, by AET's means and deviations; largest difference 2e-7."""
    corners = draw_projective(COUNT, 32, rng()).corners
    drawn = draw_maps("projective", COUNT, 32, rng(), PROJECTIVE)
    mean = np.array([0, 0, 16, 0, 0, 16, 0, 0])
    std = np.array([1, 1, 20, 1, 1, 20, 0.015, 0.015])
    square = [[0, 0], [32, 0], [32, 32], [0, 32]]
    expected = np.stack([TF._get_perspective_coeffs(square, c.tolist()) for c in corners])
    difference = np.abs(drawn.targets.numpy() - (expected - mean) / std).max()
    assert difference < 1e-5, difference
    # The picture's corners come to lie where they were drawn: the inverse takes them there.
    ones = np.array([[*p, 1.0] for p in square])
    moved = np.einsum("bij,nj->bni", np.linalg.inv(drawn.matrices.double().numpy()), ones)
    np.testing.assert_allclose(moved[..., :2] / moved[..., 2:], corners.numpy(), atol=1e-3)


def test_projective_targets_have_about_the_published_moments():
    targets = draw_maps("projective", 20_000, 32, rng(), PROJECTIVE).targets
    assert targets.mean(0).abs().max() < 0.05
    assert targets.std(0).max() < 1.0
    assert targets.std(0).min() > 0.3
    larger = draw_maps("projective", 20_000, 64, rng(), PROJECTIVE).targets
    torch.testing.assert_close(larger.std(0), targets.std(0), rtol=0.1, atol=0)


def test_affine_targets_are_the_formula():
    drawn = draw_affine(COUNT, 32, rng())
    found = affine_targets(drawn, 32, AFFINE).double().numpy()
    angle, right, down, scale, shear = (v.double().numpy() for v in drawn)
    # As the code writes it, from ranges (0.7, 1.3) and (-30, 30).
    expected = np.stack(
        [np.cos(angle), np.sin(angle), right / 0.2 / 32, down / 0.2 / 32, scale * 2 / 0.6 - 2.0 / 0.6,
         np.degrees(shear) * 2 / 60],
        axis=1,
    )  # fmt: skip
    assert np.abs(found - expected).max() < 1e-5
    assert found.min() >= -1 - 1e-6
    assert found.max() <= 1 + 1e-6
    assert (right == np.round(right)).all()
    assert np.abs(right).max() == 6


@pytest.mark.parametrize("ranges", [AFFINE, Ranges(30.0, 0.0, (1.0, 1.0), 0.0)])
def test_parameters_name_the_map_that_they_were_made_of(ranges):
    """Also where a parameter has no range, so that its target is always 0."""
    drawn = draw_maps("affine", COUNT, 32, rng(), ranges)
    torch.testing.assert_close(affine_named(drawn.targets, 32, ranges), drawn.matrices, rtol=1e-4, atol=1e-4)
    assert drawn.targets.isfinite().all()
    other = draw_maps("projective", COUNT, 32, rng(), PROJECTIVE)
    torch.testing.assert_close(projective_named(other.targets, 32), other.matrices, rtol=1e-4, atol=1e-4)


def test_half_sides_and_pixels_are_the_same_map():
    drawn = draw_maps("projective", COUNT, 20, rng(), PROJECTIVE).matrices
    points = square_grid(5)
    inside = in_half_sides(drawn, 20)
    torch.testing.assert_close(in_pixels(inside, 20), drawn, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close((move(inside, points) + 1) * 10, move(drawn, (points + 1) * 10), rtol=0, atol=1e-4)
    assert points[0].tolist() == [-1, -1]
    assert points[1].tolist() == [-0.5, -1]
    assert points[-1].tolist() == [1, 1]


def test_the_grid_loss_is_the_formula():
    """Point by point in float64; largest difference 1e-6."""
    true = in_half_sides(draw_maps("projective", 30, 32, rng(1), PROJECTIVE).matrices, 32)
    named = in_half_sides(draw_maps("projective", 30, 32, rng(2), PROJECTIVE).matrices, 32)
    points = square_grid(6)
    total, apart = 0.0, 0.0
    for a, b in zip(true.double().numpy(), named.double().numpy(), strict=True):
        for x, y in points.numpy():
            p, q = a @ (x, y, 1.0), b @ (x, y, 1.0)
            gap = p[:2] / p[2] - q[:2] / q[2]
            total += float((gap**2).sum())
            apart += math.hypot(*gap)
    assert float(grid_loss(true, named, points)) == pytest.approx(total / (2 * 30 * 36), abs=1e-5)
    assert float(distance(true, named, points)) == pytest.approx(apart / (30 * 36), abs=1e-5)
    assert float(grid_loss(true, true, points)) == 0


def test_of_affine_maps_the_grid_loss_is_a_norm_of_matrices():
    """(v |A - Â|² + |b - b̂|²) / 2 with v the mean square of the grid's places on an axis."""
    true, named = (in_half_sides(draw_maps("affine", 50, 32, rng(s), AFFINE).matrices, 32).double() for s in (1, 2))
    points = square_grid(7).double()
    gap = (true - named)[:, :2]
    v = points[:, 0].square().mean()
    expected = (v * gap[:, :, :2].square().sum((1, 2)) + gap[:, :, 2].square().sum(1)).mean() / 2
    assert float(grid_loss(true, named, points)) == pytest.approx(float(expected), abs=1e-6)


def test_whatever_a_network_says_is_a_map_of_the_whole_image():
    said = 100 * torch.randn((500, 8), generator=rng())
    maps = homography(said)
    points = square_grid(9)
    depth = 1 + points @ maps[:, 2, :2, None]
    assert depth.min() > 0.099
    assert move(maps, points).isfinite().all()
    assert in_pixels(maps, 32).isfinite().all()
    affine = homography(said[:, :6])
    torch.testing.assert_close(affine[:, :2].reshape(500, 6), said[:, :6])
    assert (affine[:, 2] == torch.tensor([0.0, 0.0, 1.0])).all()


def test_the_bound_leaves_out_next_to_none_of_the_drawn_maps():
    g = in_half_sides(draw_maps("projective", 100_000, 32, rng(), PROJECTIVE).matrices, 32)[:, 2, :2]
    assert (g.abs().amax(1) >= 0.45).float().mean() < 1e-4
