"""Encoders by name, and what one costs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

import torch
from pydantic import TypeAdapter, ValidationError

from phispace.encoders import REGISTRY
from phispace.encoders.base import DEFAULT_LAYER, Encoder
from phispace.encoders.options import Count
from phispace.encoders.sparse import Sparsity
from phispace.errors import InputError


@dataclass(frozen=True)
class Option:
    """A keyword option of an encoder."""

    type: Any
    default: Any


APPENDED = {"code": Option(Count | None, None), "sparse": Option(Sparsity | None, None)}
"""Options of every encoder: a linear code of that width at its end; one that is sparse."""


def encoder_options(name: str) -> dict[str, Option]:
    """Options of an encoder: the keyword-only arguments of its class, and `APPENDED`.

    Raises:
        InputError: no such encoder.
    """
    start = REGISTRY.get(name).__init__
    hints = get_type_hints(start, include_extras=True)
    parameters = inspect.signature(start).parameters.values()
    own = {p.name: Option(hints[p.name], p.default) for p in parameters if p.kind is p.KEYWORD_ONLY}
    return {**own, **{key: option for key, option in APPENDED.items() if key not in own}}


def build_encoder(name: str, channels: int, size: int, **options: Any) -> Encoder:
    """A new encoder with random weights (torch's global generator: seed it before).

    Args:
        name: a registered name.
        channels, size: of the images.
        options: see the encoder's class; lists are taken for tuples. `code` ends any encoder in a linear layer of that
            many values (see `Encoder.append_code`), unless its class takes a `code` itself; `sparse` ends it in one
            that sets most values to 0 (see `Encoder.append_sparsity`).

    Raises:
        InputError: no such encoder or option, or a value of the wrong type or outside its range.
    """
    checked = check_options(name, options)
    kind = REGISTRY.get(name)
    own = inspect.signature(kind.__init__).parameters
    appended = {key: checked.pop(key, None) for key in APPENDED if key not in own}
    encoder: Encoder = kind(channels, size, **checked)
    if appended.get("code") is not None:
        encoder.append_code(appended["code"])
    if appended.get("sparse") is not None:
        encoder.append_sparsity(appended["sparse"])
    return encoder


def to_be_filled(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an encoder whose weights will all be replaced: those of a pretrained one are not looked for."""
    return {**options, "weights": "random"} if "weights" in encoder_options(name) else dict(options)


def check_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with their types put right, defaults not filled in.

    Raises:
        InputError: as `build_encoder`.
    """
    known = encoder_options(name)
    checked = {}
    for key, value in options.items():
        if key not in known:
            raise InputError(
                f"The encoder {name!r} has no option {key!r}; its options are: {', '.join(known) or 'none'}."
            )
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(known[key].type)
            checked[key] = adapter.validate_python(value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise InputError(
                f"The option {key!r} of the encoder {name!r} does not take {value!r} ({reason}); "
                f"the default is {known[key].default!r}."
            ) from error
    return checked


def count_parameters(encoder: Encoder, trainable: bool = False) -> int:
    """Number of weights, frozen ones included unless `trainable`; buffers are not weights."""
    return sum(p.numel() for p in encoder.parameters() if p.requires_grad or not trainable)


def multiply_adds(encoder: Encoder, layer: str = DEFAULT_LAYER) -> int:
    """Multiply-adds of the convolutions and matrix products of one image's forward pass up to a layer.

    Raises:
        InputError: no such layer.
    """
    from torch.utils.flop_counter import FlopCounterMode

    was_training = encoder.training
    encoder.eval()
    device = next((p.device for p in encoder.parameters()), None)
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter:
            encoder(torch.zeros(1, encoder.channels, encoder.size, encoder.size, device=device), layer)
    finally:
        encoder.train(was_training)
    return int(counter.get_total_flops()) // 2
