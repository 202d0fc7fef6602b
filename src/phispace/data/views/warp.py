"""Warps by homographies: one bilinear resampling with another matrix for each image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from phispace.errors import InputError

#: A place in `grid_sample`'s coordinates that no pixel reaches.
_NOWHERE = -3.0
_BEHIND = 1e-6


def warp(images: Tensor, matrices: Tensor, fill: float = 0.5) -> Tensor:
    """Each image seen through its own homography.

    The result at p is the image at q, with q ~ M p in homogeneous coordinates (x, y, 1): x to the right and y down, in
    pixels, the image spanning [0, W] x [0, H] so that the first pixel's centre is (0.5, 0.5). This is the convention
    of `PIL.Image.transform`: the rows of M are its eight coefficients and 1. What lies outside the image is `fill`,
    and over half a pixel at its border the two are mixed by bilinear weights.

    Args:
        images: (B, C, H, W), floats or uint8.
        matrices: float (B, 3, 3), or (B, 2, 3) for affine maps; from the result's pixels to the image's.
        fill: a share of full scale: 0.5 is grey for floats in [0, 1] and 127.5 for bytes.

    Returns:
        (B, C, H, W) of the same dtype, channels_last; bytes are rounded. Float images and the matrices have gradients.

    Raises:
        InputError: matrices of another shape or number.

    Checked against `torchvision.transforms.v2.functional` (affine, perspective) and `kornia.geometry.warp_perspective`.
    Departure from PIL: it takes the nearest pixel at the border instead of mixing with what lies beyond.
    """
    count, _, height, width = images.shape
    if matrices.ndim != 3 or matrices.shape[0] != count or tuple(matrices.shape[1:]) not in ((3, 3), (2, 3)):
        raise InputError(f"A warp of {count} images takes matrices ({count}, 3, 3); got {tuple(matrices.shape)}.")
    bytes_ = images.dtype == torch.uint8
    full = 255.0 if bytes_ else 1.0
    # Resampling plane by plane takes half the time.
    pixels = images.to(torch.float32 if bytes_ else images.dtype, memory_format=torch.contiguous_format)
    level = fill * full
    with torch.autocast(pixels.device.type, enabled=False):  # places in bf16 would be a fifth of a pixel off
        grid = sampling_grid(matrices.to(pixels.device, pixels.dtype), height, width)
        warped = F.grid_sample(pixels - level, grid, mode="bilinear", padding_mode="zeros", align_corners=False) + level
    if bytes_:
        warped = warped.round_().clamp_(0, full).to(torch.uint8)
    return warped.contiguous(memory_format=torch.channels_last)


def sampling_grid(matrices: Tensor, height: int, width: int) -> Tensor:
    """Where each pixel comes from, in `grid_sample`'s coordinates (align_corners=False).

    Args:
        matrices: (B, 3, 3) or (B, 2, 3) as `warp` takes them.

    Returns:
        (B, H, W, 2), x before y; what a homography puts behind the viewer is outside.
    """
    x = torch.arange(width, device=matrices.device, dtype=matrices.dtype) + 0.5
    y = torch.arange(height, device=matrices.device, dtype=matrices.dtype) + 0.5
    x, y = x.expand(height, width), y[:, None].expand(height, width)
    points = torch.stack([x, y, torch.ones_like(x)])
    last = matrices.new_tensor([0.0, 0.0, 1.0]).expand(len(matrices), 3) if matrices.shape[1] == 2 else matrices[:, 2]
    # The image spans [-1, 1] there: 2 x / W - 1 is linear in homogeneous coordinates too.
    scaled = torch.stack([matrices[:, 0] * (2 / width) - last, matrices[:, 1] * (2 / height) - last, last], dim=1)
    rows = matrices.shape[1]
    sources = scaled[:, :rows].reshape(-1, 3) @ points.view(3, -1)  # all images in one product
    sources = sources.view(len(matrices), rows, height, width)
    grid = sources.new_empty(len(matrices), height, width, 2)
    if rows == 2:
        return grid.copy_(sources.permute(0, 2, 3, 1))
    depth = sources[:, 2]
    behind = depth <= _BEHIND
    if sources.requires_grad:  # where a network names the matrices; writing into a part of the grid has no gradient
        places = (sources[:, :2] / depth.masked_fill(behind, 1.0)[:, None]).permute(0, 2, 3, 1)
        return places.masked_fill(behind[..., None], _NOWHERE)
    for axis in range(2):
        torch.div(sources[:, axis], depth, out=grid[..., axis])
    return grid.masked_fill_(behind[..., None], _NOWHERE) if bool(behind.any()) else grid
