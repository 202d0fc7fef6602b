"""Accuracies of classifiers that were trained several times, on the same test items, and their differences."""

from __future__ import annotations

import numpy as np

from phispace.metrics.intervals import paired_difference, wilson
from phispace.metrics.seeds import Estimate, difference_over_seeds_and_items, mean_over_seeds_and_items
from phispace.randomness import rng
from phispace.report.document import Number


def accuracy_of(right: np.ndarray) -> Estimate:
    """Mean of what is right (1) and wrong (0) over trainings and items (R, n); of one training Wilson's interval."""
    if len(right) > 1:
        return mean_over_seeds_and_items(right)
    interval = wilson(int(right.sum()), right.size)
    return Estimate(float(right.mean()), interval, float("nan"), (1,), right.size, "Wilson, over images")


def difference_of(second: np.ndarray, first: np.ndarray, seed: int) -> Estimate:
    """Accuracy of the second less the first, both (R, n); of a single training each McNemar's test over the items."""
    if len(first) > 1:
        return difference_over_seeds_and_items(second, first)
    whole = np.ones(first.shape[1], np.int64)
    found = paired_difference(whole, second[0].astype(np.int64), first[0].astype(np.int64), rng(seed, "paired"))
    return Estimate(found.difference, found.interval, found.p_value, (1, 1), found.n, "McNemar, over images")


def bounds(estimate: Estimate) -> tuple[float | None, float | None]:
    """Of a share; t knows no bounds, shares do."""
    low, high = estimate.interval
    return (max(low, 0.0), min(high, 1.0)) if np.isfinite(low) and np.isfinite(high) else (None, None)


def share(estimate: Estimate) -> Number:
    """For a table."""
    low, high = bounds(estimate)
    return Number(value=estimate.value, low=low, high=high, form="share")
