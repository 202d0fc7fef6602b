"""Scores of novelty: by their definitions, and high where nothing was seen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf

from phispace.errors import InputError
from phispace.metrics.novelty import gaussian_novelty, loop_novelty


def test_gaussian_by_its_definition():
    rng = np.random.default_rng(0)
    seen, labels = rng.normal(size=(40, 3)), np.arange(40) % 2
    centres, points = rng.normal(size=(2, 3)), rng.normal(size=(5, 3))
    for point, found in zip(points, gaussian_novelty(points, seen, labels, centres), strict=True):
        each = [
            ((point - centres[c]) ** 2).sum() / np.mean([((s - centres[c]) ** 2).sum() for s in seen[labels == c]])
            for c in (0, 1)
        ]
        assert found == pytest.approx(min(each), abs=1e-10)
    with pytest.raises(InputError, match="no training point"):
        gaussian_novelty(points, seen, np.zeros(40, int), centres)


def test_loop_by_its_definition():
    rng = np.random.default_rng(1)
    seen, points, k, strictness = rng.normal(size=(30, 2)), rng.normal(size=(6, 2)) * 2, 4, 2.0

    def near(point, among):
        order = np.argsort(((among - point) ** 2).sum(1), kind="stable")[:k]
        return order, np.sqrt(((among[order] - point) ** 2).sum(1).mean())

    rest = [np.delete(np.arange(30), i) for i in range(30)]
    own = [near(s, seen[r]) for s, r in zip(seen, rest, strict=True)]
    sigma = np.array([o[1] for o in own])
    plof = np.array([sigma[i] / sigma[rest[i][own[i][0]]].mean() - 1 for i in range(30)])
    scale = strictness * np.sqrt((plof**2).mean())
    for point, found in zip(points, loop_novelty(points, seen, k, strictness), strict=True):
        order, deviation = near(point, seen)
        assert found == pytest.approx(
            max(0, erf((deviation / sigma[order].mean() - 1) / (scale * np.sqrt(2)))), abs=1e-10
        )


def test_what_lies_far_away_is_new_and_what_was_seen_is_not():
    rng = np.random.default_rng(2)
    seen = rng.normal(size=(300, 2))
    inside, outside = loop_novelty(rng.normal(size=(50, 2)) * 0.5, seen), loop_novelty(np.full((5, 2), 9.0), seen)
    assert np.median(inside) < 0.1
    assert outside.min() > 0.9
    with pytest.raises(InputError, match="more than 20"):
        loop_novelty(seen[:3], seen[:20])
