"""Fog: a cloudy brightness over the image."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from phispace.data.corruptions.base import SIDE, Draws, bytes_of, floats

_FOG = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))  # thickness, decay


def fog(images: np.ndarray, severity: int, draws: Draws) -> np.ndarray:
    """(x + c f) m / (m + c), with the image's largest value m and a field f in [0, 1] of the pattern of clouds.

    Departure: f is a sum of octaves of bilinear noise, from 2 x 2 up to the 32 x 32 cells of the original's side,
    each weaker than the one before by decay^2, as in the midpoint displacement of the original, which it stands for.
    """
    thickness, decay = _FOG[severity - 1]
    x = floats(images)
    top = x.max(axis=(1, 2, 3), keepdims=True)
    field = clouds(draws, images.shape[1:3], decay)[..., None]
    return bytes_of((x + thickness * field) * top / (top + thickness))


def clouds(draws: Draws, shape: tuple[int, int], decay: float) -> np.ndarray:
    """Fields float32 (B, H, W), each from 0 to 1."""
    octaves = int(np.log2(SIDE)) + 1
    corners = [2**k + 1 for k in range(octaves)]
    drawn = torch.from_numpy(draws.uniform(sum(c * c for c in corners)))
    field = torch.zeros(len(drawn), 1, *shape)
    for k, part in enumerate(torch.split(drawn, [c * c for c in corners], dim=1)):
        noise = part.reshape(-1, 1, corners[k], corners[k])
        field += F.interpolate(noise, shape, mode="bilinear", align_corners=True) / decay ** (2 * k)
    low, high = field.amin((2, 3), keepdim=True), field.amax((2, 3), keepdim=True)
    return ((field - low) / (high - low).clamp_min(1e-12))[:, 0].numpy()
