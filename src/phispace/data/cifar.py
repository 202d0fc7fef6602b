"""CIFAR-10 and CIFAR-100, in whichever form they lie on the disk: the published binary or pickle archives, unpacked or
not, or a copy as image files in class folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.data import cifar_names
from phispace.data.arrays import ArrayWishes, Part, from_arrays
from phispace.data.cache import file_identity
from phispace.data.cifar_pickles import read_batch
from phispace.data.download import Remote, fetch, find
from phispace.data.imageset import ImageSet
from phispace.data.origin import Allocate, Origin, Request
from phispace.data.paths import PathConfig, origin_of_path
from phispace.data.source import Source, SourceConfig
from phispace.data.tars import tar_members
from phispace.errors import DataError
from phispace.progress import Progress

_PIXELS = 3 * 32 * 32
_MAX_FILE = 256 * 2**20
JPEG_CAVEAT = "JPEG re-encoded copy; scores sit a little below the original's."


class Cifar10(Source):
    """60,000 colour images of 32 x 32 pixels in ten classes, 10,000 of them for testing."""

    name = "cifar10"
    title = "CIFAR-10"
    reference = (
        "A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009; "
        "https://www.cs.toronto.edu/~kriz/cifar.html"
    )
    train_files: ClassVar[tuple[str, ...]] = tuple(f"data_batch_{i}" for i in range(1, 6))
    test_files: ClassVar[tuple[str, ...]] = ("test_batch",)
    binary: ClassVar[tuple[str, ...]] = ("cifar-10-batches-bin", "cifar-10-binary.tar.gz")
    pickled: ClassVar[tuple[str, ...]] = ("cifar-10-batches-py", "cifar-10-python.tar.gz")
    copies: ClassVar[tuple[str, ...]] = tuple(
        f"{stem}{suffix}"
        for stem in ("cifar10", "cifar-10", "cifar10-png", "cifar10-jpeg", "CIFAR10", "CIFAR-10")
        for suffix in ("", ".zip", ".tar", ".tar.gz", ".tgz")
    )
    remote: ClassVar[Remote] = Remote(
        "cifar-10-binary.tar.gz",
        ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
        "md5:c32a1d4ab5d03f1284b67883e8d87530",
        256 * 2**20,
    )
    label_bytes: ClassVar[int] = 1

    def origin(self, request: Request) -> Origin:
        inside = (self.name, *(c for c in self.copies if "." not in c))
        places = [place for folder in request.folders for place in (folder, *(folder / sub for sub in inside))]
        path = find((*self.binary, *self.pickled), places)
        if path is None:
            copy = find(self.copies, request.folders)
            if copy is not None:
                return marked(origin_of_path(copy, PathConfig(), request, self.name))
            if not request.download:
                looked = ", ".join(str(folder) for folder in request.folders)
                raise DataError(
                    f"{self.title} is not here; looked in {looked} for {', '.join((*self.binary, *self.pickled))} and "
                    "copies as image files. Name the folder with --data-dir or PHISPACE_DATA, or allow the download."
                )
            path = fetch(self.remote, request.folders[-1] / self.name, request.progress)
        return self._original(path, request)

    def _original(self, path: Path, request: Request) -> Origin:
        pickled = path.name in self.pickled
        files = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]

        def build(allocate: Allocate, progress: Progress) -> ImageSet:
            found = dict(_files(path, {f if pickled else f"{f}.bin" for f in (*self.train_files, *self.test_files)}))
            parts = [
                self._part(split, [self._records(name, found, pickled, path) for name in names])
                for split, names in (("train", self.train_files), ("test", self.test_files))
            ]
            wishes = ArrayWishes(size=request.size, classes=self.classes())
            source = {"kind": "original files", "path": str(path)}
            return from_arrays(parts, self.name, str(path), wishes, allocate, progress, source)

        identity = {
            "name": self.name,
            "size": request.size,
            "options": self.config.model_dump(),
            "files": [file_identity(p) for p in files],
        }
        return Origin(self.name, identity, build)

    def classes(self) -> tuple[str, ...]:
        """Names of the labels, in the published order."""
        return cifar_names.CIFAR10

    def label_column(self) -> int:
        """Which of a record's label bytes is the label."""
        return 0

    def label_key(self) -> str:
        """The key of the labels in a pickled batch."""
        return "labels"

    def _records(self, name: str, found: dict[str, bytes], pickled: bool, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (N, 3, 32, 32) and labels (N,) of one file."""
        file = name if pickled else f"{name}.bin"
        if file not in found:
            raise DataError(f"{path} has no file {file}; it is not {self.title} or not whole.")
        if pickled:
            pixels, labels = read_batch(found[file], self.label_key(), f"{path}: {file}")
            return pixels.reshape(-1, 3, 32, 32), labels
        record = self.label_bytes + _PIXELS
        if not found[file] or len(found[file]) % record:
            raise DataError(
                f"{path}: {file} has {len(found[file]):,} bytes; a multiple of {record} is expected. It is cut off."
            )
        table = np.frombuffer(found[file], np.uint8).reshape(-1, record)
        return table[:, self.label_bytes :].reshape(-1, 3, 32, 32), table[:, self.label_column()].astype(np.int64)

    def _part(self, split: str, batches: list[tuple[np.ndarray, np.ndarray]]) -> Part:
        return Part(split, np.concatenate([p for p, _ in batches]), np.concatenate([y for _, y in batches]), split)


class Cifar100Config(SourceConfig):
    """Options of CIFAR-100."""

    labels: Literal["fine", "coarse"] = Field(default="fine", description="100 classes, or their 20 groups")


class Cifar100(Cifar10):
    """60,000 colour images of 32 x 32 pixels in 100 classes (or 20 groups of them), 10,000 of them for testing."""

    name = "cifar100"
    title = "CIFAR-100"
    train_files = ("train",)
    test_files = ("test",)
    binary = ("cifar-100-binary", "cifar-100-binary.tar.gz")
    pickled = ("cifar-100-python", "cifar-100-python.tar.gz")
    copies = tuple(
        f"{stem}{suffix}"
        for stem in ("cifar100", "cifar-100", "CIFAR100", "CIFAR-100")
        for suffix in ("", ".zip", ".tar", ".tar.gz", ".tgz")
    )
    remote = Remote(
        "cifar-100-binary.tar.gz",
        ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
        "md5:03b5dce01913d631647c71ecec9e9cb8",
        256 * 2**20,
    )
    label_bytes = 2
    Config = Cifar100Config

    def _coarse(self) -> bool:
        return isinstance(self.config, Cifar100Config) and self.config.labels == "coarse"

    def classes(self) -> tuple[str, ...]:
        return cifar_names.CIFAR100_COARSE if self._coarse() else cifar_names.CIFAR100_FINE

    def label_column(self) -> int:
        return 0 if self._coarse() else 1

    def label_key(self) -> str:
        return "coarse_labels" if self._coarse() else "fine_labels"


def _files(path: Path, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the wanted files of a folder or tar archive."""
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.name in wanted and file.is_file():
                if file.stat().st_size > _MAX_FILE:
                    raise DataError(f"{file} has {file.stat().st_size:,} bytes; at most {_MAX_FILE:,} are expected.")
                try:
                    yield file.name, file.read_bytes()
                except OSError as error:
                    raise DataError(f"{file} cannot be read: {error.strerror or error}.") from error
        return
    for _, member, read in tar_members(path, _MAX_FILE):
        name = member.name.rsplit("/", 1)[-1]
        if member.isreg() and name in wanted:
            yield name, read(member.size)


def marked(origin: Origin) -> Origin:
    """The same origin; its set says so if it is a JPEG copy of CIFAR-10."""

    def build(allocate: Allocate, progress: Progress) -> ImageSet:
        images = origin.build(allocate, progress)
        if images.classes != cifar_names.CIFAR10 or "JPEG" not in images.source.get("formats", {}):
            return images
        caveats = [*images.source.get("caveats", []), JPEG_CAVEAT]
        return replace(images, source={**images.source, "caveats": caveats})

    return replace(origin, build=build)
