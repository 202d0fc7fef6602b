"""What several processes of one training tell each other: rows of all of them, and means over them.

With a single process nothing is sent. A training batch is dealt out evenly, so every process has as many rows; in
validation the last batches differ in size, so there each process keeps to its own.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributed as dist


def process_count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def process_number() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def rows_of_all(rows: Tensor) -> Tensor:
    """(B, ...) of each of W processes -> (W B, ...), in the order of the processes, the same on all of them.

    Gradients go back to the process that a row comes from, summed over the processes that used it; averaged over
    processes, as DistributedDataParallel does, the gradient is that of the mean of their losses.
    """
    if process_count() == 1:
        return rows
    from lightly.utils.dist import gather

    return torch.cat(gather(rows))


@torch.no_grad()
def mean_over_all(values: Tensor) -> Tensor:
    """The mean over processes of a tensor of the same shape on each, without gradient."""
    count = process_count()
    if count == 1:
        return values.detach()
    total = values.detach().clone()
    dist.all_reduce(total)
    return total / count
