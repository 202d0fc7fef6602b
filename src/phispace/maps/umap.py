"""UMAP by umap-learn. Its import compiles for tens of seconds, so it happens when a map is asked for."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.maps.base import Projection, ProjectionConfig
from phispace.progress import Progress


class UMAPConfig(ProjectionConfig):
    n_neighbors: int = Field(default=15, ge=2)
    """At most N - 1 is used."""
    min_dist: float = Field(default=0.1, ge=0, le=1)
    metric: Literal["euclidean", "cosine"] = "euclidean"
    n_epochs: int | None = Field(default=None, ge=1)
    """Rounds of optimisation; None = the library's choice by size."""


class UMAPProjection(Projection):
    """Uniform manifold approximation and projection.

    A seed means one thread (the library's parallel optimisation is not repeatable). A `start` is rescaled by the
    library to a box of 10 x 10, so its scale is not kept.
    """

    name = "umap"
    title = "UMAP"
    reference = "McInnes, Healy and Melville 2018; umap-learn"
    takes_start = True
    min_items = 5
    Config: ClassVar[type[ProjectionConfig]] = UMAPConfig
    config: UMAPConfig

    def place(
        self, vectors: np.ndarray, start: np.ndarray | None, seed: int, progress: Progress
    ) -> tuple[np.ndarray, dict[str, Any]]:
        with progress.task("UMAP (compiles on first use)", total=None), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about its own threads, and about spectral starts of tiny graphs
            from umap import UMAP

            n_neighbors = min(self.config.n_neighbors, len(vectors) - 1)
            # Spectral starts need more items than eigenvectors; tiny sets start at random instead.
            init: Any = start if start is not None else ("spectral" if len(vectors) > 10 else "random")
            model = UMAP(
                n_neighbors=n_neighbors,
                min_dist=self.config.min_dist,
                n_epochs=self.config.n_epochs,
                init=init,
                random_state=seed,
                n_jobs=1,
            )
            xy = model.fit_transform(vectors)
        return xy, {"n_neighbors": n_neighbors}
