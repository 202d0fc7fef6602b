"""Exact nearest neighbours, in blocks, and the classifier that votes among them.

Sources: Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination, CVPR 2018
(arXiv 1805.01978), section 3.4, for the weighted vote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from phispace.errors import InputError
from phispace.metrics.arrays import as_labels, as_matrix
from phispace.metrics.directions import unit_vectors
from phispace.metrics.largest import largest

if TYPE_CHECKING:
    from torch import Tensor

Metric = Literal["cosine", "euclidean"]

_BLOCK_ELEMENTS = 1 << 24  # similarities held at a time: 64 MB in float32
_ROWS = 4096
_SPARE = 8  # candidates beyond k that float32 rounding may have pushed out
_ROUNDING = 2.0**-20  # of the vectors' scale; float32 products of up to some thousand terms stay below it
_BAND = 4096
_SAME = 2.0**-21  # 1 - cosine of equal directions in float32


def nearest(
    queries: Any, gallery: Any, k: int, metric: Metric = "cosine", *, exclude_self: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest gallery vectors of each query, exactly.

    Candidates come from a float32 matrix product; those that float32 cannot tell apart are ranked by float64
    similarities, so equal vectors tie exactly and a tie goes to the smaller position. (Where more than 4,096
    candidates lie within float32 rounding of the k-th, they count as tied.) Memory does not grow with Q * N.

    Args:
        queries: (Q, D), finite.
        gallery: (N, D), finite.
        k: 1 to N (to N - 1 with `exclude_self`).
        metric: `cosine`, where a zero vector has similarity 0 to all; or `euclidean`.
        exclude_self: query i and gallery item i are the same item; it is not its own neighbour.

    Returns:
        similarity float32 (Q, k), descending: the cosine, or minus the Euclidean distance;
        position int64 (Q, k) in the gallery.

    Raises:
        InputError: shapes that do not fit, k out of range, or an unknown metric.
    """
    import torch

    queries, gallery = as_matrix(queries, "queries"), as_matrix(gallery, "gallery")
    n = len(gallery) - exclude_self
    if queries.shape[1] != gallery.shape[1]:
        raise InputError(f"Queries have {queries.shape[1]} dimensions, the gallery has {gallery.shape[1]}.")
    if exclude_self and len(queries) != len(gallery):
        raise InputError(f"{len(queries)} queries are not the {len(gallery)} items of the gallery.")
    if not 1 <= k <= n:
        raise InputError(f"k must be from 1 to the {n} vectors to choose from; got {k}.")
    if metric not in ("cosine", "euclidean"):
        raise InputError(f"The metric must be cosine or euclidean; got {metric!r}.")
    similarity = np.empty((len(queries), k), np.float32)
    position = np.empty((len(queries), k), np.int64)
    items = _Prepared(gallery, metric)
    rows = max(1, _BLOCK_ELEMENTS // len(gallery))
    with torch.no_grad(), torch.autocast("cpu", enabled=False):  # a training may ask inside its bf16 region
        for start in range(0, len(queries), rows):
            stop = min(start + rows, len(queries))
            block = items.prepare(queries[start:stop])
            rough = items.rough(block)
            if exclude_self:
                rough[torch.arange(stop - start), torch.arange(start, stop)] = -torch.inf
            found, where = _rank(items, block, rough, k)
            similarity[start:stop], position[start:stop] = found, where
    return similarity, position


class _Prepared:
    """A gallery ready for products: unit vectors, or centred ones with half their squared length."""

    def __init__(self, gallery: np.ndarray, metric: Metric) -> None:
        import torch

        self.cosine = metric == "cosine"
        # Distances do not change when both sides move; near the origin float32 loses the least.
        self.centre = None if self.cosine else gallery.mean(0, dtype=np.float64)
        self.vectors = self.prepare(gallery)
        self.half = None if self.cosine else torch.linalg.vector_norm(self.vectors, dim=1).square() / 2

    def prepare(self, x: np.ndarray) -> Tensor:
        """float32 copies of the vectors, block by block: of many pixels a temporary copy is large."""
        import torch

        if self.centre is None:
            return torch.from_numpy(unit_vectors(x))
        ready = np.empty(x.shape, np.float32)
        for start in range(0, len(x), _ROWS):
            ready[start : start + _ROWS] = x[start : start + _ROWS] - self.centre.astype(x.dtype)
        return torch.from_numpy(ready)

    def rough(self, block: Tensor) -> Tensor:
        """Similarities (B, N) in float32 that keep the order: the cosine, or q.g - |g|^2/2."""
        rough = block @ self.vectors.T
        return rough if self.half is None else rough.sub_(self.half)

    def finish(self, block: Tensor, rough: Tensor) -> Tensor:
        """The float64 similarity that belongs to a rough one, as far as float32 knows it."""
        if self.cosine:
            return rough.double()
        return -(((block.double() ** 2).sum(1, keepdim=True) - 2 * rough.double()).clamp_min_(0)).sqrt_()

    def error(self, block: Tensor, candidates: Tensor) -> Tensor:
        """A bound (B, 1) on the rounding error of `rough`, float32."""
        import torch

        if self.half is None:
            return torch.full((len(block), 1), _ROUNDING)
        return _ROUNDING * ((block**2).sum(1, keepdim=True) / 2 + self.half[candidates].amax(1, keepdim=True))

    def exact(self, block: Tensor, row: Tensor, candidate: Tensor) -> Tensor:
        """Similarities (P,) of pairs in float64, summed in one fixed order, so that equal vectors tie exactly."""
        import torch

        found = torch.empty(len(row), dtype=torch.float64)
        step = max(1, _BLOCK_ELEMENTS // self.vectors.shape[1])
        for start in range(0, len(row), step):
            part = slice(start, start + step)
            chosen, query = self.vectors[candidate[part]], block[row[part]]
            if self.cosine:
                found[part] = chosen.mul_(query).sum(-1, dtype=torch.float64)
            else:
                found[part] = -chosen.sub_(query).square_().sum(-1, dtype=torch.float64).sqrt_()
        return found


def _rank(items: _Prepared, block: Tensor, rough: Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Top k of a block, ties by position. What float32 cannot tell apart is computed again in float64."""
    import torch

    wide = min(k + _SPARE, rough.shape[1])
    top, candidates = largest(rough, wide)
    error = items.error(block, candidates)
    value = items.finish(block, top)
    unsure = torch.zeros(top.shape, dtype=torch.bool)
    near = top[:, :-1] - top[:, 1:] <= 2 * error
    unsure[:, :-1] |= near
    unsure[:, 1:] |= near
    if not items.cosine:  # a small difference of large numbers: the distance itself would be wrong
        unsure |= value.square() <= error.double() / _ROUNDING / 8
    unsure &= ~torch.isneginf(top)
    row, column = torch.nonzero(unsure, as_tuple=True)
    value[row, column] = items.exact(block, row, candidates[row, column])
    candidates, order = candidates.sort(dim=1)
    value, order = value.gather(1, order).sort(dim=1, descending=True, stable=True)
    similarity, position = value[:, :k].float().numpy(), candidates.gather(1, order)[:, :k].numpy()
    if wide < rough.shape[1]:
        floor = top[:, k - 1] - 2 * error[:, 0]
        for i in torch.nonzero(top[:, -1] >= floor).flatten().tolist():
            bounds = float(top[i, k - 1]), float(floor[i])
            similarity[i], position[i] = _resolve(items, block[i], rough[i].numpy(), *bounds, k)
    return similarity, position


def _resolve(
    items: _Prepared, query: Tensor, rough: np.ndarray, kth: float, floor: float, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """One query (D,) whose k-th neighbour may be tied with more candidates than were kept.

    In numpy: these are many small steps, which threads would only slow down.
    """
    band = np.flatnonzero(rough >= floor)
    ceiling = kth + (kth - floor)
    tied = band[rough[band] <= ceiling]
    if len(tied) > _BAND:
        band = np.sort(np.concatenate([band[rough[band] > ceiling], tied[:_BAND]]))
    chosen, q = items.vectors.numpy()[band], query.numpy()
    if items.cosine:
        exact = (chosen * q).sum(1, dtype=np.float64)
    else:
        exact = -np.sqrt(((chosen - q) ** 2).sum(1, dtype=np.float64))
    order = np.argsort(-exact, kind="stable")[:k]
    return exact[order], band[order]


def vote(
    similarity: np.ndarray,
    neighbour_labels: np.ndarray,
    n_classes: int,
    temperature: float | None = None,
    *,
    weight: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Classes by the neighbours' votes.

    Args:
        similarity: (Q, k), descending.
        neighbour_labels: int64 (Q, k), 0 .. n_classes - 1.
        temperature: None = one vote each; else weights exp(similarity / temperature) as Wu et al.
        weight: float64 (Q, k), votes to count instead, at least one of a row above 0.

    Returns:
        predicted int64 (Q,), a tie going to the class of the nearest neighbour among the tied;
        share float64 (Q, n_classes) of the votes.
    """
    if weight is None:
        weight = np.ones(similarity.shape, np.float64)
        if temperature is not None:
            s = similarity.astype(np.float64)
            weight = np.exp((s - s[:, :1]) / temperature)  # divided by the largest: no overflow, the same shares
    rows = np.arange(len(similarity))[:, None]
    cells = (rows * n_classes + neighbour_labels).ravel()
    share = np.bincount(cells, weights=weight.ravel(), minlength=len(similarity) * n_classes)
    share = share.reshape(len(similarity), n_classes) / weight.sum(1, keepdims=True)
    of_neighbour = np.take_along_axis(share, neighbour_labels, 1)
    # Sums in another order differ in the last bits, hence the tolerance.
    first = (of_neighbour >= share.max(1, keepdims=True) * (1 - 1e-12)).argmax(1)
    return neighbour_labels[rows[:, 0], first], share


def inverse_distance(similarity: np.ndarray, metric: Metric) -> np.ndarray:
    """Weights 1 / distance of neighbours, float64 (Q, k), as `weights="distance"` of scikit-learn.

    The distance is the Euclidean one, or 1 - cosine. Neighbours at distance zero share all votes of their query
    (a cosine within float32's rounding of 1 counts as 1).

    Args:
        similarity: (Q, k), as `nearest` returns it.
    """
    similarity = similarity.astype(np.float64)
    distance = 1 - similarity if metric == "cosine" else -similarity
    zero = distance <= (_SAME if metric == "cosine" else 0)
    weight = np.divide(1.0, distance, out=np.zeros_like(distance), where=~zero)
    return np.where(zero.any(1, keepdims=True), zero, weight)


def knn_predict(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    k: int = 20,
    metric: Metric = "cosine",
    temperature: float | None = None,
) -> np.ndarray:
    """Predicted classes int64 (Q,) of test_x by the k nearest of train_x; k larger than N means all.

    Raises:
        InputError: empty train_x, or shapes that do not fit.
    """
    train_x = as_matrix(train_x, "train_x")
    train_y = as_labels(train_y, len(train_x), "train_y")
    classes, codes = np.unique(train_y, return_inverse=True)
    similarity, position = nearest(test_x, train_x, min(k, max(len(train_x), 1)), metric)
    return classes[vote(similarity, codes[position], len(classes), temperature)[0]]


def knn_accuracy(train_x: Any, train_y: Any, test_x: Any, test_y: Any, k: int = 20, metric: Metric = "cosine") -> float:
    """Share of test_x (Q, D) whose class the uniform vote of its k nearest in train_x (N, D) names.

    Returns:
        `nan` if either part is empty or any vector is not finite, as in a training that is diverging.
    """
    train_x, test_x = as_matrix(train_x, "train_x"), as_matrix(test_x, "test_x")
    test_y = as_labels(test_y, len(test_x), "test_y")
    if not len(train_x) or not len(test_x) or not (np.isfinite(train_x).all() and np.isfinite(test_x).all()):
        return float("nan")
    return float((knn_predict(train_x, train_y, test_x, k, metric) == test_y).mean())
