"""Which layers a rule of freezing means, and what a frozen part does and does not do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from phispace.encoders.build import build_encoder, count_parameters
from phispace.encoders.freezing import chosen, freeze, layers_of, stage_numbers
from phispace.errors import InputError


def made(name: str = "timm:test_efficientnet", **options):
    torch.manual_seed(0)
    if name.startswith("timm:"):
        options = {"weights": "random", "resolution": 32, **options}
    return build_encoder(name, 3, 32, **options)


def rule(encoder, text: str):
    layers = layers_of(encoder)
    return freeze(encoder, layers, chosen(layers, text, tuple(encoder.named_parts())))


NAMES = ["vgg4", "convnet4", "speednet", "resnet18", "timm:test_efficientnet", "timm:test_vit", "timm:test_convnext"]


@pytest.mark.parametrize("name", NAMES)
def test_layers_are_the_leaves_of_a_pass_in_their_order(name):
    encoder = made(name)
    layers = layers_of(encoder)
    seen = []
    for module in encoder.modules():
        if next(module.children(), None) is None:
            module.register_forward_hook(lambda m, *_: seen.append(m))
    encoder.eval()(torch.zeros(1, 3, 32, 32))
    leaves = [m for m in dict.fromkeys(seen) if m is not encoder.stages["normalise"]]
    assert [layer.module for layer in layers if layer.leaf] == leaves
    owned = {p for layer in layers for p in layer.module.parameters(recurse=False)}
    assert owned == set(encoder.parameters()), "every weight has its place"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["none", "all", "first:3", "last:3", "but-last:3"])
def test_frozen_weights_and_statistics_stand_still_and_the_others_move(name, text):
    encoder = made(name).train()
    found = rule(encoder, text)
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    trainable = {k for k, p in encoder.named_parameters() if p.requires_grad}
    if not encoder.always_fixed:
        still = [p for k, p in encoder.named_parameters() if k not in trainable]
        assert found.parameters == sum(p.numel() for p in still)
    x = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        out = encoder(x)
        if not trainable:
            assert not out.requires_grad
            break
        weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
        (out * weights).sum().backward()
        with torch.no_grad():
            for parameter in encoder.parameters():
                if parameter.grad is not None:
                    parameter -= 0.01 * parameter.grad.sign()
    parts = {id(layer.module): layer.name for layer in layers_of(encoder) if layer.leaf}
    for path, module in encoder.named_modules():
        if id(module) not in parts:
            continue
        rests = parts[id(module)] in found.layers
        assert module.training == (not rests)
        for name_, value in module.named_buffers(recurse=False):
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and name_ == "running_mean":
                assert torch.equal(value, before[f"{path}.{name_}"]) == rests, path
    for key, parameter in encoder.named_parameters():
        assert torch.equal(parameter, before[key]) == (key not in trainable), key


def test_dropout_of_a_frozen_part_rests():
    encoder = made("vgg4", dropout=0.5).train()
    x = torch.rand(4, 3, 32, 32)
    rule(encoder, "all")
    encoder.train()
    assert torch.equal(encoder(x), encoder(x))
    rule(encoder, "none")
    encoder.train()
    assert not torch.equal(encoder(x), encoder(x))


def test_names_and_until():
    encoder = made("vgg4", dropout=0.25)
    assert rule(encoder, "conv1").layers == ("conv1.0", "conv1.1", "conv1.2")
    assert rule(encoder, "conv1, pool1").layers == ("conv1.0", "conv1.1", "conv1.2", "pool1.0", "pool1.1")
    assert rule(encoder, "until:conv2") == rule(encoder, "conv1,conv2")
    assert rule(encoder, "until:conv2.0").layers == ("conv1.0", "conv1.1", "conv1.2", "conv2.0")
    assert rule(encoder, "first:4") == rule(encoder, "until:conv2.0")
    assert rule(encoder, "but-last:0") == rule(encoder, "all")
    total = rule(encoder, "all")
    assert (total.parameters, total.of_parameters) == (count_parameters(encoder),) * 2
    assert "17 of the encoder's 17 layers" in total.words()
    network = made()
    assert all(n.startswith("blocks.0.") for n in rule(network, "blocks.0").layers)
    assert rule(network, "until:blocks.1").layers[-1].startswith("blocks.1.")
    assert rule(network, "until:blocks.1").layers[0] == "conv_stem"


def test_weights_outside_of_leaves_go_with_the_first_leaf():
    encoder = made("timm:test_vit")
    rule(encoder, "first:1")
    network = encoder.network
    assert not network.pos_embed.requires_grad
    assert network.blocks[0].attn.qkv.weight.requires_grad


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("first:", "a number up to 17"),
        ("first:1000", "a number up to 17"),
        ("last:-1", "a number up to 17"),
        ("conv9", "'conv9' is no part of the encoder.*conv1"),
        ("until:conv9", "'conv9' is no part"),
        ("", "is no part of the encoder"),
        ("everything", "expected|none, all, first:N"),
        ("conv1,,conv2", "'' is no part"),
    ],
)
def test_rules_that_mean_nothing_are_refused(text, says):
    with pytest.raises(InputError, match=says):
        rule(made("vgg4", dropout=0.25), text)


def test_what_an_encoder_fixes_itself_stays_fixed():
    encoder = made("speednet")
    fixed = {n for n, p in encoder.named_parameters() if not p.requires_grad}
    assert fixed
    rule(encoder, "all")
    rule(encoder, "none")
    assert {n for n, p in encoder.named_parameters() if not p.requires_grad} == fixed


def test_stage_numbers():
    encoder = made()
    numbers = stage_numbers(layers_of(encoder), encoder.own_stages)
    assert numbers["conv_stem"] == 0
    assert numbers["(network)"] == 0 if "(network)" in numbers else True
    assert {n for n, k in numbers.items() if encoder.own_stages[k] == "blocks.1"} == {
        n for n in numbers if n.startswith("blocks.1.")
    }
