"""A supervised network in a loop of plain PyTorch, without any trainer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from phispace.data.views import make_view
from phispace.encoders.build import build_encoder
from phispace.methods.base import Batch, Task
from phispace.methods.supervised import Supervised


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    x = torch.from_numpy((images.reshape(-1, 1, 8, 8) * 15.9375).astype(np.uint8))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return x[order], torch.from_numpy(labels)[order]


def test_convnet4_on_digits_beats_its_untrained_self(digits):
    x, y = digits
    train, test = slice(0, 1200), slice(1200, None)
    torch.manual_seed(0)
    encoder = build_encoder("convnet4", 1, 8)
    encoder.initialise(x[train].permute(0, 2, 3, 1).numpy(), torch.Generator())
    task = Task(1, 8, tuple("0123456789"), 1200, 12)
    method = Supervised(encoder, Supervised.Config(epochs=8, batch_size=100, schedule="cosine"), task)

    def knn() -> float:
        encoder.eval()
        plain = make_view("none", 8)
        with torch.no_grad():
            h = encoder(plain(x, torch.Generator())).numpy()
        h /= np.linalg.norm(h, axis=1, keepdims=True)
        return KNeighborsClassifier(20).fit(h[train], y[train]).score(h[test], y[test])

    before = knn()
    view = make_view("shift-rotate", 8)
    rng = torch.Generator().manual_seed(1)
    made = method.configure_optimizers()
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    method.train()
    for _ in range(8):
        for index in torch.randperm(1200, generator=rng).split(100):
            terms = method.loss_terms(Batch((view(x[index], rng),), y[index], index))
            optimizer.zero_grad()
            terms["loss"].backward()
            optimizer.step()
            schedule.step()
    after = knn()
    method.eval()
    with torch.no_grad():
        predicted = method.predict(make_view("none", 8)(x[test], rng)).argmax(1)
    assert after >= before + 0.02
    assert (predicted == y[test]).float().mean() > 0.95
