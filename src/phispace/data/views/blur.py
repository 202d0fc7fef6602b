"""Gaussian blur with another width for each image: two products with banded matrices."""

from __future__ import annotations

import torch
from torch import Tensor


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
    count, channels, height, width = images.shape
    rows = blur_matrices(sigma, size, height).to(images)
    columns = rows if width == height else blur_matrices(sigma, size, width).to(images)
    x = torch.bmm(images.reshape(count, channels * height, width), columns.transpose(1, 2))
    return torch.matmul(rows[:, None], x.view(count, channels, height, width))


def blur_matrices(sigma: Tensor, size: int, side: int) -> Tensor:
    """(B, side, side): row i holds the weights of the pixels that i is made of."""
    radius = size // 2
    offsets = torch.arange(-radius, radius + 1)
    weights = torch.softmax(-0.5 * (offsets / sigma[:, None].float()) ** 2, dim=1)
    source = (torch.arange(side) + offsets[:, None]).abs()
    source = side - 1 - (side - 1 - source).abs()
    places = torch.nn.functional.one_hot(source, side).float()  # (size, side, side)
    return (weights @ places.view(size, -1)).view(-1, side, side)
