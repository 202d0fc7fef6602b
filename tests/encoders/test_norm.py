"""Batch normalisation against torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from phispace.encoders.norm import BatchNorm1d, BatchNorm2d, take_statistics
from phispace.errors import InputError


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


@pytest.mark.parametrize("kind", [BatchNorm1d, nn.BatchNorm1d])
def test_statistics_taken_anew_are_the_mean_over_the_batches_and_nothing_else_changes(kind):
    rng = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 3), kind(3, momentum=0.3), nn.Dropout(0.5)).train()
    for _ in range(5):
        network(torch.randn((8, 4), generator=rng))
    network[2].eval()
    weights = [p.clone() for p in network.parameters()]
    batches = [torch.randn((16, 4), generator=rng) * 5 + 1 for _ in range(3)]
    take_statistics(network, network, batches)
    with torch.no_grad():
        inner = [network[0](b) for b in batches]
    torch.testing.assert_close(network[1].running_mean, torch.stack([x.mean(0) for x in inner]).mean(0))
    torch.testing.assert_close(network[1].running_var, torch.stack([x.var(0) for x in inner]).mean(0))
    assert [m.training for m in network] == [True, True, False]
    assert network[1].momentum is not None
    assert all(torch.equal(a, b) for a, b in zip(weights, network.parameters(), strict=True))
    if kind is BatchNorm1d:  # and training goes on by its own rule
        network(batches[0])
        assert network[1].momentum == max(0.3, 1 / 4)


def test_later_layers_see_what_earlier_ones_make_of_the_batch_itself():
    """As in training, layer by layer: one pass is enough for all of a batch."""
    rng = torch.Generator().manual_seed(0)
    network = nn.Sequential(BatchNorm1d(3, eps=1e-7), nn.Linear(3, 3), BatchNorm1d(3, eps=1e-7)).eval()
    batch = torch.randn((64, 3), generator=rng) * 7 + 2
    take_statistics(network, network, [batch])
    out = network(batch)
    torch.testing.assert_close(out.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var(0), torch.ones(3), atol=0.02, rtol=0)  # 64 / 63 is torch's part


def test_a_network_without_batch_normalisation_or_no_batch_is_refused():
    with pytest.raises(InputError, match="no batch normalisation"):
        take_statistics(nn.Linear(2, 2), nn.Linear(2, 2), [torch.zeros(2, 2)])
    norm = BatchNorm1d(2)
    norm(torch.randn(4, 2))
    with pytest.raises(InputError, match="no batch to take"):
        take_statistics(norm, norm, [])
    assert int(norm.num_batches_tracked) == 1, "what was there is kept"
