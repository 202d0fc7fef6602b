"""Changes of colour, in place, on floats (B, C, H, W) in [0, 1], with a parameter for each image.

All follow `torchvision.transforms.v2.functional` on floats. Images that have not three channels have no hue and no
saturation; their grey value is the mean of the channels, which for one channel is the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_LUMA = (0.2989, 0.587, 0.114)
_TINY = 1e-20


def luma(images: Tensor) -> Tensor:
    """Grey values (B, 1, H, W): 0.2989 R + 0.587 G + 0.114 B."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    red, green, blue = (images[:, c : c + 1] for c in range(3))
    return (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])


def brightness_(images: Tensor, factors: Tensor) -> Tensor:
    """f x, clamped to [0, 1]. Factors (B,)."""
    return images.mul_(_wide(factors)).clamp_(0, 1)


def contrast_(images: Tensor, factors: Tensor) -> Tensor:
    """f x + (1 - f) m, clamped, with the mean m of the image's grey values. Factors (B,)."""
    mean = luma(images).mean((1, 2, 3), keepdim=True)
    return images.mul_(_wide(factors)).add_(mean * (1 - _wide(factors))).clamp_(0, 1)


def saturation_(images: Tensor, factors: Tensor) -> Tensor:
    """f x + (1 - f) y, clamped, with the grey values y. Factors (B,). Leaves grey images as they are."""
    if images.shape[1] != 3:
        return images
    grey = luma(images).mul_(1 - _wide(factors))
    return images.mul_(_wide(factors)).add_(grey).clamp_(0, 1)


def hue_(images: Tensor, shifts: Tensor) -> Tensor:
    """HSV's hue turned by `shifts` (B,), in whole turns (0.1 is 36 degrees). Leaves grey images as they are.

    With V = max, C = max - min and the hue h in sixths of a turn: R, G, B = V - C clamp(2 - |t|, 0, 1), with t = h + 3,
    h + 1, h - 1 brought into [-3, 3]. It is the way through HSV and back without its branches.
    """
    if images.shape[1] != 3:
        return images
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    divisor = chroma.clamp_min(_TINY)  # without chroma the differences are 0 too
    # Choosing by weights that are 0 or 1 costs a fraction of comparing and masking.
    not_red, not_green = (value - red).sign_(), (value - green).sign_()
    at_green = (blue - red).div_(divisor).add_(2)
    at_blue = (red - green).div_(divisor).add_(4)
    sixths = (green - blue).div_(divisor).lerp_(at_green.lerp_(at_blue, not_green), not_red)
    sixths += 6 * shifts[:, None, None]
    for channel, offset in enumerate((3, 1, -1)):
        t = sixths + offset
        t -= (t / 6).round_().mul_(6)
        images[:, channel] = value - t.abs_().neg_().add_(2).clamp_(0, 1).mul_(chroma)
    return images


def grey_(images: Tensor) -> Tensor:
    """All channels take the grey value."""
    if images.shape[1] == 3:
        images.copy_(luma(images).expand_as(images))
    return images


def solarise_(images: Tensor, threshold: float = 0.5) -> Tensor:
    """1 - x where x is at the threshold or above."""
    return images.copy_(torch.where(images >= threshold, 1 - images, images))


#: In the order of torchvision's numbers, which `jitter` takes.
OPERATIONS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (brightness_, contrast_, saturation_, hue_)


def jitter(images: Tensor, factors: Sequence[Tensor | None], order: Tensor, applied: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue (operations 0 to 3) in another order for each image.

    At each of the four places of the order the images are sorted by the operation that is theirs there, so that an
    operation works on neighbours in memory.

    Args:
        images: float (B, C, H, W) in [0, 1]; not altered.
        factors: of each operation (B,), None where it is left out.
        order: int64 (B, 4), permutations of 0 .. 3.
        applied: bool (B,), False leaves an image as it is.

    Returns:
        float (B, C, H, W).
    """
    wanted = [number for number, factor in enumerate(factors) if factor is not None]
    steps = torch.where(applied[:, None], order, len(OPERATIONS))
    where = torch.arange(len(images))
    mine, spare = torch.empty_like(images), torch.empty_like(images)
    for place in range(order.shape[1]):
        now, by = steps[where, place].sort(stable=True)
        torch.index_select(images, 0, by.to(images.device), out=mine)
        where = where[by]
        images, mine, spare = mine, spare, mine
        ends = torch.searchsorted(now, torch.arange(len(OPERATIONS) + 1)).tolist()
        for number in wanted:
            begin, end = ends[number], ends[number + 1]
            factor = factors[number]
            if factor is not None and end > begin:
                OPERATIONS[number](images[begin:end], factor[where[begin:end]].to(images))
    return torch.index_select(images, 0, where.argsort().to(images.device), out=mine)


def _wide(factors: Tensor) -> Tensor:
    return factors[:, None, None, None]
