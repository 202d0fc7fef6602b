"""Blur by movement: along a line, or towards the centre."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from phispace.data.corruptions.base import Draws, bytes_of, floats, scale
from phispace.data.views.move import move

_TRAIL = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))  # longest reach in pixels, deviation
_ZOOM = (0.06, 0.11, 0.16, 0.21, 0.26)
_ZOOM_STEP = 0.01


def motion_blur(images: np.ndarray, severity: int, draws: Draws) -> np.ndarray:
    """A trail of one-sided Gaussian weights exp(-t^2 / 2 s^2), t = 0 .. r pixels, its angle uniform in +-45 degrees.

    As in ImageMagick each step of the line takes the nearest pixel, and beyond the border lies the nearest one.
    """
    reach, sigma = (c * scale(images) for c in _TRAIL[severity - 1])
    angle = torch.from_numpy(np.deg2rad(90 * draws.uniform(1)[:, 0] - 45))
    weight = trail(reach, sigma)
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    never = torch.zeros(len(x), dtype=torch.bool)
    total = torch.zeros(x.shape).contiguous(memory_format=torch.channels_last)
    for t, w in enumerate(weight):
        down, right = ((t * part(angle)).round().long() for part in (torch.sin, torch.cos))
        total.add_(move(x, down, right, never, "border"), alpha=float(w))
    return bytes_of(total.permute(0, 2, 3, 1).numpy() / 255)


def trail(reach: float, sigma: float) -> np.ndarray:
    """Weights float64 of the steps 0, 1 .. round(reach), of sum 1."""
    t = np.arange(round(reach) + 1)
    weight = np.exp(-(t**2) / (2 * sigma**2))
    return weight / weight.sum()


def zoom_blur(images: np.ndarray, severity: int, draws: Draws) -> np.ndarray:
    """The mean of the image and of its magnifications by 1, 1.01 ... below 1 + c, about the centre, bilinear."""
    x = torch.from_numpy(floats(images)).permute(0, 3, 1, 2).contiguous()
    zooms = np.arange(1, 1 + _ZOOM[severity - 1], _ZOOM_STEP)
    total = x.clone()
    for zoom in zooms:
        theta = torch.tensor([[1 / zoom, 0, 0], [0, 1 / zoom, 0]], dtype=torch.float32).expand(len(x), 2, 3)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        total += F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return bytes_of((total / (len(zooms) + 1)).permute(0, 2, 3, 1).numpy())
