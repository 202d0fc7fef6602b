"""The momentum teacher: a copy of encoder and projector that follows them slowly.

    θ' <- m θ' + (1 - m) θ,    m = 1 - (1 - m_0) (1 + cos(π t / T)) / 2

with the base momentum m_0 at step t = 0 and 1 at the last step T (Grill et al., "Bootstrap Your Own Latent", NeurIPS
2020, section 3.3, arXiv 2006.07733); a constant m is that of He et al., "Momentum Contrast", CVPR 2020, eq. 2.

Only what is learnt follows. As in both sources' code, and in DINO's, the teacher is in training mode while training:
its batch normalisation uses the statistics of its own batches, and its running statistics are its own. What was
measured on the images before training (normalisation of the pixels, whitening) is copied once.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from phispace.encoders.base import Encoder


def momentum_at(step: int, total: int, base: float, *, cosine: bool = True) -> float:
    """m of a step, 0 .. total; see the module. Without `cosine` it is `base` throughout."""
    if not cosine:
        return base
    done = min(max(step, 0), total) / max(total, 1)
    return 1.0 - (1.0 - base) * (1.0 + math.cos(math.pi * done)) / 2.0


class Teacher(nn.Module):
    """Images (B, C, H, W) -> projections (B, D), without gradient.

    Its weights and statistics are in the state dict of the method that owns it, so checkpoints hold them.

    Args:
        encoder, projector: what is copied; `begin` copies again.
    """

    def __init__(self, encoder: Encoder, projector: nn.Module) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(encoder)
        self.projector = copy.deepcopy(projector)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        projections: Tensor = self.projector(self.encoder(images).flatten(1))
        return projections

    def begin(self, encoder: Encoder, projector: nn.Module) -> None:
        """Copy everything, with what was measured or loaded since the teacher was made."""
        self.encoder.load_state_dict(encoder.state_dict())
        self.projector.load_state_dict(projector.state_dict())

    @torch.no_grad()
    def follow(self, encoder: Encoder, projector: nn.Module, momentum: float) -> None:
        """θ' <- m θ' + (1 - m) θ for all that is learnt. Where both are equal nothing changes, not even by rounding."""
        mine: list[Tensor] = [*self.encoder.parameters(), *self.projector.parameters()]
        theirs = [*encoder.parameters(), *projector.parameters()]
        torch._foreach_lerp_(mine, [p.detach() for p in theirs], 1.0 - momentum)
