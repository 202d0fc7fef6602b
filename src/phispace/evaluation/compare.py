"""Two representations on the same test images: is one better, or did it meet easier images, or luckier seeds?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.evaluate import make_evaluation
from phispace.evaluation.items import Items
from phispace.evaluation.probe import Predictions, Probe
from phispace.metrics.intervals import PairedDifference, bootstrap_mean, paired_difference
from phispace.metrics.seeds import (
    Estimate,
    difference_over_seeds_and_items,
    mean_over_seeds_and_items,
)
from phispace.randomness import rng


def compare(
    a: Embeddings, b: Embeddings, name: str = "linear", *, options: Mapping[str, Any] | None = None, seed: int = 0
) -> PairedDifference:
    """Test accuracy of store a minus that of store b under one classifier, image by image.

    Raises:
        InputError: `name` is no classifier, or the stores do not have the same labelled test items.
    """
    evaluation = make_evaluation(name, options)
    if not isinstance(evaluation, Probe):
        raise InputError(f"The evaluation {name!r} predicts no classes; compare with knn or linear.")
    return compare_predictions(evaluation.predict(a, seed=seed), evaluation.predict(b, seed=seed), seed=seed)


def compare_predictions(a: Predictions, b: Predictions, *, seed: int = 0) -> PairedDifference:
    """The same from predictions that are there already.

    Raises:
        InputError: other ids, or other labels for the same ids.
    """
    if not np.array_equal(a.ids, b.ids):
        shared = len(np.intersect1d(a.ids, b.ids))
        raise InputError(
            f"The test items differ: {len(a.ids)} and {len(b.ids)}, {shared} in common; they must be the same."
        )
    if a.classes != b.classes or not np.array_equal(a.true, b.true):
        raise InputError("The two stores give the same test items different labels.")
    return paired_difference(a.true, a.predicted, b.predicted, rng(seed, "paired"))


def mean_of(runs: Sequence[Items], metric: str) -> Estimate:
    """The mean of a metric over at least two runs that differ by their seed, with the interval over seeds and items.

    Raises:
        InputError: fewer than two, a run without this metric, or other items in one of them.
    """
    if len(runs) < 2:
        raise InputError("A mean over seeds needs at least two runs.")
    return mean_over_seeds_and_items(_values(runs, metric))


def difference(a: Sequence[Items], b: Sequence[Items], metric: str, *, seed: int = 0) -> Estimate:
    """Metric of a minus metric of b on the same test items, each over the seeds that there are.

    One run each: a paired bootstrap over the items, and for right-or-wrong values McNemar's exact test (else the paired
    t-test). Several: seeds and items, see `phispace.metrics.seeds`.

    Raises:
        InputError: no runs, a run without this metric, or other items.
    """
    first, second = _values([*a, *b], metric)[: len(a)], _values([*a, *b], metric)[len(a) :]
    if not len(first) or not len(second):
        raise InputError("A difference needs at least one run on each side.")
    if len(first) > 1 or len(second) > 1:
        return difference_over_seeds_and_items(first, second)
    x, y = first[0], second[0]
    draws, n = rng(seed, "paired"), len(x)
    if np.isin(x, (0.0, 1.0)).all() and np.isin(y, (0.0, 1.0)).all():
        found = paired_difference(np.ones(n, np.int64), x.astype(np.int64), y.astype(np.int64), draws)
        test = "paired bootstrap over items, McNemar's exact test"
        return Estimate(found.difference, found.interval, found.p_value, (1, 1), n, test)
    from scipy import stats

    p_value = 1.0 if np.array_equal(x, y) else float(stats.ttest_rel(x, y).pvalue)
    interval = bootstrap_mean(x - y, draws)
    return Estimate(float((x - y).mean()), interval, p_value, (1, 1), n, "paired bootstrap over items, paired t-test")


def _values(runs: Sequence[Items], metric: str) -> np.ndarray:
    """float64 (S, n) of runs on the same items.

    Raises:
        InputError: other ids, other classes for the same ids, or a run without this metric.
    """
    for run in runs:
        if metric not in run.values:
            raise InputError(f"The items of a score have no {metric!r}; they have {', '.join(run.values) or 'none'}.")
        if not np.array_equal(run.ids, runs[0].ids):
            shared = len(np.intersect1d(run.ids, runs[0].ids))
            both = f"{len(runs[0].ids)} and {len(run.ids)}, {shared} in common"
            raise InputError(f"The test items differ: {both}; they must be the same.")
        mine, other = (r.columns.get("label") for r in (run, runs[0]))
        if mine is not None and other is not None and not np.array_equal(mine, other):
            raise InputError("The runs give the same test items different classes.")
    return np.stack([run.values[metric] for run in runs])
