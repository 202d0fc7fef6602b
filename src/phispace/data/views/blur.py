"""Gaussian blur with another width for each image: weighted sums of shifted images, one axis after the other."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

#: Images whose intermediate sums stay in a processor's cache.
_AT_ONCE = 64


def kernel_size(side: int) -> int:
    """Odd, about a tenth of the side, at least 3: 23 for 224 pixels, as SimCLR and BYOL have it."""
    return max(3, 2 * int(side * 0.05) + 1)


def gaussian_blur(images: Tensor, sigma: Tensor, size: int) -> Tensor:
    """Convolution with exp(-d^2 / 2 sigma^2) over `size` pixels, normalised, on both axes; reflected at the border.

    Args:
        images: float (B, C, H, W), best contiguous.
        sigma: pixels (B,), above 0.
        size: of the kernel, odd, below 2 H and 2 W.

    Returns:
        float (B, C, H, W), contiguous. The same as torchvision's `gaussian_blur`.
    """
    radius = size // 2
    away = torch.arange(-radius, radius + 1, device=sigma.device)
    weights = torch.softmax(-0.5 * (away / sigma[:, None].float()) ** 2, dim=1)[:, radius:].to(images)
    result = torch.empty_like(images, memory_format=torch.contiguous_format)
    for begin in range(0, len(images), _AT_ONCE):
        part = slice(begin, begin + _AT_ONCE)
        result[part] = _along(_along(images[part], weights[part], 3), weights[part], 2)
    return result


def _along(images: Tensor, weights: Tensor, axis: int) -> Tensor:
    """One axis of the blur; weights (B, radius + 1) of the pixels 0 .. radius away."""
    radius, length = weights.shape[1] - 1, images.shape[axis]
    rim = (radius, radius)
    padded = F.pad(images, (*rim, 0, 0) if axis == 3 else (0, 0, *rim), mode="reflect")
    by = weights[:, :, None, None, None]
    total = images * by[:, 0]
    for away in range(1, radius + 1):
        both = padded.narrow(axis, radius - away, length) + padded.narrow(axis, radius + away, length)
        total += both.mul_(by[:, away])
    return total
