"""t-SNE by openTSNE, from principal components or from an earlier map."""

from __future__ import annotations

import os
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.errors import InputError
from phispace.maps.base import Projection, ProjectionConfig
from phispace.maps.neighbours import neighbours
from phispace.maps.pca import principal
from phispace.progress import Progress
from phispace.randomness import rng

EXACT_COST = 4e12
"""N * N * D up to which neighbours are exact (60,000 vectors of 1,000 values); above it Annoy finds them."""
FFT_FROM = 3000
"""From here the interpolated gradient is the faster one: 9 against 21 CPU seconds at 5,000 items, equal at 2,000."""
_EVERY = 25


class TSNEConfig(ProjectionConfig):
    perplexity: float = Field(default=30.0, ge=1)
    """Effective number of neighbours; at most (N - 1) / 3 is used."""
    metric: Literal["euclidean", "cosine"] = "euclidean"
    initialization: Literal["pca", "random"] = "pca"
    """Where a map without `start` begins, at a deviation of 1e-4."""
    exaggeration: float = Field(default=12.0, ge=1)
    exaggeration_iterations: int = Field(default=250, ge=0)
    iterations: int = Field(default=500, ge=0)
    start_scale: Literal["full", "small"] = "full"
    """How a map with `start` begins: `full` keeps the start's scale and takes the short schedule below; `small` shrinks
    it to a deviation of 1e-4 and takes the whole schedule, which forgets more of it and costs more."""
    start_exaggeration: float = Field(default=4.0, ge=1)
    start_exaggeration_iterations: int = Field(default=100, ge=0)
    start_iterations: int = Field(default=250, ge=0)


class TSNEProjection(Projection):
    """t-distributed stochastic neighbour embedding.

    A warm start (`start`) at full scale with exaggeration 4 for 100 iterations and none for 250 keeps points where they
    were as far as the new vectors allow: without any exaggeration the map would lag behind the vectors, and with the
    whole schedule from a small scale points wander more than they need to.
    """

    name = "tsne"
    title = "t-SNE"
    reference = "van der Maaten and Hinton 2008; Linderman et al. 2019; openTSNE, Poličar et al. 2024"
    takes_start = True
    Config: ClassVar[type[ProjectionConfig]] = TSNEConfig
    config: TSNEConfig

    def place(
        self, vectors: np.ndarray, start: np.ndarray | None, seed: int, progress: Progress
    ) -> tuple[np.ndarray, dict[str, Any]]:
        with progress.task("t-SNE: neighbours", total=1) as task:
            affinities = affinities_of(vectors, self.config.perplexity, seed)
            task.advance()
        xy = self.optimise(affinities, self.begin(vectors, start, seed), start is not None, progress)
        return np.asarray(xy), {
            "perplexity": float(affinities.effective_perplexity_),
            "kl_divergence": float(xy.kl_divergence),
        }

    def begin(self, vectors: np.ndarray, start: np.ndarray | None, seed: int) -> np.ndarray:
        """Positions (N, 2) before the first iteration."""
        random = rng(seed, "tsne-start")
        if start is not None and self.config.start_scale == "full":
            return start.copy()
        if start is None and self.config.initialization == "random":
            return random.normal(0, 1e-4, (len(vectors), 2))
        xy = principal(vectors, seed)[0] if start is None else start
        xy = (xy - xy.mean(axis=0)) * (1e-4 / max(float(xy[:, 0].std()), float(xy[:, 1].std())))
        return xy + random.normal(0, 1e-6, xy.shape)  # equal vectors must not lie on one point, where no force acts

    def optimise(self, affinities: Any, xy: np.ndarray, warm: bool, progress: Progress) -> Any:
        """Run the schedule of a fresh or a warm start; returns openTSNE's embedding, an array (N, 2)."""
        from openTSNE import TSNEEmbedding

        c = self.config
        if warm and c.start_scale == "full":
            phases = [(c.start_exaggeration_iterations, c.start_exaggeration, 0.5), (c.start_iterations, 1.0, 0.8)]
        else:
            phases = [(c.exaggeration_iterations, c.exaggeration, 0.8), (c.iterations, 1.0, 0.8)]
        phases = [phase for phase in phases if phase[0]]
        if not phases:
            raise InputError("t-SNE was asked for 0 iterations; at least one is expected.")
        n = len(xy)
        gradient = "fft" if n >= FFT_FROM else "bh"
        embedding = TSNEEmbedding(xy, affinities, negative_gradient_method=gradient)
        with progress.task("t-SNE", total=sum(count for count, _, _ in phases)) as task:

            def tick(iteration: int, error: float, _: Any) -> None:
                task.advance(_EVERY)
                task.note(f"KL {error:.3f}")

            for count, exaggeration, momentum in phases:
                embedding = embedding.optimize(
                    count,
                    exaggeration=exaggeration,
                    momentum=momentum,
                    n_jobs=threads(n),
                    callbacks=[tick],
                    callbacks_every_iters=_EVERY,
                )
        return embedding


def affinities_of(vectors: np.ndarray, perplexity: float, seed: int = 0) -> Any:
    """openTSNE's Gaussian affinities of prepared vectors (N, D); the perplexity is at most (N - 1) / 3."""
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    n, dim = vectors.shape
    perplexity = min(perplexity, (n - 1) / 3)
    if n * n * dim > EXACT_COST:
        return PerplexityBasedNN(vectors, perplexity, method="annoy", n_jobs=threads(n), random_state=seed)
    index, distances = neighbours(vectors, min(n - 1, int(3 * perplexity + 1e-9)))
    return PerplexityBasedNN(knn_index=PrecomputedNeighbors(index, distances), perplexity=perplexity, n_jobs=threads(n))


def threads(n: int) -> int:
    """Processors to use for n items: those that this process may use, but one below 1,000 items, where threads spend
    more time waiting for each other than working."""
    if n < 1000:
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
