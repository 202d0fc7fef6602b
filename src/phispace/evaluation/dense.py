"""One, two and three dense layers: the fully connected classifiers of RotNet and AET.

    1: batch normalisation without affine - linear(D, classes)
    2: linear(D, h) without bias - batch normalisation - ReLU - linear(h, classes)
    3: the hidden part twice,                                         h = min(20 classes, 2048): 200 for ten classes

Weights start from N(0, 2 / outputs), biases from 0; SGD with Nesterov momentum 0.9, decay 5e-4, batches of 128, rate
0.1.

Sources: Gidaris, Singh and Komodakis, ICLR 2018 (arXiv 1803.07728); Zhang et al., AET vs. AED, CVPR 2019
(arXiv 1901.04596), and its code, github.com/maple-research-lab/AET, cifar/affine: 200 epochs, a tenth of the rate after
100 and 150. The study that set AET beside Deep InfoMax ends in 256 units, trained with SGD or Adam at 0.01:
`dense-2.hidden=256 dense-2.optimizer=adam dense-2.learning_rate=0.01`. `quick` takes 15 epochs under a cosine, and on
few items at least 1,000 steps. Departure: of stored maps, the first normalisation is by channel there and by dimension
here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from phispace.evaluation.base import EvaluationConfig
from phispace.evaluation.protocol import Parts
from phispace.evaluation.trained import HeadConfig, TrainedHead

if TYPE_CHECKING:
    from torch import nn

    from phispace.evaluation.head import Recipe

_DROPS = ((0.5, 0.1), (0.75, 0.01))


def initialise(network: nn.Module) -> nn.Module:
    """The first weights of RotNet's and AET's classifiers: deviation sqrt(2 / (outputs x area of the filter))."""
    from torch import nn

    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            outputs = module.weight.shape[0] * math.prod(module.weight.shape[2:])
            nn.init.normal_(module.weight, 0.0, math.sqrt(2 / outputs))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


class DenseConfig(HeadConfig):
    """Options of the probes with two and three dense layers."""

    hidden: int | None = Field(None, ge=1, description="units of each hidden layer; none = 20 a class, at most 2,048")


class _Dense(TrainedHead):
    layers: ClassVar[int]
    reference: ClassVar[str] = "Zhang et al., CVPR 2019 (arXiv 1901.04596), and its code's NonLinearClassifier.py"

    def recipes(self) -> dict[str, Recipe]:
        from phispace.evaluation.head import Recipe

        return {
            "quick": Recipe("sgd", 0.1, epochs=15, batch_size=128, weight_decay=5e-4, least_steps=1000),
            "published": Recipe("sgd", 0.1, epochs=200, batch_size=128, drops=_DROPS, weight_decay=5e-4),
        }

    def network(self, parts: Parts, n_classes: int) -> Callable[[], nn.Module]:
        from torch import nn

        width = parts.train.x.shape[1]
        asked = self.config.hidden if isinstance(self.config, DenseConfig) else None
        hidden = min(20 * n_classes, 2048) if asked is None else asked

        def make() -> nn.Module:
            if self.layers == 1:
                return initialise(nn.Sequential(nn.BatchNorm1d(width, affine=False), nn.Linear(width, n_classes)))
            modules: list[nn.Module] = []
            for inputs in (width, *[hidden] * (self.layers - 2)):
                modules += [nn.Linear(inputs, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()]
            return initialise(nn.Sequential(*modules, nn.Linear(hidden, n_classes)))

        return make


class Dense1(_Dense):
    """One dense layer, by SGD (AET's 1-FC classifier)."""

    name: ClassVar[str] = "dense-1"
    title: ClassVar[str] = "one dense layer"
    layers: ClassVar[int] = 1


class Dense2(_Dense):
    """Two dense layers (AET's 2-FC classifier)."""

    name: ClassVar[str] = "dense-2"
    title: ClassVar[str] = "two dense layers"
    layers: ClassVar[int] = 2
    Config: ClassVar[type[EvaluationConfig]] = DenseConfig


class Dense3(_Dense):
    """Three dense layers (RotNet's and AET's 3-FC classifier)."""

    name: ClassVar[str] = "dense-3"
    title: ClassVar[str] = "three dense layers"
    layers: ClassVar[int] = 3
    Config: ClassVar[type[EvaluationConfig]] = DenseConfig
