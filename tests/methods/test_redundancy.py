"""Barlow Twins, VICReg and LeJEPA: losses beside direct evaluations in float64, draws, resolutions, collapse."""

from __future__ import annotations

import math

import learning
import numpy as np
import pairs
import pytest
import torch

from phispace.methods.barlow_twins import barlow_terms
from phispace.methods.base import Batch
from phispace.methods.lejepa import LeJEPA, distance_to_centre, epps_pulley, unit_directions
from phispace.methods.vicreg import vicreg_terms

NAMES = ["barlow-twins", "vicreg", "lejepa"]
MLP = {"name": "mlp", "hidden": (128,), "code": 32}
CONVOLUTIONS = {"name": "convnet4", "width": 8, "dense": 64}
SMALL = {"batch_size": 100, "learning_rate": 5e-3, "projector_hidden": 64, "projection": 64}
OWN = {"vicreg": {"covariance": 5.0}, "barlow-twins": {"redundancy": 0.03}, "lejepa": {"slices": 64}}
MARGIN = 0.1
"""Over the untrained encoder, in accuracy from two labels a class."""
SHAPES = [(2, 3), (16, 8), (200, 40)]


def pair(shape: tuple[int, int], seed: int = 0, spread: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two correlated projections whose dimensions have means, and are correlated too."""
    rng = torch.Generator().manual_seed(seed)
    mix = torch.randn(shape[1], shape[1], generator=rng) / shape[1] ** 0.5
    one = torch.randn(shape, generator=rng) @ mix + 0.3
    return one * spread, (0.7 * one + 0.5 * torch.randn(shape, generator=rng)) * spread


@pytest.mark.parametrize("shape", SHAPES)
def test_barlow_twins_is_its_formula(shape):
    one, two = pair(shape, seed=1)
    loss, invariance = barlow_terms(one, two, 5e-3)
    a, b = (x.double().numpy() for x in (one, two))
    a, b = ((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) for x in (a, b))
    first = second = 0.0
    for j in range(shape[1]):
        for k in range(shape[1]):
            c = float((a[:, j] * b[:, k]).mean())
            first += (1 - c) ** 2 if j == k else 0.0
            second += 0.0 if j == k else c**2
    assert float(loss) == pytest.approx(first + 5e-3 * second, rel=1e-5)
    assert float(invariance) == pytest.approx(first, rel=1e-5)


@pytest.mark.parametrize("spread", [1.0, 0.1])
@pytest.mark.parametrize("shape", SHAPES)
def test_vicreg_is_its_formula(shape, spread):
    one, two = pair(shape, seed=2, spread=spread)
    terms = vicreg_terms(one, two)
    z = [x.double().numpy() for x in (one, two)]
    invariance = sum(float(((a - b) ** 2).sum()) for a, b in zip(*z, strict=True)) / shape[0] / shape[1]
    hinges, squares = [], []
    for x in z:
        deviations = [math.sqrt(float(np.var(x[:, j], ddof=1)) + 1e-4) for j in range(shape[1])]
        hinges.append(np.mean([max(0.0, 1 - deviation) for deviation in deviations]))
        covariance = np.cov(x, rowvar=False)
        squares.append((covariance**2).sum() - (np.diag(covariance) ** 2).sum())
    expected = (invariance, (hinges[0] + hinges[1]) / 2, (squares[0] + squares[1]) / shape[1])
    for found, wanted in zip(terms, expected, strict=True):
        assert float(found) == pytest.approx(wanted, rel=1e-5, abs=1e-7)


def test_epps_pulley_is_the_closed_form_of_its_integral():
    """∫ |1/n Σ exp(itx) - exp(-t²/2)|² exp(-t²/2) dt over all t, by Gaussian integrals; many points, far limits."""
    rng = np.random.default_rng(0)
    for x in (rng.normal(size=30), rng.normal(2.0, 0.3, size=7), rng.exponential(size=50), np.zeros(4)):
        pairs = np.exp(-((x[:, None] - x[None]) ** 2) / 2).mean() * math.sqrt(2 * math.pi)
        cross = np.exp(-(x**2) / 4).mean() * math.sqrt(math.pi)
        closed = len(x) * (pairs - 2 * cross + math.sqrt(2 * math.pi / 3))
        found = epps_pulley(torch.from_numpy(x)[:, None], points=400, limit=12.0)
        assert float(found) == pytest.approx(closed, rel=1e-5)


def test_lejepa_is_its_formula_and_lightlys():
    from lightly.loss.lejepa_loss import SIGReg, lejepa_invariance_loss

    rng = torch.Generator().manual_seed(3)
    z = torch.randn(3, 20, 6, generator=rng) * 1.3 + 0.2
    directions = unit_directions(6, 11, rng)
    torch.testing.assert_close(directions.norm(dim=0), torch.ones(11))
    found = float(epps_pulley(z @ directions).mean())
    total = 0.0
    for view in z.double().numpy():
        for a in directions.double().numpy().T:
            x, points = view @ a, np.linspace(-3, 3, 33)
            distance = [abs(np.exp(1j * t * x).mean() - math.exp(-(t**2) / 2)) ** 2 for t in points]
            total += 20 * np.trapezoid(distance * np.exp(-(points**2) / 2), points)
    assert found == pytest.approx(total / 3 / 11, rel=1e-5)
    theirs = SIGReg(num_vectors=11)
    theirs._generate_unit_vectors = lambda *_: directions
    assert found == pytest.approx(float(theirs(z)), rel=1e-5)
    centre = z[:2].double().numpy().mean(0)
    expected = float(((z.double().numpy() - centre) ** 2).mean())
    assert float(distance_to_centre(z, 2)) == pytest.approx(expected, rel=1e-5)
    assert float(lejepa_invariance_loss(all_proj=z, global_proj=z[:2])) == pytest.approx(expected, rel=1e-5)


def test_sigreg_tells_a_gaussian_from_a_collapse_and_from_other_shapes():
    rng = torch.Generator().manual_seed(0)
    directions = unit_directions(8, 100, rng)
    normal = torch.randn(500, 8, generator=rng)
    found = {
        "normal": normal,
        "wide": 2 * normal,
        "constant": torch.zeros(500, 8),
        "two clusters": normal.sign(),
    }
    scores = {name: float(epps_pulley(z @ directions).mean()) for name, z in found.items()}
    assert scores["constant"] > 100 * scores["normal"]
    assert scores["wide"] > 20 * scores["normal"]
    assert scores["two clusters"] > 1.2 * scores["normal"]


@pytest.mark.parametrize("count", [5, 200])
def test_what_normal_samples_score_is_known(count):
    """E T = ∫ (1 - exp(-t²)) exp(-t²/2) dt = sqrt(2π) - sqrt(2π/3), whatever their number; 5 standard errors."""
    samples = torch.randn(count, 4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scores = epps_pulley(samples, points=60, limit=6.0)
    expected = math.sqrt(2 * math.pi) - math.sqrt(2 * math.pi / 3)
    assert float(scores.mean()) == pytest.approx(expected, abs=5 * float(scores.std()) / 4000**0.5)


def batch(items: int, count: int = 2, seed: int = 0) -> Batch:
    images = torch.rand(count, items, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return Batch(tuple(images), torch.full((items,), -1), torch.arange(items))


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_of_the_projections_with_its_weights_and_in_float32(name):
    method = learning.make(name, MLP, **SMALL)
    data = batch(50)
    for bf16 in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16), torch.no_grad():
            loss = float(method.loss_terms(data)["loss"])
            one, two = method.projections(data)
        if name == "vicreg":
            s, v, c = vicreg_terms(one, two)
            expected = 25 * s + 25 * v + c
        elif name == "barlow-twins":
            expected = barlow_terms(one, two, 5e-3)[0]
        else:
            directions = unit_directions(64, 256, method._rng())
            both = torch.stack([one, two])
            expected = 0.95 * distance_to_centre(both, 2) + 0.05 * epps_pulley(both @ directions).mean()
        assert loss == pytest.approx(float(expected), rel=1e-5), bf16


@pytest.mark.parametrize("name", NAMES)
def test_a_rest_of_one_image_is_finite_in_validation_and_in_training(name):
    method = learning.make(name, MLP, **SMALL)
    for training in (False, True):
        terms = method.train(training).loss_terms(batch(1))
        assert all(value.isfinite() for value in terms.values())
        terms["loss"].backward()


def test_slices_follow_the_step_and_stay_in_validation(monkeypatch):
    method = learning.make("lejepa", MLP, **SMALL)
    step = [0]
    monkeypatch.setattr(LeJEPA, "global_step", property(lambda _: step[0]))
    seen: dict[tuple[bool, int], list[torch.Tensor]] = {}
    for training in (True, False):
        method.train(training)
        for place in (0, 1, 0):
            step[0] = place
            seen.setdefault((training, place), []).append(unit_directions(4, 3, method._rng()))
    assert torch.equal(*seen[True, 0])
    assert not torch.equal(seen[True, 0][0], seen[True, 1][0])
    assert torch.equal(seen[False, 0][0], seen[False, 1][0])


def test_local_views_are_counted_and_only_global_ones_are_the_centre():
    method = learning.make("lejepa", MLP, local_views=3, **SMALL)
    assert method.count_views(method.config) == 5
    assert LeJEPA.count_views(LeJEPA.Config()) == 2
    data = batch(8, count=5)
    with torch.no_grad():
        z = torch.stack(method.projections(data))
        terms = method.loss_terms(data)
    assert z.shape == (5, 8, 64)
    expected = float((z - (z[0] + z[1]) / 2).square().mean())
    assert float(terms["invariance"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_digits_are_told_apart_better_than_untrained(name):
    """Without labels: MARGIN over the same network untrained, with two labels a class."""
    method = learning.make(name, CONVOLUTIONS, epochs=15, **SMALL, **OWN.get(name, {}))
    untrained = pairs.few_labels(method)
    pairs.learn(method)
    assert pairs.few_labels(method) > untrained + MARGIN
    with torch.no_grad():
        assert method.verdict(method.measure([learning.digits()[0]])) == ""


def test_without_redundancy_barlow_twins_says_the_same_in_many_dimensions():
    """Rank of the projections with next to no weight on the second term, beside that with the published one."""
    ranks = []
    for weight in (1e-6, 5e-3):
        method = pairs.learn(learning.make("barlow-twins", CONVOLUTIONS, epochs=10, redundancy=weight, **SMALL))
        with torch.no_grad():
            ranks.append(method.measure([learning.digits()[0]])["projection_rank"])
    assert ranks[0] < 0.8 * ranks[1], ranks


def test_without_variance_vicreg_collapses_and_is_told_so():
    method = pairs.learn(learning.make("vicreg", CONVOLUTIONS, epochs=10, variance=0.0, covariance=0.0, **SMALL))
    with torch.no_grad():
        found = method.measure([learning.digits()[0]])
    assert "have collapsed" in method.verdict(found), found
    small = found | {"projection_std": 0.9, "projection_rank": 20.0}  # as a small cloud of all directions
    assert method.collapsed(small)
    assert not method.collapsed(small | {"projection_deviation": 1.0})
