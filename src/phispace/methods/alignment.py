"""The loss of BYOL and SimSiam: how far predictions point away from their targets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def negative_cosine(predictions: Tensor, targets: Tensor) -> Tensor:
    """-1/B Σ_i p_i·t_i / (|p_i| |t_i|), from -1 (all equal) to 1, float32.

    Args:
        predictions, targets: (B, D) each, row i of both from image i. The targets keep their gradient: who wants none
            detaches them.

    Source: Chen and He, "Exploring Simple Siamese Representation Learning", CVPR 2021, equation 1. BYOL's squared
    distance of unit vectors (Grill et al. 2020, equation 2) is 2 + 2 times this.
    """
    with torch.autocast(predictions.device.type, enabled=False):
        return -F.cosine_similarity(predictions.float(), targets.float(), dim=1).mean()
