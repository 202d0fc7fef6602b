"""Images by name or path, with the protocol's splits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from phispace.data import REGISTRY
from phispace.data.cache import cache_root, through_cache
from phispace.data.cifar import marked
from phispace.data.imageset import ImageSet
from phispace.data.origin import Origin, Request
from phispace.data.paths import PathConfig, missing, origin_of_path
from phispace.data.resize import LARGEST, SMALLEST
from phispace.data.source import Source, SourceConfig
from phispace.data.splits import with_protocol_splits
from phispace.errors import DataError, InputError
from phispace.progress import SILENT, Progress


def load_images(
    spec: str | Path,
    *,
    data_dir: Path | str | None = None,
    size: int | None = None,
    options: Mapping[str, Any] | None = None,
    cache_dir: Path | str | None = None,
    download: bool = True,
    progress: Progress | None = None,
) -> ImageSet:
    """Images by name or path, as a set with the splits train, val, test and unlabelled.

    Args:
        spec: a registered name (`phispace list images`), or a path: a folder, .zip, .tar, .npz, .npy, a folder of
            .npy arrays, or .parquet.
        data_dir: where the files of named sets are looked for first; then PHISPACE_DATA, then the user's cache.
        size: H = W in pixels; by default the commonest size, at most 64. Nothing is distorted.
        options: the source's own options.
        cache_dir: where decoded images are kept; by default PHISPACE_CACHE, else the user's cache.
        download: whether the files of a named set may be fetched.
        progress: is told what is being done.

    Raises:
        InputError: no such name or path, or an option that does not fit.
        DataError: what is there cannot be read as images.
    """
    progress = progress or SILENT
    if size is not None and not SMALLEST <= size <= LARGEST:
        raise InputError(f"The size of images must lie between {SMALLEST} and {LARGEST} pixels; got {size}.")
    root = cache_root(None if cache_dir is None else Path(cache_dir))
    request = Request(size, _folders(data_dir, root), download, progress)
    images = through_cache(_origin(spec, options or {}, request), root, progress)
    if not len(images):
        raise DataError(f"{spec} holds no images.")
    return with_protocol_splits(images)


def _origin(spec: str | Path, options: Mapping[str, Any], request: Request) -> Origin:
    text = str(spec)
    if isinstance(spec, str) and (text in REGISTRY.table or text in REGISTRY.aliases):
        kind: type[Source] = REGISTRY.get(text)
        return kind(_checked(kind.Config, options, text)).origin(request)
    if not text.strip():
        raise InputError(f"The images have no name; a path is expected, or one of: {', '.join(REGISTRY.names())}.")
    path = Path(text).expanduser()
    if "\0" not in text and path.exists():
        config = _checked(PathConfig, options, text)
        return marked(origin_of_path(path, config if isinstance(config, PathConfig) else PathConfig(), request))
    if isinstance(spec, Path) or "/" in text or "\\" in text or path.suffix:
        raise InputError(missing(path))
    try:
        REGISTRY.resolve(text)
    except InputError as error:
        raise InputError(f"{error} And no file or folder of that name exists.") from None
    raise InputError(missing(path))


def _checked(kind: type[SourceConfig], options: Mapping[str, Any], spec: str) -> SourceConfig:
    try:
        return kind(**options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        known = ", ".join(kind.model_fields) or "none"
        raise InputError(
            f"The option {where!r} of the images {spec!r} does not fit: {first['msg']}. Its options are: {known}."
        ) from None


def _folders(data_dir: Path | str | None, root: Path) -> tuple[Path, ...]:
    given = [] if data_dir is None else [Path(data_dir).expanduser()]
    if given and not given[0].is_dir():
        raise InputError(missing(given[0]) if not given[0].exists() else f"{given[0]} is no folder of data.")
    if os.environ.get("PHISPACE_DATA"):
        given.append(Path(os.environ["PHISPACE_DATA"]).expanduser())
    return (*given, root / "downloads")
