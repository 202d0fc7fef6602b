"""Batch normalisation against torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from phispace.encoders.norm import BatchNorm1d, BatchNorm2d


@pytest.mark.parametrize("kind", [(BatchNorm1d, nn.BatchNorm1d, (16, 5)), (BatchNorm2d, nn.BatchNorm2d, (6, 5, 4, 4))])
def test_the_output_in_training_is_torchs(kind):
    ours, theirs, shape = kind
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(5)(x), theirs(5, eps=1e-3)(x))


def test_running_statistics_are_the_average_at_first_and_then_torchs_rule():
    rng = torch.Generator().manual_seed(0)
    batches = [torch.randn((32, 3), generator=rng) * 3 + 2 for _ in range(14)]
    norm = BatchNorm1d(3, momentum=0.1)
    for x in batches[:10]:
        norm(x)
    torch.testing.assert_close(norm.running_mean, torch.stack(batches[:10]).mean((0, 1)))
    torch.testing.assert_close(norm.running_var, torch.stack([b.var(0) for b in batches[:10]]).mean(0))
    usual = nn.BatchNorm1d(3, momentum=0.1)
    usual.load_state_dict(norm.state_dict())
    for x in batches[10:]:
        norm(x)
        usual(x)
    torch.testing.assert_close(norm.running_var, usual.running_var)


def test_resumed_statistics_go_on_where_they_stopped():
    rng = torch.Generator().manual_seed(0)
    batches = [torch.randn((8, 3), generator=rng) for _ in range(6)]
    through, first, second = BatchNorm1d(3), BatchNorm1d(3), BatchNorm1d(3)
    for x in batches:
        through(x)
    for x in batches[:3]:
        first(x)
    second(batches[0])  # a used module that is loaded over
    second.load_state_dict(first.state_dict())
    for x in batches[3:]:
        second(x)
    assert torch.equal(through.running_mean, second.running_mean)
    assert torch.equal(through.running_var, second.running_var)


def test_a_single_value_uses_the_running_statistics():
    norm = BatchNorm1d(3)
    x = torch.tensor([[1.0, 2.0, 3.0]])
    torch.testing.assert_close(norm(x), x / (1 + 1e-3) ** 0.5)
    assert int(norm.num_batches_tracked) == 0
