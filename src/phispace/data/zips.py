"""A zip archive of images, read member by member; nothing is unpacked to disk.

Headers are not believed: a member's bytes are counted as they are inflated, overlapping members and too many members
refuse the archive, encrypted, linked or far too compressible members and names that climb out go to the quarantine.
"""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

from phispace.data import names
from phispace.data.decode import MAX_BYTES
from phispace.data.listing import Candidates, Listing, Refusal
from phispace.errors import DataError

MAX_MEMBERS = 5_000_000
MAX_TOTAL = 256 * 2**30
MAX_RATIO = 200
RATIO_MATTERS_FROM = 2**20
_LOCAL_HEADER = 30


class ZipListing(Listing):
    """The image files in a zip archive."""

    kind = "zip archive"

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._path = path
        members = self._members()
        found = Candidates()
        wanted: list[tuple[tuple[bytes, str], zipfile.ZipInfo]] = []
        for info in members:
            taken = found.member(info.filename, folder=info.is_dir(), reason=partial(_reason, info))
            if taken is not None:
                wanted.append((taken, info))
        wanted.sort(key=lambda item: item[0])
        self._infos = [info for _, info in wanted]
        self.ids = [key for (_, key), _ in wanted]
        self.refused = found.refused
        self.notes = found.notes()

    def _members(self) -> list[zipfile.ZipInfo]:
        try:
            with zipfile.ZipFile(self._path) as archive:
                members = archive.infolist()
        except OSError as error:
            raise DataError(f"The archive {self.where} cannot be read: {error.strerror or error}.") from error
        except Exception as error:  # a hostile directory makes zipfile raise whatever comes to hand
            raise DataError(
                f"{self.where} is no zip archive that can be read, or is cut off: {names.escape(str(error))}."
            ) from error
        if len(members) > MAX_MEMBERS:
            raise DataError(f"{self.where} has {len(members):,} members; at most {MAX_MEMBERS:,} are read.")
        by_place = sorted(members, key=lambda info: info.header_offset)
        for first, second in pairwise(by_place):
            if first.header_offset + _LOCAL_HEADER + first.compress_size > second.header_offset:
                raise DataError(
                    f"{self.where} is refused: its members {names.escape(first.filename)!r} and "
                    f"{names.escape(second.filename)!r} overlap, as in an archive made to inflate without end."
                )
        return members

    def stream(self) -> Iterator[tuple[int, bytes | Refusal]]:
        budget = MAX_TOTAL
        try:
            with zipfile.ZipFile(self._path) as archive:
                for position, info in enumerate(self._infos):
                    data = _read(archive, info)
                    if isinstance(data, bytes):
                        budget -= len(data)
                        if budget < 0:
                            raise DataError(f"{self.where} inflates to more than {MAX_TOTAL:,} bytes; that is refused.")
                    yield position, data
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"The archive {self.where} changed while it was read: {error}.") from error


def _reason(info: zipfile.ZipInfo) -> str | None:
    """Why a member is not read, from what the directory says of it."""
    mode = info.external_attr >> 16
    if info.create_system == 3 and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "is a link; links are not followed" if stat.S_ISLNK(mode) else "is no regular file"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.file_size > MAX_BYTES:
        return f"claims {info.file_size:,} bytes; at most {MAX_BYTES:,} are read"
    if info.file_size > RATIO_MATTERS_FROM and info.file_size > MAX_RATIO * max(1, info.compress_size):
        return f"claims to inflate {info.file_size // max(1, info.compress_size):,} times; at most {MAX_RATIO} are read"
    return None


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | Refusal:
    """A member's bytes, never more than the cap, with its checksum checked."""
    try:
        with archive.open(info) as stream:
            data = stream.read(MAX_BYTES + 1)
            if len(data) > MAX_BYTES:
                return Refusal(f"inflates to more than {MAX_BYTES:,} bytes")
            if len(data) != info.file_size:
                return Refusal(f"has {len(data):,} bytes; the directory says {info.file_size:,}")
            return data
    except Exception as error:  # zlib, lzma, bz2 and zipfile each have their own
        return Refusal(f"cannot be inflated: {names.escape(str(error) or type(error).__name__)[:200]}")
