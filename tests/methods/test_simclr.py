"""SimCLR's loss against the formula, image by image, with its gradient; and what is learnt on digits."""

from __future__ import annotations

import math

import numpy as np
import pairs
import pytest
import torch

from phispace.methods.simclr import matched, nt_xent


def by_hand(first: np.ndarray, second: np.ndarray, temperature: float) -> float:
    """Equation 1 of the paper, for each of the 2B views."""
    z = pairs.unit(np.concatenate([first, second]))
    count, total = len(first), 0.0
    for i in range(2 * count):
        partner = (i + count) % (2 * count)
        below = sum(math.exp(float(z[i] @ z[k]) / temperature) for k in range(2 * count) if k != i)
        total -= math.log(math.exp(float(z[i] @ z[partner]) / temperature) / below)
    return total / (2 * count)


@pytest.mark.parametrize(("items", "width", "temperature", "scale"), [
    (1, 4, 0.5, 1.0), (2, 3, 0.1, 1.0), (7, 16, 0.2, 30.0), (33, 128, 0.07, 0.01), (16, 8, 1.0, 1.0),
])  # fmt: skip
def test_the_loss_is_the_formula(items, width, temperature, scale):
    for seed in range(3):
        first, second = pairs.projections(items, width, seed, scale)
        loss, _ = nt_xent(first, second, temperature)
        wanted = by_hand(first.detach().numpy(), second.detach().numpy(), temperature)
        assert float(loss.detach()) == pytest.approx(wanted, abs=pairs.TOLERANCE)


def test_the_gradient_is_that_of_the_formula():
    first, second = pairs.projections(5, 4)
    nt_xent(first, second, 0.2)[0].backward()
    fixed = second.detach().double().numpy()
    wanted = pairs.slope(lambda x: by_hand(x, fixed, 0.2), first)
    np.testing.assert_allclose(first.grad.numpy(), wanted, atol=pairs.TOLERANCE)


def test_the_loss_is_in_float32_also_where_the_networks_are_not():
    first, second = pairs.projections(9, 16)
    with torch.autocast("cpu", torch.bfloat16):
        loss, accuracy = nt_xent(first.bfloat16(), second.bfloat16(), 0.1)
    wanted = by_hand(first.detach().bfloat16().double().numpy(), second.detach().bfloat16().double().numpy(), 0.1)
    assert loss.dtype == accuracy.dtype == torch.float32
    assert float(loss.detach()) == pytest.approx(wanted, abs=pairs.TOLERANCE)


def test_matched_counts_the_views_whose_other_view_is_the_nearest():
    first = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.2]])
    second = torch.tensor([[0.9, 0.1], [0.8, 0.1], [-1.0, 0.0]])
    # The nearest ones are rows 3, 2, 5 and 4, 3, 2; the other views are rows 3, 4, 5 and 0, 1, 2.
    assert float(matched(first, second)) == pytest.approx(3 / 6)
