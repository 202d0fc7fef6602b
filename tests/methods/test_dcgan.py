"""The adversarial network: losses in closed form, whose turn moves what, the published features, what it makes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learning import digits

from phispace.encoders.build import build_encoder
from phispace.encoders.dcgan import halved
from phispace.encoders.norm import BatchNorm2d, untracked
from phispace.errors import InputError
from phispace.methods.base import Batch, Task
from phispace.methods.dcgan import COLLAPSED, DCGANMethod, discriminator_loss, generator_loss
from phispace.methods.generator import Generator
from phispace.methods.players import take_turns

TOLERANCE = 1e-5


# -- losses


def test_losses_are_the_cross_entropies() -> None:
    real, fake = (6 * torch.randn(2, 400, generator=torch.Generator().manual_seed(0))).unbind()
    p, q = (1 / (1 + np.exp(-x.double().numpy())) for x in (real, fake))
    assert abs(float(discriminator_loss(real, fake)) - (-np.log(p).mean() - np.log1p(-q).mean())) < TOLERANCE
    assert abs(float(generator_loss(fake)) - -np.log(q).mean()) < TOLERANCE
    far = torch.tensor([200.0, -200.0])
    assert float(discriminator_loss(far, far)) == pytest.approx(200.0)
    assert float(generator_loss(far)) == pytest.approx(100.0)


def test_the_best_discriminator_reaches_the_known_optimum() -> None:
    """Over discrete images with frequencies p (real) and q (made) it is 2 log 2 - 2 JSD(p, q), at D = p / (p + q)."""
    p, q = np.array([0.5, 0.25, 0.125, 0.125]), np.array([0.125, 0.25, 0.5, 0.125])
    m = (p + q) / 2
    jsd = (p * np.log(p / m)).sum() / 2 + (q * np.log(q / m)).sum() / 2
    logits = torch.from_numpy(np.log(p / q)).float()
    real = logits.repeat_interleave(torch.from_numpy(8 * p).long())
    fake = logits.repeat_interleave(torch.from_numpy(8 * q).long())
    assert abs(float(discriminator_loss(real, fake)) - (2 * np.log(2) - 2 * jsd)) < TOLERANCE
    moved = logits.clone().requires_grad_()
    repeated = [moved.repeat_interleave(torch.from_numpy(8 * x).long()) for x in (p, q)]
    discriminator_loss(*repeated).backward()
    assert moved.grad.abs().max() < TOLERANCE, "no other answer is better"


def test_the_generators_loss_does_not_saturate() -> None:
    """Where the discriminator is sure, its slope is -1; that of log(1 - D) would be nearly 0."""
    fake = torch.full((1,), -12.0, requires_grad=True)
    generator_loss(fake).backward()
    assert float(fake.grad) == pytest.approx(-1, abs=TOLERANCE)


# -- networks


@pytest.mark.parametrize(
    ("size", "sides"), [(32, [32, 16, 8, 4]), (28, [28, 14, 7]), (64, [64, 32, 16, 8, 4]), (6, [6, 3])]
)
def test_sides_are_halved_and_come_back(size: int, sides: list[int]) -> None:
    assert halved(size) == sides
    encoder = build_encoder("dcgan", 3, size, width=8).eval()
    shapes = encoder.shapes()
    for number, side in enumerate(sides[1:], start=1):
        assert shapes[f"conv{number}"] == (8 * 2 ** (number - 1), side, side)
    made = Generator(10, 3, size, 8).eval()(torch.rand(2, 10))
    assert made.shape == (2, 3, size, size)
    assert 0 <= made.min() <= made.max() <= 1


@pytest.mark.parametrize("size", [4, 9])
def test_other_sides_are_refused(size: int) -> None:
    with pytest.raises(InputError, match=f"{size} pixels must be even and above 4"):
        build_encoder("dcgan", 1, size)


def test_the_published_features_are_all_maps_pooled_to_4x4() -> None:
    encoder = build_encoder("dcgan", 3, 32, width=16).eval()
    x = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        found = encoder.taps(x, ("conv1", "conv2", "conv3", "pooled"))
    expected = []
    for name in ("conv1", "conv2", "conv3"):
        c, side = found[name].shape[1], found[name].shape[2] // 4
        expected.append(found[name].view(3, c, 4, side, 4, side).amax((3, 5)).flatten(1))
    assert torch.equal(found["pooled"], torch.cat(expected, 1))
    assert encoder.width("pooled") == 16 * (16 + 32 + 64)
    assert torch.equal(encoder(x, "pooled"), found["pooled"])


# -- turns


def made(size: int = 8, **options: object) -> DCGANMethod:
    torch.manual_seed(0)
    encoder = build_encoder("dcgan", 1, size, width=8)
    config = DCGANMethod.Config(**{"generator_width": 8, "code": 6, "batch_size": 20, "epochs": 2, **options})
    return DCGANMethod(encoder, config, Task(1, size, (), 60, 3)).train()


def batch(size: int = 8, count: int = 20) -> Batch:
    x = torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(1))
    return Batch((x,), torch.full((count,), -1), torch.arange(count))


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.named_parameters()}


def same(before: dict[str, torch.Tensor], module: torch.nn.Module) -> bool:
    return all(torch.equal(before[name], value) for name, value in module.named_parameters())


def test_each_turn_moves_its_own_player_and_sees_the_one_before() -> None:
    method = made()
    discriminator, generator = (one["optimizer"] for one in method.configure_optimizers())
    turns = method.turns(batch())
    old = [weights(part) for part in (method.encoder, method.answer, method.generator)]
    first = next(turns)
    first["loss"].backward()
    discriminator.step()
    assert not same(old[0], method.encoder)
    assert not same(old[1], method.answer)
    assert all(p.grad is None for p in method.generator.parameters()), "images are not made better in this turn"
    moved, answers = weights(method.encoder), {n: p.grad.clone() for n, p in method.encoder.named_parameters()}
    second = next(turns)
    second["loss"].backward()
    for name, weight in method.encoder.named_parameters():
        assert torch.equal(weight.grad, answers[name]), "the discriminator gets no gradient in the generator's turn"
        assert weight.requires_grad
    generator.step()
    assert same(moved, method.encoder)
    assert not same(old[2], method.generator)
    with pytest.raises(StopIteration):
        next(turns)
    # The second loss is the one of the new discriminator.
    again = made()
    images = again.generator(again._codes(batch()))
    again.encoder.load_state_dict(method.encoder.state_dict())
    again.answer.load_state_dict(method.answer.state_dict())
    with torch.no_grad():
        expected = generator_loss(again._made_answers(images))
    assert float(second["generator"]) == pytest.approx(float(expected), abs=TOLERANCE)
    assert set(first) == {"loss", "discriminator", "real", "fake"}


def test_running_statistics_are_those_of_real_images() -> None:
    method = made(size=16)
    layer = next(m for m in method.encoder.modules() if isinstance(m, BatchNorm2d))
    data = batch(16)
    seen = []
    handle = layer.register_forward_hook(lambda _, inputs, __: seen.append((inputs[0], layer.track_running_stats)))
    made_optimizers = method.configure_optimizers()
    optimizers = [one["optimizer"] for one in made_optimizers]
    schedules = [one["lr_scheduler"]["scheduler"] for one in made_optimizers]
    take_turns(method, data, optimizers, schedules, torch.Tensor.backward)
    handle.remove()
    assert [tracked for _, tracked in seen] == [True, False, False], "real, made, made again"
    torch.testing.assert_close(layer.running_mean, seen[0][0].mean((0, 2, 3)))
    assert int(layer.num_batches_tracked) == 1
    with untracked(method.encoder), torch.no_grad():
        method.encoder(torch.zeros(4, 1, 16, 16))
    torch.testing.assert_close(layer.running_mean, seen[0][0].mean((0, 2, 3)))


def test_turns_need_an_optimiser_each() -> None:
    method = made()
    one = method.configure_optimizers()[0]
    with pytest.raises(InputError, match="players discriminator, generator; got 1 optimisers"):
        take_turns(method, batch(), one["optimizer"], one["lr_scheduler"]["scheduler"], torch.Tensor.backward)


def test_the_generator_learns_under_autocast_from_the_new_discriminator() -> None:
    """bf16 copies of weights are kept until autocast ends; the step between the turns must not be lost on them."""
    losses = {}
    for enabled in (False, True):
        method = made(learning_rate=0.05)
        made_optimizers = method.configure_optimizers()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            terms = take_turns(
                method,
                batch(),
                [one["optimizer"] for one in made_optimizers],
                [one["lr_scheduler"]["scheduler"] for one in made_optimizers],
                torch.Tensor.backward,
            )
        losses[enabled] = float(terms["generator"])
        untouched = made(learning_rate=0.05)
        stale = float(untouched.loss_terms(batch())["generator"].detach())
    assert abs(losses[True] - losses[False]) < 0.5 * abs(losses[False] - stale)


# -- outcome


def learn(method: DCGANMethod, epochs: int) -> DCGANMethod:
    images = digits()[0][:1200]
    made_optimizers = method.train().configure_optimizers()
    optimizers = [one["optimizer"] for one in made_optimizers]
    schedules = [one["lr_scheduler"]["scheduler"] for one in made_optimizers]
    step = 0
    DCGANMethod.global_step = property(lambda self: self.__dict__.get("_step", 0))  # no trainer counts here
    try:
        for epoch in range(epochs):
            order = torch.randperm(1200, generator=torch.Generator().manual_seed(epoch))
            for chosen in order.split(100):
                method.__dict__["_step"] = step
                data = Batch((images[chosen],), torch.full((100,), -1), chosen)
                take_turns(method, data, optimizers, schedules, torch.Tensor.backward)
                step += 1
    finally:
        del DCGANMethod.global_step
    return method.eval()


def test_made_digits_come_near_real_ones() -> None:
    """Nearer than images of independent pixels with the right mean and deviation, and not all alike."""
    torch.manual_seed(0)
    encoder = build_encoder("dcgan", 1, 8, width=64)
    config = DCGANMethod.Config(generator_width=32, code=16, batch_size=100, epochs=40)
    method = DCGANMethod(encoder, config, Task(1, 8, (), 1200, 12))
    blank = method.eval().samples(200).flatten(1)
    learn(method, 40)
    images = digits()[0]
    real = images[1200:].flatten(1)
    rng = torch.Generator().manual_seed(2)
    noise = (
        images[:1200].flatten(1).mean(0) + images[:1200].flatten(1).std(0) * torch.randn(200, 64, generator=rng)
    ).clamp(0, 1)
    found = method.samples(200).flatten(1)

    def away(x: torch.Tensor) -> float:
        return float(torch.cdist(x, real).amin(1).mean())

    assert away(found) < 0.9 * away(noise)
    assert away(found) < 0.7 * away(blank), "the untrained generator makes grey"
    spread = method.measure([images[:500]])["sample_spread"]
    assert spread > COLLAPSED
    assert torch.equal(method.samples(5), method.samples(5))


def test_a_collapse_is_named_once_training_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    method = made()
    assert method.verdict({"sample_spread": 0.1}) == "", "untrained it makes grey"
    monkeypatch.setattr(DCGANMethod, "global_step", 400)  # two updates a step
    assert "MODE COLLAPSE of the generator: its images vary by 10%" in method.verdict({"sample_spread": 0.1})
    assert method.collapsed({"sample_spread": 0.1})
    assert not method.collapsed({"sample_spread": 0.5})
