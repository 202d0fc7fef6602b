"""The linear probe as the self-supervised field trains it: batch normalisation without affine, then SGD.

One linear layer behind batch normalisation without scale and shift, momentum 0.9, batches of 256, no weight decay, a
hundred epochs, rate falling by a cosine. The head of the last epoch counts; the learning rate is chosen on val among
all that are tried, and they train side by side on the same batches. It stands beside `linear`, which solves the same
model to its optimum and is the probe to quote; what they differ by is the optimiser, not the representation.

Sources: MoCo, He et al., CVPR 2020 (arXiv 1911.05722), section 4.1 (SGD, 100 epochs, no decay); the normalisation as in
MAE, He et al., CVPR 2022 (arXiv 2111.06377), appendix A.1; many rates at once as in DINOv2 (arXiv 2304.07193).
Departures: features of the unchanged images, no crops; SGD instead of LARS; rates relative to a batch of 256.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.evaluation.base import EvaluationConfig
from phispace.evaluation.probe import Outcome, Probe
from phispace.evaluation.protocol import Parts
from phispace.evaluation.selection import at_the_edge, merit, on_val


class LinearSGDConfig(EvaluationConfig):
    """Options of the linear probe trained by SGD."""

    learning_rates: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
        min_length=1,
        description="peak rates to choose from, per batch of 256",
    )
    default_rate: float = Field(0.03, gt=0, description="rate when there is no val item to choose on")
    epochs: int = Field(100, ge=1, description="passes over train")
    batch_size: int = Field(256, ge=4, description="items a step at most")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(0.0, ge=0, description="of the weights, not of the bias")
    schedule: Literal["cosine", "step"] = Field(
        "cosine", description="rate over steps; step = a tenth after 60 % and a hundredth after 80 % of the epochs"
    )


class LinearSGD(Probe):
    """Linear layer behind batch normalisation without affine, by SGD."""

    name: ClassVar[str] = "linear-sgd"
    title: ClassVar[str] = "linear probe by SGD"
    reference: ClassVar[str] = (
        "He et al., CVPR 2020 (arXiv 1911.05722), section 4.1; He et al., CVPR 2022, appendix A.1"
    )
    calibrated: ClassVar[bool] = True
    likelihood: ClassVar[bool] = True
    Config: ClassVar[type[EvaluationConfig]] = LinearSGDConfig
    config: LinearSGDConfig

    def classify(self, parts: Parts, seed: int) -> Outcome:
        from phispace.denormals import without_denormals
        from phispace.evaluation.sgd import fit_linear

        config, train, val = self.config, parts.train, parts.val
        known, y = np.unique(train.y, return_inverse=True)
        rates = sorted(set(config.learning_rates)) if len(val) else [config.default_rate]
        with without_denormals():
            heads = fit_linear(
                train.x, y, len(known), rates, seed,
                epochs=config.epochs, batch_size=config.batch_size, momentum=config.momentum,
                weight_decay=config.weight_decay, schedule=config.schedule,
            )  # fmt: skip
            best = 0
            curve: list[dict[str, Any]] = [{"learning_rate": rate} for rate in rates]
            if len(val):
                log_p = heads.log_probability(val.x)
                curve = [row | on_val(log_p[:, i], known, val.y) for i, row in enumerate(curve)]
                best = max(range(len(rates)), key=lambda i: merit(curve[i]))
            log_probability = heads.log_probability(parts.test.x)[:, best]
        caveats = [] if len(val) else [f"There is no val item to choose the rate on; {rates[0]:g} was used."]
        if len(val) and at_the_edge(best, len(rates)):
            caveats.append(f"The chosen learning rate {rates[best]:g} lies at the edge of those that were tried.")
        if heads.scaling.varying < train.x.shape[1]:
            still = train.x.shape[1] - heads.scaling.varying
            caveats.append(f"{still:,} of {train.x.shape[1]:,} dimensions do not vary.")
        chosen: dict[str, Any] = {"learning_rate": rates[best], "epochs": config.epochs, "batch_size": heads.batch_size}
        return Outcome.of_likelihood(
            log_probability, known, len(parts.classes), chosen=chosen, details={"curve": curve}, caveats=caveats
        )
