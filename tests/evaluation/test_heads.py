"""Probes with hidden layers: their published shapes, how they are trained, what they choose on val."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from poor_stores import ODD, changed
from torch import nn

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation import head as module
from phispace.evaluation.evaluate import make_evaluation
from phispace.evaluation.head import Head, Recipe, fit_head, precision_for
from phispace.evaluation.pooled import pooled
from phispace.evaluation.protocol import Part, Parts
from phispace.evaluation.selection import merit

HEADS = ["mlp", "dense-1", "dense-2", "dense-3", "conv-block"]


def parts(shape: tuple[int, ...], classes: int = 10) -> Parts:
    """Parts of the right shape with nothing in them."""
    x = np.zeros((2, math.prod(shape)), np.float32)
    part = Part(x, np.arange(2), np.array(["a", "b"]))
    return Parts(part, part, part, tuple(map(str, range(classes))), feature_shape=shape)


def made(name: str, shape: tuple[int, ...], classes: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return make_evaluation(name).network(parts(shape, classes), classes)()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "modules", "parameters"),
    [
        # By hand, for conv2 of the papers' network, 192 x 8 x 8, and ten classes.
        ("mlp", ["Linear", "BatchNorm1d", "Dropout", "ReLU", "Linear"], 12288 * 200 + 200 + 400 + 2010),
        ("dense-1", ["BatchNorm1d", "Linear"], 12288 * 10 + 10),
        ("dense-2", ["Linear", "BatchNorm1d", "ReLU", "Linear"], 12288 * 200 + 400 + 2010),
        (
            "dense-3",
            ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d", "ReLU", "Linear"],
            12288 * 200 + 400 + 200 * 200 + 400 + 2010,
        ),
        (
            "conv-block",
            ["Unflatten", *["Conv2d", "BatchNorm2d", "ReLU"] * 3, "AdaptiveAvgPool2d", "Flatten", "Linear"],
            (9 + 1 + 1) * 192 * 192 + 6 * 192 + 1930,
        ),
    ],
)
def test_published_shapes(name: str, modules: list[str], parameters: int) -> None:
    network = made(name, (192, 8, 8))
    assert [type(m).__name__ for m in network.children()] == modules
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert network.eval()(torch.zeros(3, 12288)).shape == (3, 10)


def test_published_details() -> None:
    mlp, dense, conv = (made(name, (192, 8, 8)) for name in ("mlp", "dense-3", "conv-block"))
    assert next(m.p for m in mlp.modules() if isinstance(m, nn.Dropout)) == 0.1
    assert [m.bias is None for m in dense.modules() if isinstance(m, nn.Linear)] == [True, True, False]
    assert [m.kernel_size for m in conv.modules() if isinstance(m, nn.Conv2d)] == [(3, 3), (1, 1), (1, 1)]
    # N(0, 2 / outputs), of a convolution 2 / (outputs x 3 x 3).
    assert dense[0].weight.std().item() == pytest.approx(math.sqrt(2 / 200), rel=0.01)
    assert conv[1].weight.std().item() == pytest.approx(math.sqrt(2 / (192 * 9)), rel=0.01)
    assert sum(p.numel() for p in made("dense-2", (50,), 200).parameters()) == 50 * 2048 + 2 * 2048 + 2048 * 200 + 200
    recipes = {name: make_evaluation(name).recipes()["published"] for name in HEADS}  # type: ignore[attr-defined]
    assert (recipes["mlp"].optimizer, recipes["mlp"].batch_size, recipes["mlp"].epochs) == ("adam", 64, 150)
    assert (recipes["dense-2"].optimizer, recipes["dense-2"].batch_size, recipes["dense-2"].epochs) == ("sgd", 128, 200)


def test_width_optimiser_and_rate_of_a_head_can_be_chosen() -> None:
    """The classifier that a study put on AET's features: 256 units, SGD or Adam at 0.01."""
    options = {"hidden": 256, "optimizer": "adam", "learning_rate": 0.01, "epochs": 2}
    network = make_evaluation("dense-2", options).network(parts((50,)), 10)()  # type: ignore[attr-defined]
    assert [m.out_features for m in network if isinstance(m, nn.Linear)] == [256, 10]
    deeper = make_evaluation("dense-3", {"hidden": 7}).network(parts((50,)), 10)()  # type: ignore[attr-defined]
    assert [m.out_features for m in deeper if isinstance(m, nn.Linear)] == [7, 7, 10]
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    store = store_of((rng.normal(size=(300, 4)) + 2 * y[:, None]).astype(np.float32), y)
    found = make_evaluation("dense-2", options).run(store)
    chosen = found.details["chosen"]
    assert (chosen["optimizer"], chosen["learning_rate"]) == ("adam", 0.01)
    assert make_evaluation("dense-2", {"epochs": 2}).run(store).details["chosen"]["optimizer"] == "sgd"
    slow = make_evaluation("dense-2", options | {"learning_rate": 1e-9}).run(store)
    assert found.details["curve"][-1]["train_loss"] < 0.8 * slow.details["curve"][-1]["train_loss"]
    with pytest.raises(InputError, match="hidden"):
        make_evaluation("dense-1", {"hidden": 256})


def rates(recipe: Recipe, epochs: list[int]) -> list[float]:
    return [recipe.rate(epoch / recipe.epochs) for epoch in epochs]


def test_published_schedules() -> None:
    recipes = {name: make_evaluation(name).recipes()["published"] for name in HEADS}  # type: ignore[attr-defined]
    assert rates(recipes["mlp"], [0, 49, 50, 99, 100, 149]) == pytest.approx([1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6])
    assert rates(recipes["dense-2"], [0, 99, 100, 149, 150]) == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])
    expected = [0.1, 0.1, 0.02, 0.02, 0.004, 0.004, 0.0008]
    assert rates(recipes["conv-block"], [0, 34, 35, 69, 70, 84, 85]) == pytest.approx(expected)
    assert rates(make_evaluation("mlp").recipes()["quick"], [0, 10]) == pytest.approx([1e-3, 5e-4])  # type: ignore[attr-defined]


def spirals(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two arms wound into each other: no line separates them."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    turn = rng.uniform(0.5, 3, n)
    angle = turn * 2 + np.pi * y
    x = turn[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.05 * rng.normal(size=(n, 2))
    return x.astype(np.float32), y


def store_of(x: np.ndarray, y: np.ndarray, **manifest: object) -> Embeddings:
    splits = np.array(["train", "train", "train", "val", "test"])[np.arange(len(x)) % 5]
    return Embeddings.build(x, [f"{i:05d}" for i in range(len(x))], y, splits, **manifest)


def test_a_hidden_layer_separates_what_a_line_does_not() -> None:
    rng = np.random.default_rng(0)
    side = rng.integers(0, 2, (1000, 2))
    x = (2.0 * side - 1 + 0.3 * rng.normal(size=(1000, 2))).astype(np.float32)
    store = store_of(x, side[:, 0] ^ side[:, 1])
    accuracy = {n: make_evaluation(n, {"epochs": 40}).run(store).metrics["accuracy"] for n in ("mlp", "dense-3")}
    accuracy |= {n: make_evaluation(n).run(store).metrics["accuracy"] for n in ("linear", "dense-1")}
    assert max(accuracy["linear"], accuracy["dense-1"]) < 0.8, "three of the four groups at the most"
    assert min(accuracy["mlp"], accuracy["dense-3"]) > 0.95


def test_the_block_sees_places() -> None:
    """The class is a pattern of two channels side by side, wherever it lies: hard for a line, easy for a filter."""
    rng = np.random.default_rng(0)
    n = 1000
    y = rng.integers(0, 2, n)
    maps = 0.1 * rng.normal(size=(n, 3, 5, 5))
    row, column = rng.integers(0, 5, n), rng.integers(0, 4, n)
    maps[np.arange(n), np.where(y, 0, 1), row, column] += 1
    maps[np.arange(n), np.where(y, 1, 0), row, column + 1] += 1
    store = store_of(maps.reshape(n, -1), y, feature_shape=[3, 5, 5])
    assert make_evaluation("conv-block", {"epochs": 4}).run(store).metrics["accuracy"] > 0.95
    assert make_evaluation("linear").run(store).metrics["accuracy"] < 0.9


def test_large_maps_are_averaged() -> None:
    maps = np.random.default_rng(0).normal(size=(5, 2, 16, 32)).astype(np.float32)
    small = pooled(maps.reshape(5, -1), (2, 16, 32), 8).reshape(5, 2, 8, 8)
    np.testing.assert_allclose(small, maps.reshape(5, 2, 8, 2, 8, 4).mean((3, 5)), atol=1e-6)
    flat = maps[:, :, :8, :7].reshape(5, -1)
    assert pooled(flat, (2, 8, 7), 8) is flat


@pytest.mark.parametrize("shape", [None, [64], [64, 1, 1], [3, 4, 4], "64"])
def test_without_a_map_there_is_no_block(shape: object, digits: Embeddings) -> None:
    store = changed(digits)
    store.manifest["feature_shape"] = shape
    scores = make_evaluation("conv-block").run(store)
    assert all(math.isnan(scores.metrics[m]) for m in ("accuracy", "balanced_accuracy", "ece", "nll"))
    assert "needs feature maps" in scores.caveats[0]
    assert math.isfinite(scores.metrics["majority"])
    with pytest.raises(InputError, match="embed a convolutional layer"):
        make_evaluation("conv-block").predict(store)


def fitted(epochs: int = 12, **options: object) -> tuple[Head, np.ndarray, np.ndarray]:
    x, y = spirals(400, 1)
    val, truth = spirals(200, 2)

    def on_val(log_p: np.ndarray) -> dict[str, float]:
        loss = -log_p[np.arange(200), truth].mean()
        return {"val_accuracy": float((log_p.argmax(1) == truth).mean()), "val_loss": float(loss)}

    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 32), nn.BatchNorm1d(32), nn.Dropout(0.1), nn.ReLU(), nn.Linear(32, 2))

    recipe = Recipe("sgd", 1.0, epochs, 64, drops=())
    head = fit_head(make, x, y, recipe, 3, val=val, on_val=on_val, **options)  # type: ignore[arg-type]
    return head, val, truth


def test_the_epoch_that_is_best_on_val_counts() -> None:
    head, val, truth = fitted()
    assert [row["epoch"] for row in head.curve] == list(range(1, 13))
    best = max(range(12), key=lambda i: merit(head.curve[i]))
    assert head.epoch == best + 1 < 12, "a case in which the last epoch is not the best"
    assert (head.log_probability(val).argmax(1) == truth).mean() == head.curve[best]["val_accuracy"]
    np.testing.assert_allclose(np.exp(head.log_probability(val)).sum(1), 1, rtol=1e-5)


def test_the_same_draws_again_and_no_trace_elsewhere() -> None:
    state, flushed = torch.random.get_rng_state(), module.without_denormals
    (a, val, _), (b, _, _) = fitted(), fitted()
    np.testing.assert_array_equal(a.log_probability(val), b.log_probability(val))
    assert a.curve == b.curve
    assert torch.equal(torch.random.get_rng_state(), state)
    assert flushed is module.without_denormals
    assert float(torch.tensor(1e-40) * 0.5) > 0, "denormals are as they were"


@pytest.mark.parametrize(("name", "size"), [("adam", 64), ("sgd", 64)])
def test_a_step_is_torchs(name: str, size: int) -> None:
    """Against the loop that a reader would write: same draws, torch's plain optimisers, one epoch."""
    x, y = spirals(512, 4)
    recipe = Recipe(name, 0.05, 1, size, drops=(), weight_decay=1e-3, betas=(0.5, 0.999))  # type: ignore[arg-type]
    head = fit_head(lambda: nn.Linear(2, 2), x, y, recipe, 0)
    torch.manual_seed(module.key(0, "weights of a head") & 0x7FFF_FFFF_FFFF_FFFF)
    plain = nn.Linear(2, 2)
    optimizer: torch.optim.Optimizer = (
        torch.optim.Adam(plain.parameters(), 0.05, (0.5, 0.999), weight_decay=1e-3)
        if name == "adam"
        else torch.optim.SGD(plain.parameters(), 0.05, 0.9, weight_decay=1e-3, nesterov=True)
    )
    order = torch.randperm(512, generator=module.torch_rng(0, "order of a head"))
    for batch in order.split(size):
        optimizer.zero_grad()
        nn.functional.cross_entropy(plain(torch.from_numpy(x)[batch]), torch.from_numpy(y)[batch]).backward()
        optimizer.step()
    assert head.epoch == 1
    torch.testing.assert_close(head.network.weight.detach(), plain.weight.detach(), atol=1e-6, rtol=1e-5)


def test_few_items_still_make_steps() -> None:
    quick, exact = Recipe("sgd", 0.1, 2, 256, least_steps=100), Recipe("sgd", 0.1, 2, 256)
    assert exact.for_items(200) is exact
    found = {n: (quick.for_items(n).batch_size, quick.for_items(n).epochs) for n in (9, 200, 5000, 100_000)}
    assert found == {9: (16, 100), 200: (25, 13), 5000: (256, 5), 100_000: (256, 2)}
    x, y = spirals(200, 5)
    assert len(fit_head(lambda: nn.Linear(2, 2), x, y, quick, 0).curve) == 13


def test_bf16_is_for_large_batches_on_processors_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.zeros((1, 192 * 64), np.float32)
    block = made("conv-block", (192, 8, 8))
    assert module._multiply_adds(block, torch.from_numpy(x)) == 64 * 11 * 192 * 192 + 1920
    monkeypatch.setattr(module, "cpu_flags", lambda: frozenset({"amx_bf16"}))
    assert precision_for(block, x, 128) == "bf16"
    assert precision_for(block, x, 128, "float32") == "float32"
    assert precision_for(made("mlp", (512,)), x[:, :512], 256) == "float32"
    monkeypatch.setattr(module, "cpu_flags", frozenset)
    assert precision_for(block, x, 128) == "float32"


def test_bf16_learns_the_same() -> None:
    (exact, val, truth), (coarse, _, _) = fitted(), fitted(precision="bf16")
    accuracy = [(head.log_probability(val).argmax(1) == truth).mean() for head in (exact, coarse)]
    assert coarse.precision == "bf16"
    assert accuracy[0] == pytest.approx(accuracy[1], abs=0.08)


def test_what_the_scores_tell(digits: Embeddings) -> None:
    scores = make_evaluation("mlp", {"epochs": 3, "weight_decay": (0.0, 30.0)}).run(digits)
    curve, chosen = scores.details["curve"], scores.details["chosen"]
    assert [(row["weight_decay"], row["epoch"]) for row in curve] == [(w, e) for w in (0.0, 30.0) for e in (1, 2, 3)]
    assert chosen["weight_decay"] == 0.0, "so large a decay learns nothing"
    best = next(r for r in curve if (r["weight_decay"], r["epoch"]) == (0.0, chosen["epoch"]))
    assert merit(best) == max(merit(row) for row in curve)
    assert scores.details["parameters"] == 64 * 200 + 200 + 400 + 2010
    assert any("still gaining at the last of 3 epochs" in c for c in scores.caveats) == (chosen["epoch"] == 3)
    alone = make_evaluation("mlp", {"epochs": 2}).run(ODD["one per class"](digits))
    assert any("no val item to choose the epoch on" in c for c in alone.caveats)
    assert alone.details["chosen"]["epoch"] == 2


@pytest.mark.parametrize("name", HEADS)
def test_labels_of_val_choose_but_do_not_train(name: str, digits: Embeddings) -> None:
    other = changed(digits, labels=np.where(digits.splits == "val", (digits.labels + 1) % 10, digits.labels))
    a, b = (make_evaluation(name, {"epochs": 1}).run(store) for store in (digits, other))
    assert a.metrics == b.metrics
    row, other_row = a.details["curve"][0], b.details["curve"][0]
    assert row["train_loss"] == other_row["train_loss"]
    assert row["val_loss"] != other_row["val_loss"]
