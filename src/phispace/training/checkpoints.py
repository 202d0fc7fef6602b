"""Checkpoints: safetensors and JSON, whole or not there.

    checkpoints/NAME/ weights.safetensors   the method's state dict
                      state.safetensors     what resuming needs beside it: optimisers, schedules, loops, sums
                      state.json            its structure
                      checkpoint.json       epoch, step, validation loss, sha256 of the others

`last` and the one before it (`.previous`) hold the state; the named ones hold the weights alone. A checkpoint is
written beside its place and moved there in one step, after everything in it is on the disk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from phispace import storage
from phispace.errors import DataError
from phispace.training.pack import pack, plain, unpack

LAST = "last"
PREVIOUS = ".previous"
UNTRAINED = "epoch=000"
WEIGHTS = "weights.safetensors"
STATE = "state.safetensors"
STRUCTURE = "state.json"
RECORD = "checkpoint.json"


class SafeCheckpointIO(CheckpointIO):
    """Lightning's way to our checkpoints.

    The checkpoint's entry `phispace` holds `record` (the fields of `checkpoint.json`). `storage_options` may hold
    `named`: a directory that gets the same weights, without the state, before `last` takes its place.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        path = Path(path)
        rest = dict(checkpoint)
        weights = {name: plain(tensor) for name, tensor in rest.pop("state_dict").items()}
        record = rest["phispace"]["record"]
        named = (storage_options or {}).get("named")
        with storage.atomic_directory(path, previous=path.parent / PREVIOUS) as new:
            _write_tensors(new / WEIGHTS, weights)
            sums = {WEIGHTS: storage.sha256_file(new / WEIGHTS)}
            if named is not None:
                with storage.atomic_directory(path.parent / named) as copy:
                    storage.link(new / WEIGHTS, copy / WEIGHTS)
                    storage.write_json(copy / RECORD, {**record, "resumable": False, "sha256": sums}, durable=False)
            structure, tensors = pack(rest)
            _write_tensors(new / STATE, tensors)
            storage.write_json(new / STRUCTURE, {"state": structure}, durable=False)
            sums |= {name: storage.sha256_file(new / name) for name in (STATE, STRUCTURE)}
            storage.write_json(new / RECORD, {**record, "resumable": True, "sha256": sums}, durable=False)

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return load(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        storage.remove_directory(Path(path))


def save_weights(path: Path, weights: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write a checkpoint of weights alone.

    Raises:
        StorageError: the disk refused; what was at `path` is as it was.
    """
    with storage.atomic_directory(path) as new:
        _write_tensors(new / WEIGHTS, {name: plain(tensor) for name, tensor in weights.items()})
        sums = {WEIGHTS: storage.sha256_file(new / WEIGHTS)}
        storage.write_json(new / RECORD, {**record, "resumable": False, "sha256": sums}, durable=False)


def load(path: Path) -> dict[str, Any]:
    """A resumable checkpoint as Lightning wants it, with every digest checked.

    Raises:
        DataError: missing, damaged, or without the training state.
    """
    record = check(path)
    if not record.get("resumable"):
        raise DataError(f"{path} holds weights alone; training goes on from {LAST!r}.")
    structure = storage.read_json(path / STRUCTURE)
    checkpoint: dict[str, Any] = unpack(structure["state"], _read_tensors(path / STATE))
    checkpoint["state_dict"] = _read_tensors(path / WEIGHTS)
    return checkpoint


def load_weights(path: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint, their digest checked.

    Raises:
        DataError: missing or damaged.
    """
    check(path, only=WEIGHTS)
    return _read_tensors(path / WEIGHTS)


def read_record(path: Path) -> dict[str, Any]:
    """What `checkpoint.json` says.

    Raises:
        DataError: missing or not ours.
    """
    record = storage.read_json(path / RECORD)
    sums = record.get("sha256")
    if not isinstance(sums, dict) or WEIGHTS not in sums:
        raise DataError(f"{path / RECORD} does not list the digest of {WEIGHTS}.")
    return record


def check(path: Path, only: str | None = None) -> dict[str, Any]:
    """Compare a checkpoint's files (or one of them) with their digests; return its record.

    Raises:
        DataError: naming the file that is missing or differs.
    """
    record = read_record(path)
    for name, digest in record["sha256"].items():
        if only in (None, name):
            storage.check_sha256(path / name, digest)
    return record


def newest_resumable(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint that training can go on from, and what was wrong with newer ones.

    Args:
        folder: `checkpoints/` of a run.
    """
    candidates, faults = [], []
    for path in (folder / LAST, folder / PREVIOUS):
        if not (path / RECORD).exists():
            continue
        try:
            candidates.append((int(check(path)["step"]), path))
        except DataError as error:
            faults.append(str(error))
    return (max(candidates, key=lambda pair: pair[0])[1] if candidates else None), faults


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    with storage.atomic_path(path, durable=False) as temporary:
        try:
            save_file(dict(tensors), temporary, metadata={"format": "pt"})
        except SafetensorError as error:
            found = re.search(r"os error (\d+)", str(error))
            if found is None:
                raise
            raise OSError(int(found.group(1)), str(error)) from error
        temporary.chmod(0o644)  # safetensors makes files that only the owner reads


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def tensor_names(path: Path) -> list[str]:
    """Names of the tensors of a safetensors file, without reading them."""
    with safe_open(path, framework="pt") as stream:
        return list(stream.keys())
