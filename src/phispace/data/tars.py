"""A tar archive (plain, gzip, bzip2 or xz) read member by member; nothing is unpacked to disk.

What is inflated is counted as it is read, so that no header can make it endless; links and devices are refused; an
archive that ends early is an error, because nobody can know what is missing.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

from phispace.data import names
from phispace.data.decode import MAX_BYTES
from phispace.data.listing import Candidates, Listing, Refusal
from phispace.errors import DataError, PhispaceError

MAX_MEMBERS = 5_000_000
MAX_TOTAL = 256 * 2**30
MAX_RATIO = 200
RATIO_MATTERS_FROM = 256 * 2**20
_BLOCK = 512
_INFLATING = (gzip.GzipFile, bz2.BZ2File, lzma.LZMAFile)

Read = Callable[[int], bytes]


class TarListing(Listing):
    """The image files in a tar archive."""

    kind = "tar archive"

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._path = path
        found = Candidates()
        wanted: list[tuple[tuple[bytes, str], int]] = []
        for number, member, _ in tar_members(path):
            taken = found.member(member.name, folder=member.isdir(), reason=partial(_reason, member))
            if taken is not None:
                wanted.append((taken, number))
        wanted.sort()
        self.ids = [key for (_, key), _ in wanted]
        self._position = {number: position for position, (_, number) in enumerate(wanted)}
        self.refused = found.refused
        self.notes = found.notes()

    def stream(self) -> Iterator[tuple[int, bytes | Refusal]]:
        for number, member, read in tar_members(self._path):
            position = self._position.get(number)
            if position is not None:
                yield position, read(member.size)


def _reason(member: tarfile.TarInfo) -> str | None:
    if member.issym() or member.islnk():
        return "is a link; links are not followed"
    if not member.isreg():
        return "is a device or pipe, no file"
    if member.issparse():
        return "is a sparse file"
    if member.size > MAX_BYTES:
        return f"claims {member.size:,} bytes; at most {MAX_BYTES:,} are read"
    return None


def tar_members(path: Path, largest: int = MAX_BYTES) -> Iterator[tuple[int, tarfile.TarInfo, Read]]:
    """Number, header and reader of each member, in the archive's order; a reader is good until the next member.

    Args:
        path: the archive.
        largest: no single read is larger, in bytes.

    Raises:
        DataError: no tar archive, cut off, too many members, or inflating without end.
    """
    with (
        _errors(path),
        path.open("rb") as raw,
        _Counted(_inflated(raw), path, largest) as stream,
        tarfile.open(fileobj=stream, mode="r:", errorlevel=1) as archive,  # type: ignore[call-overload]
    ):
        number = 0
        while (member := archive.next()) is not None:
            if number >= MAX_MEMBERS:
                raise DataError(f"{path} has more than {MAX_MEMBERS:,} members; that is refused.")
            yield number, member, _Member(archive, member, path).read
            archive.members = []  # tarfile would keep every header
            number += 1
        # tarfile takes a damaged header for the end; the true end is a block of zeros.
        stream.seek(archive.offset)
        if stream.read(_BLOCK) != b"\0" * _BLOCK:
            raise DataError(f"{path} is cut off or damaged: the mark at the end of a tar archive is missing.")


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    """tarfile, gzip, bz2, lzma and zlib each have their own errors; here they become one DataError."""
    try:
        yield
    except PhispaceError:
        raise
    except Exception as error:
        text = names.escape(str(error) or type(error).__name__)[:200]
        raise DataError(f"{path} is no tar archive that can be read, or is cut off: {text}.") from error


class _Member:
    """Reads one member from its beginning, in one go or in pieces."""

    def __init__(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        self._archive, self._member, self._path = archive, member, path
        self._stream: IO[bytes] | None = None

    def read(self, size: int) -> bytes:
        with _errors(self._path):
            if self._stream is None:
                self._stream = self._archive.extractfile(self._member)
            data = b"" if self._stream is None else self._stream.read(size)
        if len(data) != size:
            raise DataError(f"{self._path} is cut off within {names.escape(self._member.name)!r}.")
        return data


def _inflated(raw: IO[bytes]) -> IO[bytes]:
    start = raw.read(6)
    raw.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=raw, mode="rb")  # type: ignore[return-value]
    if start.startswith(b"BZh"):
        return bz2.BZ2File(raw, "rb")
    if start.startswith(b"\xfd7zXZ"):
        return lzma.LZMAFile(raw, "rb", format=lzma.FORMAT_XZ)
    return raw


class _Counted:
    """A stream that counts what is read through it and stops a bomb; seeking goes forward by reading."""

    def __init__(self, stream: IO[bytes], path: Path, largest: int) -> None:
        self._stream = stream
        self._path = path
        self._largest = largest
        self._packed = max(1, path.stat().st_size)
        self._inflates = isinstance(stream, _INFLATING)
        self._furthest = 0

    def __enter__(self) -> _Counted:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self._largest + _BLOCK:
            raise DataError(f"{self._path} has a header or member of {size:,} bytes; that is refused.")
        data = self._stream.read(size)
        self._count(self._stream.tell())
        return data

    def seek(self, place: int, whence: int = 0) -> int:
        if whence != 0 or place < 0:
            raise DataError(f"{self._path} has a member with a negative length; it is damaged.")
        self._count_ahead(place)
        return self._stream.seek(place)

    def _count_ahead(self, place: int) -> None:
        """Inflate in pieces up to a place, counting, instead of in one go."""
        if self._inflates:
            while (here := self._stream.tell()) < place:
                if not self._stream.read(min(2**20, place - here)):
                    break
                self._count(self._stream.tell())

    def _count(self, place: int) -> None:
        self._furthest = max(self._furthest, place)
        if self._furthest > MAX_TOTAL:
            raise DataError(f"{self._path} inflates to more than {MAX_TOTAL:,} bytes; that is refused.")
        if self._inflates and self._furthest > RATIO_MATTERS_FROM and self._furthest > MAX_RATIO * self._packed:
            raise DataError(f"{self._path} inflates more than {MAX_RATIO} times; that is refused.")
