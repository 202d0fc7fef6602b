"""When vectors are called collapsed: constructed ones, and the order of the rules."""

from __future__ import annotations

import numpy as np
import pytest

from phispace.metrics.collapse import judge
from phispace.metrics.spectrum import effective_rank, per_dimension_std


def state(x: np.ndarray) -> str:
    spread = float(per_dimension_std(x, normalise=True).mean() * np.sqrt(x.shape[1]))
    return judge(spread, effective_rank(x, centre=True), min(len(x) - 1, x.shape[1])).state


def noise(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (noise(300, 64), "healthy"),
        (np.maximum(noise(300, 64), 0) + 2, "healthy"),  # an offset alone is no fault
        (np.ones((300, 64)), "collapsed"),
        (5 + 0.01 * noise(300, 64), "collapsed"),
        (noise(300, 1) * np.ones(64), "collapsed"),
        (noise(300, 3) @ noise(3, 64), "few directions"),
        (noise(300, 1), "healthy"),  # a single dimension cannot vary in more than one
    ],
    ids=["noise", "relu with offset", "constant", "nearly one direction", "a line", "rank 3 of 64", "one dimension"],
)
def test_constructed(x: np.ndarray, expected: str) -> None:
    assert state(x) == expected


def test_words_say_the_numbers() -> None:
    assert "3.0 of 64 directions" in judge(0.9, 3.0, 64).words
    assert "spread 0.001" in judge(0.001, 60.0, 64).words
    assert judge(float("nan"), float("nan"), 64).state == "undefined"
    assert judge(0.0, float("nan"), 64).words == "Collapsed: all images have the same vector."
