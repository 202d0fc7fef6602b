"""STL-10, from its binary files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field

from phispace.data.arrays import ArrayWishes, Part, from_arrays
from phispace.data.cache import file_identity
from phispace.data.download import Remote, find, obtain
from phispace.data.imageset import ImageSet
from phispace.data.origin import Allocate, Origin, Request
from phispace.data.source import Source, SourceConfig
from phispace.data.tars import tar_members
from phispace.errors import DataError
from phispace.progress import Progress

_CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
_SIDE = 96
_PIXELS = 3 * _SIDE * _SIDE
_PIECE = 512 * _PIXELS
_FILES = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "unlabeled_X.bin")
_REMOTE = Remote(
    "stl10_binary.tar.gz",
    ("http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",),
    "md5:91f7769df0f17e558f3565bffb0c7dfb",
    4 * 2**30,
)


class Stl10Config(SourceConfig):
    """Options of STL-10."""

    unlabelled: bool = Field(default=True, description="take the 100,000 unlabelled images too")


class Stl10(Source):
    """13,000 labelled colour images of 96 x 96 pixels in ten classes, 8,000 of them for testing, and 100,000
    unlabelled ones."""

    name = "stl10"
    title = "STL-10"
    reference = (
        "A. Coates, H. Lee, A. Y. Ng: An Analysis of Single Layer Networks in Unsupervised Feature Learning, 2011"
    )
    Config = Stl10Config

    def origin(self, request: Request) -> Origin:
        places = [p for folder in request.folders for p in (folder, folder / self.name)]
        path = find(("stl10_binary",), places)
        if path is None or not path.is_dir():
            [path] = obtain([_REMOTE], request, self.name)
        files = [path / f for f in _FILES if (path / f).exists()] if path.is_dir() else [path]

        def build(allocate: Allocate, progress: Progress) -> ImageSet:
            return self._build(path, request, allocate, progress)

        identity = {
            "name": self.name,
            "size": request.size,
            "options": self.config.model_dump(),
            "files": [file_identity(file) for file in files],
        }
        return Origin(self.name, identity, build)

    def _build(self, path: Path, request: Request, allocate: Allocate, progress: Progress) -> ImageSet:
        more = isinstance(self.config, Stl10Config) and self.config.unlabelled
        wanted = set(_FILES if more else _FILES[:4])
        found = _from_folder(path, wanted) if path.is_dir() else _from_tar(path, wanted, allocate)
        for name in sorted(wanted):
            if name not in found:
                raise DataError(f"{path} has no file {name}; it is not STL-10 or not whole.")
        parts = [
            Part("train", _images(found["train_X.bin"], path), _labels(found["train_y.bin"], path), "train"),
            Part("test", _images(found["test_X.bin"], path), _labels(found["test_y.bin"], path), "test"),
        ]
        if more:
            parts.append(Part("unlabelled", _images(found["unlabeled_X.bin"], path), None, "unlabelled"))
        wishes = ArrayWishes(size=request.size, classes=_CLASSES)
        source = {"kind": "original files", "path": str(path)}
        return from_arrays(parts, self.name, str(path), wishes, allocate, progress, source)


def _from_folder(path: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    try:
        return {
            name: np.memmap(path / name, np.uint8, "r") if (path / name).stat().st_size else np.zeros(0, np.uint8)
            for name in sorted(wanted)
            if (path / name).is_file()
        }
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _from_tar(path: Path, wanted: set[str], allocate: Allocate) -> dict[str, np.ndarray]:
    """The members in arrays of the allocator, so that 2.8 GB of them need no memory."""
    found: dict[str, np.ndarray] = {}
    for _, member, read in tar_members(path, _PIECE):
        name = member.name.rsplit("/", 1)[-1]
        if not member.isreg() or name not in wanted:
            continue
        if member.size > 200_000 * _PIXELS:
            raise DataError(f"{path} claims {member.size:,} bytes for {name}; that is not STL-10.")
        found[name] = allocate((member.size,))
        for start in range(0, member.size, _PIECE):
            size = min(_PIECE, member.size - start)
            found[name][start : start + size] = np.frombuffer(read(size), np.uint8)
    return found


def _images(values: np.ndarray, path: Path) -> np.ndarray:
    """(N, 96, 96, 3); the files hold channels of columns."""
    if not values.size or values.size % _PIXELS:
        raise DataError(f"{path} has images of {values.size:,} bytes; a multiple of {_PIXELS:,} is expected.")
    return values.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 3, 2, 1)


def _labels(values: np.ndarray, path: Path) -> np.ndarray:
    """0 .. 9; the files count from 1."""
    if values.size and not (values.min() >= 1 and values.max() <= len(_CLASSES)):
        raise DataError(f"{path} has labels from {values.min()} to {values.max()}; 1 to 10 are expected.")
    return np.asarray(values).astype(np.int64) - 1
