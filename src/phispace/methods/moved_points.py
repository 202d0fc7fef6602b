"""Two maps compared by what they do to the places of an image, whatever the parameters they are written in.

A homography M = [[A, b], [g, 1]] takes p = (x, y) to (A p + b) / (1 + g p). Coordinates are half sides, in which the
image spans [-1, 1] on both axes, or pixels, in which it spans [0, H].
"""

from __future__ import annotations

import torch
from torch import Tensor

_BOUND = 0.45
_LEAST = 0.01  # 1 + g p is not taken for less, where what was predicted puts a point of the image behind the viewer


def square_grid(side: int) -> Tensor:
    """(side², 2): points in rows and columns, from corner to corner of [-1, 1]²."""
    line = torch.linspace(-1, 1, side)
    down, right = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([right, down], dim=-1).view(-1, 2)


def move(matrices: Tensor, points: Tensor) -> Tensor:
    """Where (B, 3, 3) take points (n, 2) of the same coordinates: (B, n, 2)."""
    sources = points @ matrices[:, :2, :2].mT + matrices[:, None, :2, 2]
    depth = 1 + points @ matrices[:, 2, :2, None]
    return sources / depth.clamp_min(_LEAST)


def grid_loss(true: Tensor, predicted: Tensor, points: Tensor) -> Tensor:
    """Mean over images, points and both axes of (t(p) - t̂(p))², in squared half sides of the image.

    Args:
        true, predicted: (B, 3, 3) in half sides.
        points: (n, 2).
    """
    return (move(true, points) - move(predicted, points)).square().mean()


def distance(true: Tensor, predicted: Tensor, points: Tensor) -> Tensor:
    """Mean over images and points of |t(p) - t̂(p)|, in the unit of the matrices and points."""
    return (move(true, points) - move(predicted, points)).norm(dim=2).mean()


def homography(outputs: Tensor) -> Tensor:
    """A map (B, 3, 3) in half sides from what a network says: (B, 6) entries of A and b, or (B, 8) with two for g.

    g = 0.45 tanh of its outputs, so that 1 + g p is at least 0.1 on the image and no division fails, whatever the
    network says. AET's draws of projective maps stay within that but for a few in 100,000.
    """
    rows = outputs[:, :6].reshape(-1, 2, 3)
    g = outputs.new_zeros(len(outputs), 2)
    if outputs.shape[1] == 8:
        g = outputs[:, 6:].tanh() * _BOUND
    last = torch.cat([g, torch.ones_like(g[:, :1])], dim=1)
    return torch.cat([rows, last[:, None]], dim=1)


def in_half_sides(matrices: Tensor, size: int) -> Tensor:
    """Homographies (B, 3, 3) of pixels, in half sides."""
    change = _change(size, matrices)
    moved = torch.linalg.inv(change) @ matrices @ change
    return moved / moved[:, 2:, 2:]


def in_pixels(matrices: Tensor, size: int) -> Tensor:
    """The inverse of `in_half_sides`."""
    change = _change(size, matrices)
    moved = change @ matrices @ torch.linalg.inv(change)
    return moved / moved[:, 2:, 2:]


def _change(size: int, like: Tensor) -> Tensor:
    half = size / 2
    return like.new_tensor([[half, 0, half], [0, half, half], [0, 0, 1]])
