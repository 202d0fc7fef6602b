"""Images from any path: what lies there decides how it is read."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from phispace.data.arrays import ArrayWishes, Part, from_arrays
from phispace.data.assemble import MAX_BAD, Wishes, assemble
from phispace.data.cache import file_identity
from phispace.data.folder import FolderListing
from phispace.data.imageset import ImageSet
from phispace.data.listing import Listing
from phispace.data.npy import map_npy
from phispace.data.npy_folder import npy_files, read_npy_folder
from phispace.data.npz import read_npz
from phispace.data.origin import Allocate, Origin, Request
from phispace.data.source import SourceConfig
from phispace.errors import DataError, InputError
from phispace.progress import Progress

_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz")
_SEVERAL = (*_TAR, ".zip", ".npz", ".npy", ".parquet")


class PathConfig(SourceConfig):
    """Options of images from a path."""

    channels: Literal[1, 3] | None = Field(
        default=None, description="1 grey, 3 colour; by default grey if all images are grey"
    )
    background: Literal["white", "black"] = Field(default="white", description="what shows through transparency")
    images: str | None = Field(default=None, description="name of the images' array (npz) or column (Parquet)")
    labels: str | None = Field(default=None, description="name of the labels' array (npz) or column (Parquet)")
    per_class: int | None = Field(
        default=None, ge=1, description="at most so many items a class (folder of .npy arrays)"
    )
    max_bad: float = Field(default=MAX_BAD, ge=0, le=1, description="largest share of images that may be in quarantine")


def origin_of_path(path: Path, config: PathConfig, request: Request, name: str | None = None) -> Origin:
    """How the images at a path are built.

    Raises:
        InputError: there is nothing, or nothing of a known kind.
        DataError: it cannot be read.
    """
    if not path.exists():
        raise InputError(missing(path))
    name = name or short_name(path)
    asked: Mapping[str, Any] = {"size": request.size, **config.model_dump()}
    if path.is_dir():
        return _folder(path, config, request, name, asked)
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder.")
    kind = _kind(path)

    def build(allocate: Allocate, progress: Progress) -> ImageSet:
        if kind in ("zip", "tar", "parquet"):
            return assemble(_listing(kind, path, config), name, _wishes(config, request), allocate, progress)
        parts, classes = _arrays(kind, path, config)
        source = {"kind": f"{kind} file", "path": str(path)}
        return from_arrays(parts, name, str(path), _array_wishes(config, request, classes), allocate, progress, source)

    return Origin(name, {"kind": kind, **file_identity(path), **asked}, build)


def _folder(path: Path, config: PathConfig, request: Request, name: str, asked: Mapping[str, Any]) -> Origin:
    arrays = npy_files(path)
    if arrays:
        return _array_folder(path, arrays, config, request, name, asked)
    listing = FolderListing(path)
    identity = {"kind": "folder", "path": str(path.resolve()), "listing": listing.digest, **asked}

    def build(allocate: Allocate, progress: Progress) -> ImageSet:
        return assemble(listing, name, _wishes(config, request), allocate, progress)

    return Origin(name, identity, build)


def _array_folder(
    path: Path, files: list[Path], config: PathConfig, request: Request, name: str, asked: Mapping[str, Any]
) -> Origin:
    def build(allocate: Allocate, progress: Progress) -> ImageSet:
        parts, classes = read_npy_folder(files, config.per_class)
        source = {"kind": "folder of arrays", "path": str(path)}
        return from_arrays(parts, name, str(path), _array_wishes(config, request, classes), allocate, progress, source)

    return Origin(name, {"kind": "npy folder", "files": [file_identity(file) for file in files], **asked}, build)


def _listing(kind: str, path: Path, config: PathConfig) -> Listing:
    """The listing of an archive; its reader is imported only when it is needed."""
    if kind == "zip":
        from phispace.data.zips import ZipListing

        return ZipListing(path)
    if kind == "tar":
        from phispace.data.tars import TarListing

        return TarListing(path)
    from phispace.data.parquet import ParquetListing

    return ParquetListing(path, config.images, config.labels)


def _arrays(kind: str, path: Path, config: PathConfig) -> tuple[list[Part], Sequence[str] | None]:
    if kind == "npz":
        found = read_npz(path, config.images, config.labels)
        return found.parts, found.classes
    return [Part(path.stem, map_npy(path), None, "train")], None


def _array_wishes(config: PathConfig, request: Request, classes: Sequence[str] | None) -> ArrayWishes:
    return ArrayWishes(request.size, config.channels, config.background, config.max_bad, classes)


def _wishes(config: PathConfig, request: Request) -> Wishes:
    return Wishes(request.size, config.channels, config.background, config.max_bad)


def _kind(path: Path) -> str:
    """What a file is: by its suffix, else by how it begins."""
    name = path.name.lower()
    if name.endswith(_TAR):
        return "tar"
    for suffix in ("zip", "npz", "npy", "parquet"):
        if name.endswith(f".{suffix}"):
            return suffix
    try:
        with path.open("rb") as stream:
            start = stream.read(512)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    for kind, magic, place in (
        ("zip", b"PK\3\4", 0),
        ("npy", b"\x93NUMPY", 0),
        ("parquet", b"PAR1", 0),
        ("tar", b"ustar", 257),
    ):
        if start[place : place + len(magic)] == magic:
            return kind
    raise InputError(
        f"{path} is no kind of file that images are read from; a folder, .zip, .tar (.gz, .bz2, .xz), .npz, .npy or "
        ".parquet is expected."
    )


def short_name(path: Path) -> str:
    """The path's last part without the suffixes of archives."""
    name = path.resolve().name or "images"
    for suffix in sorted(_SEVERAL, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def missing(path: Path) -> str:
    """One sentence for a path that does not exist, with what is near it."""
    for parent in path.parents:
        if parent.is_dir():
            break
    else:
        parent = Path()
    wanted = path.relative_to(parent).parts[0]
    try:
        there = sorted(p.name for p in parent.iterdir() if not p.name.startswith("."))
    except OSError:
        there = []
    close = difflib.get_close_matches(wanted, there, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(str(parent / name) for name in close)}?" if close else ""
    return f"{path} does not exist.{hint}"
