"""Transfer: the course's network to its parameter, frozen parts, turns, rates by depth, and the known features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from phispace.encoders.build import build_encoder
from phispace.errors import InputError
from phispace.methods.base import Batch, Task
from phispace.methods.known import KnownFeatures
from phispace.methods.optimizers import parameter_groups
from phispace.methods.transfer import Transfer, TransferConfig

TEN = tuple("0123456789")


def made(encoder: str = "vgg4", size: int = 28, channels: int = 1, options=None, **config) -> Transfer:
    torch.manual_seed(0)
    built = build_encoder(encoder, channels, size, **(options or {}))
    return Transfer(built, TransferConfig(**config), Task(channels, size, TEN, 64, 4))


def course(**config) -> Transfer:
    preset = dict(Transfer.presets["fashion-to-mnist"]["method"])
    return made(options={"dropout": 0.25}, **{**preset, **config})


def values(module: nn.Module) -> int:
    """What Keras counts: weights, and the running mean and variance of batch normalisation."""
    statistics = (b for n, b in module.named_buffers() if n.endswith(("running_mean", "running_var")))
    return sum(p.numel() for p in module.parameters()) + sum(b.numel() for b in statistics)


def trainable(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def test_the_courses_network_has_its_parameters():
    whole = course()
    assert values(whole) == 1_679_082
    frozen = course(freeze="all")
    assert values(frozen) == 1_679_082
    assert trainable(frozen) == 1_612_298
    assert frozen.frozen.parameters == frozen.frozen.of_parameters == 65_376
    kinds = [type(m).__name__ for m in frozen.head]
    assert kinds == ["Flatten", "Linear", "ReLU", "BatchNorm1d", "Dropout", "Linear"]
    block = [type(m).__name__ for m in frozen.encoder.stages["conv1"]]
    assert block == ["Conv2d", "ReLU", "BatchNorm2d"]
    assert frozen.encoder.width() == 3136


def test_the_head_is_what_was_asked_for():
    plain = made(dropout=0.3)
    assert [type(m).__name__ for m in plain.head] == ["Flatten", "Dropout", "Linear"]
    deep = made(dense=(32, 16), dense_batch_norm=False)
    assert [tuple(m.weight.shape) for m in deep.head if isinstance(m, nn.Linear)] == [(32, 3136), (16, 32), (10, 16)]
    assert not any(isinstance(m, nn.BatchNorm1d) for m in deep.head)
    with pytest.raises(ValueError, match="at least 1"):
        TransferConfig(dense=(0,))


def test_linear_probing_first_then_all():
    method = made("mlp", 8, probe_epochs=2, probe_learning_rate=0.5, epochs=5, learning_rate=0.1)
    assert [(s.name, s.epochs, dict(s.options)) for s in method.stages()] == [
        ("head", 2, {"learning_rate": 0.5}), ("all", 3, {}),
    ]  # fmt: skip
    assert trainable(method.encoder) == 0
    assert not method.encoder.stages["hidden1"].training
    rates = {g["lr"] for g in method.configure_optimizers()["optimizer"].param_groups}
    assert list(rates) == pytest.approx([0.5 * (1 + np.cos(np.pi * 0.5 / 8)) / 2])
    method.enter_stage(1)
    assert trainable(method.encoder) == sum(p.numel() for p in method.encoder.parameters())
    assert method.encoder.stages["hidden1"].training
    assert method.train().encoder.stages["hidden1"].training


def test_stages_join_one_by_one_from_the_last():
    method = made(probe_epochs=1, unfreeze_epochs=2, epochs=12, freeze="conv1")
    names = [s.name for s in method.stages()]
    assert names == ["head", "from conv4", "from conv3", "all"]
    assert [s.epochs for s in method.stages()] == [1, 2, 2, 7]
    for number, expected in enumerate([(), ("conv4",), ("conv3", "conv4"), ("conv2", "conv3", "conv4")]):
        method.enter_stage(number)
        moving = {n.split(".")[1] for n, p in method.encoder.named_parameters() if p.requires_grad}
        assert moving == set(expected)
        method.train()
        assert {n for n in ("conv1", "conv2", "conv3", "conv4") if method.encoder.stages[n][2].training} == set(
            expected
        )
    with pytest.raises(InputError, match=r"take 5 epochs .3 turns., which leaves nothing of 5; at least 6"):
        made(probe_epochs=1, unfreeze_epochs=2, epochs=5, freeze="conv1")


def test_rates_fall_by_depth():
    method = made("timm:test_efficientnet", 32, 3, {"weights": "random", "resolution": 32}, layer_decay=0.5,
                  learning_rate=1.0)  # fmt: skip
    stages = method.encoder.own_stages
    found = {id(p): g["lr"] for g in parameter_groups(method, method.config) for p in g["params"]}
    assert len(found) == len(list(method.parameters()))
    for p in method.head.parameters():
        assert found[id(p)] == 1.0
    assert stages[-1] == "global_pool", "which has no weights"
    depth = len(stages) - 1
    for number, stage in enumerate(stages[:-1]):
        for p in method.encoder.network.get_submodule(stage).parameters():
            assert found[id(p)] == pytest.approx(0.5 ** (depth - number)), stage
    one = made("mlp", 8, learning_rate=0.3)
    assert {g["lr"] for g in parameter_groups(one, one.config)} == {0.3}


def test_what_rests_is_known_and_looked_up():
    method = made("convnet4", 8, options={"width": 4, "dense": 16}, freeze="all", dense=(8,)).train()
    assert method.rests
    assert not made("convnet4", 8, freeze="but-last:4").rests
    assert not made("convnet4", 8, freeze="none", probe_epochs=1).rests
    images = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = method.encoder(images)
    labels, index = torch.arange(20) % 10, torch.arange(20)
    batch = Batch((images,), labels, index)
    computed = method.loss_terms(batch)
    method.known = KnownFeatures(features.numpy())
    looked_up = method.loss_terms(Batch((torch.zeros_like(images),), labels, index))
    assert torch.equal(computed["loss"], looked_up["loss"])
    assert torch.equal(method.eval().predict_from(features), method.predict(images))
    assert not any("known" in name for name in method.state_dict())


def test_the_loss_is_the_cross_entropy_of_the_head():
    method = made("mlp", 8, dense=(8,), label_smoothing=0.1).eval()
    images = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(16) % 10
    labels[3] = -1
    loss = method.loss_terms(Batch((images,), labels, torch.arange(16)))["loss"].detach()
    logits = method.head(method.encoder(images)).double().detach()
    log = logits - logits.exp().sum(1, keepdim=True).log()
    target = 0.9 * F.one_hot(labels.clamp_min(0), 10) + 0.01
    expected = -(target * log).sum(1)[labels >= 0].mean()
    assert abs(float(loss - expected)) < 1e-5


def test_features_of_other_digits_beat_random_ones(digit_features):
    """Frozen layers trained on digits 0 to 4 tell 5 to 9 apart better than frozen random layers: 5 points or more."""
    trained, random = digit_features
    assert trained > random + 0.05


@pytest.fixture(scope="module")
def digit_features() -> tuple[float, float]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    images = torch.from_numpy(x.reshape(-1, 1, 8, 8)).float() / 16
    labels = torch.from_numpy(y)

    def fit(method: Transfer, chosen: torch.Tensor, steps: int) -> None:
        optimizer = method.configure_optimizers()["optimizer"]
        for step in range(steps):
            rows = chosen[torch.randperm(len(chosen), generator=torch.Generator().manual_seed(step))[:128]]
            loss = method.train().loss_terms(Batch((images[rows],), labels[rows] % 5, rows))["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def network(freeze: str) -> Transfer:
        torch.manual_seed(0)
        encoder = build_encoder("mlp", 1, 8, hidden=(32, 8))
        task = Task(1, 8, tuple("abcde"), 300, 1)
        return Transfer(encoder, TransferConfig(freeze=freeze, learning_rate=0.01, schedule="constant"), task)

    source, target = torch.where(labels < 5)[0], torch.where(labels >= 5)[0]
    first = network("none")
    fit(first, source, 150)
    found = []
    for start in (first.encoder.state_dict(), None):
        second = network("all")
        if start is not None:
            second.encoder.load_state_dict(start)
        fit(second, target[:100], 100)
        with torch.no_grad():
            right = second.eval().predict(images[target[200:]]).argmax(1) == labels[target[200:]] % 5
        found.append(float(right.float().mean()))
    return found[0], found[1]
