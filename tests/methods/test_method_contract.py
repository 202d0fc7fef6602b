"""What every registered method promises. A method is tested here by being registered.

A method that sets a positive lower bound to its loss, or that needs images other than the 16 digits, says so in the
tables below.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from sklearn.datasets import load_digits

from phispace.data.views.named import make_views, parse_views
from phispace.describe import describe
from phispace.encoders import REGISTRY as ENCODERS
from phispace.encoders.build import build_encoder, check_options
from phispace.errors import InputError
from phispace.methods import REGISTRY
from phispace.methods.base import Batch, Task
from phispace.methods.players import take_turns

NAMES = REGISTRY.names()
WITH_GRADIENT = [name for name in NAMES if REGISTRY.get(name).has_gradient]
WITH_PLAYERS = [name for name in NAMES if REGISTRY.get(name).players]
WITHOUT_LABELS = [name for name in NAMES if not REGISTRY.get(name).uses_labels]
COUNT = 16

LOSS_FLOOR: dict[str, float] = {
    "infomax": -math.log(1 + 15 * 16),  # InfoNCE of 16 images of 16 locations
    # 32 unit vectors in 16 equal pairs, the pairs spread as far apart as can be, at the default temperature of 0.2.
    "simclr": math.log(1 + 30 * math.exp((-1 / 15 - 1) / 0.2)),
    "simsiam": -1.0,
    # 16 images have 15 directions for 512 dimensions, which then are correlated; a deviation s of all is the least bad.
    "vicreg": min(25 * (1 - s) + 2 * s**4 * (512 / 15 - 1) for s in np.linspace(0, 1, 1001)),
}
"""The lowest value that a method's loss can reach, where it is not 0: overfitting halves what is above it."""

STEPS: dict[str, int] = {"rotation": 15, "transformations": 15, "dcgan": 120}
"""Steps that overfitting may take, where it is not 60."""

SIZE: dict[str, int] = {}
"""Side of the images, where 8 is too small for the method's encoder."""


def digits(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 (16, 1, size, size) and labels (16,)."""
    images, labels = load_digits(return_X_y=True)
    x = (images[:COUNT].reshape(-1, 8, 8) * 15.9375).astype(np.uint8)
    x = x.repeat(size // 8, 1).repeat(size // 8, 2)
    return torch.from_numpy(x)[:, None], torch.from_numpy(labels[:COUNT].astype(np.int64))


def made(name: str, seed: int = 0):
    """A method around its default encoder, with its default options but few steps."""
    kind = REGISTRY.get(name)
    size = SIZE.get(name, 8)
    torch.manual_seed(seed)
    encoder = build_encoder(kind.default_encoder, 1, size)
    x, _ = digits(size)
    encoder.initialise(x.permute(0, 2, 3, 1).numpy(), torch.Generator().manual_seed(seed))
    config = kind.Config(epochs=STEPS.get(name, 60), batch_size=COUNT)
    task = Task(1, size, tuple("0123456789"), COUNT, 1)
    return kind(encoder, config, task).train()


def batch(name: str, method, seed: int = 0, labels: torch.Tensor | None = None) -> Batch:
    size = SIZE.get(name, 8)
    x, y = digits(size)
    rng = torch.Generator().manual_seed(seed)
    views = make_views(method.config.views, method.count_views(method.config), size)
    return Batch(tuple(view(x, rng) for view in views), y if labels is None else labels, torch.arange(COUNT))


def train(name: str, method, steps: int) -> list[float]:
    """Losses of so many steps, of a method without a gradient of so many passes."""
    if not REGISTRY.get(name).has_gradient:
        with torch.no_grad():
            return [float(method.fit_without_gradient([batch(name, method)])["loss"]) for _ in range(steps)]
    if method.players:
        return play(name, method, steps)
    made_optimizer = method.configure_optimizers()
    optimizer = made_optimizer["optimizer"]
    schedule = made_optimizer["lr_scheduler"]["scheduler"]
    losses = []
    for step in range(steps):
        torch.manual_seed(step)
        data = batch(name, method)
        terms = method.training_step(data, step)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
        schedule.step()
        method.on_train_batch_end(terms, data, step)
        losses.append(float(terms["loss"].detach()))
    return losses


def play(name: str, method, steps: int) -> list[float]:
    """The same with several optimisers."""
    made_optimizers = method.configure_optimizers()
    optimizers = [one["optimizer"] for one in made_optimizers]
    schedules = [one["lr_scheduler"]["scheduler"] for one in made_optimizers]
    losses = []
    for step in range(steps):
        torch.manual_seed(step)
        terms = take_turns(method, batch(name, method), optimizers, schedules, torch.Tensor.backward)
        losses.append(float(terms["loss"]))
    return losses


@pytest.mark.parametrize("name", NAMES)
def test_terms_are_finite_scalars(name):
    method = made(name)
    terms = method.loss_terms(batch(name, method))
    assert terms["loss"].ndim == 0
    for term, value in terms.items():
        assert value.ndim == 0, term
        assert value.isfinite(), term
        assert term == "loss" or not value.requires_grad, f"{term} is for the log: detach it"


@pytest.mark.parametrize("name", WITH_GRADIENT)
def test_the_loss_reaches_every_weight(name):
    method = made(name)
    method.loss_terms(batch(name, method))["loss"].backward()
    for key, weight in method.named_parameters():
        if weight.requires_grad:
            assert weight.grad is not None, key
            assert weight.grad.isfinite().all(), key
            assert weight.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", NAMES)
def test_sixteen_images_are_learnt_by_heart(name):
    method = made(name)
    if method.players:
        pytest.skip("its losses are against each other; the next test has each player alone")
    steps = STEPS.get(name, 60)
    losses = train(name, method, steps) if name in WITH_GRADIENT else around(name, method, 3)
    floor = LOSS_FLOOR.get(name, 0.0)
    assert losses[-1] - floor < 0.5 * (losses[0] - floor), (losses[0], losses[-1])


@pytest.mark.parametrize("name", WITH_PLAYERS)
def test_each_player_wins_against_others_that_stand_still(name):
    """Each learns in its turn what the ones before it have left it."""
    method = made(name)
    for number, player in enumerate(method.players):
        losses = []
        optimizer = method.configure_optimizers()[number]["optimizer"]
        for _ in range(STEPS.get(name, 60)):
            for turn, terms in enumerate(method.turns(batch(name, method))):
                if turn == number:
                    optimizer.zero_grad()
                    terms["loss"].backward()
                    optimizer.step()
                    losses.append(float(terms["loss"].detach()))
        assert losses[-1] < 0.5 * losses[0], (player, losses[0], losses[-1])


def around(name: str, method, passes: int) -> list[float]:
    """Loss before and after some passes: the first pass of a method without a gradient may learn most of it."""
    before = float(method.loss_terms(batch(name, method))["loss"])
    train(name, method, passes)
    return [before, float(method.loss_terms(batch(name, method))["loss"])]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_weights(name):
    one, two = made(name, seed=3), made(name, seed=3)
    assert train(name, one, 4) == train(name, two, 4)
    for key, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[key]), key
    other = made(name, seed=4)
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("name", WITHOUT_LABELS)
def test_labels_are_ignored(name):
    method = made(name).eval()
    found = []
    for labels in (None, torch.full((COUNT,), -1), torch.arange(COUNT) % 3):
        torch.manual_seed(1)
        found.append(float(method.loss_terms(batch(name, method, labels=labels))["loss"].detach()))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_changes_nothing(name):
    method = made(name).eval()
    before = copy.deepcopy(method.state_dict())
    with torch.no_grad():
        method.validation_step(batch(name, method), 0)
        method.predict(batch(name, method).views[0])
    for key, value in method.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_prediction_is_one_row_an_image_or_none(name):
    method = made(name).eval()
    with torch.no_grad():
        logits = method.predict(batch(name, method).views[0])
    if logits is not None:
        assert logits.shape == (COUNT, 10)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_state_survives_safetensors_and_training_goes_on_alike(name):
    """Weights, optimiser and schedule written after two steps and read by another: the third step is the same."""
    one, two = made(name, seed=0), made(name, seed=9)
    train(name, one, 2)
    two.load_state_dict(load(save(one.state_dict())))
    a, b = train(name, one, 1), train(name, two, 1)
    assert a == b
    for key, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_options_survive_json_and_unknown_ones_are_refused(name):
    kind = REGISTRY.get(name)
    config = kind.Config(epochs=7)
    assert kind.Config.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(ValueError, match="nonsense"):
        kind.Config(nonsense=1)
    for key, field in kind.Config.model_fields.items():
        assert field.description, f"{key} has no description"
    assert len(parse_views(config.views, kind.count_views(config))) == kind.count_views(config)


@pytest.mark.parametrize("name", NAMES)
def test_presets_are_complete_and_valid(name):
    kind = REGISTRY.get(name)
    for preset, parts in kind.presets.items():
        assert set(parts) <= {"encoder", "method", "training"}, preset
        config = kind.Config(**parts.get("method", {}))
        assert len(parse_views(config.views, kind.count_views(config))) == kind.count_views(config)
        encoder = parts.get("encoder", {})
        check_options(encoder.get("name", kind.default_encoder), encoder.get("options", {}))


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name):
    kind = REGISTRY.get(name)
    assert kind.title
    assert len(kind.reference) > 20
    assert kind.default_encoder in ENCODERS.names()
    assert kind.n_views >= 1
    assert ("\n\nExperimental: " in describe("methods", name)) == bool(kind.experimental)


def test_an_unknown_method_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="supervised"):
        REGISTRY.get("supervisd")
