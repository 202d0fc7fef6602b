"""The masked autoencoder: masks, targets, loss, the masked encoder, reconstructions, what is learnt on digits."""

from __future__ import annotations

import learning
import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from phispace.encoders.vit import ViT
from phispace.errors import InputError
from phispace.methods.mae import MAE, draw_order, from_patches, masked_loss, standardise, to_patches

VIT = {"name": "vit", "patch": 2, "width": 48, "depth": 2, "heads": 3}
OPTIONS = {"views": "none", "decoder_width": 48, "decoder_depth": 1}


def make(**options: object) -> MAE:
    return learning.make("mae", VIT, **{**OPTIONS, **options})


def images(count: int) -> torch.Tensor:
    return learning.digits()[0][:count]


def test_patches_are_the_pixels_of_their_place_and_go_back():
    x = torch.rand(3, 2, 12, 12)
    patches = to_patches(x, 4)
    assert patches.shape == (3, 9, 32)
    for number in range(9):
        row, column = divmod(number, 3)
        block = x[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        torch.testing.assert_close(patches[:, number].view(3, 4, 4, 2), block.permute(0, 2, 3, 1))
    assert torch.equal(from_patches(patches, 2), x)


def test_orders_are_uniform_permutations_another_for_each_image():
    order = draw_order(4000, 4, torch.Generator().manual_seed(0))
    assert torch.equal(order.sort(1).values, torch.arange(4).expand(4000, 4))
    kinds = order @ torch.tensor([64, 16, 4, 1])
    counts = np.unique(kinds.numpy(), return_counts=True)[1]
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_loss_is_its_formula_in_float64():
    rng = torch.Generator().manual_seed(0)
    predicted, x = torch.randn(5, 9, 32, generator=rng), torch.rand(5, 2, 12, 12, generator=rng)
    hidden = draw_order(5, 9, rng)[:, 3:]
    targets = standardise(to_patches(x, 4))[0]
    total = 0.0
    for i in range(5):
        for p in hidden[i].tolist():
            row, column = divmod(p, 3)
            block = x[i, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].double().numpy()
            block = (block - block.mean()) / np.sqrt(block.var(ddof=1) + 1e-6)
            told = predicted[i, p].double().numpy().reshape(4, 4, 2).transpose(2, 0, 1)
            total += ((told - block) ** 2).mean()
    assert float(masked_loss(predicted, targets, hidden)) == pytest.approx(total / 5 / 6, rel=1e-5)


@pytest.mark.parametrize("normalise", [True, False])
def test_the_methods_loss_is_of_the_hidden_patches_alone(normalise):
    method = make(normalise=normalise)
    batch = learning.batch_of(images(6))
    order = draw_order(6, 16, method._rng(batch))
    assert method.visible == 4
    with torch.no_grad():
        loss = float(method.loss_terms(batch)["loss"])
        told, wanted = method.predict_patches(images(6), order), method.targets(images(6))
    errors = (told - wanted).double().square().mean(-1).gather(1, order[:, 4:])
    assert loss == pytest.approx(float(errors.mean()), rel=1e-5)


def test_hidden_patches_are_not_seen():
    """Other pixels in hidden patches change nothing of what is told; other pixels in visible ones do."""
    method = make()
    x = images(4)
    order = draw_order(4, 16, torch.Generator().manual_seed(0))
    patches = to_patches(x, 2)
    for places, same in ((order[:, 4:], True), (order[:, :4], False)):
        spoilt = patches.scatter(1, places[..., None].expand(-1, -1, 4), torch.rand(4, places.shape[1], 4))
        with torch.no_grad():
            told = [method.predict_patches(y, order) for y in (x, from_patches(spoilt, 1))]
        assert torch.equal(*told) is same


def test_the_encoder_on_all_tokens_is_the_encoder():
    """In any order of the patches, for their places go with them; nothing is hidden at extraction."""
    method = make()
    x = images(3)
    with torch.no_grad():
        tokens = method.encoder.tokens(x)
        shuffled = torch.cat([tokens[:, :1], tokens[:, 1:][:, torch.randperm(16)]], dim=1)
        for each in (tokens, shuffled):
            pooled = method.encoder.encode(each)[:, 1:].mean(1)
            torch.testing.assert_close(pooled, method.encoder(x), rtol=1e-4, atol=1e-5)


def test_masks_follow_the_seed_and_the_step_and_validation_draws_the_same(monkeypatch):
    method = make()
    batch, other = learning.batch_of(images(8)), learning.batch_of(images(8), first=8)
    step = [0]
    monkeypatch.setattr(MAE, "global_step", property(lambda _: step[0]))
    seen: dict[tuple[bool, int], list[torch.Tensor]] = {}
    for training in (True, False):
        method.train(training)
        for place in (0, 1, 0):
            step[0] = place
            seen.setdefault((training, place), []).append(draw_order(8, 16, method._rng(batch)))
    assert torch.equal(*seen[True, 0])
    assert not torch.equal(seen[True, 0][0], seen[True, 1][0])
    assert torch.equal(seen[False, 0][0], seen[False, 1][0])
    assert not torch.equal(seen[False, 0][0], draw_order(8, 16, method._rng(other)))
    assert not torch.equal(seen[True, 0][0][0], seen[True, 0][0][1]), "each image has a mask of its own"


def test_reconstructions_keep_what_was_seen_and_repeat():
    method = make()
    x = images(5)
    with torch.no_grad():
        back, shown = method.reconstruct(x), method.shown(x)
        assert torch.equal(back, method.reconstruct(x))
    hidden = (to_patches(shown, 2) == 0.5).all(-1)
    assert hidden.sum(1).tolist() == [12] * 5
    torch.testing.assert_close(to_patches(back, 2)[~hidden], to_patches(x, 2)[~hidden])
    assert not torch.allclose(back, x)
    assert float(back.min()) >= 0
    assert float(back.max()) <= 1


def test_what_it_cannot_do_is_said():
    with pytest.raises(InputError, match="--encoder vit"):
        learning.make("mae", {"name": "mlp"})
    with pytest.raises(InputError, match=r"nothing would train what encoder\.code adds"):
        learning.make("mae", {**VIT, "code": 8})
    with pytest.raises(InputError, match="single patch"):
        learning.make("mae", {"name": "vit", "patch": 8, "depth": 1})
    with pytest.raises(InputError, match="do not fill images of 8"):
        learning.make("mae", {"name": "vit", "patch": 3})
    for wrong in ({"width": 50}, {"heads": 5}):
        with pytest.raises(InputError):
            learning.make("mae", {**VIT, **wrong})


def test_the_features_are_of_patches_or_of_the_class_token():
    torch.manual_seed(0)
    mean = ViT(1, 8, patch=2, width=48, depth=1).eval()
    torch.manual_seed(0)
    cls = ViT(1, 8, patch=2, width=48, depth=1, pool="cls").eval()
    with torch.no_grad():
        encoded = mean.encode(mean.tokens(images(3)))
        torch.testing.assert_close(mean(images(3)), encoded[:, 1:].mean(1))
        torch.testing.assert_close(cls(images(3)), encoded[:, 0])
    assert mean.shapes() == {"patches": (48, 4, 4), "block1": (48, 4, 4), "features": (48,)}


@torch.no_grad()
def probe(method: MAE) -> float:
    """Accuracy of a linear probe from 10 labels a class, on the digits that were not trained on."""
    labels = learning.digits()[1]
    codes = method.encoder(learning.digits()[0]).numpy()
    few = np.concatenate([np.flatnonzero(labels[: learning.TRAIN] == k)[:10] for k in range(10)])
    fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(codes[few], labels[few])
    return float(fitted.score(codes[learning.TRAIN :], labels[learning.TRAIN :]))


@pytest.mark.slow
def test_digits_are_told_better_than_by_their_mean_and_the_features_gain():
    """Hidden patches with less error than the mean digit has there; 10 points of linear probe over untrained."""
    method = make(normalise=False, epochs=60, learning_rate=2e-3, weight_decay=0.0)
    untrained = probe(method)
    learning.learn(method)
    x = learning.digits()[0][learning.TRAIN :]
    order = draw_order(len(x), 16, torch.Generator().manual_seed(1))
    hidden = order[:, method.visible :]
    mean = learning.digits()[0][: learning.TRAIN].mean(0, keepdim=True).expand_as(x)
    with torch.no_grad():
        own = float(masked_loss(method.predict_patches(x, order), to_patches(x, 2), hidden))
    assert own < float(masked_loss(to_patches(mean, 2), to_patches(x, 2), hidden))
    assert probe(method) > untrained + 0.1
