"""Greedy layer-wise autoencoders: each stage's loss against its formula, what a stage sees and leaves alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.build import build_encoder
from phispace.errors import InputError
from phispace.methods.base import Batch, Task
from phispace.methods.greedy_layerwise import GreedyLayerwise
from phispace.methods.layers import LayerDecoder, layer_stages

TASK = Task(1, 12, ("a", "b", "c"), 40, 4)


def made(encoder: str = "mlp", options: dict | None = None, **config: object) -> GreedyLayerwise:
    torch.manual_seed(0)
    if options is None:
        options = {"hidden": (20, 10), "batch_norm": False} if encoder == "mlp" else {"width": 4, "dense": 16}
    return GreedyLayerwise(
        build_encoder(encoder, TASK.channels, TASK.size, **options),
        GreedyLayerwise.Config(**{"epochs": 20, "layer_epochs": 2, "noise_level": 0.0, **config}),
        TASK,
    )


def batch(items: int = 8, labels: tuple[int, ...] = (0, 1, 2, -1)) -> Batch:
    images = torch.rand(items, 1, 12, 12, generator=torch.Generator().manual_seed(1))
    return Batch((images,), torch.tensor([labels[i % len(labels)] for i in range(items)]), torch.arange(items))


def test_the_first_layers_loss_is_its_formula() -> None:
    for loss in ("mse", "bce"):
        method, data = made(loss=loss), batch()
        x = data.views[0].double()
        flat = ((x - 0.5) / 0.25).flatten(1)  # the normalisation before anything was measured
        dense, back = method.encoder.stages["fc1"][1], method.decoders[0].back
        code = (flat @ dense.weight.double().T + dense.bias).relu()
        output = (code @ back.weight.double().T + back.bias).sigmoid()
        target = x.flatten(1)
        squared = ((target - output) ** 2).mean()
        entropy = -(target * output.log() + (1 - target) * (1 - output).log()).mean()
        terms = method.loss_terms(data)
        expected = squared if loss == "mse" else entropy
        assert float(terms["loss"].detach()) == pytest.approx(float(expected.detach()), abs=1e-6)
        variance = ((target - target.mean(0)) ** 2).mean()
        assert float(terms["explained"]) == pytest.approx(1 - float((squared / variance).detach()), abs=1e-5)


def test_a_later_layers_loss_is_its_formula_on_clean_frozen_codes() -> None:
    method, data = made(), batch()
    method.enter_stage(1)
    dense, following = method.encoder.stages["fc1"][1], method.encoder.stages["fc2"]
    back = method.decoders[1].back
    below = ((((data.views[0] - 0.5) / 0.25).flatten(1)) @ dense.weight.T + dense.bias).relu().double()
    code = (below @ following.weight.double().T + following.bias).relu()
    output = code @ back.weight.double().T + back.bias
    terms = method.loss_terms(data)
    assert float(terms["loss"].detach()) == pytest.approx(float(((below - output) ** 2).mean().detach()), abs=1e-6)
    terms["loss"].backward()
    assert dense.weight.grad is None
    assert following.weight.grad is not None


def test_the_last_stage_is_cross_entropy_of_known_labels() -> None:
    method, data = made(), batch()
    method.enter_stage(2)
    known = data.labels >= 0
    expected = F.cross_entropy(method.head(method.encoder(data.views[0]))[known], data.labels[known])
    assert float(method.loss_terms(data)["loss"].detach()) == pytest.approx(float(expected.detach()), abs=1e-6)


@pytest.mark.parametrize(("noise", "level"), [("masking", 0.5), ("gaussian", 0.3), ("salt-and-pepper", 0.4)])
def test_noise_is_on_the_layers_own_input_alone(noise: str, level: float) -> None:
    """The target and the layers below stay clean; only what the trained layer reads is spoilt."""
    method, data = made(noise=noise, noise_level=level), batch(64)
    for stage in (0, 1):
        method.enter_stage(stage)
        clean = method.below(data.views[0], stage)
        torch.manual_seed(5)
        spoilt = method._spoilt(data, clean)
        changed = (spoilt != clean).double().mean().item()
        if noise == "gaussian":
            unit = 0.3 * (clean.std(unbiased=False).item() if stage else 1 / 0.25)
            assert (spoilt - clean).std().item() == pytest.approx(unit, rel=0.05)
        elif stage == 0:
            assert changed == pytest.approx(level, abs=0.03)
        else:
            where = clean != 0
            hit = ((spoilt != clean) & where).sum() / where.sum()
            assert float(hit) == pytest.approx(level, abs=0.05)
            if noise == "salt-and-pepper":
                assert set(spoilt[spoilt != clean].unique().tolist()) <= {clean.min().item(), clean.max().item()}
        torch.manual_seed(5)
        code = method.encoder
        values = spoilt
        for name in method.layers[stage]:
            values = code.stages[name](values)
        output = method.decoders[stage](values)
        target = data.views[0] if stage == 0 else clean
        output = output.sigmoid() if stage == 0 else output
        torch.manual_seed(5)
        assert float(method.loss_terms(data)["loss"].detach()) == pytest.approx(
            float(F.mse_loss(output, target).detach()), abs=1e-6
        )


@pytest.mark.parametrize(
    ("encoder", "options", "expected"),
    [
        ("mlp", {"hidden": (9, 8, 7)}, [("fc1", "hidden1"), ("fc2", "hidden2"), ("fc3", "features")]),
        ("mlp", {"hidden": (9,), "code": 3}, [("fc1", "trunk"), ("features",)]),
        ("convnet2", {"width": 4, "dense": 8},
         [("conv1", "block1", "pool1"), ("conv2", "block2", "pool2"), ("fc1", "features")]),
        ("convnet4", {"width": 4, "dense": 8},
         [("conv1", "block1"), ("conv2", "block2", "pool1"), ("conv3", "block3"), ("conv4", "block4", "pool2"),
          ("fc1", "features")]),
        ("speednet", {"widths": (8, 8)}, [("group1",), ("group2", "features")]),
    ],
)  # fmt: skip
def test_an_encoder_falls_into_its_layers(encoder: str, options: dict, expected: list) -> None:
    built = build_encoder(encoder, 1, 12, **options)
    assert list(layer_stages(built)) == expected
    x = torch.rand(4, 1, 12, 12)
    built.eval()
    value = x
    for name in built.stages:
        value = built.stages[name](value)
    assert torch.equal(value, built(x))


@pytest.mark.parametrize("encoder", ["mlp", "convnet2", "convnet4", "speednet", "resnet18"])
@pytest.mark.parametrize("size", [8, 11, 12, 13])
def test_each_layer_gives_back_the_shape_it_had(encoder: str, size: int) -> None:
    options = {"mlp": {"hidden": (9, 8)}, "speednet": {"widths": (8, 8)}, "resnet18": {"width": 4}}
    built = build_encoder(encoder, 3, size, **options.get(encoder, {"width": 4, "dense": 8}))
    task = Task(3, size, ("a", "b"), 4, 1)
    method = GreedyLayerwise(built, GreedyLayerwise.Config(epochs=60), task)
    data = Batch((torch.rand(4, 3, size, size),), torch.tensor([0, 1, 0, 1]), torch.arange(4))
    for number, stage in enumerate(method.stages()):
        method.enter_stage(number)
        terms = method.loss_terms(data)
        assert terms["loss"].isfinite(), stage.name
        terms["loss"].backward()
        for key, weight in method.named_parameters():
            wanted = any(key.startswith(f"{part}.") for part in stage.trains) and weight.requires_grad
            assert (weight.grad is not None) == wanted, (stage.name, key)
        method.zero_grad()


def test_frozen_parts_are_in_evaluation_mode_whatever_is_called() -> None:
    method = made("convnet2", {"width": 4, "dense": 8, "dropout": True})
    method.enter_stage(1)
    for _ in range(2):
        method.train()
        assert method.training
        assert not method.encoder.stages["block1"][0].training
        assert method.encoder.stages["block2"][0].training
        method.encoder.width()
        assert method.encoder.stages["block2"][0].training, "asking for the width leaves modes as they were"
        assert not method.encoder.stages["block1"][0].training
    method.eval()
    assert not any(module.training for module in method.modules())


def test_a_bottleneck_of_the_images_rank_gives_them_back() -> None:
    """Four images, a code of sixteen: in a few hundred steps the layer explains nearly all of them."""
    method, data = made(options={"hidden": (16,), "batch_norm": False, "activation": "tanh"}), batch(4)
    optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], 0.02)
    for _ in range(400):
        terms = method.loss_terms(data)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
    assert float(terms["explained"]) > 0.9


def test_the_epochs_are_laid_out() -> None:
    assert [(s.name, s.epochs) for s in made().stages()] == [("layer 1", 2), ("layer 2", 2), ("fine-tune", 16)]
    assert [(s.name, s.epochs) for s in made(then="nothing").stages()] == [("layer 1", 2), ("layer 2", 18)]
    frozen = made(then="classifier", last_learning_rate=0.5, last_batch_size=3).stages()[-1]
    assert (frozen.trains, frozen.labelled) == (("head",), True)
    assert dict(frozen.options) == {"learning_rate": 0.5, "batch_size": 3}
    with pytest.raises(InputError, match=r"at least 5 are needed, or a smaller method\.layer_epochs"):
        made(epochs=4)


def test_the_last_stage_has_its_own_rate() -> None:
    method = made(last_learning_rate=0.5)
    rates = []
    for number in range(3):
        method.enter_stage(number)
        rates.append({group["lr"] for group in method.configure_optimizers()["optimizer"].param_groups})
    assert rates == [{1e-3}, {1e-3}, {0.5}]


class Branched(Encoder):
    """More than a sequence of stages."""

    def __init__(self) -> None:
        super().__init__(1, 12)
        self.stages["normalise"] = Normalise(1)

    def forward(self, x: torch.Tensor, layer: str = "features") -> torch.Tensor:
        return x + x


def test_what_cannot_be_taken_apart_is_said() -> None:
    with pytest.raises(InputError, match="Branched is not a plain sequence of stages"):
        layer_stages(Branched())
    plain = Encoder(1, 12)
    plain.stages["normalise"] = Normalise(1)
    with pytest.raises(InputError, match="has no weights to train"):
        layer_stages(plain)
    with pytest.raises(InputError, match="has no small decoder"):
        LayerDecoder((5,), (2, 3, 3))
    assert math.prod(LayerDecoder((2, 3, 3), (5,))(torch.zeros(2, 5)).shape) == 36
