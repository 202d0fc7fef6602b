"""Estimates of mutual information: against loops over all pairs and locations, and where the information is known.

Largest difference from the loops in float64, relative to the larger of 1 and the value, over these shapes and scales
and five draws of each: 6.3e-07 (dv), 2.1e-07 (jsd), 5.0e-07 (infonce).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from phispace.methods.information import ESTIMATORS, Scores, all_pairs
from phispace.methods.score_networks import Products

TOLERANCE = 1e-5
NAMES = sorted(ESTIMATORS)


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def looped(name: str, positive: np.ndarray, negative: list[list[np.ndarray]]) -> float:
    """The estimate by its formula, one pair at a time, in float64.

    Args:
        positive: (N, L). negative: for each code, for each other image, (L,).
    """
    count, places = positive.shape
    if name == "dv":
        total = 0.0
        for place in range(places):
            mean = sum(positive[j, place] for j in range(count)) / count
            pairs = [image[place] for images in negative for image in images]
            top = max(pairs)
            total += mean - (top + math.log(sum(math.exp(t - top) for t in pairs) / len(pairs)))
        return total / places
    if name == "jsd":
        joint = [math.log(2) - softplus(-t) for t in positive.ravel()]
        apart = [softplus(t) - math.log(2) for images in negative for image in images for t in image]
        return sum(joint) / len(joint) - sum(apart) / len(apart)
    total = 0.0
    for j in range(count):
        others = [t for image in negative[j] for t in image]
        for place in range(places):
            everything = [positive[j, place], *others]
            top = max(everything)
            mean = sum(math.exp(t - top) for t in everything) / len(everything)
            total += positive[j, place] - top - math.log(mean)
    return total / (count * places)


def matrix(count: int, places: int, scale: float, seed: int = 0) -> torch.Tensor:
    return scale * torch.randn((count, count, places), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0, 1e4])
@pytest.mark.parametrize(("count", "places"), [(2, 1), (5, 1), (7, 9)])
@pytest.mark.parametrize("name", NAMES)
def test_all_pairs_of_a_batch(name, count, places, scale):
    scores = matrix(count, places, scale).requires_grad_()
    found = ESTIMATORS[name](all_pairs(scores))
    t = scores.detach().double().numpy()
    own = np.stack([t[j, j] for j in range(count)])
    expected = looped(name, own, [[t[j, i] for i in range(count) if i != j] for j in range(count)])
    assert abs(float(found.detach()) - expected) <= TOLERANCE * max(1.0, abs(expected))
    found.backward()
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_few_pairs_of_each_code(name):
    rng = torch.Generator().manual_seed(1)
    positive, negative = torch.randn((6, 4), generator=rng), torch.randn((6, 2, 4), generator=rng)
    found = float(ESTIMATORS[name](Scores(positive, negative, 2)))
    t = negative.double().numpy()
    assert found == pytest.approx(looped(name, positive.double().numpy(), [list(row) for row in t]), rel=TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_a_score_of_a_pair_that_is_masked_out_counts_for_nothing(name):
    """The diagonal's share of the negative term is exactly nothing, however large its scores are."""
    scores = matrix(6, 3, 1.0).double()
    before = ESTIMATORS[name](all_pairs(scores))
    shifted = scores.clone()
    for j in range(6):
        shifted[j, j] += 500.0
    positive, negative, others = all_pairs(shifted)
    after = ESTIMATORS[name](Scores(positive - 500.0, negative, others))
    assert float(after) == pytest.approx(float(before), abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_without_another_image_nothing_is_known(name):
    scores = matrix(1, 5, 1.0).requires_grad_()
    found = ESTIMATORS[name](all_pairs(scores))
    assert float(found.detach()) == 0.0
    found.backward()
    assert torch.equal(scores.grad, torch.zeros_like(scores))


def test_ceilings():
    perfect = torch.full((8, 8, 3), -1e3)
    for j in range(8):
        perfect[j, j] = 1e3
    scores = all_pairs(perfect)
    assert float(ESTIMATORS["infonce"](scores)) == pytest.approx(math.log(1 + 7 * 3))
    assert float(ESTIMATORS["jsd"](scores)) == pytest.approx(2 * math.log(2))
    assert float(ESTIMATORS["dv"](scores)) == pytest.approx(2e3)


@pytest.mark.parametrize("name", NAMES)
def test_unrelated_scores_are_worth_no_information(name):
    constant = all_pairs(torch.full((6, 6, 4), 3.0))
    assert float(ESTIMATORS[name](constant)) <= 1e-6


# -- Gaussians of known information: x, y in D pairs of correlation ρ share -D/2 log(1 - ρ²) nats

RHO = 0.8


def pairs(count: int, width: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    x, e = torch.randn((count, width), generator=rng), torch.randn((count, width), generator=rng)
    return x, RHO * x + math.sqrt(1 - RHO**2) * e


def information(width: int) -> float:
    return -width / 2 * math.log(1 - RHO**2)


def log_ratio(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """log p(x, y) / p(x) p(y) of every y (rows) with every x (columns), (N, N, 1)."""
    x, y = x[None].double(), y[:, None].double()
    own = -(y - RHO * x).square() / (2 * (1 - RHO**2)) + y.square() / 2 - math.log(1 - RHO**2) / 2
    return own.sum(2, keepdim=True)


def divergence(width: int) -> float:
    """Twice the Jensen-Shannon divergence of joint and product, by draws of the density ratio: width 1 by a grid."""
    assert width == 1
    grid = np.linspace(-9, 9, 2401)
    x, y = np.meshgrid(grid, grid, indexing="ij")
    joint = np.exp(-(x**2 - 2 * RHO * x * y + y**2) / (2 * (1 - RHO**2))) / (2 * np.pi * np.sqrt(1 - RHO**2))
    product = np.exp(-(x**2 + y**2) / 2) / (2 * np.pi)
    middle = (joint + product) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = sum(np.where(p > 0, p * np.log(p / middle), 0) for p in (joint, product))
    return float(inside.sum() * (grid[1] - grid[0]) ** 2)


def repeated(name: str, width: int, count: int, times: int) -> tuple[float, float]:
    """Mean over batches with the best possible score, and its standard error."""
    found = [float(ESTIMATORS[name](all_pairs(log_ratio(*pairs(count, width, 100 + seed))))) for seed in range(times)]
    return float(np.mean(found)), float(np.std(found, ddof=1) / math.sqrt(times))


@pytest.mark.parametrize("width", [1, 3])
def test_the_bounds_are_tight_at_the_best_score(width):
    true = information(width)
    nce, error = repeated("infonce", width, 512, 20)
    assert nce <= true + 3 * error
    assert nce > true - 0.03 - 3 * error
    dv, error = repeated("dv", width, 512, 20)
    assert abs(dv - true) < 0.02 + 3 * error


def test_infonce_stays_under_its_ceiling_where_there_is_more_to_know():
    few, _ = repeated("infonce", 12, 8, 30)
    many, error = repeated("infonce", 12, 256, 10)
    assert few < math.log(8) < many < math.log(256) < information(12) + 3 * error


def test_jensen_shannon_is_twice_the_divergence_at_the_best_score():
    found, error = repeated("jsd", 1, 512, 20)
    assert abs(found - divergence(1)) < 0.002 + 3 * error


@pytest.mark.parametrize("name", NAMES)
def test_a_network_that_learns_by_an_estimate_comes_near_the_truth_and_not_above(name):
    """Scores learnt on fresh draws, then valued on draws that were never seen."""
    torch.manual_seed(0)
    sides = [nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32)) for _ in "xy"]
    network = Products(*sides)
    optimizer = torch.optim.Adam(network.parameters())
    for step in range(500):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / 500)
        x, y = pairs(128, 2, 10_000 + step)
        loss = -ESTIMATORS[name](network(x[:, None], y[:, None]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    found = []
    with torch.no_grad():
        for seed in range(10):
            x, y = pairs(512, 2, seed)
            found.append(float(ESTIMATORS[name](network(x[:, None], y[:, None]))))
    mean, error = float(np.mean(found)), float(np.std(found, ddof=1) / math.sqrt(10))
    if name == "jsd":
        best = float(np.mean([float(ESTIMATORS[name](all_pairs(log_ratio(*pairs(512, 2, s))))) for s in range(10)]))
    else:
        best = information(2)
    print(name, mean, error, best)
    assert mean <= best + 3 * error
    assert mean > 0.85 * best
