"""Weights that a checkpoint does not repeat: what a file of pretrained weights holds and no step of training touches.

A checkpoint keeps their names' count and a digest over their values in place of them; whoever opens it takes them from
the encoder as it was built anew, and compares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from phispace.errors import DataError


def digest(state: Mapping[str, Tensor], names: Collection[str]) -> str:
    """sha256 over these tensors' names, types, shapes and values, in the order of their names."""
    found = hashlib.sha256()
    for name in sorted(names):
        value = state[name].detach().cpu().contiguous()
        found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def without(state: Mapping[str, Tensor], names: Collection[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A state without its borrowed tensors, and what the record of the checkpoint says of them."""
    if not names:
        return dict(state), {}
    record = {"borrowed": {"tensors": len(names), "sha256": digest(state, names)}}
    return {name: value for name, value in state.items() if name not in names}, record


def restored(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], names: Collection[str], record: Mapping[str, Any]
) -> dict[str, Tensor]:
    """A checkpoint's state with its borrowed tensors, taken from a method's own state.

    Args:
        state: of the checkpoint. own: of the method as it was built. names: what it borrows.
        record: of the checkpoint.

    Raises:
        DataError: they are not the ones that the checkpoint was written with.
    """
    told = record.get("borrowed")
    if not told:
        return dict(state)
    if told["sha256"] != digest(own, names):
        raise DataError(
            "The pretrained weights are not those that the run was trained with (their sha256 differs); name the same "
            "file with encoder.weights, or install the same package, as run.json says under encoder.weights."
        )
    return {**{name: own[name] for name in names}, **state}
