"""Principal components: the linear map that keeps the most variance. The honest baseline of all maps."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from phispace.maps.base import Projection, ProjectionConfig
from phispace.progress import Progress


class PCAConfig(ProjectionConfig):
    metric: Literal["euclidean", "cosine"] = "euclidean"
    """`cosine` gives the vectors unit length first."""


def principal(vectors: np.ndarray, seed: int = 0) -> tuple[np.ndarray, list[float]]:
    """The first two principal components (N, 2), and the share of the variance that each one holds.

    Vectors of one dimension get a second component of zeros.
    """
    from sklearn.decomposition import PCA

    dims = min(2, *vectors.shape)
    model = PCA(n_components=dims, random_state=seed)
    scores = model.fit_transform(vectors)
    return np.pad(scores, ((0, 0), (0, 2 - dims))), [float(v) for v in model.explained_variance_ratio_]


class PCAProjection(Projection):
    """The first two principal components."""

    name = "pca"
    title = "PCA"
    reference = "Pearson 1901; scikit-learn's PCA"
    Config: ClassVar[type[ProjectionConfig]] = PCAConfig

    def place(
        self, vectors: np.ndarray, start: np.ndarray | None, seed: int, progress: Progress
    ) -> tuple[np.ndarray, dict[str, Any]]:
        with progress.task("PCA", total=1) as task:
            xy, shares = principal(vectors, seed)
            task.advance()
        return xy, {"explained_variance": shares}
