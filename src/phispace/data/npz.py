"""`.npz` archives of arrays: which keys are images, which are labels, and what they belong to."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phispace.data.arrays import Part
from phispace.data.names import escape
from phispace.data.npy import read_npy
from phispace.errors import DataError, InputError

_MAX_ARRAYS = 1000
_MAX_RATIO = 200
_RATIO_MATTERS_FROM = 256 * 2**20

_IMAGES = ("images", "image", "imgs", "x", "data", "labelled", "labeled")
_LABELS = ("labels", "label", "y", "targets", "target", "classes_index")
_UNLABELLED = ("unlabelled", "unlabeled", "x_unlabelled", "x_unlabeled", "unlabelled_images", "unlabeled_images")
_CLASSES = ("classes", "class_names", "label_names", "names")


@dataclass(frozen=True)
class Arrays:
    """What an archive of arrays holds."""

    parts: list[Part]
    classes: list[str] | None


def read_npz(path: Path, images: str | None = None, labels: str | None = None) -> Arrays:
    """Read the arrays of images and labels; other arrays are not touched.

    Understood without being told: `x_train, y_train, x_test, y_test` (also val), `train_images, train_labels, ...`,
    `labelled, labels, unlabelled`, `images, labels`, `x, y`, `data, target`, a single array of images; names of the
    classes in `classes` or `class_names`.

    Args:
        path: the file.
        images: key of the images, where it is none of these.
        labels: key of their labels.

    Raises:
        InputError: a key that is not there, or no key that looks like images.
        DataError: the archive or an array in it cannot be read.
    """
    with _opened(path) as reader:
        return reader.arrays(images, labels)


def array_names(path: Path) -> list[str]:
    """Names of an archive's arrays, in its order.

    Raises:
        DataError: no archive that can be read, or no arrays in it.
    """
    with _opened(path) as reader:
        return reader.names


def read_array(path: Path, name: str) -> np.ndarray:
    """One array of an archive; the others are not touched.

    Raises:
        DataError: the archive or the array cannot be read.
    """
    with _opened(path) as reader:
        return reader.read(name)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[_Reader]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield _Reader(archive, _members(archive, path), path)
    except (DataError, InputError):
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # a hostile directory makes zipfile raise whatever comes to hand
        text = escape(str(error) or type(error).__name__)[:200]
        raise DataError(f"{path} is no .npz archive that can be read, or is cut off: {text}.") from error


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    if len(infos) > _MAX_ARRAYS:
        raise DataError(f"{path} has {len(infos):,} arrays; at most {_MAX_ARRAYS:,} are looked at.")
    if not infos:
        raise DataError(f"{path} holds no arrays.")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        key = escape(info.filename[: -len(".npy")])
        if key in members:
            raise DataError(f"{path} has two arrays named {key!r}.")
        members[key] = info
    return members


class _Reader:
    """Finds the roles of the keys, and reads only those."""

    def __init__(self, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], path: Path) -> None:
        self._archive = archive
        self._members = members
        self._path = path
        self._folded = {key.casefold(): key for key in members}
        self.names = list(members)

    def arrays(self, images: str | None, labels: str | None) -> Arrays:
        parts = self._chosen(images, labels) if images or labels else self._split_parts() or self._plain_parts()
        if not parts:
            raise InputError(
                f"No array of {self._path} is called as images are; it has {self._known()}. Name the images with "
                "images=KEY and their labels with labels=KEY."
            )
        key = self._find(*_CLASSES)
        names = self.read(key) if key else None
        classes = None
        if names is not None and names.ndim == 1 and names.dtype.kind == "U":
            classes = [escape(name) for name in names.tolist()]
        return Arrays(parts, classes)

    def _chosen(self, images: str | None, labels: str | None) -> list[Part]:
        for key in (images, labels):
            if key is not None and key not in self._members:
                raise InputError(f"{self._path} has no array {key!r}; it has {self._known()}.")
        if images is None:
            images = self._find(*_IMAGES)
            if images is None or images == labels:
                raise InputError(f"Name the images of {self._path} with images=KEY; it has {self._known()}.")
        if labels is None:
            found = self._find(*_LABELS)
            labels = found if found != images else None
        return [self._part(images, labels, "train")]

    def _split_parts(self) -> list[Part]:
        parts = []
        for split, words in (("train", ("train",)), ("val", ("val", "valid", "validation")), ("test", ("test",))):
            images = self._find(*_paired(words, ("x", "images", "image", "data", "imgs")))
            if images is not None:
                labels = self._find(*_paired(words, ("y", "labels", "label", "targets", "target")))
                parts.append(self._part(images, labels, split))
        if parts:
            parts += self._unlabelled()
        return parts

    def _plain_parts(self) -> list[Part]:
        images = self._find(*_IMAGES)
        if images is not None:
            return [self._part(images, self._find(*_LABELS), "train"), *self._unlabelled()]
        if self._find("arr_0"):
            return [self._part("arr_0", self._find("arr_1"), "train")]
        rest = [key for key in self._members if key.casefold() not in (*_LABELS, *_CLASSES)]
        if len(rest) == 1:
            return [self._part(rest[0], self._find(*_LABELS), "train")]
        return []

    def _unlabelled(self) -> list[Part]:
        key = self._find(*_UNLABELLED)
        return [Part(key, self.read(key), None, "unlabelled")] if key else []

    def _part(self, images: str, labels: str | None, split: str) -> Part:
        return Part(images, self.read(images), None if labels is None else self.read(labels), split)

    def _find(self, *names: str) -> str | None:
        return next((self._folded[name] for name in names if name in self._folded), None)

    def read(self, key: str) -> np.ndarray:
        info = self._members[key]
        what = f"The array {key!r} of {self._path}"
        if info.flag_bits & 0x1:
            raise DataError(f"{what} is encrypted.")
        if info.file_size > _RATIO_MATTERS_FROM and info.file_size > _MAX_RATIO * max(1, info.compress_size):
            raise DataError(
                f"{what} claims {info.file_size:,} bytes in {info.compress_size:,} compressed ones; at most "
                f"{_MAX_RATIO} to 1 is read."
            )
        with self._archive.open(info) as stream:
            return read_npy(stream, info.file_size, what)

    def _known(self) -> str:
        keys = list(self._members)
        return ", ".join(keys[:12]) + (", ..." if len(keys) > 12 else "")


def _paired(words: tuple[str, ...], names: tuple[str, ...]) -> list[str]:
    return [pair for word in words for name in names for pair in (f"{name}_{word}", f"{word}_{name}")]
