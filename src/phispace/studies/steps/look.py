"""Look inside a trained network: its first filters, and the feature maps of chosen images."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import nn

from phispace.data.views import to_float
from phispace.maps.subset import stratified_subset
from phispace.report.document import Figure
from phispace.report.figures import feature_maps, filters
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.train import images_of, run_of
from phispace.training.restore import load_method


class LookOptions(StepOptions):
    """Options of the step `look`."""

    run: str
    layer: str = "conv1"
    images: int = Field(4, ge=1, le=10)
    channels: int = Field(12, ge=1)


class LookInside(Step[LookOptions]):
    """Filters of the first convolution, and what a layer answers to a few test images."""

    Options = LookOptions

    def title(self, options: LookOptions) -> str:
        return f"Looking into {options.run}"

    def run(self, context: Context, name: str, options: LookOptions) -> Outcome:
        method, images = load_method(run_of(context, options.run)), images_of(context, options.run)
        first = next(m for m in method.encoder.modules() if isinstance(m, nn.Conv2d))
        filter_figure = context.place("figures", f"{name}-filters.png")
        filters(first.weight.detach().float().numpy(), filter_figure, title="Filters of the first convolution")
        positions = images.where("test")
        chosen = positions[stratified_subset(images.ids[positions], images.labels[positions], options.images)]
        pixels = torch.from_numpy(np.ascontiguousarray(images.images[chosen])).permute(0, 3, 1, 2)
        with torch.inference_mode():
            answer = method.encoder(to_float(pixels), layer=options.layer).float().numpy()
        map_figure = context.place("figures", f"{name}-{options.layer}.png")
        titles = [images.classes[k] if k >= 0 else "unknown" for k in images.labels[chosen]]
        feature_maps(
            images.images[chosen],
            answer,
            titles,
            map_figure,
            title=f"Feature maps of {options.layer}",
            channels=options.channels,
        )
        shown = min(options.channels, answer.shape[1])
        return Outcome(
            {},
            [
                Figure(
                    title="Inside the network",
                    path=filter_figure.relative_to(context.out).as_posix(),
                    alt="The filters of the first convolution as small images",
                    caption=f"The {len(first.weight)} filters of the first convolution, each on its own scale.",
                    width="half",
                    pixelated=True,
                ),
                Figure(
                    path=map_figure.relative_to(context.out).as_posix(),
                    alt=f"Feature maps of {options.layer} for {len(chosen)} test images",
                    caption=f"What the {shown} liveliest of {answer.shape[1]} channels of {options.layer} answer to "
                    f"{len(chosen)} test images; bright = large.",
                    pixelated=True,
                ),
            ],
        )
