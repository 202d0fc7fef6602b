"""PaCMAP by its authors' package. Its import compiles for tens of seconds, so it happens when a map is asked for."""

from __future__ import annotations

import logging
import warnings
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.maps.base import Projection, ProjectionConfig
from phispace.progress import Progress


class PaCMAPConfig(ProjectionConfig):
    n_neighbors: int = Field(default=10, ge=2)
    """At most N / 5 is used: neighbours, mid-near and further pairs are drawn without overlap."""
    mn_ratio: float = Field(default=0.5, gt=0)
    fp_ratio: float = Field(default=2.0, gt=0, le=3)
    metric: Literal["euclidean", "cosine"] = "euclidean"


class PaCMAPProjection(Projection):
    """Pairwise controlled manifold approximation: the quick look at large stores.

    It has no warm start: the library standardises given positions and shrinks them by 10,000, so they would keep
    neither their scale nor their place.
    """

    name = "pacmap"
    title = "PaCMAP"
    reference = "Wang, Huang, Rudin and Shaposhnik 2021; pacmap"
    min_items = 16
    Config: ClassVar[type[ProjectionConfig]] = PaCMAPConfig
    config: PaCMAPConfig

    def place(
        self, vectors: np.ndarray, start: np.ndarray | None, seed: int, progress: Progress
    ) -> tuple[np.ndarray, dict[str, Any]]:
        with progress.task("PaCMAP (compiles on first use)", total=None), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pacmap import PaCMAP

            logging.getLogger("pacmap").setLevel(logging.ERROR)

            n_neighbors = max(2, min(self.config.n_neighbors, len(vectors) // 5))
            model = PaCMAP(
                n_components=2,
                n_neighbors=n_neighbors,
                MN_ratio=self.config.mn_ratio,
                FP_ratio=self.config.fp_ratio,
                random_state=seed,
            )
            # The library starts from two principal components, which a single dimension does not have.
            missing = max(0, 2 - vectors.shape[1])
            xy = model.fit_transform(np.pad(vectors, ((0, 0), (0, missing))), init="pca")
        return xy, {"n_neighbors": n_neighbors}
