"""DINO's loss against its formula and lightly's, its centre, temperatures and prototypes."""

from __future__ import annotations

import learning
import numpy as np
import pairs
import pytest
import torch
from lightly.loss import DINOLoss

from phispace.methods.base import Batch
from phispace.methods.dino import DINO, dino_loss, dino_targets, entropy

MLP = {"name": "mlp", "hidden": (32,)}


def by_hand(student: np.ndarray, teacher: np.ndarray, centre: np.ndarray, warm: float, cold: float) -> float:
    """Algorithm 1 of the paper, image by image: views (2, B, K)."""
    total = 0.0
    for i in range(student.shape[1]):
        for mine, theirs in ((0, 1), (1, 0)):
            p = np.exp(pairs.log_softmax((teacher[theirs, i] - centre) / cold))
            total -= float((p * pairs.log_softmax(student[mine, i] / warm)).sum())
    return total / (2 * student.shape[1])


@pytest.mark.parametrize(("items", "count"), [(1, 2), (5, 40), (16, 300)])
def test_the_loss_is_the_formula_and_lightlys(items, count):
    rng = torch.Generator().manual_seed(0)
    student, teacher = (torch.rand(2, items, count, generator=rng) * 2 - 1 for _ in range(2))
    centre = torch.rand(count, generator=rng) * 0.3
    found = float(dino_loss(student, dino_targets(teacher, centre, 0.04), 0.1))
    wanted = by_hand(*(x.double().numpy() for x in (student, teacher, centre)), 0.1, 0.04)
    assert found == pytest.approx(wanted, abs=pairs.TOLERANCE)
    theirs = DINOLoss(output_dim=count)
    theirs.center.copy_(centre.view(1, 1, -1))
    assert found == pytest.approx(float(theirs([*teacher], [*student], teacher_temp=0.04)), abs=pairs.TOLERANCE)


def test_entropy_is_in_nats():
    p = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [1 / 3] * 3])
    np.testing.assert_allclose(entropy(p).numpy(), [np.log(2), 0.0, np.log(3)], atol=1e-6)


def batch(seed: int = 0) -> Batch:
    images = torch.rand(2, 20, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return Batch(tuple(images), torch.full((20,), -1), torch.arange(20))


def test_the_centre_follows_the_teachers_mean_in_training_alone():
    method = learning.make("dino", MLP, prototypes=12, centre_momentum=0.7).train()
    views = batch()
    before = {k: v.clone() for k, v in method.teacher.state_dict().items()}
    outputs = method.teacher(torch.cat(views.views))
    method.teacher.load_state_dict(before)
    method.loss_terms(views)
    torch.testing.assert_close(method.centre, 0.3 * outputs.mean(0))
    kept = method.centre.clone()
    method.eval().loss_terms(views)
    assert torch.equal(kept, method.centre)
    assert "centre" in method.state_dict()


def test_the_temperature_warms_up_and_the_prototypes_wait(monkeypatch):
    place = {"global_step": 0, "current_epoch": 0}
    for name in place:
        monkeypatch.setattr(DINO, name, property(lambda _, name=name: place[name]))
    options = {"first_teacher_temperature": 0.02, "teacher_temperature": 0.06, "temperature_warmup": 0.5}
    method = learning.make("dino", MLP, epochs=10, fixed_prototypes=1, **options)
    total = 10 * method.task.steps_per_epoch
    for step, wanted in ((0, 0.02), (total // 4, 0.04), (total // 2, 0.06), (total, 0.06)):
        place["global_step"] = step
        assert method.teacher_temperature() == pytest.approx(wanted, abs=1e-9)
    for epoch, still in ((0, True), (1, False)):
        place["current_epoch"] = epoch
        method.zero_grad()
        method.train().loss_terms(batch())["loss"].backward()
        method.on_after_backward()
        assert (method.projector[1].weight.grad is None) is still
        assert method.projector[0].layers[0].weight.grad is not None
