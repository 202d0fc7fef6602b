"""Auto-encoding transformations (AET): how was the image transformed, told from the codes of before and after.

    t̂ = D( φ(x), φ(t(x)) ),   D linear on both codes side by side

x is cropped (padded by 4 pixels) and mirrored, then t is drawn for each image: affine or projective, one bilinear
resampling with grey beyond the border (see `drawn_maps`). The encoder is the same for both and sees them in two passes,
so each has batch statistics of its own, as published. With θ the P normalised parameters of t, the loss is one of

    parameters   1/(B P) Σ_i |θ_i - θ̂_i|²                              affine: θ̂ = tanh of D's outputs
    grid         1/(2 B n) Σ_i Σ_p |t_i(p) - t̂_i(p)|²                  over n points p of the image
    images       1/(B C H W) Σ_i |t_i(x_i) - t̂_i(x_i)|²                t̂_i(x_i) by a differentiable warp

`parameters` is what was published. The other two are the paper's third genre, of transformations without parameters,
ℓ(t, t̂) = E_x dist(t(x), t̂(x)), which it defines and does not run: `images` with the squared difference of pixel values,
the expectation being taken by the image itself; `grid` with that of the places that pixels come from, in half sides of
the image, on which no picture is flat. In both D gives the entries of t̂'s matrix (see `moved_points`), and nothing of θ
is known to the loss.

Reference: Zhang, Qi, Wang and Luo, "AET vs. AED: Unsupervised Representation Learning by Auto-Encoding Transformations
rather than Data", CVPR 2019 (arXiv 1901.04596), section 3, and the settings of its code,
github.com/maple-research-lab/AET, for CIFAR-10.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from phispace.data.views.warp import warp
from phispace.encoders.base import Encoder
from phispace.methods.base import Batch, Method, MethodConfig, Schedule, Task
from phispace.methods.drawn_maps import PARAMETERS, Drawn, Kind, Ranges, affine_named, draw_maps, projective_named
from phispace.methods.moved_points import distance, grid_loss, homography, in_half_sides, in_pixels, square_grid
from phispace.methods.pretext import GREY, PUBLISHED_SGD

SHIFT: dict[Kind, float] = {"affine": 0.2, "projective": 0.125}
SCALE: dict[Kind, tuple[float, float]] = {"affine": (0.7, 1.3), "projective": (0.8, 1.2)}

_DROPS = tuple((epoch / 1500, factor) for epoch, factor in ((240, 0.2), (480, 0.04), (640, 0.008), (800, 0.0016)))
_PUBLISHED = PUBLISHED_SGD | {
    "batch_size": 512, "epochs": 1500, "schedule": "step", "drops": _DROPS, "tail": 1000 / 1500, "rate_end": 1e-4,
}  # fmt: skip


class TransformationsConfig(MethodConfig):
    """Options of auto-encoding transformations."""

    schedule: Schedule = Field("cosine", description="learning rate over steps")
    views: str = Field("crop-flip", description="augmentation of an image before it is transformed; see `views.named`")
    transformation: Kind = Field("projective", description="affine or projective")
    loss: Literal["parameters", "grid", "images"] = Field(
        "parameters", description="what is compared: parameters, places of a grid of points, or pixels"
    )
    points: int = Field(8, ge=2, description="of grid and of the logged distance: points a side")
    degrees: float = Field(180.0, gt=0, le=180, description="affine: largest angle; projective: always quarter turns")
    shift: float | None = Field(
        None, ge=0, lt=1, description="largest shift as a share of the side; none: affine 0.2, projective 0.125"
    )
    scale: tuple[float, float] | None = Field(
        None, description="range of the scale; none: affine 0.7 to 1.3, projective 0.8 to 1.2"
    )
    shear: float = Field(30.0, ge=0, le=80, description="affine: largest angle of the shear")

    @property
    def ranges(self) -> Ranges:
        """With the published ones where none are given."""
        shift = SHIFT[self.transformation] if self.shift is None else self.shift
        return Ranges(self.degrees, shift, self.scale or SCALE[self.transformation], self.shear)

    @model_validator(mode="after")
    def _corners_do_not_cross(self) -> Self:
        low, high = self.ranges.scale
        if not 0.05 <= low <= high <= 20:
            raise ValueError(f"scale is a lower and an upper bound from 0.05 to 20; got {low:g} and {high:g}")
        if self.transformation == "projective" and not self.ranges.shift < low / 4:
            raise ValueError(
                f"shift must be below a quarter of the smallest scale ({low / 4:g}), or corners may lie on a line"
            )
        return self


class Transformations(Method):
    """Learn φ so that a linear decoder tells from the codes of two images what turned one into the other."""

    title = "auto-encoding transformations"
    reference = (
        "Zhang et al., AET vs. AED, CVPR 2019 (arXiv 1901.04596), section 3; losses checked against a direct "
        "evaluation of their formulas, maps and targets against PIL's transform and torchvision's perspective"
    )
    experimental: ClassVar[str] = (
        "ten minutes of one core bring less than 10 points of linear probe over its untrained encoder on CIFAR-10"
    )
    default_encoder = "nin"
    Config = TransformationsConfig
    presets: ClassVar = {
        "minutes": {"encoder": {"name": "nin", "width": 48}, "method": {"learning_rate": 3e-3, "epochs": 7}},
        "paper": {"encoder": {"name": "nin"}, "method": _PUBLISHED | {"transformation": "projective"}},
        "paper-affine": {"encoder": {"name": "nin"}, "method": _PUBLISHED | {"transformation": "affine"}},
        "blocknet": {
            "encoder": {"name": "nin"},
            "method": {"transformation": "affine", "optimizer": "sgd", "learning_rate": 0.01, "momentum": 0.9,
                       "nesterov": True, "schedule": "constant"},
        },
    }  # fmt: skip

    config: TransformationsConfig
    points: Tensor

    def __init__(self, encoder: Encoder, config: TransformationsConfig, task: Task) -> None:
        super().__init__(encoder, config, task)
        self.decoder = nn.Linear(2 * encoder.width(), PARAMETERS[config.transformation])
        nn.init.zeros_(self.decoder.bias)
        self.register_buffer("points", square_grid(config.points), persistent=False)

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, and `pixels`: the mean distance between where the true and the named map take a point from."""
        images = batch.views[0]
        drawn = self.draw(batch)
        transformed = warp(images, drawn.matrices, GREY)
        codes = torch.cat([self.encoder(x).flatten(1) for x in (images, transformed)], dim=1)
        with torch.autocast(images.device.type, enabled=False):  # bf16 knows a place to a fifth of a pixel
            return self._compare(self.decoder(codes.float()), drawn, images, transformed)

    def _compare(self, outputs: Tensor, drawn: Drawn, images: Tensor, transformed: Tensor) -> dict[str, Tensor]:
        size = self.task.size
        if self.config.loss == "parameters":
            named = outputs.tanh() if self.config.transformation == "affine" else outputs
            loss = parameter_loss(drawn.targets, named)
            predicted = self._in_pixels(named.detach())
        else:
            told = homography(outputs)
            predicted = in_pixels(told, size)
            if self.config.loss == "grid":
                loss = grid_loss(in_half_sides(drawn.matrices, size), told, self.points)
            else:
                loss = image_loss(images, transformed, predicted)
        with torch.no_grad():
            pixels = distance(drawn.matrices, predicted, (self.points + 1) * (size / 2))
        return {"loss": loss, "pixels": pixels}

    def draw(self, batch: Batch) -> Drawn:
        """A map for each image of the batch, on its device."""
        kind, ranges = self.config.transformation, self.config.ranges
        images = batch.views[0]
        drawn = draw_maps(kind, len(images), self.task.size, self.batch_rng("transformations", batch), ranges)
        return Drawn(drawn.matrices.to(images.device), drawn.targets.to(images.device))

    def _in_pixels(self, parameters: Tensor) -> Tensor:
        """The matrices (B, 3, 3) that normalised parameters stand for."""
        if self.config.transformation == "affine":
            return affine_named(parameters, self.task.size, self.config.ranges)
        return projective_named(parameters, self.task.size)


def parameter_loss(true: Tensor, named: Tensor) -> Tensor:
    """Mean over images and parameters of (θ - θ̂)², both (B, P)."""
    return (true - named).square().mean()


def image_loss(images: Tensor, transformed: Tensor, matrices: Tensor) -> Tensor:
    """Mean over images and pixel values of (t(x) - t̂(x))².

    Args:
        images: x, (B, C, H, W) in [0, 1]. transformed: t(x).
        matrices: of t̂, (B, 3, 3) in pixels as `warp` takes them.
    """
    return (warp(images, matrices, GREY) - transformed).square().mean()
