"""A convolutional block on stored feature maps: RotNet's and AET's classifier with the best published numbers.

    conv 3x3 (C, 192) - conv 1x1 (192, 192) - conv 1x1 (192, 192), each without bias, with batch normalisation and ReLU;
    mean over the places; linear(192, classes)

It is the third block of the NIN that these papers train, put behind the second one of a frozen network, which gives
maps of 192 x 8 x 8. It needs a store that keeps the shape (C, H, W) of its maps: tap a convolutional layer. Departure,
beside those of `trained`: larger maps are first averaged to at most 8 x 8 places, which keeps the cost that of theirs.

Source: Gidaris, Singh and Komodakis, ICLR 2018 (arXiv 1803.07728), table 4, and the configuration of its code for the
conv classifier on CIFAR-10: SGD with Nesterov momentum 0.9, decay 5e-4, batches of 128, 100 epochs at a rate of
0.1, 0.02 after 35, 0.004 after 70, 0.0008 after 85. `quick` takes 10 epochs under a cosine, and on few
items at least 400 steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from phispace.evaluation.dense import initialise
from phispace.evaluation.pooled import NO_MAP, is_map, pooled
from phispace.evaluation.protocol import Part, Parts
from phispace.evaluation.trained import TrainedHead

if TYPE_CHECKING:
    from torch import nn

    from phispace.evaluation.head import Recipe
    from phispace.evaluation.standardise import Scaling

_WIDTH = 192
_SIDE = 8
_DROPS = ((0.35, 0.2), (0.7, 0.04), (0.85, 0.008))


class ConvBlock(TrainedHead):
    """NIN's third block on stored feature maps (RotNet's and AET's conv classifier)."""

    name: ClassVar[str] = "conv-block"
    title: ClassVar[str] = "convolutional block"
    reference: ClassVar[str] = "Gidaris, Singh and Komodakis, ICLR 2018 (arXiv 1803.07728), table 4"

    def undefined(self, parts: Parts) -> str | None:
        return parts.undefined or (None if is_map(parts.feature_shape) else NO_MAP)

    def recipes(self) -> dict[str, Recipe]:
        from phispace.evaluation.head import Recipe

        return {
            "quick": Recipe("sgd", 0.1, epochs=10, batch_size=128, weight_decay=5e-4, least_steps=400),
            "published": Recipe("sgd", 0.1, epochs=100, batch_size=128, drops=_DROPS, weight_decay=5e-4),
        }

    def inputs(self, parts: Parts, part: Part) -> np.ndarray:
        """Maps of at most 8 x 8 places, flattened."""
        return pooled(part.x, parts.feature_shape or (), _SIDE)

    def scaling(self, x: np.ndarray, parts: Parts) -> Scaling:
        """By channel."""
        from phispace.evaluation.standardise import Scaling

        return Scaling(x, channels=(parts.feature_shape or ())[0])

    def network(self, parts: Parts, n_classes: int) -> Callable[[], nn.Module]:
        from torch import nn

        channels, height, width = parts.feature_shape or ()
        places = (min(height, _SIDE), min(width, _SIDE))

        def make() -> nn.Module:
            layers: list[nn.Module] = [nn.Unflatten(1, (channels, *places))]
            for inputs, side in ((channels, 3), (_WIDTH, 1), (_WIDTH, 1)):
                layers.append(nn.Conv2d(inputs, _WIDTH, side, padding=side // 2, bias=False))
                layers += [nn.BatchNorm2d(_WIDTH), nn.ReLU()]
            layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(_WIDTH, n_classes)]
            return initialise(nn.Sequential(*layers))

        return make
