"""Where a set of images comes from: what identifies it, and how it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from phispace.data.imageset import ImageSet
from phispace.progress import SILENT, Progress

Allocate = Callable[[tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class Origin:
    """A set that can be built.

    Attributes:
        name: short name of the set.
        identity: JSON-able; differs whenever pixels, ids or labels could.
        build: makes the set; gets an allocator of large uint8 arrays, and the progress.
        keep: whether building is slow enough for the cache.
    """

    name: str
    identity: Mapping[str, Any]
    build: Callable[[Allocate, Progress], ImageSet]
    keep: bool = True


@dataclass(frozen=True)
class Request:
    """What the caller of `load_images` asked for beside the name and its options.

    Attributes:
        size: H = W wanted, or None.
        folders: where files of named sets are looked for, in this order; downloads go into the last one.
        download: whether missing files may be fetched.
        progress: is told what is being done.
    """

    size: int | None = None
    folders: tuple[Path, ...] = field(default_factory=tuple)
    download: bool = True
    progress: Progress = SILENT


def in_memory(shape: tuple[int, ...]) -> np.ndarray:
    """An allocator for sets that are not mapped to a file."""
    return np.zeros(shape, np.uint8)
