"""The layers of an encoder above one of them: a second network of the same form, and where a map of a size is."""

from __future__ import annotations

import copy
import math

from torch import nn

from phispace.encoders.base import DEFAULT_LAYER, Encoder
from phispace.errors import InputError


def map_of_side(encoder: Encoder, side: int) -> str:
    """The layer below the code whose map is nearest to `side` pixels by ratio, the last of several; without maps the
    first layer."""
    maps = {name: shape[1] for name, shape in encoder.shapes().items() if len(shape) == 3 and name != DEFAULT_LAYER}
    if not maps:
        return encoder.layers[0]
    distance = {name: abs(math.log(size / side)) for name, size in maps.items()}
    least = min(distance.values())
    return [name for name in maps if distance[name] == least][-1]


def upper_copy(encoder: Encoder, layer: str, width: int) -> nn.Sequential:
    """From a layer's output to (B, width): the encoder's stages above it with weights of their own, then a linear layer
    in place of the code.

    Args:
        layer: not `features`.
        width: values of the result.

    Raises:
        InputError: the encoder is not a plain sequence of stages.
    """
    if type(encoder)._taps is not Encoder._taps or type(encoder).forward is not Encoder.forward:
        raise InputError(
            f"{type(encoder).__name__} is not a plain sequence of stages, so its upper layers cannot be copied for the "
            "global objective; set method.score to linear or concat-and-convolve, or method.alpha=0."
        )
    names = list(encoder.stages)
    above = [n for n in names[names.index(layer) + 1 :] if n != DEFAULT_LAYER]
    stages = [copy.deepcopy(encoder.stages[name]) for name in above]
    for stage in stages:
        for module in stage.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
    return nn.Sequential(*stages, nn.Flatten(), nn.Linear(encoder.width(above[-1] if above else layer), width))
