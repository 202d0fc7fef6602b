"""What an encoder does to the sizes on its way down, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from phispace.encoders.base import Encoder, Normalise, evaluating
from phispace.errors import InputError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One module of an encoder, with the shapes of one image before and after it: (C, h, w) or (D,)."""

    stage: str
    module: nn.Module
    before: Shape
    after: Shape


def way_down(encoder: Encoder) -> list[Step]:
    """The modules between the normalised image and the features, in order, with the sizes as they were met.

    Measured with one image in evaluation mode; random draws are made with a generator of its own.

    Raises:
        InputError: the encoder does more than run its modules one after another.
    """
    device = next((p.device for p in encoder.parameters()), torch.device("cpu"))
    image = torch.rand((1, encoder.channels, encoder.size, encoder.size), generator=torch.Generator().manual_seed(0))
    steps = []
    with evaluating(encoder), torch.no_grad():
        x = image.to(device)
        expected = encoder(x)
        for stage, module in _modules(encoder):
            before, x = tuple(x.shape[1:]), module(x)
            steps.append(Step(stage, module, before, tuple(x.shape[1:])))
    if x.shape != expected.shape or not torch.allclose(x, expected, rtol=1e-4, atol=1e-5):
        raise InputError(f"{type(encoder).__name__} is not a plain sequence of stages, so it cannot be mirrored.")
    return [step for step in steps if not isinstance(step.module, Normalise)]


def _modules(encoder: Encoder) -> Iterator[tuple[str, nn.Module]]:
    """Stage name and module, sequences taken apart."""
    for name, stage in encoder.stages.items():
        yield from ((name, module) for module in _apart(stage))


def _apart(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, nn.Sequential):
        for part in module:
            yield from _apart(part)
    else:
        yield module
