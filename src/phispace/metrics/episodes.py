"""Episodes of few-shot classification: n classes (ways), k labelled items of each (shots), q items of each to classify.

Sources: the episodes, Vinyals et al., NeurIPS 2016; nearest class mean (prototypes), Snell, Swersky and Zemel, NeurIPS
2017, equations 1 and 2; on unit vectors, Wang et al., SimpleShot, 2019 (arXiv 1911.04623), section 3; logistic
regression on unit vectors, Tian et al., ECCV 2020 (arXiv 2003.11539), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phispace.errors import InputError
from phispace.metrics.arrays import as_labels

_ITERATIONS = 500
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Episodes:
    """Positions of the items of E episodes.

    Attributes:
        support: int64 (E, n, k).
        query: int64 (E, n, q), of the same classes in the same order; no item is in both.
        eligible: number of classes that took part in the draw.
    """

    support: np.ndarray
    query: np.ndarray
    eligible: int


def possible(labels: Any, ways: int, shots: int, queries: int) -> tuple[int, int]:
    """Ways and queries that the items allow, at most those wanted; ways is below 2 where no episode is possible.

    A class takes part if it has the shots and one more item. As few queries as make the wanted ways possible.
    """
    labels = as_labels(labels, len(labels))
    sizes = np.sort(np.unique(labels, return_counts=True)[1])[::-1]
    ways = min(ways, int((sizes > shots).sum()))
    return ways, min(queries, int(sizes[ways - 1]) - shots) if ways else 0


def draw_episodes(
    labels: Any, ways: int, shots: int, queries: int, episodes: int, rng: np.random.Generator
) -> Episodes:
    """Draw episodes: classes, and items of each, without replacement inside an episode.

    Args:
        labels: int (N,); classes with fewer than shots + queries items take no part.

    Raises:
        InputError: fewer classes than ways can take part, or a number below 1.
    """
    labels = as_labels(labels, len(labels))
    if min(ways, shots, queries, episodes) < 1:
        raise InputError(f"Ways, shots, queries and episodes must be positive; got {ways, shots, queries, episodes}.")
    each = shots + queries
    members = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    members = [m for m in members if len(m) >= each]
    if len(members) < ways:
        raise InputError(f"{ways} classes of at least {each} items are needed; there are {len(members)}.")
    chosen = rng.permuted(np.tile(np.arange(len(members)), (episodes, 1)), axis=1)[:, :ways]
    items = np.empty((episodes, ways, each), np.int64)
    for episode, row in enumerate(chosen.tolist()):
        for way, c in enumerate(row):
            items[episode, way] = members[c][rng.choice(len(members[c]), each, replace=False)]
    return Episodes(items[..., :shots], items[..., shots:], len(members))


def prototypes(support: Tensor, query: Tensor, *, cosine: bool) -> Tensor:
    """Class by the nearest class mean, int64 (E, n, q): 0 .. n-1; a tie goes to the first of the episode's classes.

    Args:
        support: float32 (E, n, k, D); for the cosine unit vectors.
        query: (E, n, q, D), likewise.
        cosine: by the direction of the mean, else by Euclidean distance to it.
    """
    means = support.mean(2)
    if cosine:
        means = torch.nn.functional.normalize(means, dim=-1)
    episodes, ways, many, width = query.shape
    closeness = torch.bmm(query.reshape(episodes, ways * many, width), means.transpose(1, 2))
    if not cosine:
        closeness -= means.square().sum(-1)[:, None] / 2
    return closeness.argmax(-1).reshape(episodes, ways, many)


def logistic(support: Tensor, query: Tensor, c: float = 1.0) -> Tensor:
    """Class by multinomial logistic regression without intercept, all episodes at once, int64 (E, n, q).

    The objective is scikit-learn's, C sum_i -log softmax(x_i W)_{y_i} + ||W||_F^2 / 2. It is solved in the span of the
    support, W = X' A, by Nesterov's accelerated gradient for strongly convex functions.

    Args:
        support: float32 (E, n, k, D).
        query: (E, n, q, D).
        c: inverse strength of the penalty.
    """
    episodes, ways, shots, width = support.shape
    many = query.shape[2]
    x = support.reshape(episodes, ways * shots, width)
    gram = torch.bmm(x, x.transpose(1, 2))
    target = torch.eye(ways).repeat_interleave(shots, 0)
    # The loss bends at most half as much as the features are long (Böhning 1992), the penalty by one.
    bound = c * torch.linalg.matrix_norm(gram, 2)[:, None, None] / 2 + 1
    momentum = (bound.sqrt() - 1) / (bound.sqrt() + 1)
    a = ahead = torch.zeros(episodes, ways * shots, ways)
    for _ in range(_ITERATIONS):
        slope = c * (torch.softmax(torch.bmm(gram, ahead), -1) - target) + ahead
        before, a = a, ahead - slope / bound
        ahead = a + momentum * (a - before)
        if float(slope.abs().amax()) < _TOLERANCE * c:
            break
    logits = torch.bmm(torch.bmm(query.reshape(episodes, ways * many, width), x.transpose(1, 2)), a)
    return logits.argmax(-1).reshape(episodes, ways, many)


def accuracies(predicted: Tensor) -> np.ndarray:
    """Accuracy of each episode, float64 (E,), from classes (E, n, q) of queries that lie in the order of classes."""
    right = predicted == torch.arange(predicted.shape[1])[:, None]
    return right.double().mean((1, 2)).numpy()
