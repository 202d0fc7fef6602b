"""The k largest values of each row of a wide matrix, exactly, without sorting through all of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_WORTH = 8  # columns for each wanted value, from which groups pay


def largest(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row, descending; the same values as torch.topk, of equal ones perhaps other positions.

    The columns are dealt into groups, and each group's maximum is taken, which runs at the speed of memory. A value
    among the k largest lies in one of the k groups with the largest maxima: otherwise k other groups would each hold a
    value at least as large. Only their members are searched, about 2 sqrt(k N) values a row instead of N.

    Args:
        x: float32 (B, N).
        k: 1 .. N.

    Returns:
        values float32 (B, k), and positions int64 (B, k).
    """
    import torch

    n = x.shape[1]
    if n < _WORTH * k:
        return x.topk(k, dim=1)
    groups = max(k, math.isqrt(k * n))  # each of n // groups members
    members = n // groups
    inside = groups * members
    # Group g holds the columns g, g + groups, g + 2 groups ...: maxima over the middle axis read rows in order.
    maxima = x[:, :inside].view(len(x), members, groups).amax(1)
    chosen = maxima.topk(k, dim=1, sorted=False).indices
    columns = (chosen[:, None] + groups * torch.arange(members)[:, None]).flatten(1)
    if inside < n:
        columns = torch.cat([columns, torch.arange(inside, n).expand(len(x), -1)], 1)
    values, order = x.gather(1, columns).topk(k, dim=1)
    return values, columns.gather(1, order)
