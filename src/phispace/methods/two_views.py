"""What the methods share that compare two views of an image: an encoder, a projector, and the watch over both.

    h = φ(view),   z = projector(h)

The loss is on z; the representation of an image is h, the encoder's `features`. The loss is always computed in
float32, also where the networks run in bf16. What the loss pulls together may collapse long before h does, so the
projections' spread and rank are measured beside those of h, and a collapse of either is named.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from phispace.encoders.base import Encoder
from phispace.encoders.readings import at_side
from phispace.methods.base import Batch, Method, MethodConfig, Optimizer, Schedule, Task
from phispace.methods.curriculum import check_side
from phispace.methods.heads import Last, perceptron
from phispace.metrics.collapse import Verdict, judge


def minutes(epochs: int, **method: Any) -> Mapping[str, Mapping[str, Any]]:
    """The preset `minutes` of these methods, for tens of thousands of small images and a processor, with a method's
    own options."""
    return {
        "encoder": {"name": "speednet", "widths": (32, 64, 256), "pool": "mean"},
        "method": {
            "epochs": epochs,
            "side": 24,
            "optimizer": "muon",
            "learning_rate": 5e-3,
            "weight_decay": 0.0,
            **method,
        },
    }


class TwoViewsConfig(MethodConfig):
    """Options of all methods that compare two views."""

    epochs: int = Field(100, ge=1, description="passes over the training images")
    batch_size: int = Field(256, ge=2, description="images a step, over all devices' shares on one device")
    optimizer: Optimizer = Field("adamw", description="how weights are updated")
    learning_rate: float = Field(2e-3, gt=0, description="peak learning rate, for a loss averaged over the batch")
    weight_decay: float = Field(0.01, ge=0, description="decay per step and unit of learning rate")
    schedule: Schedule = Field("cosine", description="learning rate over steps")
    warmup: float = Field(0.05, ge=0, le=1, description="share of the steps in which the rate rises to its peak")
    views: str = Field("simclr", description="augmentations of the views, see `phispace.data.views.named`")
    projector_hidden: int = Field(512, ge=1, description="values between the projector's layers")
    projector_layers: int = Field(2, ge=1, description="matrices of the projector")
    projection: int = Field(128, ge=1, description="values of a projection")
    projector_norm: bool = Field(True, description="batch normalisation before the projector's activations")
    side: int | None = Field(
        None,
        ge=4,
        description="side in pixels that larger views are reduced to for training, which costs less; or their own",
    )


class TwoViews(Method):
    """Base of these methods; a method defines `loss_terms`.

    Class attributes, beside those of every method:
        projector_last: see `phispace.methods.heads.perceptron`.
    """

    n_views = 2
    default_encoder = "speednet"
    projector_last: ClassVar[Last] = "linear"
    Config: ClassVar[type[MethodConfig]] = TwoViewsConfig

    config: Any

    def __init__(self, encoder: Encoder, config: TwoViewsConfig, task: Task) -> None:
        super().__init__(encoder, config, task)
        if config.side is not None and config.side < encoder.size:
            check_side(encoder, config.side, "side")
        self.projector = self.make_projector(encoder.width())
        self._possible = config.projection

    def make_projector(self, width: int) -> nn.Module:
        """A new projector of representations of this width."""
        config = self.config
        return perceptron(
            width,
            config.projector_hidden,
            config.projection,
            layers=config.projector_layers,
            norm=config.projector_norm,
            last=self.projector_last,
        )

    def seen(self, view: Tensor) -> Tensor:
        """A view (B, C, H, W) as the networks get it."""
        side = self.config.side
        return view if side is None or side >= view.shape[-1] else at_side(view, side)

    def project(self, view: Tensor) -> Tensor:
        """z (B, D) of a view (B, C, H, W) with values in [0, 1]."""
        projections: Tensor = self.projector(self.encoder(self.seen(view)).flatten(1))
        return projections

    def project_together(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """z of both views, (B, D) each, from one pass: batch normalisation sees both views as one batch of 2 B."""
        first, second = self.project(torch.cat(batch.views)).chunk(2)
        return first, second

    def project_apart(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """z of both views, (B, D) each, from a pass each: batch normalisation sees each view by itself."""
        first, second = (self.project(view) for view in batch.views)
        return first, second

    def compared(self, images: Tensor) -> Tensor:
        """What is watched for collapse, (B, D), of images (B, C, H, W): z, where a method compares nothing else."""
        return self.project(images)

    def measure(self, images: Iterable[Tensor]) -> dict[str, float]:
        """`projection_std` and `projection_rank` of z: as health_std and health_centred_rank of h."""
        from phispace.metrics.spectrum import effective_rank, per_dimension_std

        z = torch.cat([self.compared(x).float().cpu() for x in images]).numpy()
        self._possible = min(len(z) - 1, z.shape[1])
        return {
            "projection_std": float(per_dimension_std(z, normalise=True).mean() * math.sqrt(z.shape[1])),
            "projection_rank": effective_rank(z, centre=True),
        }

    def verdict(self, found: Mapping[str, float]) -> str:
        """Names projections that have collapsed to a point, a line or few directions; else the general verdict on h
        stands. With labels few directions are no fault."""
        judged = self._judge(found)
        if judged.state == "collapsed":
            return f"The projections, which the loss compares, have collapsed. {judged.words}"
        if self.collapsed(found):
            return (
                f"The projections, which the loss compares, have collapsed to few directions: about "
                f"{found['projection_rank']:.1f} of {self._possible}."
            )
        return ""

    def collapsed(self, found: Mapping[str, float]) -> bool:
        """As `verdict` says."""
        state = self._judge(found).state
        return state == "collapsed" or (state == "few directions" and not self.uses_labels)

    def _judge(self, found: Mapping[str, float]) -> Verdict:
        return judge(found["projection_std"], found["projection_rank"], self._possible)
