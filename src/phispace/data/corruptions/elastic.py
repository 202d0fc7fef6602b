"""Elastic change: a small random stretch of the whole, and a wobble of its parts."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F

from phispace.data.corruptions.base import Draws, bytes_of, floats

# size of the wobble, its smoothness, largest move of a corner: all as a share of the side
_ELASTIC = ((0.0, 0.0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))


def elastic(images: np.ndarray, severity: int, draws: Draws) -> np.ndarray:
    """Sampled, bilinear, at A p + a (g * u)(p), with an affine map A and uniform noise u smoothed by a Gaussian g.

    A moves three corners of a square about the centre, of a third of the side to each direction, by up to c each way.
    Departure: both changes are one resampling; the original resamples twice.
    """
    count, height, width, _ = images.shape
    side = min(height, width)
    wobble, smooth, corner = (c * side for c in _ELASTIC[severity - 1])
    drawn = 2 * draws.uniform(6 + 2 * height * width) - 1
    place = affine_places(drawn[:, :6].reshape(count, 3, 2) * corner, height, width)
    if wobble > 0:
        noise = drawn[:, 6:].reshape(count, 2, height, width)
        sigma = (0, 0, smooth, smooth)
        place += wobble * ndimage.gaussian_filter(noise, sigma, mode="reflect", truncate=3).transpose(0, 2, 3, 1)
    # grid_sample wants (x, y), the image spanning [-1, 1]
    grid = np.stack([2 * (place[..., 1] + 0.5) / width - 1, 2 * (place[..., 0] + 0.5) / height - 1], axis=-1)
    x = torch.from_numpy(floats(images)).permute(0, 3, 1, 2).contiguous()
    sampled = F.grid_sample(
        x, torch.from_numpy(grid.astype(np.float32)), mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return bytes_of(sampled.permute(0, 2, 3, 1).numpy())


def affine_places(moves: np.ndarray, height: int, width: int) -> np.ndarray:
    """Where each pixel (row, column) is taken from, float32 (B, H, W, 2), when three corners move by (B, 3, 2) pixels.

    The corners are at centre + (r, r), (r, -r) and (-r, -r), with r a third of the smaller side.
    """
    r = max(1, min(height, width) // 3)
    corners = np.array([[r, r], [r, -r], [-r, -r]], np.float64)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    p = np.stack([y - (height - 1) / 2, x - (width - 1) / 2, np.ones((height, width))], axis=-1)
    # the affine function that has the value moves[k] at corner k
    weights = np.linalg.solve(np.concatenate([corners, np.ones((3, 1))], axis=1), moves.astype(np.float64))
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    return (p[..., :2] + centre + np.einsum("yxk,bkd->byxd", p, weights)).astype(np.float32)
