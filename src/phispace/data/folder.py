"""A folder of image files, in any depth."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from phispace.data import names
from phispace.data.decode import MAX_BYTES
from phispace.data.listing import Candidates, Listing, Refusal
from phispace.errors import DataError


class FolderListing(Listing):
    """The image files below a folder.

    Links to files are followed; a folder that is reached twice, through a link or a loop of links, is read once.
    What is no regular file (a pipe, a device) is never opened.

    Attributes:
        digest: sha256 over names, sizes and times of change; changes when a file does.
        arrays: names of the `.npy` files directly in the folder.
    """

    kind = "folder"

    def __init__(self, root: Path) -> None:
        self.where = str(root)
        self._root = os.fsencode(root)
        found = Candidates()
        files = sorted(self._walk(b"", set(), found))
        self._files: list[bytes] = []
        self.ids: list[str] = []
        digest = hashlib.sha256()
        for relative, size, changed in files:
            name = names.escape(os.fsdecode(relative))
            digest.update(b"%s\0%d\0%d\0" % (relative, size, changed))
            if size > MAX_BYTES:
                found.refuse(name, f"the file has {size:,} bytes; at most {MAX_BYTES:,} are read")
            else:
                self._files.append(relative)
                self.ids.append(name)
        for quarantined in found.refused:
            digest.update(f"{quarantined.id}\0{quarantined.reason}\0".encode("utf-8", "surrogatepass"))
        self.refused = found.refused
        self.notes = found.notes()
        self.digest = digest.hexdigest()

    def _walk(
        self, relative: bytes, visited: set[tuple[int, int]], found: Candidates
    ) -> Iterator[tuple[bytes, int, int]]:
        """Relative name, size and time of change (ns) of each image file."""
        pending = [relative]
        while pending:
            folder = pending.pop()
            path = os.path.join(self._root, folder) if folder else self._root  # noqa: PTH118 (names are bytes)
            try:
                status = os.stat(path)  # noqa: PTH116
                if (status.st_dev, status.st_ino) in visited:
                    found.extra.append(
                        f"{names.escape(os.fsdecode(folder))} leads to a folder already read; left aside."
                    )
                    continue
                visited.add((status.st_dev, status.st_ino))
                entries = sorted(os.scandir(path), key=lambda entry: (entry.is_symlink(), entry.name))
            except OSError as error:
                if not folder:
                    raise DataError(f"The folder {self.where} cannot be read: {error.strerror or error}.") from error
                found.refuse(names.escape(os.fsdecode(folder)) + "/", f"the folder cannot be read: {error.strerror}")
                continue
            linked: list[bytes] = []
            inner: list[bytes] = []
            for entry in entries:
                name = folder + b"/" + entry.name if folder else entry.name
                text = os.fsdecode(name)
                if names.hidden(os.fsdecode(entry.name)):
                    continue
                try:
                    status = entry.stat()
                except OSError as error:
                    if names.is_image_name(text):
                        found.refuse(names.escape(text), f"cannot be read: {error.strerror or error}")
                    continue
                if stat.S_ISDIR(status.st_mode):
                    (linked if entry.is_symlink() else inner).append(name)
                elif not stat.S_ISREG(status.st_mode):
                    if names.is_image_name(text):
                        found.refuse(names.escape(text), "is a pipe, socket or device, no file")
                elif names.is_image_name(text) or _looks_like_image(entry.path, text):
                    yield name, status.st_size, status.st_mtime_ns
                else:
                    found.set_aside(text)
            # Real folders first, so that a link to a sibling is the one that is left aside.
            pending[:0] = linked[::-1]
            pending.extend(inner[::-1])

    def stream(self) -> Iterator[tuple[int, bytes | Refusal]]:
        for position, relative in enumerate(self._files):
            try:
                path = Path(os.fsdecode(os.path.join(self._root, relative)))  # noqa: PTH118 (names are bytes)
                with path.open("rb") as stream:
                    yield position, stream.read(MAX_BYTES + 1)
            except OSError as error:
                yield position, Refusal(f"cannot be read: {error.strerror or error}")


def _looks_like_image(path: bytes, name: str) -> bool:
    """Whether a file without a suffix begins as an image does."""
    if "." in name.rsplit("/", 1)[-1]:
        return False
    try:
        with Path(os.fsdecode(path)).open("rb") as stream:
            return looks_like_image(stream.read(16))
    except OSError:
        return False


def looks_like_image(start: bytes) -> bool:
    """Whether these first 16 bytes are those of JPEG, PNG, GIF, TIFF or WebP."""
    return start.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*")) or (
        start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    )
