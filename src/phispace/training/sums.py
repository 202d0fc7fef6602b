"""Means of the terms of a loss over an epoch, kept on the device until someone asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Sums:
    """Sums of terms weighted by the number of images, in float64 (float32 where the device has no other)."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.total: Tensor | None = None
        self.count = 0

    def add(self, terms: Mapping[str, Tensor], images: int) -> Tensor:
        """Add a batch's means; return them as one vector in the order of `names`.

        A term that comes or goes within an epoch keeps its sum as it is.
        """
        if tuple(terms) != self.names:
            self._rename(tuple(terms))
        values = torch.stack([terms[name].detach() if name in terms else _zero(terms) for name in self.names])
        dtype = torch.float32 if values.device.type == "mps" else torch.float64
        weighted = values.to(dtype) * images
        self.total = weighted if self.total is None else self.total.to(weighted.device) + weighted
        self.count += images
        return values

    def means(self) -> dict[str, float]:
        """Mean of each term; empty before the first batch."""
        if self.total is None or self.count == 0:
            return {}
        return dict(zip(self.names, (self.total / self.count).tolist(), strict=True))

    def reduced(self, strategy: Any) -> Sums:
        """The sums over all processes."""
        if self.total is None:
            return self
        whole = Sums()
        whole.names = self.names
        packed = torch.cat([self.total, self.total.new_tensor([float(self.count)])])
        packed = strategy.reduce(packed, reduce_op="sum")
        whole.total, whole.count = packed[:-1], int(packed[-1].item())
        return whole

    def clear(self) -> None:
        """Begin anew."""
        self.names, self.total, self.count = (), None, 0

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"names": list(self.names), "total": self.total, "count": self.count}

    def load(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self.names, self.total, self.count = tuple(state["names"]), state["total"], int(state["count"])

    def _rename(self, names: tuple[str, ...]) -> None:
        union = tuple(dict.fromkeys([*self.names, *names]))
        if self.total is not None and union != self.names:
            grown = self.total.new_zeros(len(union))
            grown[: len(self.total)] = self.total
            self.total = grown
        self.names = union


def _zero(terms: Mapping[str, Tensor]) -> Tensor:
    return torch.zeros_like(next(iter(terms.values())).detach())
