"""SimSiam: a prediction from one view meets the projection of the other, which gets no gradient. No teacher.

    L = 1/2 D(p, sg(z')) + 1/2 D(p', sg(z)),    D(p, z) = -1/B Σ_i p_i·z_i / (|p_i| |z_i|),    p = predictor(z)

with sg: no gradient flows, and a prime for the second view. Between -1 and 1. Without `stop_gradient` all projections
become one vector, L = -1 (the paper's section 4.1); without `predictor` too (section 4.2). Both can be switched off to
see it.

Reference: Chen and He, "Exploring Simple Siamese Representation Learning", CVPR 2021, equations 1 to 4 (arXiv
2011.10566).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from phispace.encoders.base import Encoder
from phispace.methods.alignment import negative_cosine
from phispace.methods.base import Batch, MethodConfig, Task
from phispace.methods.heads import perceptron
from phispace.methods.two_views import TwoViews, TwoViewsConfig, minutes


class SimSiamConfig(TwoViewsConfig):
    """Options of SimSiam."""

    projector_layers: int = Field(3, ge=1, description="matrices of the projector")
    projection: int = Field(512, ge=1, description="values of a projection")
    predictor: bool = Field(True, description="predict the other view's projection; without it the projections meet")
    predictor_hidden: int = Field(128, ge=1, description="values between the predictor's two layers")
    predictor_rate: float = Field(1.0, gt=0, description="factor of the predictor's learning rate, beside head_rate")
    stop_gradient: bool = Field(True, description="no gradient through the projection that is predicted")


class SimSiam(TwoViews):
    """Learn φ by predicting the other view's projection. See the module."""

    title = "SimSiam"
    reference = (
        "Chen and He, CVPR 2021, equations 1 to 4; the loss checked against a direct evaluation, the gradient against "
        "one in which the targets are constants"
    )
    experimental: ClassVar[str] = (
        "ten minutes of one core bring nothing by linear probe over its untrained encoder on CIFAR-10"
    )
    comparable: ClassVar[bool] = False
    Config: ClassVar[type[MethodConfig]] = SimSiamConfig

    projector_last = "standardise"
    presets: ClassVar = {
        "minutes": minutes(12, learning_rate=1e-3, head_rate=0.5, predictor_rate=10.0),
        "paper": {
            "encoder": {"name": "resnet18"},
            "method": {
                "epochs": 800,
                "batch_size": 512,
                "projector_layers": 2,
                "projector_hidden": 2048,
                "projection": 2048,
                "predictor_hidden": 512,
                "optimizer": "sgd",
                "nesterov": False,
                "learning_rate": 0.06,
                "weight_decay": 5e-4,
                "decay_all": True,
                "warmup": 0.0,
                "views": "simclr(saturation=0.4)",
            },
        },
    }

    config: SimSiamConfig

    def __init__(self, encoder: Encoder, config: Any, task: Task) -> None:
        super().__init__(encoder, config, task)
        self.predictor: nn.Module = nn.Identity()
        if config.predictor:
            self.predictor = perceptron(config.projection, config.predictor_hidden, config.projection)

    def rate_factors(self) -> Mapping[nn.Parameter, float]:
        """Where the predictor is fast against what it predicts, fewer directions are lost (Tian et al., ICML 2021)."""
        return dict.fromkeys(self.predictor.parameters(), self.config.predictor_rate)

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, which is minus the cosine of predictions and projections, both ways."""
        first, second = self.project_apart(batch)
        return {"loss": simsiam_loss(self.predictor, first, second, self.config.stop_gradient)}


def simsiam_loss(predictor: nn.Module, first: Tensor, second: Tensor, stop_gradient: bool = True) -> Tensor:
    """The module's L, a scalar, of the projections of both views, (B, D) each, row i of both from image i."""
    targets = (second.detach(), first.detach()) if stop_gradient else (second, first)
    forth = negative_cosine(predictor(first), targets[0])
    back = negative_cosine(predictor(second), targets[1])
    return (forth + back) / 2
