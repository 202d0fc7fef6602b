"""What methods share that predict how an image was transformed: the published optimiser, the grey beyond a border."""

from __future__ import annotations

from typing import Any

GREY = 128 / 255
"""What lies beyond the border of a transformed image, as a share of full scale."""

PUBLISHED_SGD: dict[str, Any] = {
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 5e-4,
    "decay_all": True,
}
"""RotNet's and AET's: Nesterov momentum, decay of all weights alike."""
