"""A hidden layer of 200 units: the classifier that Deep InfoMax is scored by.

    linear(D, 200) - batch normalisation - dropout 0.1 - ReLU - linear(200, classes)

Source: Hjelm et al., Learning deep representations by mutual information estimation and maximization, ICLR 2019, and
its code, github.com/rdevon/DIM, cortex_DIM/evaluation_models/classification_eval.py: Adam at 1e-4 (betas 0.5 and 0.999,
the defaults of its framework), batches of 64, a tenth of the rate after epochs 50 and 100. It names no last epoch;
`published` stops at 150. `quick` takes batches of 256 at 1e-3 for 20 epochs, and on
few items smaller batches and at least 2,000 steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from phispace.evaluation.base import EvaluationConfig
from phispace.evaluation.protocol import Parts
from phispace.evaluation.trained import HeadConfig, TrainedHead

if TYPE_CHECKING:
    from torch import nn

    from phispace.evaluation.head import Recipe


class MLPConfig(HeadConfig):
    """Options of the probe with one hidden layer."""

    hidden: int = Field(200, ge=1, description="units of the hidden layer")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of the hidden units that a step leaves out")


class MLPProbe(TrainedHead):
    """One hidden layer of 200 units (Deep InfoMax's classifier)."""

    name: ClassVar[str] = "mlp"
    title: ClassVar[str] = "one hidden layer"
    reference: ClassVar[str] = "Hjelm et al., ICLR 2019 (arXiv 1808.06670); its code's classification_eval.py"
    Config: ClassVar[type[EvaluationConfig]] = MLPConfig
    config: MLPConfig

    def recipes(self) -> dict[str, Recipe]:
        from phispace.evaluation.head import Recipe

        published = ((50 / 150, 0.1), (100 / 150, 0.01))
        return {
            "quick": Recipe("adam", 1e-3, epochs=20, batch_size=256, least_steps=2000),
            "published": Recipe("adam", 1e-4, epochs=150, batch_size=64, drops=published, betas=(0.5, 0.999)),
        }

    def network(self, parts: Parts, n_classes: int) -> Callable[[], nn.Module]:
        from torch import nn

        width, hidden, dropout = parts.train.x.shape[1], self.config.hidden, self.config.dropout
        return lambda: nn.Sequential(
            nn.Linear(width, hidden),
            nn.BatchNorm1d(hidden),
            nn.Dropout(dropout),
            nn.ReLU(),
            nn.Linear(hidden, n_classes),
        )
