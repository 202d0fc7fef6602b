"""Files fetched from the web: into a temporary file, with a cap and a checksum. Only the whole, right file gets its
name."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO

from phispace import __version__, storage
from phispace.data.origin import Request
from phispace.errors import DataError, InputError
from phispace.progress import SILENT, Progress

_PIECE = 2**18
_TIMEOUT = 30.0


@dataclass(frozen=True)
class Remote:
    """A file on the web.

    Attributes:
        name: its file name here.
        urls: where it is, tried in this order.
        checksum: "md5:..." or "sha256:...", hexadecimal.
        max_bytes: it is not larger than this.
    """

    name: str
    urls: tuple[str, ...]
    checksum: str
    max_bytes: int


def fetch(remote: Remote, folder: Path, progress: Progress = SILENT) -> Path:
    """The file in this folder, downloaded if it is not there yet.

    Raises:
        DataError: none of the addresses gave the right file; each one's reason is named.
        StorageError: it could not be written.
    """
    target = folder / remote.name
    if target.is_file():
        check(target, remote.checksum)
        return target
    reasons = []
    for url in remote.urls:
        try:
            with storage.atomic_open(target) as out:
                _stream(url, out, remote, progress)
            return target
        except DataError as error:
            reasons.append(f"{url}: {error}")
    raise DataError(
        f"{remote.name} could not be downloaded ({'; '.join(reasons)}). Without a network, put the file into a folder "
        "and name that with --data-dir or PHISPACE_DATA."
    )


def _stream(url: str, out: IO[bytes], remote: Remote, progress: Progress) -> None:
    if not url.startswith(("https://", "http://")):
        raise InputError(f"{url} is no http address.")
    request = urllib.request.Request(url, headers={"User-Agent": f"phispace/{__version__}"})  # noqa: S310 (checked)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310 (checked above)
    except urllib.error.HTTPError as error:
        error.close()
        raise DataError(f"the server says {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise DataError(f"cannot be reached ({getattr(error, 'reason', None) or error})") from error
    digest = _digest(remote.checksum)
    with response:
        length = response.headers.get("Content-Length", "")
        expected = int(length) if length.isdigit() else None
        if expected is not None and expected > remote.max_bytes:
            raise DataError(f"has {expected:,} bytes; at most {remote.max_bytes:,} are expected")
        done = 0
        with progress.task(f"Downloading {remote.name}", expected) as task:
            while True:
                try:
                    piece = response.read(_PIECE)
                except (OSError, HTTPException) as error:
                    raise DataError(f"broke off after {done:,} bytes ({error})") from error
                if not piece:
                    break
                done += len(piece)
                if done > remote.max_bytes:
                    raise DataError(f"goes on past {remote.max_bytes:,} bytes")
                digest.update(piece)
                out.write(piece)
                task.advance(len(piece))
    if expected is not None and done != expected:
        raise DataError(f"broke off after {done:,} of {expected:,} bytes")
    found = digest.hexdigest()
    if found != remote.checksum.partition(":")[2]:
        raise DataError(f"is not the expected file: its {remote.checksum.partition(':')[0]} is {found}")


def check(path: Path, checksum: str) -> None:
    """Compare a file with "md5:..." or "sha256:...".

    Raises:
        DataError: they differ.
    """
    digest = _digest(checksum)
    try:
        with path.open("rb") as stream:
            while piece := stream.read(2**20):
                digest.update(piece)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    if digest.hexdigest() != checksum.partition(":")[2]:
        raise DataError(
            f"{path} is damaged or another file: its {checksum.partition(':')[0]} is {digest.hexdigest()}, "
            f"{checksum.partition(':')[2]} is expected. Remove it to download it again."
        )


def _digest(checksum: str) -> hashlib._Hash:
    algorithm, _, value = checksum.partition(":")
    if algorithm not in ("md5", "sha256") or not value:
        raise InputError(f"The checksum {checksum!r} does not say md5:... or sha256:....")
    return hashlib.new(algorithm, usedforsecurity=False)


def find(names: Sequence[str], folders: Iterable[Path]) -> Path | None:
    """The first of these names that exists, looked for in these folders in turn."""
    for folder in folders:
        for name in names:
            if (folder / name).exists():
                return folder / name
    return None


def obtain(
    remotes: Sequence[Remote],
    request: Request,
    what: str,
    subfolders: Sequence[str] = (),
    also: Mapping[str, Sequence[str]] | None = None,
    installed: Sequence[Path] = (),
    anywhere: bool = True,
) -> list[Path]:
    """The files of a named set: all from one of the places where they are looked for, else downloaded.

    Args:
        remotes: the files.
        request: names the folders, and whether downloads are allowed.
        what: the set's name; downloads go into a folder of this name.
        subfolders: looked into as well, in each folder.
        also: other names that a file may have.
        installed: places of the system's packages.
        anywhere: whether the files' names tell that they belong to this set; else they must lie in one of the
            subfolders, or in a folder that is called like one of them.

    Raises:
        DataError: they are nowhere and cannot be downloaded.
    """
    inside = (*subfolders, what)
    places: list[Path] = []
    for folder in request.folders:
        called = any(folder.resolve().name == Path(sub).parts[0] for sub in inside)
        places += [folder] if anywhere or called else []
        places += [folder / sub for sub in inside]
    for place in (*places, *installed):
        found = [find((r.name, *(also or {}).get(r.name, ())), [place]) for r in remotes]
        if all(found):
            return [path for path in found if path is not None]
    folder = request.folders[-1] / what
    if not request.download:
        looked = ", ".join(str(folder) for folder in request.folders)
        raise DataError(
            f"The files of {what} ({', '.join(r.name for r in remotes)}) are not here; looked in {looked}. Name their "
            "folder with --data-dir or PHISPACE_DATA, or allow the download."
        )
    return [fetch(remote, folder, request.progress) for remote in remotes]
