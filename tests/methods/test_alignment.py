"""The losses of BYOL and SimSiam against their formulas, the stopped gradient, and what keeps them from collapse."""

from __future__ import annotations

import numpy as np
import pairs
import pytest
import torch
from lightly.loss import NegativeCosineSimilarity
from torch import nn

from phispace.methods.alignment import negative_cosine
from phispace.methods.byol import byol_loss
from phispace.methods.heads import perceptron
from phispace.methods.simsiam import simsiam_loss

SHAPES = [(1, 4, 1.0), (7, 16, 30.0), (33, 128, 0.01)]


@pytest.mark.parametrize(("items", "width", "scale"), SHAPES)
def test_the_cosine_is_the_formula_and_lightlys(items, width, scale):
    first, second = pairs.projections(items, width, scale=scale)
    wanted = -np.mean(np.sum(pairs.unit(first) * pairs.unit(second), axis=1))
    found = negative_cosine(first, second).detach()
    assert float(found) == pytest.approx(wanted, abs=pairs.TOLERANCE)
    assert float(found) == pytest.approx(float(NegativeCosineSimilarity()(first, second).detach()), abs=1e-6)


@pytest.mark.parametrize(("items", "width", "scale"), SHAPES)
def test_byols_loss_is_the_squared_distance_of_unit_vectors(items, width, scale):
    first, second = pairs.projections(items, width, seed=1, scale=scale)
    wanted = np.mean(np.sum((pairs.unit(first) - pairs.unit(second)) ** 2, axis=1))
    assert float(byol_loss(first, second).detach()) == pytest.approx(wanted, abs=pairs.TOLERANCE)


def test_simsiams_loss_is_the_formula_with_constants_for_targets():
    torch.manual_seed(0)
    predictor = perceptron(8, 5, 8)
    first, second = pairs.projections(11, 8)
    loss = simsiam_loss(predictor, first, second)
    loss.backward()
    p, q = (pairs.unit(predictor(z)) for z in (first, second))
    a, b = pairs.unit(first), pairs.unit(second)
    wanted = 0.5 * -np.mean(np.sum(p * b, axis=1)) + 0.5 * -np.mean(np.sum(q * a, axis=1))
    assert float(loss.detach()) == pytest.approx(wanted, abs=pairs.TOLERANCE)
    free = first.detach().clone().requires_grad_()
    (0.5 * -torch.nn.functional.cosine_similarity(predictor(free), second.detach()).mean()).backward()
    torch.testing.assert_close(first.grad, free.grad, atol=1e-6, rtol=1e-5)


def test_without_the_stop_the_targets_get_a_gradient():
    first, second = pairs.projections(6, 4)
    simsiam_loss(nn.Identity(), first, second).backward()
    stopped = first.grad.clone()
    first.grad = None
    simsiam_loss(nn.Identity(), first, second, stop_gradient=False).backward()
    torch.testing.assert_close(first.grad, 2 * stopped)  # without a predictor both ways give the same gradient
