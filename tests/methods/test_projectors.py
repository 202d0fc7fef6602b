"""Projectors and predictors beside lightly's published ones, layer by layer."""

from __future__ import annotations

import pytest
import torch
from lightly.models.modules import heads as published
from torch import nn

from phispace.errors import InputError
from phispace.methods.heads import Prototypes, perceptron

CASES = {
    "simclr": (lambda: perceptron(12, 12, 8, last="norm"), lambda: published.SimCLRProjectionHead(12, 12, 8)),
    "moco": (lambda: perceptron(12, 16, 8, norm=False), lambda: published.MoCoProjectionHead(12, 16, 8)),
    "byol": (lambda: perceptron(12, 16, 8), lambda: published.BYOLProjectionHead(12, 16, 8)),
    "byol predictor": (lambda: perceptron(8, 16, 8), lambda: published.BYOLPredictionHead(8, 16, 8)),
    "simsiam": (
        lambda: perceptron(12, 16, 8, layers=3, last="standardise"),
        lambda: published.SimSiamProjectionHead(12, 16, 8),
    ),
    "simsiam predictor": (lambda: perceptron(8, 4, 8), lambda: published.SimSiamPredictionHead(8, 4, 8)),
    "barlow twins": (
        lambda: perceptron(12, 16, 8, layers=3),
        lambda: published.BarlowTwinsProjectionHead(12, 16, 8),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_layers_are_the_published_ones(case):
    torch.manual_seed(0)
    ours, theirs = (build() for build in CASES[case])
    assert sum(p.numel() for p in ours.parameters() if p.requires_grad) == sum(p.numel() for p in theirs.parameters())
    state = theirs.state_dict()
    missing, unexpected = ours.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(ours.state_dict()[name].unique().numel() == 1 for name in missing), "only a fixed scale and shift"
    x = torch.randn(32, 12 if "predictor" not in case else 8)
    for mode in (False, True):  # in this order: the running statistics begin otherwise (see encoders.norm)
        torch.testing.assert_close(ours.train(mode)(x), theirs.train(mode)(x), atol=1e-6, rtol=1e-5)


def test_a_batch_of_one_image_is_taken():
    head = perceptron(12, 16, 8, layers=3, last="standardise").train()
    head(torch.randn(8, 12))
    assert head(torch.randn(1, 12)).isfinite().all()


def test_a_head_without_layers_is_refused():
    with pytest.raises(InputError, match="at least 1 layer"):
        perceptron(4, 4, 4, layers=0)
    assert [type(m) for m in perceptron(4, 9, 2, layers=1).layers] == [nn.Linear]


def test_prototypes_give_cosines_whatever_the_lengths():
    torch.manual_seed(0)
    layer, z = Prototypes(6, 5), torch.randn(7, 6)
    found = layer(z).detach()
    for i in range(7):
        for k in range(5):
            w = layer.weight[k].detach()
            assert float(found[i, k]) == pytest.approx(float(z[i] @ w / (z[i].norm() * w.norm())), abs=1e-6)
    layer.weight.data *= 3.7
    torch.testing.assert_close(layer(2.5 * z).detach(), found)
