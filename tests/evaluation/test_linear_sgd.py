"""The linear probe by SGD, against torch's own layers and optimiser."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from poor_stores import ODD, changed
from torch import nn

from phispace.embeddings.store import Embeddings
from phispace.evaluation.evaluate import make_evaluation
from phispace.evaluation.sgd import even_batches, fit_linear, rate_at
from phispace.randomness import torch_rng


def problem(n: int = 300, d: int = 12, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, n)
    x = rng.normal(size=(classes, d))[y] + rng.normal(size=(n, d))
    return (x * rng.uniform(0.1, 10, d) + 3).astype(np.float32), y


def by_torch(
    x: np.ndarray, y: np.ndarray, classes: int, rate: float, seed: int, epochs: int, size: int, decay: float, shape: str
) -> nn.Module:
    """nn.BatchNorm1d without affine, nn.Linear, torch.optim.SGD and cross-entropy, with the same draws."""
    z = torch.from_numpy((x - x.mean(0, dtype=np.float64)) / x.std(0, dtype=np.float64)).float()
    generator = torch_rng(seed, "linear head")
    model = nn.Sequential(nn.BatchNorm1d(x.shape[1], affine=False), nn.Linear(x.shape[1], classes))
    with torch.no_grad():
        model[1].weight.copy_(0.01 * torch.randn(x.shape[1], classes, generator=generator).T)
        model[1].bias.zero_()
    groups = [{"params": [model[1].weight], "weight_decay": decay}, {"params": [model[1].bias]}]
    optimizer = torch.optim.SGD(groups, lr=rate, momentum=0.9)
    steps, step = epochs * math.ceil(len(x) / size), 0
    for _ in range(epochs):
        for batch in even_batches(len(x), size, generator):
            for group in optimizer.param_groups:
                group["lr"] = rate * len(batch) / 256 * rate_at(step / steps, shape)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(z[batch]), torch.from_numpy(y)[batch]).backward()
            optimizer.step()
            step += 1
    return model.eval()


@pytest.mark.parametrize(("decay", "schedule"), [(0.0, "cosine"), (0.01, "step")])
def test_torch(decay: float, schedule: str) -> None:
    x, y = problem()
    rates = [0.01, 0.3, 2.0]
    heads = fit_linear(x, y, 4, rates, 5, epochs=7, batch_size=64, weight_decay=decay, schedule=schedule)
    z = torch.from_numpy((x - x.mean(0, dtype=np.float64)) / x.std(0, dtype=np.float64)).float()
    found = heads.log_probability(x)
    assert found.shape == (300, 3, 4)
    for i, rate in enumerate(rates):
        logits = by_torch(x, y, 4, rate, 5, 7, 64, decay, schedule)(z)
        np.testing.assert_allclose(found[:, i], torch.log_softmax(logits, 1).detach().numpy(), atol=2e-4)


def test_rates_do_not_touch_each_other() -> None:
    x, y = problem()
    together = fit_linear(x, y, 4, [0.01, 10.0], 1, epochs=3).log_probability(x)
    alone = fit_linear(x, y, 4, [10.0], 1, epochs=3).log_probability(x)
    np.testing.assert_allclose(together[:, 1], alone[:, 0], atol=1e-4)


def test_batches_leave_nobody_out_and_nobody_alone() -> None:
    for n, size in [(257, 256), (17, 16), (5, 4), (2, 256), (1000, 128)]:
        batches = even_batches(n, size, torch.Generator())
        assert torch.cat(list(batches)).sort().values.tolist() == list(range(n))
        assert 2 <= min(map(len, batches)) <= max(map(len, batches)) <= size


def test_schedules() -> None:
    assert [rate_at(p, "step") for p in (0, 0.59, 0.6, 0.79, 0.8, 0.99)] == [1, 1, 0.1, 0.1, 0.01, 0.01]
    assert [rate_at(p, "cosine") for p in (0, 0.5)] == pytest.approx([1, 0.5])
    assert rate_at(0.999, "cosine") < 1e-4


def test_it_agrees_with_the_optimum(digits: Embeddings) -> None:
    sgd, optimum = (make_evaluation(name).run(digits) for name in ("linear-sgd", "linear"))
    assert sgd.metrics["accuracy"] == pytest.approx(optimum.metrics["accuracy"], abs=0.04)
    assert sgd.metrics["nll"] == pytest.approx(optimum.metrics["nll"], abs=0.1)


def test_the_rate_is_chosen_on_val(digits: Embeddings) -> None:
    scores = make_evaluation("linear-sgd", {"epochs": 10}).run(digits)
    curve = scores.details["curve"]
    chosen = next(row for row in curve if row["learning_rate"] == scores.details["chosen"]["learning_rate"])
    assert (chosen["val_accuracy"], -chosen["val_loss"]) == max((r["val_accuracy"], -r["val_loss"]) for r in curve)
    # Other labels on val move the choice, not the heads.
    one = {"learning_rates": (0.1,), "epochs": 5}
    other = changed(digits, labels=np.where(digits.splits == "val", (digits.labels + 1) % 10, digits.labels))
    same, moved = (make_evaluation("linear-sgd", one).run(store).metrics for store in (digits, other))
    assert same == moved
    far = make_evaluation("linear-sgd", {"learning_rates": (1e-6, 1e-7), "epochs": 2}).run(digits)
    assert any("edge of those" in c for c in far.caveats)
    none = make_evaluation("linear-sgd", {"epochs": 2}).run(ODD["one per class"](digits))
    assert any("no val item to choose the rate on" in c for c in none.caveats)
