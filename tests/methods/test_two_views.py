"""What the methods with two views share: what batch normalisation sees, sides, teachers, collapse, learning."""

from __future__ import annotations

import copy

import learning
import pairs
import pytest
import torch

from phispace.encoders.build import build_encoder
from phispace.errors import InputError
from phispace.methods import REGISTRY
from phispace.methods.base import Batch
from phispace.methods.curriculum import check_side
from phispace.methods.optimizers import parameter_groups
from phispace.methods.with_teacher import WithTeacher
from phispace.training.config import make_config

NAMES = ["simclr", "moco", "byol", "simsiam", "dino", "supcon"]
TAUGHT = [name for name in NAMES if issubclass(REGISTRY.get(name), WithTeacher)]
MLP = {"name": "mlp", "hidden": (128,), "code": 32}
CONVOLUTIONS = {"name": "convnet4", "width": 8, "dense": 64}
SMALL = {"batch_size": 100, "learning_rate": 3e-3, "projector_hidden": 64, "projection": 64}
MARGIN = 0.05
"""Over the untrained encoder, in accuracy from two labels a class."""


def batch(items: int = 24, seed: int = 0) -> Batch:
    images = torch.rand(2, items, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return Batch(tuple(images), torch.arange(items) % 10, torch.arange(items))


@pytest.mark.parametrize("name", NAMES)
def test_digits_are_told_apart_better_than_untrained(name):
    method = learning.make(name, MLP, epochs=15, optimizer="adamw", **SMALL)
    untrained = pairs.few_labels(method)
    pairs.learn(method)
    assert pairs.few_labels(method) > untrained + MARGIN
    with torch.no_grad():
        assert method.verdict(method.measure([learning.digits()[0]])) == ""


@pytest.mark.parametrize("option", ["predictor", "stop_gradient"])
def test_simsiam_without_its_parts_collapses_and_is_told_so(option):
    """Sections 4.1 and 4.2 of the paper. The normalisation of the output keeps it from a single point."""
    options = SMALL | {"learning_rate": 1e-2, option: False}
    method = pairs.learn(learning.make("simsiam", CONVOLUTIONS, epochs=10, optimizer="adamw", **options))
    with torch.no_grad():
        found = method.measure([learning.digits()[0]])
    assert "have collapsed to few directions" in method.verdict(found), found
    whole = pairs.learn(learning.make("simsiam", CONVOLUTIONS, epochs=10, optimizer="adamw", **SMALL))
    with torch.no_grad():
        assert whole.verdict(whole.measure([learning.digits()[0]])) == ""


def test_a_view_at_a_time_or_both_together_is_what_batch_normalisation_sees():
    first = learning.make("simclr", {"name": "convnet4", "width": 4}).train()
    second, views = copy.deepcopy(first), batch()
    apart, together = first.project_apart(views), second.project_together(views)
    assert not torch.allclose(apart[0], together[0], atol=1e-3)
    first.eval(), second.eval()
    second.load_state_dict(first.state_dict())
    for one, other in zip(first.project_apart(views), second.project_together(views), strict=True):
        torch.testing.assert_close(one, other)


def test_views_are_reduced_to_a_side_and_an_encoder_that_cannot_is_refused():
    method = learning.make("simclr", {"name": "resnet18", "width": 4}, side=6)
    assert method.seen(batch().views[0]).shape == (24, 1, 6, 6)
    assert method.project(batch().views[0]).shape == (24, method.config.projection)
    with pytest.raises(InputError, match="'side' needs an encoder"):
        learning.make("simclr", MLP, side=6)
    larger = learning.make("simclr", MLP, side=24)
    view = torch.rand(3, 1, 8, 8)
    assert larger.seen(view) is view, "images are never made larger"


@pytest.mark.parametrize(
    "name", ["simclr", "moco", "byol", "simsiam", "dino", "supcon", "barlow-twins", "vicreg", "lejepa"]
)
def test_a_batch_of_one_has_nothing_to_compare(name):
    with pytest.raises(InputError, match="batch_size"):
        make_config(method=name, images="digits", settings=["method.batch_size=1"])


@pytest.mark.parametrize("name", [*NAMES, "barlow-twins", "vicreg", "lejepa"])
def test_the_projector_is_normalised_or_not(name):
    small = {k: v for k, v in SMALL.items() if k != "learning_rate"} | {"projector_layers": 3}
    for asked in (True, False):
        projector = learning.make(name, MLP, projector_norm=asked, **small).projector
        inner = [m for m in projector.modules() if isinstance(m, torch.nn.BatchNorm1d) and m.num_features == 64]
        assert len(inner) >= 2 if asked else len(inner) <= 1, "one at most: of the projections themselves"
    published = {"moco": False, "supcon": False}
    assert learning.make(name, MLP).config.projector_norm is published.get(name, True)


@pytest.mark.parametrize("name", TAUGHT)
def test_the_teacher_is_moved_by_the_step_before(name, monkeypatch):
    """After a training step and the optimiser's, the next step begins with θ' <- m θ' + (1 - m) θ."""
    method = learning.make(name, MLP, epochs=4, teacher_momentum=0.8, **SMALL)
    monkeypatch.setattr(type(method), "global_step", property(lambda _: 12))
    momentum = method.teacher_momentum()
    assert 0.8 < momentum < 1
    for part in (method.encoder, method.projector):
        for weight in part.parameters():
            weight.data += 0.1 * torch.randn_like(weight)
    wanted = {k: momentum * v + (1 - momentum) * method.get_parameter(k) for k, v in method.teacher.named_parameters()}
    method.train().training_step(batch(), 0)
    for key, value in method.teacher.named_parameters():
        torch.testing.assert_close(value, wanted[key].detach())
    trained = {id(p) for group in method.configure_optimizers()["optimizer"].param_groups for p in group["params"]}
    assert not trained & {id(p) for p in method.teacher.parameters()}


def test_without_a_queue_moco_takes_the_batch():
    assert len(learning.make("moco", MLP, queue=500).queue) == 500
    assert len(learning.make("moco", MLP, queue=5000).queue) == learning.TRAIN // 2
    assert learning.make("moco", MLP, queue=50, batch_size=100).queue is None


def test_mocos_keys_come_back_in_their_order_and_are_shuffled_in_groups():
    """Linear in training mode only through batch statistics: keys depend on their group, not on their place."""
    method = learning.make("moco", {"name": "convnet4", "width": 4}, key_groups=4)
    views = batch().views[0]
    wanted = method.teacher.eval()(views)
    torch.testing.assert_close(method.eval().keys(views, 0), wanted)
    method.train()
    whole = copy.deepcopy(method.teacher)(views)
    grouped = method.keys(views, 0)
    assert not torch.allclose(whole, grouped, atol=1e-3)
    similar = (
        torch.nn.functional.normalize(grouped - grouped.mean(0), dim=1)
        @ torch.nn.functional.normalize(whole - whole.mean(0), dim=1).T
    )
    assert (similar.argmax(1) == torch.arange(len(views))).float().mean() > 0.7


def test_mocos_queue_takes_the_keys_of_a_step_and_only_in_training():
    method = learning.make("moco", MLP, queue=100, batch_size=20).eval()
    before = method.queue.keys.clone()
    method.loss_terms(batch(20))
    assert torch.equal(before, method.queue.keys)
    method.train().loss_terms(batch(20))
    assert not torch.equal(before[:20], method.queue.keys[:20])
    assert torch.equal(before[20:], method.queue.keys[20:])
    torch.testing.assert_close(method.queue.keys.norm(dim=1), torch.ones(100))


def test_a_side_that_is_too_small_names_the_least_that_fits():
    encoder = build_encoder("speednet", 3, 32, widths=(4, 4, 8))
    with pytest.raises(InputError, match=r"the least that 'side' can be is (\d+)") as refused:
        check_side(encoder, 4, "side")
    least = int(str(refused.value).rstrip(".").split()[-1])
    check_side(encoder, least, "side")
    with pytest.raises(InputError):
        check_side(encoder, least - 1, "side")


@pytest.mark.parametrize("rate", [1.0, 10.0])
def test_the_predictor_of_simsiam_has_a_rate_of_its_own(rate):
    method = learning.make("simsiam", MLP, head_rate=0.5, learning_rate=0.01, predictor_rate=rate)
    groups = parameter_groups(method, method.config)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert {rates[id(p)] for p in method.predictor.parameters() if p.ndim > 1} == {0.005 * rate}
    assert {rates[id(p)] for p in method.projector.parameters() if p.ndim > 1} == {0.005}
