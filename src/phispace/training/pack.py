"""Nested state as tensors and JSON, without pickles.

`pack` takes the tensors out of dicts, lists and tuples and leaves a plain JSON value that says where they were;
`unpack` puts them back. Types survive: tuples, integer keys, infinities, the memory layout of tensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from phispace.errors import DataError, InputError


def pack(value: Any) -> tuple[Any, dict[str, Tensor]]:
    """A JSON value and the tensors by the names that it refers to.

    Raises:
        InputError: something that is neither a tensor, an array, a plain value nor a container of these.
    """
    tensors: dict[str, Tensor] = {}
    return _pack(value, "state", tensors), tensors


def _pack(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Tensor):
        tensors[place] = plain(value)
        return {"$tensor": place, **({"channels_last": True} if is_channels_last(value) else {})}
    if isinstance(value, np.ndarray):
        tensors[place] = torch.from_numpy(np.ascontiguousarray(value))
        return {"$array": place}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, tuple):
        return {"$tuple": [_pack(v, f"{place}.{i}", tensors) for i, v in enumerate(value)]}
    if isinstance(value, list):
        return [_pack(v, f"{place}.{i}", tensors) for i, v in enumerate(value)]
    if isinstance(value, Mapping):
        if all(isinstance(k, str) and not k.startswith("$") for k in value):
            return {k: _pack(v, f"{place}.{k}", tensors) for k, v in value.items()}
        if all(isinstance(k, (str, int)) and not isinstance(k, bool) for k in value):
            return {"$items": [[k, _pack(v, f"{place}.{k!r}", tensors)] for k, v in value.items()]}
    raise InputError(
        f"The training state holds a {type(value).__name__} at {place}, which cannot be stored; a method's state is "
        "made of tensors, arrays, numbers, text, lists, tuples and dicts with text or integer keys."
    )


def unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `pack`; tensors are copied into memory of their own, so that no file stays open.

    Raises:
        DataError: a tensor is missing.
    """
    if isinstance(value, list):
        return [unpack(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if "$tensor" in value or "$array" in value:
        name = str(value.get("$tensor", value.get("$array")))
        if name not in tensors:
            raise DataError(f"The training state lacks the tensor {name!r}.")
        if "$array" in value:
            return tensors[name].numpy().copy()
        kept = torch.channels_last if value.get("channels_last") else torch.contiguous_format
        return torch.empty_like(tensors[name], memory_format=kept).copy_(tensors[name])
    if "$float" in value:
        return float(value["$float"])
    if "$tuple" in value:
        return tuple(unpack(v, tensors) for v in value["$tuple"])
    if "$items" in value:
        return {k: unpack(v, tensors) for k, v in value["$items"]}
    return {k: unpack(v, tensors) for k, v in value.items()}


def plain(tensor: Tensor) -> Tensor:
    """A copy on the CPU in the plain order of axes, sharing memory with nothing."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def is_channels_last(tensor: Tensor) -> bool:
    """Whether (N, C, H, W) lies in memory as (N, H, W, C), and not in the plain order as well."""
    return tensor.ndim == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last)
