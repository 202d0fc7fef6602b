"""MoCo's losses against their formula and lightly's memory bank, the queue, and the shuffled groups of keys."""

from __future__ import annotations

import math

import numpy as np
import pairs
import pytest
import torch
from lightly.loss import NTXentLoss
from torch.nn import functional as F

from phispace.methods.moco import against_batch, against_queue
from phispace.methods.queue import Queue


def by_hand(queries: np.ndarray, keys: np.ndarray, others: list[np.ndarray], temperature: float) -> float:
    """Equation 1 of the paper, query by query; `others` has the negatives of each."""
    total = 0.0
    for q, k, negatives in zip(queries, keys, others, strict=True):
        own = math.exp(float(q @ k) / temperature)
        total -= math.log(own / (own + sum(math.exp(float(q @ n) / temperature) for n in negatives)))
    return total / len(queries)


@pytest.mark.parametrize(
    ("items", "width", "size", "temperature"), [(1, 4, 1, 0.5), (7, 16, 40, 0.07), (32, 64, 9, 0.2)]
)
def test_the_loss_with_a_queue_is_the_formula_and_lightlys(items, width, size, temperature):
    first, second = pairs.projections(items, width)
    queries, keys = F.normalize(first, dim=1), F.normalize(second.detach(), dim=1)
    negatives = F.normalize(torch.randn(size, width, generator=torch.Generator().manual_seed(3)), dim=1)
    loss, accuracy = against_queue(queries, keys, negatives, temperature)
    wanted = by_hand(pairs.unit(first), pairs.unit(second), [pairs.unit(negatives)] * items, temperature)
    assert float(loss.detach()) == pytest.approx(wanted, abs=pairs.TOLERANCE)
    theirs = NTXentLoss(temperature, memory_bank_size=(size, width))
    theirs.memory_bank.bank.copy_(negatives)
    assert float(loss.detach()) == pytest.approx(float(theirs(first, second.detach()).detach()), abs=pairs.TOLERANCE)
    nearest = queries.detach() @ torch.cat([keys, negatives]).T
    assert float(accuracy) == pytest.approx(
        float((nearest.diagonal() >= nearest[:, items:].amax(1)).float().mean()), abs=1e-6
    )


@pytest.mark.parametrize(("items", "every", "first"), [(5, 5, 0), (4, 12, 8)])
def test_the_loss_within_a_batch_is_the_formula(items, every, first):
    queries, keys = (F.normalize(x.detach(), dim=1) for x in pairs.projections(every, 8))
    queries = queries[first : first + items]
    loss, _ = against_batch(queries, keys, 0.3, first)
    own = pairs.unit(keys)[first : first + items]
    others = [np.delete(pairs.unit(keys), first + i, axis=0) for i in range(items)]
    assert float(loss) == pytest.approx(by_hand(pairs.unit(queries), own, others, 0.3), abs=pairs.TOLERANCE)


def test_the_queue_forgets_the_oldest_and_goes_round():
    torch.manual_seed(0)
    queue = Queue(5, 2)
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(5))
    kept = list(queue.keys.clone())
    for count in (2, 2, 3, 1, 7, 5):
        new = torch.randn(count, 2)
        queue.push(new)
        kept = [*kept, *new][-5:]
        assert sorted(map(tuple, queue.keys.tolist())) == sorted(tuple(k.tolist()) for k in kept)
        oldest = int(queue.place)
        torch.testing.assert_close(queue.keys.roll(-oldest, 0), torch.stack(kept))
    assert set(queue.state_dict()) == {"keys", "place"}
