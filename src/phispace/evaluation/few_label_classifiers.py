"""The classifiers of the few-label curves; each is fitted again for each draw of labelled items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from phispace.randomness import unit_hash

if TYPE_CHECKING:
    from torch import Tensor

Vectors = Callable[[np.ndarray], np.ndarray]
"""Positions in train (n,) -> unit vectors float32 (n, D)."""


class Classifier(Protocol):
    """What is fitted on a draw, and what a reader must know of it in the end."""

    def predict(self, rows: np.ndarray, y: np.ndarray) -> np.ndarray | None:
        """Classes int64 (m,) of the test items when the train items `rows` (n,) are labelled `y` (n,).

        A class -1 is no class; None = too many labels for this classifier.
        """
        ...

    def caveats(self) -> list[str]: ...


class Linear:
    """Multinomial logistic regression: C sum_i -log softmax(x_i W + b)_{y_i} + ||W||_F^2 / 2, as scikit-learn's."""

    def __init__(self, vectors: Vectors, test: np.ndarray, n_classes: int, c: float) -> None:
        self._vectors, self._test, self._n_classes, self._c = vectors, test, n_classes, c
        self._unconverged = 0

    def predict(self, rows: np.ndarray, y: np.ndarray) -> np.ndarray | None:
        import torch

        from phispace.evaluation.logistic import solve

        features = _Rows(torch.from_numpy(self._vectors(rows)))
        solution = solve(features, y, self._n_classes, 1 / (self._c * len(rows)))
        self._unconverged += not solution.converged
        predicted: np.ndarray = solution.log_probability(torch.from_numpy(self._test)).argmax(1).numpy()
        return predicted

    def caveats(self) -> list[str]:
        if not self._unconverged:
            return []
        return [f"{self._unconverged} logistic regressions had not converged when they were stopped."]


class _Rows:
    """Features as `solve` takes them: of so few items a turn into their own axes would cost more than it saves."""

    def __init__(self, train: Tensor) -> None:
        self.train = train
        self.curvature: np.ndarray = train.double().square().mean(0).numpy()


class Centroid:
    """The class whose mean has the smallest angle to the item; a class whose mean is zero has a cosine of 0."""

    def __init__(self, vectors: Vectors, test: np.ndarray, n_classes: int) -> None:
        self._vectors, self._test, self._n_classes = vectors, test, n_classes

    def predict(self, rows: np.ndarray, y: np.ndarray) -> np.ndarray | None:
        from phispace.metrics.directions import unit_vectors

        sums = np.eye(self._n_classes, dtype=np.float32)[y].T @ self._vectors(rows)
        predicted: np.ndarray = (self._test @ unit_vectors(sums).T).argmax(1)
        return predicted

    def caveats(self) -> list[str]:
        return []


class Propagation:
    """Label propagation over one graph for all draws, from which test items are classified by their neighbours.

    The graph holds what any draw labels, small draws first as long as there is room, and is filled up with other train
    items by a hash of their ids, whatever their class. Draws that do not fit into it are left out.

    Args:
        ids: of train, str (N,).
        draws: positions of the labelled items of all draws, small ones first.
        items: size of the graph.
    """

    def __init__(
        self,
        vectors: Vectors,
        test: np.ndarray,
        n_classes: int,
        ids: np.ndarray,
        draws: Sequence[np.ndarray],
        *,
        items: int,
        neighbours: int,
        alpha: float,
    ) -> None:
        from phispace.metrics.propagation import Graph

        self._n_classes, self._alpha = n_classes, alpha
        self._left_out: set[int] = set()
        inside = np.zeros(len(ids), bool)
        sizes = sorted({len(rows) for rows in draws})
        for size in sizes:
            wanted = inside.copy()
            for rows in draws:
                if len(rows) == size:
                    wanted[rows] = True
            if wanted.sum() > items:
                break
            inside = wanted
        others = np.flatnonzero(~inside)
        room = max(0, min(items, len(ids)) - int(inside.sum()))
        hashes = np.array([unit_hash(str(i), "few labels graph") for i in ids[others]])
        inside[others[np.argsort(hashes, kind="stable")[:room]]] = True
        self._nodes = np.flatnonzero(inside)
        x = vectors(self._nodes)
        graph = Graph(x, neighbours)
        self._matrix, self._weights = graph.matrix, graph.neighbours_of(test)
        self._place = np.full(len(ids), -1)
        self._place[self._nodes] = np.arange(len(self._nodes))

    def predict(self, rows: np.ndarray, y: np.ndarray) -> np.ndarray | None:
        from phispace.metrics.propagation import propagate, spread

        place = self._place[rows]
        if (place < 0).any():
            self._left_out.add(len(rows))
            return None
        seeds = np.zeros((len(self._nodes), self._n_classes), np.float32)
        seeds[place, y] = 1
        return spread(self._weights, propagate(self._matrix, seeds, self._alpha))

    def caveats(self) -> list[str]:
        words = [
            f"Label propagation sees the vectors of {len(self._nodes):,} train items, labels of the drawn ones alone."
        ]
        if self._left_out:
            sizes = ", ".join(f"{n:,}" for n in sorted(self._left_out))
            words.append(f"Label propagation with {sizes} labels is left out: its graph has no room for all draws.")
        return words
