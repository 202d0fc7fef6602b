"""95 % intervals cover a truth that is known in 90 to 98 % of repeats: of functions, and as evaluations report them.

`python tests/evaluation/test_interval_coverage.py 2000` prints the shares over so many repeats.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
from scipy import special, stats

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Scores
from phispace.evaluation.probe import Outcome, Probe
from phispace.evaluation.protocol import Parts
from phispace.metrics.intervals import bootstrap, bootstrap_mean, paired_difference, wilson

Draw = Callable[[np.random.Generator], tuple[tuple[float, float], float]]

MEANS = np.random.default_rng(0).normal(size=(3, 4))
PRIOR = np.array([0.5, 0.3, 0.2])
SHARPNESS = 0.6  # below 1 the classifier is less sure than it should be


def accuracy(rng: np.random.Generator) -> tuple[tuple[float, float], float]:
    return wilson(int(rng.binomial(360, 0.93)), 360), 0.93


def difference(rng: np.random.Generator) -> tuple[tuple[float, float], float]:
    """Both classifiers miss the same hard images: right above 0.2 and above 0.25 of a difficulty with own noise."""
    hard = rng.uniform(-0.5, 1.5, 400)
    a, b = (hard + 0.05 * rng.normal(size=(2, 400)) < [[0.8], [0.75]]).astype(int)
    return paired_difference(np.ones(400, int), a, b, rng, repeats=400).interval, 0.05 / 2


def median(rng: np.random.Generator) -> tuple[tuple[float, float], float]:
    x = rng.gamma(2.0, size=100)
    return bootstrap(lambda i: float(np.median(x[i])), 100, rng, repeats=200), stats.gamma.ppf(0.5, 2.0)


def rank_correlation(rng: np.random.Generator) -> tuple[tuple[float, float], float]:
    x = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 100)

    def spearman(i: np.ndarray) -> float:
        ranks = x[i].argsort(0).argsort(0)
        return float(np.corrcoef(ranks.T)[0, 1])

    return bootstrap(spearman, 100, rng, repeats=200), 6 / np.pi * np.arcsin(0.3)


def macro_f1(rng: np.random.Generator) -> tuple[tuple[float, float], float]:
    recall, prior = np.array([0.9, 0.7, 0.5]), np.array([0.5, 0.3, 0.2])
    table = prior[:, None] * (np.diag(recall) + np.roll(np.eye(3), 1, 1) * (1 - recall)[:, None])

    def f1(counts: np.ndarray) -> float:
        return float((2 * np.diag(counts) / (counts.sum(0) + counts.sum(1))).mean())

    cell = rng.choice(9, 400, p=table.ravel())
    found = bootstrap(lambda i: f1(np.bincount(cell[i], minlength=9).reshape(3, 3)), 400, rng, repeats=200)
    return found, f1(table)


def skewed_mean(rng: np.random.Generator) -> tuple[tuple[float, float], float]:
    return bootstrap_mean(rng.exponential(2.0, 200), rng, repeats=400), 2.0


CASES: dict[str, Draw] = {
    "accuracy, Wilson": accuracy,
    "paired difference of accuracies": difference,
    "mean of skewed values": skewed_mean,
    "median": median,
    "rank correlation": rank_correlation,
    "macro F1": macro_f1,
}


def covered(draw: Draw, repeats: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(repeats):
        (low, high), truth = draw(rng)
        hits += low <= truth <= high
    return hits / repeats


class Fixed(Probe):
    """A classifier that is not fitted: softmax of - |x - mean|^2 / 2, made less sure."""

    name = "fixed"
    title = "fixed"
    reference = "none"
    calibrated = likelihood = True

    def classify(self, parts: Parts, seed: int) -> Outcome:
        score = -SHARPNESS * ((parts.test.x[:, None] - MEANS) ** 2).sum(2) / 2
        log_p = special.log_softmax(score, axis=1)
        return Outcome.of_likelihood(log_p, np.arange(3), 3, chosen={}, details={}, caveats=[])


def score(n: int, rng: np.random.Generator, seed: int) -> Scores:
    y = np.concatenate([[0, 1, 2], rng.choice(3, n, p=PRIOR)])
    x = MEANS[y] + rng.normal(size=(n + 3, 4))
    splits = np.where(np.arange(n + 3) < 3, "train", "test")
    return Fixed().run(Embeddings.build(x, [f"{i:07d}" for i in range(n + 3)], y, splits), seed=seed)


def shares_of_scores(repeats: int, n: int = 250) -> dict[str, float]:
    """How often the intervals of a probe's scores cover what it reaches on 100,000 items."""
    rng = np.random.default_rng(5)
    truth = score(100_000, rng, 0).metrics
    hits = dict.fromkeys(("accuracy", "balanced_accuracy", "nll"), 0)
    for seed in range(repeats):
        found = score(n, rng, seed)
        for metric in hits:
            low, high = found.interval[metric]
            hits[metric] += low <= truth[metric] <= high
    return {metric: count / repeats for metric, count in hits.items()}


@pytest.mark.parametrize("name", CASES)
def test_intervals_cover(name: str) -> None:
    assert 0.90 <= covered(CASES[name], 200, seed=1) <= 0.98


def test_intervals_of_scores_cover() -> None:
    shares = shares_of_scores(120)
    assert all(0.90 <= share <= 0.98 for share in shares.values()), shares


if __name__ == "__main__":
    times = int(sys.argv[1])
    found = {name: covered(draw, times, 2) for name, draw in CASES.items()}
    for title, share in (found | shares_of_scores(times)).items():
        print(f"{title:<34}{share:.3f}")
