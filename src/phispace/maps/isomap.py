"""Isomap by scikit-learn: distances along the manifold, kept as well as a plane can."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.maps.base import Projection, ProjectionConfig
from phispace.progress import Progress
from phispace.randomness import rng

_BLOCK = 2000


class IsomapConfig(ProjectionConfig):
    n_neighbors: int = Field(default=10, ge=2)
    """At most N - 1 is used."""
    landmarks: int = Field(default=5000, ge=10, le=20_000)
    """Above this many items, so many drawn ones are fitted and the others placed among them: the fit takes N^2 memory
    and N^3 time (7 s at 5,000)."""
    metric: Literal["euclidean", "cosine"] = "euclidean"


class IsomapProjection(Projection):
    """Isometric mapping: shortest paths in the neighbours' graph, then classical scaling.

    Where the graph falls into pieces, scikit-learn joins them by their nearest pairs; the number of pieces is
    recorded, for distances between pieces then mean little.
    """

    name = "isomap"
    title = "Isomap"
    reference = "Tenenbaum, de Silva and Langford 2000; scikit-learn's Isomap"
    Config: ClassVar[type[ProjectionConfig]] = IsomapConfig
    config: IsomapConfig

    def place(
        self, vectors: np.ndarray, start: np.ndarray | None, seed: int, progress: Progress
    ) -> tuple[np.ndarray, dict[str, Any]]:
        from scipy.sparse.csgraph import connected_components
        from sklearn.manifold import Isomap
        from sklearn.neighbors import kneighbors_graph

        n = len(vectors)
        chosen = np.arange(n)
        if n > self.config.landmarks:
            chosen = np.sort(rng(seed, "isomap-landmarks").choice(n, self.config.landmarks, replace=False))
        k = min(self.config.n_neighbors, len(chosen) - 1)
        xy = np.empty((n, 2))
        with progress.task("Isomap", total=n) as task, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that pieces were joined; the count below says it
            fitted = vectors[chosen].astype(np.float64)
            pieces = int(connected_components(kneighbors_graph(fitted, k), directed=False)[0])
            model = Isomap(n_neighbors=k, n_components=2, eigen_solver="dense" if len(chosen) < 200 else "auto")
            xy[chosen] = model.fit_transform(fitted)
            task.advance(len(chosen))
            rest = np.setdiff1d(np.arange(n), chosen)
            for begin in range(0, len(rest), _BLOCK):
                part = rest[begin : begin + _BLOCK]
                xy[part] = model.transform(vectors[part].astype(np.float64))
                task.advance(len(part))
        return xy, {"n_neighbors": k, "landmarks": len(chosen), "pieces": pieces}
