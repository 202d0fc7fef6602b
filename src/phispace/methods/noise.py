"""What a denoising autoencoder takes out again: three ways to spoil its input.

    masking           each value is set to 0 with probability `level`
    gaussian          x + level · scale · ε, ε standard normal
    salt-and-pepper   each value is set with probability `level` to the lowest or the highest one, each half the time

Source: Vincent et al., "Stacked Denoising Autoencoders", JMLR 11, 2010, section 3.3. Draws come from a generator, or
are torch's global ones, which training seeds at every step.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Noise = Literal["masking", "gaussian", "salt-and-pepper"]


def corrupt(
    x: Tensor,
    noise: Noise,
    level: float,
    *,
    low: Tensor | float = 0.0,
    high: Tensor | float = 1.0,
    scale: Tensor | float = 1.0,
    rng: torch.Generator | None = None,
) -> Tensor:
    """A spoilt copy of x, any shape; x itself at level 0.

    Args:
        level: share of the values (masking, salt-and-pepper), or standard deviation in units of `scale` (gaussian).
        low, high: what salt and pepper put there.
        scale: unit of the Gaussian noise; broadcast over x.
        rng: a CPU generator; None for torch's global one of the device.
    """
    if level == 0:
        return x
    drawn = torch.empty_like(x, device=None if rng is None else "cpu")
    if noise == "gaussian":
        return x + drawn.normal_(generator=rng).to(x.device) * level * scale
    share = drawn.uniform_(generator=rng).to(x.device)
    if noise == "masking":
        return torch.where(share < level, torch.zeros((), dtype=x.dtype, device=x.device), x)
    ends = torch.where(share < level / 2, torch.as_tensor(low, dtype=x.dtype), torch.as_tensor(high, dtype=x.dtype))
    return torch.where(share < level, ends, x)
