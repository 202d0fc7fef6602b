"""Optimisers against torch's own, and the rates against their formulas."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from phispace.errors import InputError
from phispace.methods.base import MethodConfig
from phispace.methods.muon import Muon, orthogonalise
from phispace.methods.optimizers import OPTIMIZERS, SCHEDULES, build, make_optimizer, place_in_cycle, rate_factor


class Tiny(nn.Module):
    """An encoder with a filter, a normalisation and a frozen weight, and a head outside it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8))
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)
        self.head = nn.Linear(8, 4)

    def loss(self, seed: int) -> torch.Tensor:
        x = torch.randn((16, 3, 6, 6), generator=torch.Generator().manual_seed(seed))
        return self.head(self.encoder(x).amax((2, 3))).square().mean()


def steps(module: Tiny, optimizer: torch.optim.Optimizer, count: int = 5, start: int = 0) -> None:
    for seed in range(start, start + count):
        optimizer.zero_grad()
        module.loss(seed).backward()
        optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_is_tensors_and_plain_numbers_and_resumes_exactly(name):
    """Through JSON and back, as a checkpoint without pickles needs it."""
    config = MethodConfig(optimizer=name, learning_rate=0.01, weight_decay=0.1, schedule="cosine", epochs=1)
    one, two = Tiny(), Tiny()
    made = build(one, config, 20)
    steps(one, made["optimizer"])
    made["lr_scheduler"]["scheduler"].step()
    state = made["optimizer"].state_dict()
    numbers = json.loads(json.dumps(state["param_groups"]))
    schedule = json.loads(json.dumps(made["lr_scheduler"]["scheduler"].state_dict()))
    for entry in state["state"].values():
        assert all(isinstance(value, torch.Tensor) for value in entry.values())
    two.load_state_dict(one.state_dict())
    again = build(two, config, 20)
    copied = {k: {n: v.clone() for n, v in entry.items()} for k, entry in state["state"].items()}
    again["optimizer"].load_state_dict({"state": copied, "param_groups": numbers})
    again["lr_scheduler"]["scheduler"].load_state_dict(schedule)
    for part, module in ((made, one), (again, two)):
        steps(module, part["optimizer"], 3, start=50)
        part["lr_scheduler"]["scheduler"].step()
        steps(module, part["optimizer"], 2, start=60)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_groups_hold_every_trainable_weight_once(name):
    module = Tiny()
    config = MethodConfig(optimizer=name, weight_decay=0.1, bias_rate=4.0, head_rate=0.5, learning_rate=0.01)
    groups = {g["name"]: g for g in make_optimizer(module, config).param_groups}
    assert [p is q for p, q in zip(groups["encoder"]["params"], [module.encoder[0].weight], strict=True)] == [True]
    assert [p is q for p, q in zip(groups["heads"]["params"], [module.head.weight], strict=True)] == [True]
    assert len(groups["vectors"]["params"]) == 3
    assert groups["vectors"]["weight_decay"] == 0.0
    assert groups["vectors"]["lr"] == pytest.approx(0.04)
    assert groups["heads"]["lr"] == pytest.approx(0.005)
    assert groups["encoder"]["weight_decay"] == pytest.approx(0.1)


def test_where_all_is_decayed_a_step_decays_all_alike():
    config = MethodConfig(optimizer="sgd", weight_decay=0.1, bias_rate=64, head_rate=0.5, decay_all=True)
    for group in make_optimizer(Tiny(), config).param_groups:
        assert group["lr"] * group["weight_decay"] == pytest.approx(1e-3 * 0.1)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_defaults_are_torchs_with_the_papers_constants(name):
    module, other = Tiny(), Tiny()
    config = MethodConfig(optimizer=name, learning_rate=0.01)
    optimizer = make_optimizer(module, config)
    trainable = [p for p in other.parameters() if p.requires_grad]
    expected = {
        "adam": lambda: torch.optim.Adam(trainable, lr=0.01, betas=(0.9, 0.999), eps=1e-8),
        "adamw": lambda: torch.optim.AdamW(trainable, lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0),
        "sgd": lambda: torch.optim.SGD(trainable, lr=0.01, momentum=0.9, nesterov=True),
    }[name]()
    steps(module, optimizer)
    steps(other, expected)
    for a, b in zip(module.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_muon_is_torchs_on_matrices():
    matrices = [torch.randn(shape, generator=torch.Generator().manual_seed(1)) for shape in ((6, 10), (12, 5))]
    for nesterov in (True, False):
        ours = [nn.Parameter(m.clone()) for m in matrices]
        theirs = [nn.Parameter(m.clone()) for m in matrices]
        one = Muon([{"params": ours}], lr=0.02, weight_decay=0.1, momentum=0.9, nesterov=nesterov)
        two = torch.optim.Muon(
            theirs, lr=0.02, weight_decay=0.1, momentum=0.9, nesterov=nesterov, adjust_lr_fn="match_rms_adamw"
        )
        for seed in range(4):
            for a, b in zip(ours, theirs, strict=True):
                a.grad = torch.randn(a.shape, generator=torch.Generator().manual_seed(seed))
                b.grad = a.grad.clone()
            one.step()
            two.step()
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, atol=2e-3, rtol=0)
            assert (a - b).norm() < 0.02 * (b - matrices[0 if len(b) == 6 else 1]).norm()


def lars(weights, gradients, momenta, rate, momentum, decay, trust, clip):
    """Equation 6 of You et al., written anew in double precision: one step; returns weights and momenta."""
    moved, kept = [], []
    for w, g, v in zip(weights, gradients, momenta, strict=True):
        if w.ndim > 1:
            local = trust * w.norm() / (g.norm() + decay * w.norm())
            local = torch.clamp(local / rate, max=1.0) if clip else local
            g = local * (g + decay * w)
        v = momentum * v + g
        moved.append(w - rate * v)
        kept.append(v)
    return moved, kept


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_lars_is_the_papers(decay, clip):
    """Largest difference 1e-7 after five steps, in single precision."""
    module = Tiny()
    config = MethodConfig(
        optimizer="lars", learning_rate=0.3, weight_decay=decay, momentum=0.8, trust=0.02, trust_clip=clip
    )
    optimizer = make_optimizer(module, config)
    trainable = [p for p in module.parameters() if p.requires_grad]
    weights = [p.detach().double() for p in trainable]
    momenta = [torch.zeros_like(w) for w in weights]
    for seed in range(5):
        optimizer.zero_grad()
        module.loss(seed).backward()
        gradients = [p.grad.double().clone() for p in trainable]
        weights, momenta = lars(weights, gradients, momenta, 0.3, 0.8, decay, 0.02, clip)
        optimizer.step()
        for p, w in zip(trainable, weights, strict=True):
            torch.testing.assert_close(p.detach().double(), w, rtol=0, atol=1e-6)


def test_lars_moves_a_filter_by_the_trusted_share_whatever_its_gradient():
    module = Tiny()
    before = module.encoder[0].weight.detach().clone()
    optimizer = make_optimizer(module, MethodConfig(optimizer="lars", learning_rate=2.0, trust=0.01))
    (1e6 * module.loss(0)).backward()
    optimizer.step()
    moved = module.encoder[0].weight.detach() - before
    assert float(moved.norm() / before.norm()) == pytest.approx(0.02, rel=1e-4)


def test_muon_takes_a_filter_as_a_matrix_in_any_memory_layout():
    weight = torch.randn((8, 4, 3, 3), generator=torch.Generator().manual_seed(0))
    gradient = torch.randn((8, 4, 3, 3), generator=torch.Generator().manual_seed(1))
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        p = nn.Parameter(weight.clone().contiguous(memory_format=layout))
        p.grad = gradient.clone().contiguous(memory_format=layout)
        Muon([{"params": [p]}], lr=0.1).step()
        found.append(p.detach())
    torch.testing.assert_close(found[0], found[1], atol=2e-3, rtol=0)
    update = ((weight - found[0]) / (0.1 * 0.2 * 36**0.5)).reshape(8, -1)
    values = torch.linalg.svdvals(update)
    assert values.min() > 0.5
    assert values.max() < 1.4


def test_unit_filters_keep_their_norm():
    p = nn.Parameter(torch.randn((8, 4, 3, 3), generator=torch.Generator().manual_seed(0)) * 7)
    p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(1))
    Muon([{"params": [p]}], lr=1e-6, unit_filters=True).step()
    assert p.norm().item() == pytest.approx(8**0.5, rel=1e-4)


@pytest.mark.parametrize("rule", ["adamw", "sgd"])
def test_the_rest_in_muon_is_torchs(rule):
    module, other = Tiny(), Tiny()
    one = Muon([{"params": [p for p in module.parameters() if p.requires_grad], "rule": rule}], lr=0.01, momentum=0.8)
    one.param_groups[0]["weight_decay"] = 0.1
    trainable = [p for p in other.parameters() if p.requires_grad]
    two = {
        "adamw": lambda: torch.optim.AdamW(trainable, lr=0.01, weight_decay=0.1),
        "sgd": lambda: torch.optim.SGD(trainable, lr=0.01, weight_decay=0.1, momentum=0.8, nesterov=True),
    }[rule]()
    steps(module, one)
    steps(other, two)
    for a, b in zip(module.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("shape", [(5, 20), (20, 5), (7, 7)])
def test_orthogonalise_makes_singular_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    out = orthogonalise(matrix, 5).float()
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    values = torch.linalg.svdvals(out)
    assert values.min() > 0.5
    assert values.max() < 1.3
    assert (out * (u @ v)).sum() / (out.norm() * (u @ v).norm()) > 0.95


def test_rates_at_their_corners():
    total = 1000
    for schedule in ("constant", "cosine", "triangular"):
        rates = [rate_factor(s, total, schedule, 0.23, 0.2, 0.07) for s in range(total)]
        assert rates[0] == pytest.approx(0.2, abs=0.005)
        assert max(rates) == pytest.approx(1.0, abs=0.005)
        assert rates[229] > 0.99
        assert rates[-1] == pytest.approx(1.0 if schedule == "constant" else 0.07, abs=0.005)
    assert rate_factor(500, total, "cosine", 0.0, 0.0, 0.0) == pytest.approx((1 + math.cos(math.pi * 500.5 / 1000)) / 2)
    assert rate_factor(615, total, "triangular", 0.23, 0.2, 0.0) == pytest.approx(0.5, abs=0.002)
    assert rate_factor(5000, total, "triangular", 0.0, 0.0, 0.1) == pytest.approx(0.1, abs=0.01)


def test_steps_fall_at_the_first_step_of_their_epoch():
    """AET's rates, epoch by epoch, from its code: five levels, then 3e-7 less an epoch."""
    epochs, per_epoch = 1500, 3
    drops = tuple((e / epochs, f) for e, f in ((240, 0.2), (480, 0.04), (640, 0.008), (800, 0.0016)))

    def published(epoch: int) -> float:
        for start, rate in (
            (1000, 1.6e-4 - 3e-7 * (epoch - 999)),
            (800, 1.6e-4),
            (640, 8e-4),
            (480, 4e-3),
            (240, 0.02),
        ):
            if epoch >= start:
                return rate
        return 0.1

    for epoch in range(epochs):
        for step in range(epoch * per_epoch, (epoch + 1) * per_epoch):
            rate = 0.1 * rate_factor(step, epochs * per_epoch, "step", 0.0, 0.0, 1e-4, drops, 1000 / epochs)
            assert rate == pytest.approx(published(epoch), abs=1e-9 if epoch < 1000 else 3e-7), epoch


def test_steps_without_a_tail_stay_at_the_last_level_and_take_a_warmup():
    rates = [rate_factor(s, 10, "step", 0.2, 0.0, 0.0, ((0.5, 0.1), (0.8, 0.0))) for s in range(12)]
    assert rates == pytest.approx([0.25, 0.75, 1, 1, 1, 0.1, 0.1, 0.1, 0, 0, 0, 0])
    tail_alone = [rate_factor(s, 10, "step", 0.0, 0.0, 0.5, (), 0.5) for s in range(10)]
    assert tail_alone == pytest.approx([1, 1, 1, 1, 1, 0.95, 0.85, 0.75, 0.65, 0.55])
    assert rate_factor(9, 10, "step", 0.0, 0.0, 0.0, ((0.2, 0.5), (0.7, 0.1)), 0.6) == pytest.approx(0.5 * (1 - 0.875))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"schedule": "step"}, "needs drops"),
        ({"schedule": "step", "drops": ((0.7, 0.1), (0.5, 0.01))}, "shares rising"),
        ({"schedule": "step", "drops": ((0.5, 2.0),)}, "shares rising"),
        ({"schedule": "step", "drops": ((0.0, 0.5),)}, "shares rising"),
    ],
)
def test_steps_that_make_no_sense_are_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        MethodConfig(**options)


@given(
    step=st.integers(-5, 300),
    total=st.integers(1, 200),
    schedule=st.sampled_from(SCHEDULES),
    warmup=st.floats(0, 1),
    start=st.floats(0, 1),
    end=st.floats(0, 1),
    drops=st.dictionaries(st.floats(0.01, 0.99), st.floats(0, 1), max_size=4),
    tail=st.floats(0, 1),
)
def test_rates_stay_between_nothing_and_the_peak(step, total, schedule, warmup, start, end, drops, tail):
    factor = rate_factor(step, total, schedule, warmup, start, end, tuple(sorted(drops.items())), tail)
    assert -1e-9 <= factor <= 1 + 1e-9


def test_the_rate_moves_with_every_step():
    module = Tiny()
    made = build(module, MethodConfig(schedule="triangular", warmup=0.5, learning_rate=0.1, bias_rate=2), 10)
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        assert optimizer.param_groups[-1]["lr"] == pytest.approx(2 * rates[-1])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.01, 0.03, 0.05, 0.07, 0.09, 0.09, 0.07, 0.05, 0.03, 0.01])
    assert made["lr_scheduler"]["interval"] == "step"


def test_restarts_begin_the_schedule_anew():
    made = build(Tiny(), MethodConfig(schedule="cosine", epochs=1), 10)
    assert made["lr_scheduler"]["scheduler"].lr_lambdas[0](3) == rate_factor(3, 10, "cosine", 0, 0, 0)
    assert [place_in_cycle(step, 10, (0, 4, 6)) for step in (-1, 0, 3, 4, 5, 6, 9, 10)] == [
        (-1, 4), (0, 4), (3, 4), (0, 2), (1, 2), (0, 4), (3, 4), (4, 4),
    ]  # fmt: skip


@pytest.mark.parametrize("restarts", [(0,), (3,), (2, 1), (1, 1)])
def test_restarts_that_make_no_sense_are_refused(restarts):
    with pytest.raises(ValueError, match="under the run's 3"):
        MethodConfig(epochs=3, restarts=restarts)


def test_what_cannot_be_built_is_refused():
    with pytest.raises(InputError, match="no trainable parameters"):
        build(nn.ReLU(), MethodConfig(), 10)
    with pytest.raises(InputError, match="no schedule named 'square'"):
        rate_factor(0, 10, "square", 0, 0, 0)
    with pytest.raises(InputError, match="no optimiser named"):
        make_optimizer(Tiny(), MethodConfig().model_copy(update={"optimizer": "lbfgs"}))
