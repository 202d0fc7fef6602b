"""The end of a sparse code: a layer without weights that sets most values to zero."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from phispace.encoders.options import Count

Sparsity = Literal["relu"] | Count
"""`relu`, or how many values an image keeps."""


class Sparse(nn.Module):
    """(B, D) -> (B, D): negative values become 0 (`relu`), or all but the k largest of each image do.

    Args:
        keep: `relu` or k.

    Attributes:
        keep_now: what holds in training mode, for a k that falls while training; `keep` holds in evaluation.

    Source of the k largest: Makhzani and Frey, "k-Sparse Autoencoders", arXiv 1312.5663. They are the
    largest values, not the largest magnitudes, and stay as they are (the activation is linear).
    """

    def __init__(self, keep: Sparsity) -> None:
        super().__init__()
        self.keep = keep
        self.keep_now = keep

    def forward(self, x: Tensor) -> Tensor:
        keep = self.keep_now if self.training else self.keep
        if keep == "relu":
            return x.relu()
        values, places = x.topk(int(keep), dim=1)
        return torch.zeros_like(x).scatter(1, places, values)

    def extra_repr(self) -> str:
        return f"keep={self.keep}"
