"""Random resized crops and mirroring: two products with interpolation matrices, another one for each image."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from phispace.data.views.base import to_float

_TRIES = 10
#: Images whose intermediate products stay in a processor's cache.
_AT_ONCE = 64


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
        images: uint8, or float32 in [0, 1], (B, C, H, W), best channels_last.
        crops: inside the images; enlarging needs no smoothing against aliases.
        flips: bool (B,).

    Returns:
        float32 (B, C, H, W), contiguous (plane by plane).
    """
    count, channels, height, width = images.shape
    rows = interpolation(crops.top, crops.height, height).to(images.device)
    columns = interpolation(crops.left, crops.width, width, flips).to(images.device).transpose(1, 2)
    result = torch.empty(count, channels, height, width, device=images.device)
    for begin in range(0, count, _AT_ONCE):
        part = slice(begin, begin + _AT_ONCE)
        x = images[part] if images.is_floating_point() else to_float(images[part])
        x = x.permute(0, 2, 3, 1).reshape(-1, height, width * channels)
        x = torch.bmm(rows[part], x).view(-1, height, width, channels)
        x = x.permute(0, 3, 1, 2).reshape(-1, channels * height, width)
        torch.bmm(x, columns[part], out=result[part].view(-1, channels * height, width))
    return result


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
