"""An index over a store: nearest vectors by cosine or Euclidean distance, with FAISS.

Exact unless it is asked otherwise, or `auto` finds the store large. Every kind ranks its candidates again by float64
similarities, so equal vectors tie exactly and ties go to the smaller position. An index is always built from the
store; none is read from a file, because FAISS's files are not made to be trusted.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.progress import SILENT, Progress
from phispace.randomness import rng
from phispace.search.vectors import Metric, Space, check_metric

Kind = Literal["auto", "exact", "ivf", "hnsw"]

EXACT_UP_TO = 1_000_000
"""`auto`: above this many vectors, IVF.

A scan of 60,000 x 512 takes about 20 ms a query on two cores, so a million still answer at once; building lists takes
minutes there. HNSW answers fastest and takes about three times as long to build, so it is made on request only.
"""

RECALL_GOAL = 0.95
_SAMPLE = 200
_SPARE = 8
_ROWS = 4096
_WIDER = 32
_HNSW_NEIGHBOURS = 32


class Index:
    """Vectors that can be searched; made by `Index.build`.

    Attributes:
        kind: `exact`, `ivf` or `hnsw`: what it became.
        metric: `cosine` or `euclidean`.
        ids: str (N,), the items by position.
        recall: for approximate kinds, the share of their true 10 nearest that a sample of stored vectors found.
        notes: sentences about choices that were made.
    """

    def __init__(self, space: Space, faiss_index: Any, kind: str, ids: np.ndarray) -> None:
        self._space = space
        self._faiss = faiss_index
        self.kind = kind
        self.metric = space.metric
        self.ids = ids
        self.recall: float | None = None
        self.notes: list[str] = []

    @classmethod
    def build(
        cls,
        embeddings: Embeddings,
        kind: Kind | str = "exact",
        metric: Metric | str = "cosine",
        *,
        recall: float = RECALL_GOAL,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Index:
        """Index all vectors of a store (of a part, pass `embeddings.part("train")`).

        Args:
            kind: `exact` (a scan of everything), `ivf` (inverted lists around k-means centres), `hnsw` (a graph), or
                `auto`, by size.
            metric: `cosine`, where a zero vector has similarity 0 to all; or `euclidean`.
            recall: what an approximate index is tuned to: its search widens until the sample finds this share of the
                true 10 nearest, or it can be widened no more.
            seed: for k-means and the sample.

        Raises:
            InputError: an unknown kind or metric, or an empty store.
        """
        if kind not in get_args(Kind):
            raise InputError(f"The index {kind!r} is not known; expected {', '.join(get_args(Kind))}.")
        if not len(embeddings):
            raise InputError("An index needs at least one vector; the store is empty.")
        if not 0 < recall <= 1:
            raise InputError(f"The recall to reach lies in (0, 1]; got {recall}.")
        n, notes = len(embeddings), []
        if kind == "auto":
            kind = "exact" if n <= EXACT_UP_TO else "ivf"
        if kind == "ivf" and n < 2 * _lists(n):
            notes.append(f"{n} vectors are too few for inverted lists; the index is exact.")
            kind = "exact"
        progress = progress or SILENT
        space = Space(embeddings.vectors, check_metric(str(metric)))
        with progress.task(f"Indexing {n} vectors ({kind})", total=n) as task:
            faiss_index = _empty(kind, space, n, seed)
            for start in range(0, n, _ROWS):
                block = space.block(start, start + _ROWS)
                faiss_index.add(block)
                task.advance(len(block))
        index = cls(space, faiss_index, kind, embeddings.ids)
        index.notes = notes
        if kind != "exact":
            index._tune(recall, seed)
            progress.say(index.notes[-1])
        return index

    def __len__(self) -> int:
        return len(self._space)

    def __repr__(self) -> str:
        return f"Index({len(self)} x {self._space.dim}, {self.kind}, {self.metric})"

    def search(
        self, vectors: np.ndarray, k: int = 10, *, exclude: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest items of each query.

        Args:
            vectors: (Q, D) or (D,), finite.
            k: how many; more than there are is clipped to what there is.
            exclude: int (Q,), a position for each query that is not among its answers (the query itself); -1 = none.

        Returns:
            similarity float32 (Q, k), descending: the cosine, or minus the Euclidean distance;
            position int64 (Q, k) in the store. Where an approximate index finds fewer, -inf and -1.

        Raises:
            InputError: another number of dimensions, values that are not finite, or k < 1.
        """
        queries = self._space.check(vectors)
        away = np.full(len(queries), -1, np.int64) if exclude is None else np.asarray(exclude, np.int64)
        if away.shape != (len(queries),):
            raise InputError(f"There are {len(queries)} queries and {away.shape} positions to exclude.")
        if k < 1:
            raise InputError(f"k must be at least 1; got {k}.")
        k = min(k, len(self) - int((away >= 0).any()))
        similarity = np.full((len(queries), k), -np.inf, np.float32)
        position = np.full((len(queries), k), -1, np.int64)
        todo = np.arange(len(queries))
        # first few candidates; more for the queries where others might tie with the k-th; then a scan of everything
        for wide in (k + 1 + _SPARE, _WIDER * (k + 1 + _SPARE)):
            later: list[int] = []
            for start in range(0, len(todo), _ROWS):
                part = todo[start : start + _ROWS]
                rough, found = self._faiss.search(queries[part], min(wide, len(self)))
                for row, i in enumerate(part):
                    candidates = np.sort(found[row][found[row] >= 0])
                    self._rank(queries[i], candidates, int(away[i]), similarity[i], position[i])
                    if not self._settled(queries[i], float(rough[row, -1]), len(candidates), similarity[i]):
                        later.append(int(i))
            todo = np.asarray(later, np.int64)
        for i in todo:
            self._rank(queries[i], np.arange(len(self)), int(away[i]), similarity[i], position[i])
        return similarity, position

    def _rank(
        self, query: np.ndarray, candidates: np.ndarray, away: int, similarity: np.ndarray, position: np.ndarray
    ) -> None:
        """Rank one query's candidates (ascending positions) into its two rows (k,)."""
        candidates = candidates[candidates != away]
        exact = self._space.similarity(query, candidates)
        order = np.argsort(-exact, kind="stable")[: len(similarity)]
        similarity[: len(order)], position[: len(order)] = exact[order], candidates[order]

    def _settled(self, query: np.ndarray, least: float, candidates: int, similarity: np.ndarray) -> bool:
        """Whether no item that was not fetched can be as near as the k-th."""
        if self.kind != "exact" or candidates == len(self) or not len(similarity):
            return True
        bound = self._space.at_most(query, least)
        return bound < float(similarity[-1])

    def _tune(self, goal: float, seed: int) -> None:
        """Widen the search until a sample of stored vectors finds `goal` of its true 10 nearest."""
        import faiss

        chosen = np.sort(rng(seed, "index-sample").choice(len(self), min(_SAMPLE, len(self)), replace=False))
        queries, k = self._space.rows(chosen), max(1, min(10, len(self) - 1))
        # a query finds itself always, which says nothing: one more is fetched and itself left out
        truth = [_others(row, i, k) for row, i in zip(_scan(self._space, queries, k + 1), chosen, strict=True)]
        parameters = faiss.ParameterSpace()
        if self.kind == "ivf":
            name, widths = "nprobe", [w for w in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if w <= self._faiss.nlist]
        else:
            name, widths = "efSearch", [16, 32, 64, 128, 256, 512]
        for width in widths:
            parameters.set_index_parameter(self._faiss, name, width)
            _, rows = self._faiss.search(queries, k + 1)
            found = [_others(row, i, k) for row, i in zip(rows, chosen, strict=True)]
            reached = float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(found, truth, strict=True)]))
            if reached >= goal:
                break
        self.recall = reached
        self.notes.append(
            f"The {self.kind} index ({name} {width}) finds {reached:.1%} of the true {k} nearest, "
            f"measured on {len(chosen)} stored vectors; queries unlike these may find fewer."
        )
        if reached < goal:
            self.notes[-1] += f" That is below the {goal:.0%} wanted; use the exact index where it matters."


def _lists(n: int) -> int:
    """Number of inverted lists, about 4 sqrt(N), FAISS's own advice below a million vectors."""
    return max(1, round(4 * n**0.5))


def _empty(kind: str, space: Space, n: int, seed: int) -> Any:
    """A FAISS index of this kind, trained where it needs to be, without vectors."""
    import faiss

    measure = faiss.METRIC_INNER_PRODUCT if space.metric == "cosine" else faiss.METRIC_L2
    flat = faiss.IndexFlat(space.dim, measure)
    if kind == "exact":
        return flat
    if kind == "hnsw":
        graph = faiss.IndexHNSWFlat(space.dim, _HNSW_NEIGHBOURS, measure)
        graph.hnsw.efConstruction = 100
        return graph
    lists = _lists(n)
    inverted = faiss.IndexIVFFlat(flat, space.dim, lists, measure)
    inverted.cp.seed, inverted.cp.min_points_per_centroid = seed % 2**31 or 1234, 1
    sample = rng(seed, "index-centres").choice(n, min(n, 64 * lists), replace=False)
    inverted.train(space.rows(np.sort(sample)))
    return inverted


def _others(row: np.ndarray, own: int, k: int) -> np.ndarray:
    """The first k positions of a row without its own."""
    return row[row != own][:k]


def _scan(space: Space, queries: np.ndarray, k: int) -> np.ndarray:
    """Positions (Q, k) of the true nearest, in blocks."""
    best = np.full((len(queries), k), -np.inf, np.float32)
    where = np.full((len(queries), k), -1, np.int64)
    for start in range(0, len(space), 16 * _ROWS):
        block = space.block(start, start + 16 * _ROWS)
        values = queries @ block.T
        if space.metric == "euclidean":
            values -= (block**2).sum(1) / 2
        both = np.concatenate([best, values], 1)
        spots = np.concatenate([where, np.broadcast_to(np.arange(start, start + len(block)), values.shape)], 1)
        top = np.argpartition(-both, k - 1, axis=1)[:, :k]
        best, where = np.take_along_axis(both, top, 1), np.take_along_axis(spots, top, 1)
    return where
