"""The last keys of a momentum teacher, to be contrasted with."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Queue(nn.Module):
    """`keys`, float32 (K, D): unit vectors, first in, first out; at the beginning random directions.

    Both buffers, the keys and the place of the next one, are in the state dict. (lightly's memory bank keeps them out
    of it, so a run that goes on would begin with another queue.)
    """

    keys: Tensor
    place: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(size, width), dim=1))
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.keys)

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Put in unit vectors (B, D); they take the place of the oldest ones. Of more than K the last K are kept."""
        new = keys.detach()[-len(self) :]
        where = (self.place + torch.arange(len(new), device=self.keys.device)) % len(self)
        self.keys[where] = new.to(self.keys.dtype)
        self.place.copy_((self.place + len(new)) % len(self))
