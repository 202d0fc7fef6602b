"""The maps that AET draws for each image, and the numbers by which it wants them named.

affine: an angle a, a shift (u, v) in whole pixels, a scale s and a shear h, each uniform in its range. What lies at p
in the image comes to lie at c + s [[cos a, -sin(a + h)], [sin a, cos(a + h)]] (p - c) + (u, v), with c the centre, x to
the right and y down. Target: cos a, sin a, then u, v, s and h, each mapped from its range to [-1, 1].

projective: the corners of the image, scaled about the centre by s, turned by a random number of quarter turns, and
each moved by whole pixels on both axes. Target: the coefficients a .. h by which the result at (x, y) is the image at
((a x + b y + c) / (g x + h y + 1), (d x + e y + f) / (g x + h y + 1)), PIL's convention in pixels, normalised by fixed
means and deviations.

Source: Zhang et al., "AET vs. AED", CVPR 2019 (arXiv 1901.04596), and its code, cifar/affine and cifar/projective. The
ranges and the order of the map are the code's (its shear is that of torchvision 0.2, today's divides the second column
by cos h). Departures: c is the centre of the image, in the code half a pixel to the right and below it; for images that
are not of 32 pixels the means and deviations in pixels follow the side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from phispace.data.views.geometry import (
    Affine,
    affine_matrices,
    draw_affine,
    draw_projective,
    projective_matrices,
)

Kind = Literal["affine", "projective"]
PARAMETERS: dict[Kind, int] = {"affine": 6, "projective": 8}


@dataclass(frozen=True)
class Ranges:
    """Where parameters are drawn from: [-degrees, degrees], [-shift, shift] times the side, scale, [-shear, shear]."""

    degrees: float
    shift: float
    scale: tuple[float, float]
    shear: float


class Drawn(NamedTuple):
    """matrices: (B, 3, 3) from the result's pixels to the image's, for `warp`. targets: (B, 6) or (B, 8)."""

    matrices: Tensor
    targets: Tensor


def draw_maps(kind: Kind, count: int, size: int, rng: torch.Generator, ranges: Ranges) -> Drawn:
    """Maps for `count` images of side `size`."""
    if kind == "affine":
        drawn = draw_affine(
            count, size, rng, degrees=ranges.degrees, shift=ranges.shift, scale=ranges.scale, shear=ranges.shear
        )
        return Drawn(sheared(drawn, size), affine_targets(drawn, size, ranges))
    corners = draw_projective(count, size, rng, shift=ranges.shift, scale=ranges.scale)
    matrices = projective_matrices(corners, size)
    return Drawn(matrices, projective_targets(matrices, size))


def sheared(parameters: Affine, size: int) -> Tensor:
    """(B, 3, 3) of affine parameters for `warp`; see the module for the map."""
    matrices = affine_matrices(parameters, size)
    # The module's matrix is R(a) K(h) S(s), K = [[1, -tan h], [0, 1]], times diag(1, cos h), about the centre.
    longer = 1 / parameters.shear.cos()
    matrices[:, 1] *= longer[:, None]
    matrices[:, 1, 2] += (1 - longer) * (size / 2)
    return matrices


def affine_targets(parameters: Affine, size: int, ranges: Ranges) -> Tensor:
    """(B, 6): cos, sin, right, down, scale, shear; see the module."""
    angle, right, down, scale, shear = parameters
    low, high = ranges.scale
    most = ranges.shift * size
    return torch.stack(
        [
            angle.cos(),
            angle.sin(),
            _share(right, most),
            _share(down, most),
            _share(scale - (low + high) / 2, (high - low) / 2),
            _share(shear.rad2deg(), ranges.shear),
        ],
        dim=1,
    )


def affine_named(targets: Tensor, size: int, ranges: Ranges) -> Tensor:
    """The inverse of `affine_targets` as matrices (B, 3, 3): what (B, 6) numbers, also predicted ones, stand for."""
    low, high = ranges.scale
    most = ranges.shift * size
    cos, sin, right, down, scale, shear = targets.unbind(1)
    scale = (low + high) / 2 + scale * (high - low) / 2
    angle, slant = torch.atan2(sin, cos), (shear * ranges.shear).deg2rad()
    return sheared(Affine(angle, right * most, down * most, scale, slant), size)


def projective_targets(matrices: Tensor, size: int) -> Tensor:
    """(B, 8): normalised coefficients of (B, 3, 3) with a last entry of 1."""
    mean, std = _moments(size, matrices)
    return (matrices.flatten(1)[:, :8] - mean) / std


def projective_named(targets: Tensor, size: int) -> Tensor:
    """The inverse of `projective_targets`."""
    mean, std = _moments(size, targets)
    return torch.cat([targets * std + mean, torch.ones_like(targets[:, :1])], dim=1).view(-1, 3, 3)


def _share(value: Tensor, most: float) -> Tensor:
    """value / most; what has no range is 0 already and stays so."""
    return value / most if most else value


def _moments(size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """AET's means (0, 0, 16, 0, 0, 16, 0, 0) and deviations (1, 1, 20, 1, 1, 20, 0.015, 0.015), for 32 pixels."""
    by = size / 32
    mean = like.new_tensor([0, 0, 16 * by, 0, 0, 16 * by, 0, 0])
    return mean, like.new_tensor([1, 1, 20 * by, 1, 1, 20 * by, 0.015 / by, 0.015 / by])
