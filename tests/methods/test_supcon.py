"""The supervised contrastive loss against its formula, unknown labels, and its two special cases."""

from __future__ import annotations

import math

import numpy as np
import pairs
import pytest
import torch

from phispace.methods.simclr import nt_xent
from phispace.methods.supcon import SupCon, supcon_loss


def by_hand(first: np.ndarray, second: np.ndarray, labels: list[int], temperature: float) -> float:
    """Equation 2 of the paper, view by view; unknown labels are classes of their own."""
    z = pairs.unit(np.concatenate([first, second]))
    classes = [label if label >= 0 else f"image {i}" for i, label in enumerate(labels)] * 2
    total = 0.0
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        below = sum(math.exp(float(z[i] @ z[a]) / temperature) for a in others)
        positives = [p for p in others if classes[p] == classes[i]]
        total -= sum(math.log(math.exp(float(z[i] @ z[p]) / temperature) / below) for p in positives) / len(positives)
    return total / len(z)


LABELS = {
    "classes": [0, 1, 0, 2, 1, 0, 0],
    "some unknown": [0, -1, 0, 2, -1, -1, 2],
    "one class": [3] * 7,
    "none known": [-1] * 7,
}


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("temperature", [0.07, 0.1, 0.5])
def test_the_loss_is_the_formula(case, temperature):
    labels = LABELS[case]
    for seed in range(3):
        first, second = pairs.projections(7, 8, seed)
        loss = supcon_loss(first, second, torch.tensor(labels), temperature)
        wanted = by_hand(first.detach().numpy(), second.detach().numpy(), labels, temperature)
        assert float(loss.detach()) == pytest.approx(wanted, abs=pairs.TOLERANCE)


def test_the_gradient_is_that_of_the_formula():
    first, second = pairs.projections(5, 4)
    labels = [0, 1, 0, -1, 1]
    supcon_loss(first, second, torch.tensor(labels), 0.2).backward()
    fixed = second.detach().double().numpy()
    wanted = pairs.slope(lambda x: by_hand(x, fixed, labels, 0.2), first)
    np.testing.assert_allclose(first.grad.numpy(), wanted, atol=pairs.TOLERANCE)


def test_without_labels_it_is_simclrs_loss():
    first, second = pairs.projections(9, 16)
    ours = supcon_loss(first, second, torch.full((9,), -1), 0.3).detach()
    torch.testing.assert_close(ours, nt_xent(first, second, 0.3)[0].detach(), atol=pairs.TOLERANCE, rtol=0)


def test_which_images_are_trained_on_is_an_option():
    import learning

    assert learning.make("supcon", {"name": "mlp"}).stage.labelled
    assert not learning.make("supcon", {"name": "mlp"}, unlabelled="own-class").stage.labelled
    assert SupCon.uses_labels
