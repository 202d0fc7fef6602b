"""Random resized crops and mirroring: two products with interpolation matrices, another one for each image."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_TRIES = 10


class Crops(NamedTuple):
    """Rectangles in whole pixels, each int64 (B,)."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


def draw_crops(
    count: int, size: int, rng: torch.Generator, scale: tuple[float, float], ratio: tuple[float, float]
) -> Crops:
    """Rectangles as torchvision's `RandomResizedCrop` draws them.

    The area is uniform in `scale` times the image's, the logarithm of width / height uniform in that of `ratio`, sides
    rounded; the first of ten tries that fits is taken, and the whole image where none does; the place is uniform.

    Args:
        size: side of the images in pixels.
        rng: the same number of draws whatever they are.
    """
    drawn = torch.rand((2, _TRIES, count), generator=rng, dtype=torch.float64)
    area = (scale[0] + (scale[1] - scale[0]) * drawn[0]) * size * size
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = (low + (high - low) * drawn[1]).exp()
    widths, heights = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
    fits = (widths > 0) & (widths <= size) & (heights > 0) & (heights <= size)
    first = fits.to(torch.uint8).argmax(0, keepdim=True)
    some = fits.any(0)
    width = torch.where(some, widths.gather(0, first)[0], size)
    height = torch.where(some, heights.gather(0, first)[0], size)
    place = torch.rand((2, count), generator=rng, dtype=torch.float64)
    return Crops((place[0] * (size - height + 1)).long(), (place[1] * (size - width + 1)).long(), height, width)


def resized_crop(images: Tensor, crops: Crops, flips: Tensor) -> Tensor:
    """Crop, resize back to the whole image by bilinear interpolation, then mirror left to right where `flips`.

    The result at pixel j comes from (j + 1/2) w / W - 1/2 of the crop, moved into [0, w - 1] of its w pixels; rows
    likewise.

    Args:
        images: float (B, C, H, W), best channels_last.
        crops: inside the images; enlarging needs no smoothing against aliases.
        flips: bool (B,).

    Returns:
        float (B, C, H, W), contiguous (plane by plane).
    """
    count, channels, height, width = images.shape
    rows = interpolation(crops.top, crops.height, height).to(images)
    columns = interpolation(crops.left, crops.width, width, flips).to(images)
    x = images.permute(0, 2, 3, 1).reshape(count, height, width * channels)
    x = torch.bmm(rows, x).view(count, height, width, channels)
    x = x.permute(0, 3, 1, 2).reshape(count, channels * height, width)
    return torch.bmm(x, columns.transpose(1, 2)).view(count, channels, height, width)


def interpolation(start: Tensor, length: Tensor, size: int, flips: Tensor | None = None) -> Tensor:
    """Matrices (B, size, size) that stretch the pixels start .. start + length - 1 over all, then mirror where asked.

    Entry (j, i) is max(0, 1 - |s_j - i|) with the source s_j of pixel j, moved into the crop: bilinear weights.
    """
    place = torch.arange(size, dtype=torch.float32)
    length = length[:, None].float()
    source = ((place + 0.5) * (length / size) - 0.5).clamp_min(0)
    source = torch.minimum(source, length - 1) + start[:, None]
    if flips is not None:
        source = torch.where(flips[:, None], source.flip(1), source)
    return (1 - (source[:, :, None] - place).abs()).clamp_min_(0)
