"""Positions on disk: an .npz of arrays, and beside it a .json with the rest and the sha256 of the arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from phispace import storage
from phispace.errors import DataError

T = TypeVar("T")


def save_positions(
    path: Path | str, xy: np.ndarray, ids: np.ndarray, labels: np.ndarray, body: Mapping[str, Any]
) -> Path:
    """Write `path`.npz (xy, ids, labels) and beside it `path`.json with the body and the sha256; the first's path."""
    path = Path(path).with_suffix(".npz")
    with storage.atomic_open(path) as stream:
        np.savez_compressed(stream, xy=xy, ids=ids.astype(str), labels=labels)
    storage.write_json(path.with_suffix(".json"), {**body, "sha256": storage.sha256_file(path)})
    return path


def open_positions(
    path: Path | str, kind: str, build: Callable[[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]], T]
) -> T:
    """What `build` makes of the positions, ids, labels and body that `save_positions` wrote.

    Args:
        kind: what it is called in errors, for example `film`.

    Raises:
        DataError: missing, damaged, changed, or not of this kind.
    """
    path = Path(path).with_suffix(".npz")
    body = storage.read_json(path.with_suffix(".json"))
    storage.check_sha256(path, str(body.get("sha256")))
    try:
        with np.load(path, allow_pickle=False) as arrays:
            xy, ids, labels = arrays["xy"], arrays["ids"], arrays["labels"]
        return build(xy, ids, labels, body)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} cannot be read as a {kind}: {error}") from error


def number(value: float | None) -> float:
    """A number as JSON keeps it: None = undefined."""
    return float("nan") if value is None else float(value)
