"""The momentum teacher: how it follows, what it keeps of its own, when it copies."""

from __future__ import annotations

import math

import pytest
import torch

from phispace.encoders.build import build_encoder
from phispace.methods.heads import perceptron
from phispace.methods.teacher import Teacher, momentum_at


def networks(seed: int = 0, name: str = "convnet4"):
    torch.manual_seed(seed)
    encoder = build_encoder(name, 1, 8)
    return encoder, perceptron(encoder.width(), 16, 8)


def test_the_momentum_rises_from_its_base_to_one():
    found = [momentum_at(t, 100, 0.9) for t in range(101)]
    assert found[0] == pytest.approx(0.9, abs=1e-12)
    assert found[50] == pytest.approx(0.95, abs=1e-12)
    assert found[-1] == pytest.approx(1.0, abs=1e-12)
    assert found == sorted(found)
    for t in (7, 61):
        assert found[t] == pytest.approx(1 - 0.1 * (math.cos(math.pi * t / 100) + 1) / 2, abs=1e-12)
    assert momentum_at(40, 100, 0.9, cosine=False) == 0.9
    assert momentum_at(500, 100, 0.9) == 1.0


def test_it_follows_by_the_formula():
    encoder, projector = networks()
    teacher = Teacher(encoder, projector)
    expected = {k: v.clone().double() for k, v in teacher.named_parameters()}
    largest = 0.0
    for momentum in (0.99, 0.5, 0.0, 0.9):
        for part in (encoder, projector):
            for weight in part.parameters():
                weight.data += torch.randn_like(weight)
        teacher.follow(encoder, projector, momentum)
        for key, value in teacher.named_parameters():
            theirs = (encoder if key.startswith("encoder") else projector).get_parameter(key.partition(".")[2])
            expected[key] = momentum * expected[key] + (1 - momentum) * theirs.detach().double()
            largest = max(largest, float((value.double() - expected[key]).abs().max()))
    assert largest < 1e-5


def test_where_both_are_equal_nothing_changes_by_rounding():
    encoder, projector = networks()
    teacher = Teacher(encoder, projector)
    for _ in range(5):
        teacher.follow(encoder, projector, 0.9871)
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, teacher.encoder.state_dict()[key])


def test_it_has_no_gradient_and_statistics_of_its_own():
    encoder, projector = networks()
    teacher = Teacher(encoder, projector).train()
    assert not any(p.requires_grad for p in teacher.parameters())
    images = torch.rand(16, 1, 8, 8)
    assert not teacher(images).requires_grad
    mine, theirs = teacher.encoder.state_dict(), encoder.state_dict()
    moved = [k for k in mine if "running_mean" in k]
    assert moved
    assert not any(torch.equal(mine[k], theirs[k]) for k in moved), "its own batches"
    teacher.follow(encoder, projector, 0.5)
    assert not any(torch.equal(teacher.encoder.state_dict()[k], theirs[k]) for k in moved), "they do not follow"
    fixed = {k: v.clone() for k, v in teacher.state_dict().items()}
    teacher.eval()(images)
    assert all(torch.equal(v, fixed[k]) for k, v in teacher.state_dict().items())


def test_it_begins_with_what_was_measured_after_it_was_made():
    encoder, projector = networks(name="speednet")
    teacher = Teacher(encoder, projector)
    pixels = torch.randint(0, 256, (64, 8, 8, 1), dtype=torch.uint8).numpy()
    encoder.initialise(pixels, torch.Generator().manual_seed(0))
    images = torch.rand(4, 1, 8, 8)
    assert not torch.allclose(teacher.eval()(images), projector.eval()(encoder.eval()(images)))
    teacher.begin(encoder, projector)
    torch.testing.assert_close(teacher(images), projector(encoder(images)))
