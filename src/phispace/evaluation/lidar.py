"""How many directions tell images apart from their own views: LiDAR, and the alignment of the views.

No label is used. The views are drawn by an augmentation and extracted into stores of their own beforehand.
Definitions: `phispace.metrics.lidar` and Wang and Isola, ICML 2020, for the alignment.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import ClassVar

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.protocol import by_id, in_all, paired
from phispace.metrics.lidar import lidar
from phispace.metrics.uniformity import alignment
from phispace.randomness import rng

NAN = float("nan")
PAPERS_VIEWS = 50


class LidarConfig(EvaluationConfig):
    """Options of LiDAR."""

    view: str = Field("crop-flip", min_length=1, description="the augmentation that draws the views")
    views: int = Field(10, ge=2, le=100, description="views of each image; the paper has 10 to 100, mostly 50")
    delta: float = Field(1e-4, gt=0, description="added to the views' covariance, relative to its mean diagonal")
    n: int = Field(1000, ge=2, description="at most so many test items, always the same ones; 1,000 as in the paper")


class LiDAR(Evaluation):
    """LiDAR: effective rank of the items' differences, measured in units of the views' own scatter."""

    name: ClassVar[str] = "lidar"
    title: ClassVar[str] = "LiDAR over views"
    reference: ClassVar[str] = "Thilak et al., ICLR 2024 (arXiv 2312.04000), equations 1 to 4"
    needs: ClassVar[frozenset[str]] = frozenset({"test"})
    primary: ClassVar[str] = "lidar"
    Config: ClassVar[type[EvaluationConfig]] = LidarConfig
    config: LidarConfig

    def variants(self) -> Mapping[str, str]:
        return {f"view/{self.config.view}/{k}": f"test:{self.config.n}" for k in range(self.config.views)}

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        """See the base; the stores of `variants` are views of the same images, paired by id."""
        self.check_needs(embeddings)
        wanted = [name for name in self.variants() if name in (others or {})]
        found = [(others or {})[name] for name in wanted]
        metrics = dict.fromkeys(("lidar", "lidar_corrected", "alignment"), NAN)
        if len(found) < 2:
            reason = (
                f"Undefined: LiDAR compares views of the same images, and of the {self.config.views} stores "
                f"view/{self.config.view}/0 ... {len(found)} are there. A run's images are extracted anew under "
                "its views; a foreign store has none."
            )
            return Scores(metrics, {}, {"views": len(found)}, [reason], {})
        if len({store.dim for store in found}) != 1:
            widths = ", ".join(str(s.dim) for s in found)
            raise InputError(f"The stores of the views have {widths} dimensions; one encoder's are expected.")
        test = by_id(embeddings, "test")
        part = in_all(test, found, self.config.n, rng(seed, "lidar items"))
        views = [paired(part, store)[1] for store in found]
        n, dim = views[0].shape
        result = lidar(views, self.config.delta)
        metrics["lidar"], metrics["lidar_corrected"] = result.lidar, result.corrected
        aligned = [alignment(a, b) for a, b in combinations(views, 2)]
        metrics["alignment"] = float(np.mean(aligned))
        return Scores(
            metrics,
            {},
            {"items": n, "views": len(views)},
            _caveats(metrics, n, len(test), dim, len(views)),
            {"views": wanted, "eigenvalues": [float(v) for v in result.eigenvalues[:256] if np.isfinite(v)]},
        )


def _caveats(metrics: Mapping[str, float], n: int, n_there: int, dim: int, views: int) -> list[str]:
    caveats = []
    if n < n_there:
        caveats.append(f"Of {n:,} of {n_there:,} test items.")
    if np.isnan(metrics["lidar"]):
        caveats.append(f"Undefined: of {n:,} common items all vectors are equal, or all views of an item are.")
    elif np.isnan(metrics["lidar_corrected"]):
        caveats.append(
            "lidar_corrected is undefined: in no direction do items differ more than the noise of their views explains."
        )
    if np.isnan(metrics["alignment"]):
        caveats.append("Alignment is undefined: no item has two views with a direction.")
    if views < PAPERS_VIEWS and not np.isnan(metrics["lidar"]):
        caveats.append(
            f"With {views} views instead of the paper's {PAPERS_VIEWS}, the noise of the items' means raises lidar; "
            "lidar_corrected is without it. Compare lidar at equal numbers of views only."
        )
    if 2 <= n <= dim:
        caveats.append(f"{n:,} items cannot have a rank above {n - 1:,}, in {dim:,} dimensions.")
    return caveats
