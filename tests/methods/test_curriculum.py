"""Resolution over the steps, and mirroring in turn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from phispace.encoders.build import build_encoder
from phispace.encoders.readings import at_side
from phispace.errors import InputError
from phispace.methods.base import Batch, Task
from phispace.methods.curriculum import mirror_every_other_epoch, side_at
from phispace.methods.supervised import Supervised


def test_each_side_has_its_share_of_the_steps():
    sides = [side_at(((16, 2), (24, 1), (32, 1)), step, 100) for step in range(100)]
    assert [sides.count(s) for s in (16, 24, 32)] == [50, 25, 25]
    assert sides == sorted(sides)
    assert side_at(((16, 2), (24, 1)), 500, 100) == 24


@given(weights=st.lists(st.floats(0.1, 9), min_size=1, max_size=5), total=st.integers(1, 300))
def test_sides_come_in_order_and_in_proportion(weights, total):
    plan = [(8 + place, weight) for place, weight in enumerate(weights)]
    sides = [side_at(plan, step, total) for step in range(total)]
    assert sides == sorted(sides)
    for side, weight in plan:
        assert abs(sides.count(side) - total * weight / sum(weights)) <= 1.5


def test_resizing_keeps_the_mean_and_the_layout():
    x = torch.rand((4, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    x = x.contiguous(memory_format=torch.channels_last)
    y = at_side(x, 16)
    assert y.shape == (4, 3, 16, 16)
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y.mean(), x.mean(), rtol=0, atol=0.01)
    assert at_side(x, 32) is x
    assert y.min() >= 0
    assert y.max() <= 1


def test_every_image_is_seen_both_ways_in_two_epochs():
    x = torch.rand((200, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    index = torch.arange(200)
    even, odd, later = (mirror_every_other_epoch(x, index, epoch) for epoch in (0, 1, 2))
    assert torch.equal(even, later)
    mirrored = (even == x.flip(-1)).flatten(1).all(1)
    assert torch.equal(mirrored, ~(odd == x.flip(-1)).flatten(1).all(1))
    assert 70 < mirrored.sum() < 130
    chosen = torch.tensor([17, 3, 150])
    assert torch.equal(mirror_every_other_epoch(x[chosen], chosen, 0), even[chosen])


def test_training_sees_small_images_and_evaluation_whole_ones():
    torch.manual_seed(0)
    encoder = build_encoder("speednet", 1, 16, widths=(8,))
    config = Supervised.Config(resolutions=((8, 1),), alternate_flip=True)
    method = Supervised(encoder, config, Task(1, 16, ("a", "b"), 4, 1))
    seen = []
    encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[-1]))
    batch = Batch((torch.rand(4, 1, 16, 16),), torch.tensor([0, 1, 0, 1]), torch.arange(4))
    method.train().loss_terms(batch)
    method.eval().loss_terms(batch)
    assert seen == [8, 16]


def test_nonsensical_resolutions_are_refused():
    for wrong in (((16, 0.0),), ((2, 1.0),), ((16, float("nan")),)):
        with pytest.raises(ValueError, match="at least 4 pixels"):
            Supervised.Config(resolutions=wrong)


def test_an_encoder_for_one_size_is_refused():
    config = Supervised.Config(resolutions=((8, 1), (16, 1)))
    task = Task(1, 16, ("a", "b"), 4, 1)
    with pytest.raises(InputError, match="ConvNet4 was built for images of 16 pixels and does not take 8"):
        Supervised(build_encoder("convnet4", 1, 16), config, task)
    Supervised(build_encoder("resnet18", 1, 16, width=4), config, task)
