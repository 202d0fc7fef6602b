"""Ids from names of files and archive members.

An id is a relative POSIX path. What cannot stand in one line of UTF-8 (bytes that are no UTF-8, line breaks, other
control characters, backslashes) is written as an escape, so that distinct names keep distinct ids. Case twins such as
`A.png` and `a.png` are distinct names.
"""

from __future__ import annotations

IMAGE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".bmp", ".dib"),
        *(".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm"),
    }
)
_HIDDEN = ("__macosx", "thumbs.db", "desktop.ini", "@eadir")


def escape(name: str) -> str:
    """The name with every character escaped that is not printable, and with backslashes escaped."""
    if name.isprintable() and "\\" not in name:
        return name
    return "".join(c if c.isprintable() and c != "\\" else _code(c) for c in name)


def _code(character: str) -> str:
    point = ord(character)
    if 0xDC80 <= point <= 0xDCFF:  # a byte that Python smuggled through (surrogateescape)
        return f"\\x{point - 0xDC00:02x}"
    return f"\\x{point:02x}" if point < 0x80 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def order(name: str) -> bytes:
    """The key that sorts names bytewise."""
    return name.encode("utf-8", "surrogateescape" if not _lone(name) else "surrogatepass")


def _lone(name: str) -> bool:
    """Whether the name holds surrogates other than those that stand for single bytes."""
    return any(0xD800 <= ord(c) <= 0xDFFF and not 0xDC80 <= ord(c) <= 0xDCFF for c in name)


def hidden(name: str) -> bool:
    """Whether a path leads through something that systems leave behind: dot files, `__MACOSX`, `Thumbs.db` ..."""
    parts = name.split("/")
    return any((p.startswith(".") and p not in (".", "..")) or p.casefold() in _HIDDEN for p in parts)


def is_image_name(name: str) -> bool:
    """Whether the suffix is one of an image's."""
    last = name.rsplit("/", 1)[-1]
    return "." in last and f".{last.rsplit('.', 1)[1].lower()}" in IMAGE_SUFFIXES


def refusal(name: str) -> str | None:
    """Why an archive member of this name is not read, or None if the name is harmless.

    Nothing is ever written under a member's name; a name that climbs out of its archive is refused all the same,
    because whoever made it meant harm or made a mistake.
    """
    if not name or "\0" in name:
        return "the name is empty or holds a zero byte"
    if name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":"):
        return "the name is an absolute path"
    parts = name.replace("\\", "/").split("/")
    if ".." in parts:
        return "the name climbs out of the archive with '..'"
    if "\\" in name:
        return "the name holds a backslash"
    return None


def plain(name: str) -> str:
    """A member's name without `./` in front and without empty or `.` parts."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))
