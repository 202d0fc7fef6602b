"""What changes over a training in its images: their resolution, and which of them are mirrored.

Both are functions of the place in training alone, so that a resumed run sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from phispace.encoders.base import DEFAULT_LAYER, Encoder
from phispace.errors import InputError


def side_at(resolutions: Sequence[tuple[int, float]], step: int, total_steps: int) -> int:
    """Side of the images in a step, from (side, weight) pairs: each holds for its share of the steps, in order.

    Args:
        resolutions: not empty; weights are positive, for example numbers of epochs.
        step: 0 .. total_steps - 1 (later ones get the last side).
        total_steps: steps in all.
    """
    whole = sum(weight for _, weight in resolutions)
    done = (step + 0.5) / max(total_steps, 1) * whole
    for side, weight in resolutions:
        done -= weight
        if done < 0:
            return side
    return resolutions[-1][0]


def mirror_every_other_epoch(images: Tensor, index: Tensor, epoch: int, seed: int = 0) -> Tensor:
    """Mirror half of the images in even epochs and the other half in odd ones.

    An image is seen once each way in every two epochs, which a random flip does not promise.

    Args:
        images: (B, C, H, W).
        index: int64 (B,), positions in the image set; they decide the half.
        epoch, seed: of the run.

    Source: Jordan, arXiv 2404.00498, section 3.6, with a hash (Knuth's multiplication) instead of a drawn half.
    """
    half = ((index + seed) * 2654435761 % 2**32) >> 31
    mirrored = ((half + epoch) % 2 == 1).view(-1, 1, 1, 1)
    return torch.where(mirrored, images.flip(-1), images)


def check_side(encoder: Encoder, side: int, option: str) -> None:
    """Raise InputError, naming the option, if the encoder's features do not keep their width at this side."""
    if _takes(encoder, side):
        return
    # Near its own size one without pooling over the whole map has a few sides too, by rounding.
    least = next((larger for larger in range(side + 1, encoder.size // 2 + 1) if _takes(encoder, larger)), None)
    if least is not None:
        raise InputError(
            f"{type(encoder).__name__} does not take {side} pixels; the least that {option!r} can be is {least}."
        )
    raise InputError(
        f"{type(encoder).__name__} was built for images of {encoder.size} pixels and does not take {side}; "
        f"{option!r} needs an encoder that pools over the whole map, such as speednet or resnet18."
    )


def _takes(encoder: Encoder, side: int) -> bool:
    try:
        return encoder.width(f"{DEFAULT_LAYER}+{side}px") == encoder.width()
    except InputError:
        return False
