"""A folder of `.npy` arrays, one a class, as Quick, Draw! ships its bitmaps; and a single `.npy` array."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from phispace.data.arrays import Part
from phispace.data.layout import sorted_classes
from phispace.data.names import escape, is_image_name
from phispace.data.npy import map_npy
from phispace.errors import DataError

_QUICK_DRAW = "full_numpy_bitmap_"


def npy_files(folder: Path) -> list[Path]:
    """The `.npy` files directly in a folder, sorted by class name; none if folders or image files lie beside them."""
    try:
        files = [p for p in folder.iterdir() if not p.name.startswith(".")]
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read: {error.strerror or error}.") from error
    if any(p.is_dir() or is_image_name(p.name) for p in files):
        return []
    arrays = {class_name(p): p for p in sorted(files) if p.suffix.lower() == ".npy" and p.is_file()}
    return [arrays[name] for name in sorted_classes(set(arrays))]


def class_name(path: Path) -> str:
    """`full_numpy_bitmap_cat.npy` and `cat.npy` are both of class `cat`."""
    return escape(path.stem.removeprefix(_QUICK_DRAW)) or "unnamed"


def read_npy_folder(files: list[Path], per_class: int | None) -> tuple[list[Part], list[str]]:
    """One part a class, and the names of the classes.

    Args:
        files: one array each, (N, H, W), (N, H, W, C) or (N, D).
        per_class: take the first so many items of each.

    Raises:
        DataError: a file is no such array.
    """
    parts = []
    for label, path in enumerate(files):
        array = map_npy(path)
        if array.ndim < 2:
            raise DataError(f"{path} has shape {array.shape}; an array of images, one a row, is expected.")
        array = array[:per_class]
        parts.append(Part(class_name(path), array, np.full(len(array), label, np.int64), "train"))
    return parts, [part.key for part in parts]
