"""The hold-out: stratified, the same for ever, independent of order."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from phispace.metrics.holdout import hold_out, hold_out_val


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-1, 4), min_size=1, max_size=80), st.floats(0.05, 0.9), st.integers(0, 1000))
def test_counts_and_order(labels: list[int], share: float, seed: int) -> None:
    y = np.array(labels)
    ids = np.array([f"item {i}" for i in range(len(y))])
    chosen = hold_out(ids, y, share, "salt")
    for c in np.unique(y):
        n, away = int((y == c).sum()), int(chosen[y == c].sum())
        assert away == (0 if n < 2 else min(max(1, round(share * n)), n - 1))
    order = np.random.default_rng(seed).permutation(len(y))
    np.testing.assert_array_equal(hold_out(ids[order], y[order], share, "salt"), chosen[order])


def test_the_same_for_ever() -> None:
    ids = np.array([f"{i:05d}" for i in range(40)])
    chosen = hold_out_val(ids, np.arange(40) % 2)
    assert np.flatnonzero(chosen).tolist() == [11, 21, 24, 30]
