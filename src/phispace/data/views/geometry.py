"""Random affine and projective maps, as matrices for `warp`, with the parameters that they were made from."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from phispace.data.views.base import View, check_number, check_range, to_float
from phispace.data.views.warp import warp
from phispace.errors import InputError


class Affine(NamedTuple):
    """Parameters of affine maps, each (B,): what is done to the image, in torchvision's order (shear, scale, rotate
    about the centre, then move).

    angle: radians, clockwise on the screen, where y points down. shear: radians, along x. right, down: pixels. scale:
    factor.
    """

    angle: Tensor
    right: Tensor
    down: Tensor
    scale: Tensor
    shear: Tensor


class Projective(NamedTuple):
    """Parameters of projective maps.

    corners: (B, 4, 2), where the corners (0, 0), (W, 0), (W, H), (0, H) of the image go, (x, y) in pixels.
    scale: (B,), about the centre. turns: int64 (B,), quarter turns. shifts: (B, 4, 2), of each corner in pixels.
    """

    corners: Tensor
    scale: Tensor
    turns: Tensor
    shifts: Tensor


def draw_affine(
    count: int,
    size: int,
    rng: torch.Generator,
    *,
    degrees: float = 180.0,
    shift: float = 0.2,
    scale: tuple[float, float] = (0.7, 1.3),
    shear: float = 30.0,
    whole_pixels: bool = True,
) -> Affine:
    """Uniform parameters for `count` images of side `size`; by default those of AET-affine.

    Args:
        degrees: angles are in [-degrees, degrees].
        shift: shifts are in [-shift, shift] times the side, on both axes.
        scale: range of the factor.
        shear: angles of the shear are in [-shear, shear] degrees.
        whole_pixels: round the shifts.

    Source: AET: Auto-Encoding Transformations (Zhang et al. 2019), section 4, and its published code.
    """
    drawn = torch.rand((5, count), generator=rng)
    sign = 2 * drawn - 1
    right, down = sign[1] * (shift * size), sign[2] * (shift * size)
    if whole_pixels:
        right, down = right.round(), down.round()
    low, high = scale
    angle, slant = sign[0] * math.radians(degrees), sign[4] * math.radians(shear)
    return Affine(angle, right, down, low + (high - low) * drawn[3], slant)


def affine_matrices(parameters: Affine, size: int) -> Tensor:
    """(B, 3, 3): the inverse of x -> T C R(angle) K(shear) S(scale) C^-1 x, for `warp`.

    C moves the origin to the centre (size / 2, size / 2), T by (right, down); K = [[1, -tan shear], [0, 1]].
    """
    angle, right, down, scale, shear = parameters
    cos, sin, tan = angle.cos() / scale, angle.sin() / scale, shear.tan()
    # (R K S)^-1 = S^-1 K^-1 R^-1, with K^-1 = [[1, tan], [0, 1]] and R^-1 = [[cos, sin], [-sin, cos]]
    a, b = cos - tan * sin, sin + tan * cos
    d, e = -sin, cos
    centre = size / 2
    x, y = centre + right, centre + down
    matrices = torch.zeros(len(angle), 3, 3, dtype=angle.dtype)
    matrices[:, 0] = torch.stack([a, b, centre - a * x - b * y], dim=1)
    matrices[:, 1] = torch.stack([d, e, centre - d * x - e * y], dim=1)
    matrices[:, 2, 2] = 1
    return matrices


def draw_projective(
    count: int,
    size: int,
    rng: torch.Generator,
    *,
    shift: float = 0.125,
    scale: tuple[float, float] = (0.8, 1.2),
    turns: bool = True,
    whole_pixels: bool = True,
) -> Projective:
    """Corners of `count` images of side `size`, scaled, turned and shifted; by default those of AET-projective.

    Args:
        shift: each corner moves by up to this share of the side, on both axes.
        scale: range of the factor about the centre.
        turns: also rotate by a random multiple of a right angle.
        whole_pixels: shifts are whole numbers of pixels, all equally likely.

    Source: as `draw_affine`.
    """
    drawn = torch.rand((10, count), generator=rng)
    low, high = scale
    factor = low + (high - low) * drawn[0]
    quarter = (drawn[1] * 4).long().clamp_max(3) * int(turns)
    most = shift * size
    moves = drawn[2:].T.reshape(count, 4, 2)
    if whole_pixels:
        whole = math.floor(most + 1e-9)
        moves = (moves * (2 * whole + 1)).floor().clamp_max(2 * whole) - whole
    else:
        moves = (2 * moves - 1) * most
    corners = square(size).expand(count, 4, 2)
    corners = (corners - size / 2) * factor[:, None, None] + size / 2
    order = (torch.arange(4) + quarter[:, None]) % 4
    corners = corners.gather(1, order[:, :, None].expand(-1, -1, 2)) + moves
    return Projective(corners, factor, quarter, moves)


def projective_matrices(parameters: Projective, size: int) -> Tensor:
    """(B, 3, 3) for `warp`: the image's corners come to lie at `parameters.corners`."""
    return homographies(parameters.corners, square(size).expand_as(parameters.corners))


def square(size: int) -> Tensor:
    """The corners (4, 2) of an image: (0, 0), (W, 0), (W, H), (0, H)."""
    return torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]) * size


def homographies(source: Tensor, target: Tensor) -> Tensor:
    """The matrices M, M[2, 2] = 1, with M p ~ q for four points p of `source` and q of `target`.

    Args:
        source, target: (B, 4, 2), (x, y); no three of a source's points on a line.

    Returns:
        (B, 3, 3), float32; solved in double precision.
    """
    x, y = source.double().unbind(-1)
    u, v = target.double().unbind(-1)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    across = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=-1)
    down = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=-1)
    eight = torch.linalg.solve(torch.cat([across, down], dim=1), torch.cat([u, v], dim=1))
    return torch.cat([eight, one[:, :1]], dim=1).view(-1, 3, 3).float()


class RandomAffine(View):
    """An affine map of each image with AET's parameters; grey lies beyond the border.

    Options:
        degrees, shift, scale, shear: see `draw_affine`.
        fill: brightness of what lies beyond, 0 to 1.
    """

    OPTIONS: ClassVar[tuple[str, ...]] = ("degrees", "shift", "scale", "shear", "fill")

    def __init__(
        self,
        size: int,
        degrees: float = 180.0,
        shift: float = 0.2,
        scale: tuple[float, float] = (0.7, 1.3),
        shear: float = 30.0,
        fill: float = 0.5,
    ) -> None:
        super().__init__(size)
        self.degrees = check_number("degrees", degrees, 180)
        self.shift = check_number("shift", shift, 1)
        self.scale = check_range("scale", scale, 0.05, 20)
        self.shear = check_number("shear", shear, 80)
        self.fill = check_number("fill", fill, 1)

    def draw(self, count: int, rng: torch.Generator) -> Affine:
        """The parameters for `count` images."""
        return draw_affine(
            count, self.size, rng, degrees=self.degrees, shift=self.shift, scale=self.scale, shear=self.shear
        )

    def augment(self, images: Tensor, rng: torch.Generator) -> Tensor:
        matrices = affine_matrices(self.draw(len(images), rng), self.size)
        return warp(to_float(images), matrices, self.fill).clamp_(0, 1)


class RandomProjective(View):
    """A projective map of each image with AET's parameters; grey lies beyond the border.

    Options:
        shift, scale: see `draw_projective`.
        fill: brightness of what lies beyond, 0 to 1.
    """

    OPTIONS: ClassVar[tuple[str, ...]] = ("shift", "scale", "fill")

    def __init__(
        self, size: int, shift: float = 0.125, scale: tuple[float, float] = (0.8, 1.2), fill: float = 0.5
    ) -> None:
        super().__init__(size)
        self.shift = check_number("shift", shift, 0.4)
        self.scale = check_range("scale", scale, 0.05, 20)
        if self.shift >= self.scale[0] / 4:
            raise InputError(
                f"Corners that move by up to {self.shift:g} of the side may lie on a line when the image is scaled by "
                f"{self.scale[0]:g}: 'shift' must be below a quarter of the smallest 'scale'."
            )
        self.fill = check_number("fill", fill, 1)

    def draw(self, count: int, rng: torch.Generator) -> Projective:
        """The parameters for `count` images."""
        return draw_projective(count, self.size, rng, shift=self.shift, scale=self.scale)

    def augment(self, images: Tensor, rng: torch.Generator) -> Tensor:
        matrices = projective_matrices(self.draw(len(images), rng), self.size)
        return warp(to_float(images), matrices, self.fill).clamp_(0, 1)
