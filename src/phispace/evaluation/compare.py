"""Two representations on the same test images: is one better, or did it meet easier images?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.evaluate import make_evaluation
from phispace.evaluation.probe import Predictions, Probe
from phispace.metrics.intervals import PairedDifference, paired_difference
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
