"""Warps: against torchvision, kornia and Pillow for given parameters, and the ranges of what is drawn."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as TF

from phispace.data.views import make_view, to_float
from phispace.data.views.geometry import (
    RandomProjective,
    affine_matrices,
    draw_affine,
    draw_projective,
    homographies,
    projective_matrices,
    square,
)
from phispace.data.views.warp import warp
from phispace.errors import InputError

SIZE = 32


def generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int, channels: int = 3, size: int = SIZE) -> torch.Tensor:
    return torch.randint(0, 256, (count, channels, size, size), generator=generator(0), dtype=torch.uint8)


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 31), (3, 32)])
def test_affine_is_torchvisions(channels, size):
    """torchvision shears before it scales and moves last, about the centre, as we do.

    Largest difference 7e-6 of full scale (single precision of the coordinates).
    """
    x = to_float(pictures(40, channels, size))
    drawn = draw_affine(40, size, generator())
    ours = warp(x, affine_matrices(drawn, size), fill=0.0)
    for i in range(40):
        theirs = TF.affine(
            x[i],
            angle=math.degrees(drawn.angle[i]),
            translate=[float(drawn.right[i]), float(drawn.down[i])],
            scale=float(drawn.scale[i]),
            shear=[math.degrees(drawn.shear[i]), 0.0],
            interpolation=TF.InterpolationMode.BILINEAR,
        )
        torch.testing.assert_close(ours[i], theirs, rtol=0, atol=5e-5)


def test_projective_is_torchvisions_and_kornias():
    """Largest differences: torchvision 6e-6, kornia 4e-6 of full scale."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kornia.geometry.transform import warp_perspective
    x = to_float(pictures(40))
    drawn = draw_projective(40, SIZE, generator())
    matrices = projective_matrices(drawn, SIZE)
    ours = warp(x, matrices, fill=0.0)
    for i in range(40):
        eight = matrices[i].double().view(-1)[:8].tolist()
        theirs = TF.perspective(x[i], None, None, coefficients=eight, interpolation=TF.InterpolationMode.BILINEAR)
        torch.testing.assert_close(ours[i], theirs, rtol=0, atol=5e-5)
    # kornia counts from pixel centres and takes the way forward
    half = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]], dtype=torch.float64)
    forward = torch.linalg.inv(torch.linalg.inv(half) @ matrices.double() @ half)
    theirs = warp_perspective(
        x.double(), forward, (SIZE, SIZE), mode="bilinear", padding_mode="zeros", align_corners=True
    )
    torch.testing.assert_close(ours, theirs.float(), rtol=0, atol=5e-5)


def test_the_fill_has_the_weight_that_the_image_has_not():
    """(torchvision weighs the image at its border twice where a fill is given, so it is no reference for this.)"""
    x = to_float(pictures(20))
    matrices = affine_matrices(draw_affine(20, SIZE, generator()), SIZE)
    weight = warp(torch.ones_like(x), matrices, fill=0.0)
    assert 0.02 < float(((weight > 0.01) & (weight < 0.99)).float().mean()) < 0.3
    for fill in (0.0, 0.5, 1.0):
        expected = warp(x, matrices, fill=0.0) + (1 - weight) * fill
        torch.testing.assert_close(warp(x, matrices, fill), expected, rtol=0, atol=1e-5)


def test_pillow_takes_the_same_matrices():
    """Inside the image, to a byte: Pillow rounds once more on the way."""
    x = pictures(20)
    matrices = projective_matrices(draw_projective(20, SIZE, generator()), SIZE)
    ours = warp(x, matrices)
    assert ours.dtype == torch.uint8
    inside = warp(torch.ones(20, 3, SIZE, SIZE), matrices, fill=0.0) > 1 - 1e-4
    for i in range(20):
        picture = Image.fromarray(x[i].permute(1, 2, 0).numpy())
        eight = matrices[i].double().view(-1)[:8].tolist()
        theirs = picture.transform((SIZE, SIZE), Image.Transform.PERSPECTIVE, eight, Image.Resampling.BILINEAR)
        difference = ours[i].int() - torch.from_numpy(np.array(theirs)).permute(2, 0, 1).int()
        assert int(difference[inside[i]].abs().max()) <= 1


def test_places_are_exact_in_bf16_and_have_gradients():
    x = to_float(pictures(10))
    matrices = projective_matrices(draw_projective(10, SIZE, generator()), SIZE)
    expected = warp(x, matrices)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(warp(x, matrices), expected)
    for rows in (2, 3):
        named = matrices[:, :rows].double().requires_grad_()
        found = warp(x.double(), named)
        found[4].square().sum().backward()
        step = torch.zeros_like(named)
        step[4, 0, 2] = 1e-6
        with torch.no_grad():
            ends = [warp(x.double(), named + sign * step)[4].square().sum() for sign in (1, -1)]
        assert float(named.grad[4, 0, 2]) == pytest.approx(float(ends[0] - ends[1]) / 2e-6, rel=1e-4)
        if rows == 3:
            torch.testing.assert_close(found.float().detach(), expected, rtol=0, atol=1e-4)


def test_the_identity_and_whole_pixels_move_bytes_exactly():
    x = pictures(2)
    matrices = torch.eye(3).repeat(2, 1, 1)
    matrices[1, 0, 2] = 5
    moved = warp(x, matrices, fill=0.5)
    assert torch.equal(moved[0], x[0])
    assert torch.equal(moved[1, :, :, :-5], x[1, :, :, 5:])
    assert set(moved[1, :, :, -5:].flatten().tolist()) == {128}
    assert torch.equal(warp(x, matrices[:, :2], fill=0.5), moved)


def test_corners_go_where_they_were_sent():
    drawn = draw_projective(50, SIZE, generator())
    matrices = projective_matrices(drawn, SIZE).double()
    points = torch.cat([drawn.corners.double(), torch.ones(50, 4, 1, dtype=torch.float64)], dim=2)
    sources = points @ matrices.transpose(1, 2)
    sources = sources[..., :2] / sources[..., 2:]
    torch.testing.assert_close(sources, square(SIZE).double().expand(50, 4, 2), rtol=0, atol=1e-3)


def test_what_lies_behind_the_viewer_is_filled():
    x = torch.ones(1, 1, 8, 8)
    matrix = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [-0.25, 0, 1]]])  # the depth is 0 at x = 4
    seen = warp(x, matrix, fill=0.25)
    assert bool(torch.isfinite(seen).all())
    assert torch.equal(seen[..., 4:], torch.full((1, 1, 8, 4), 0.25))


def test_the_parameters_fill_aets_ranges():
    affine = draw_affine(4000, SIZE, generator())
    for values, most in ((affine.angle, math.pi), (affine.shear, math.pi / 6), (affine.right, 6), (affine.down, 6)):
        assert most * 0.99 < float(values.abs().max()) <= most * 1.0001
    assert 0.7 <= float(affine.scale.min()) < 0.71
    assert 1.29 < float(affine.scale.max()) <= 1.3
    assert torch.equal(affine.right, affine.right.round())
    projective = draw_projective(4000, SIZE, generator())
    assert torch.bincount(projective.turns, minlength=4).min() > 850
    assert torch.bincount((projective.shifts + 4).long().flatten(), minlength=9).min() > 3200
    assert projective.shifts.abs().max() == 4
    assert 0.8 <= float(projective.scale.min()) < 0.81


def test_a_quarter_turn_is_rot90():
    x = pictures(4)
    drawn = draw_projective(4, SIZE, generator(), shift=0.0, scale=(1.0, 1.0))
    drawn = drawn._replace(corners=torch.stack([square(SIZE).roll(-k, 0) for k in range(4)]))
    turned = warp(x, projective_matrices(drawn, SIZE))
    for k in range(4):
        assert torch.equal(turned[k], torch.rot90(x[k], -k, (1, 2)))
    expected = torch.stack([square(SIZE).roll(-int(k), 0) for k in draw_projective(9, SIZE, generator()).turns])
    plain = draw_projective(9, SIZE, generator(), shift=0.0, scale=(1.0, 1.0))
    torch.testing.assert_close(plain.corners, expected)


def test_homographies_in_general():
    source = torch.rand((6, 4, 2), generator=generator()) + square(4)
    target = torch.rand((6, 4, 2), generator=generator(1)) + square(4)
    m = homographies(source, target).double()
    mapped = torch.cat([source.double(), torch.ones(6, 4, 1)], dim=2) @ m.transpose(1, 2)
    torch.testing.assert_close(mapped[..., :2] / mapped[..., 2:], target.double(), rtol=0, atol=1e-4)


def test_bad_matrices_and_options_are_refused():
    with pytest.raises(InputError, match=r"takes matrices \(2, 3, 3\)"):
        warp(pictures(2), torch.eye(3))
    with pytest.raises(InputError, match=r"takes matrices \(2, 3, 3\)"):
        warp(pictures(2), torch.eye(3).repeat(3, 1, 1))
    with pytest.raises(InputError, match=r"when the image is scaled by 0.5"):
        make_view("projective", SIZE, scale=(0.5, 1.0), shift=0.3)
    with pytest.raises(InputError, match="'shear' is a number between 0 and 80"):
        make_view("affine", SIZE, shear=90)


def test_corners_that_may_lie_on_a_line_are_refused() -> None:
    """With four corners moved by a quarter of the side and no enlargement a map may have no inverse."""
    with pytest.raises(InputError, match="below a quarter"):
        RandomProjective(SIZE, shift=0.25, scale=(1.0, 1.0))
    found = RandomProjective(SIZE, shift=0.24, scale=(1.0, 1.0)).draw(2000, generator())
    assert torch.linalg.det(projective_matrices(found, SIZE)).abs().min() > 1e-4
