"""Decoded once: a folder of arrays a set, memory-mapped when it is opened again.

    CACHE/images/NAME-KEY/  set.json  images.npy  labels.npy  ids.npy  split.npy  [factors.npy]

KEY is a digest of everything that decides the pixels: the files (path, size, time of change), what was asked for, and
the version of this code. An entry is written under a temporary name and renamed; one process writes, others wait.
At each opening the small arrays are compared with their sha256, the pixels with the fingerprint up to 1 GiB (about a
second a GiB) and by their size above that. A damaged entry is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from phispace import storage
from phispace.data.imageset import ImageSet, Quarantined
from phispace.data.origin import Origin, in_memory
from phispace.errors import DataError, PhispaceError, StorageError
from phispace.progress import Progress

CODE_VERSION = 2  # raise when decoding, resizing or conversion changes what pixels come out
_CHECK_UP_TO = 2**30
_ARRAYS = ("images", "labels", "ids", "split")


def cache_root(given: Path | None = None) -> Path:
    """The cache folder: the one given, else PHISPACE_CACHE, else `phispace` in the user's cache folder."""
    if given is not None:
        return Path(given)
    if os.environ.get("PHISPACE_CACHE"):
        return Path(os.environ["PHISPACE_CACHE"]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path("~/.cache").expanduser()) / "phispace"


def file_identity(path: Path) -> dict[str, Any]:
    """Path, size and time of change of a file."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    return {"path": str(path.resolve()), "bytes": status.st_size, "changed": status.st_mtime_ns}


def through_cache(origin: Origin, root: Path, progress: Progress) -> ImageSet:
    """The set, from the cache where it is whole there, else built and put there.

    Where the cache cannot be written the set is built in memory, and that is said.
    """
    if not origin.keep:
        return origin.build(in_memory, progress)
    text = json.dumps({"code": CODE_VERSION, **origin.identity}, sort_keys=True, default=str)
    entry = root / "images" / f"{_safe(origin.name)}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(entry.with_name(f"{entry.name}.lock"))
        lock.acquire()
    except OSError as error:
        progress.say(f"The cache {root} cannot be used ({error.strerror or error}); images are held in memory.")
        return origin.build(in_memory, progress)
    try:
        if entry.exists():
            try:
                return _open(entry)
            except PhispaceError as error:
                progress.say(f"The cached images of {origin.name} are damaged and are made again: {error}")
        storage.sweep(entry.parent)
        try:
            return _build(origin, entry, progress)
        except StorageError as error:
            progress.say(f"The images of {origin.name} are held in memory: {error}")
            return origin.build(in_memory, progress)
    finally:
        lock.release()


def _safe(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name).strip(".")[:60] or "images"


def _build(origin: Origin, entry: Path, progress: Progress) -> ImageSet:
    with storage.atomic_directory(entry) as temporary:
        pool = _Mapped(temporary)
        images = origin.build(pool.allocate, progress)
        fingerprint = images.fingerprint
        pool.keep(images.images, temporary / "images.npy")
        np.save(temporary / "labels.npy", images.labels)
        np.save(temporary / "ids.npy", images.ids.astype(str))
        np.save(temporary / "split.npy", images.split.astype(str))
        if images.factors is not None:
            np.save(temporary / "factors.npy", images.factors)
        storage.write_json(
            temporary / "set.json",
            {
                "name": images.name,
                "classes": list(images.classes),
                "factor_names": list(images.factor_names),
                "quarantine": [[q.id, q.reason] for q in images.quarantine],
                "source": dict(images.source),
                "fingerprint": fingerprint,
                "sha256": {p.name: storage.sha256_file(p) for p in temporary.glob("*.npy") if p.name != "images.npy"},
                "image_bytes": (temporary / "images.npy").stat().st_size,
            },
        )
        for path in temporary.iterdir():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
    return _open(entry, trusted=True)


def _open(entry: Path, trusted: bool = False) -> ImageSet:
    """Open an entry, memory-mapped.

    Raises:
        DataError: something is missing, or differs from what was written.
    """
    body = storage.read_json(entry / "set.json")
    try:
        for name, digest in body["sha256"].items():
            storage.check_sha256(entry / name, digest)
        arrays = {n: np.load(entry / f"{n}.npy", allow_pickle=False) for n in _ARRAYS[1:]}
        factors_path = entry / "factors.npy"
        factors = np.load(factors_path, allow_pickle=False) if body["factor_names"] else None
        path = entry / "images.npy"
        if path.stat().st_size != body["image_bytes"]:
            raise DataError(f"{path} has {path.stat().st_size:,} bytes; {body['image_bytes']:,} are expected.")
        images = ImageSet(
            images=np.load(path, mmap_mode="r", allow_pickle=False),
            classes=tuple(body["classes"]),
            name=body["name"],
            factors=factors,
            factor_names=tuple(body["factor_names"]),
            quarantine=tuple(Quarantined(i, reason) for i, reason in body["quarantine"]),
            source=body["source"],
            **arrays,
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise DataError(f"{entry} cannot be read: {error}") from error
    if not trusted and images.images.nbytes <= _CHECK_UP_TO and images.fingerprint != body["fingerprint"]:
        raise DataError(f"the fingerprint of {entry} differs from the recorded one.")
    return replace(images, known_fingerprint=body["fingerprint"])


class _Mapped:
    """Large arrays in files of one folder, until one of them is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._arrays: list[tuple[Path, np.memmap]] = []

    def allocate(self, shape: tuple[int, ...]) -> np.ndarray:
        if 0 in shape:
            return in_memory(shape)
        path = self._folder / f"scratch-{len(self._arrays)}.npy"
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        self._arrays.append((path, array))
        return array

    def keep(self, pixels: np.ndarray, path: Path) -> None:
        """Give these pixels the file `path`, and remove what else was allocated."""
        for scratch, array in self._arrays:
            if array is pixels:
                array.flush()
                scratch.rename(path)
            else:
                scratch.unlink()
        if not path.exists():
            np.save(path, pixels)


def entries(root: Path) -> Iterator[Path]:
    """The folders of the cache's sets."""
    yield from sorted(p.parent for p in (root / "images").glob("*/set.json"))
