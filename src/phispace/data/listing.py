"""Encoded images that wait to be decoded: the contract of folders, archives and Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from phispace.data import names
from phispace.data.imageset import Quarantined
from phispace.data.layout import Arrangement, arrange

_ARCHIVES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".7z", ".rar")


@dataclass(frozen=True)
class Refusal:
    """Why one listed image has no bytes."""

    reason: str


class Listing:
    """Images by id, in their final order (bytewise by path), with their bytes to be streamed.

    Attributes:
        kind: what it is, for messages: "folder", "zip archive" ...
        where: its path, for messages.
        ids: id of each image, unique, in the order that they keep.
        refused: what is not even tried, and why.
        notes: sentences about what was left aside.
    """

    kind: str
    where: str
    ids: list[str]
    refused: list[Quarantined]
    notes: list[str]

    def stream(self) -> Iterator[tuple[int, bytes | Refusal]]:
        """Each position once with its bytes or the reason why there are none, in any order; may be asked for again."""
        raise NotImplementedError(f"{type(self).__name__} must define stream (abstract)")

    def arrange(self, kept: np.ndarray) -> Arrangement:
        """Labels and splits of these positions (ascending)."""
        return arrange([self.ids[i] for i in kept])


@dataclass
class Candidates:
    """What a walk over a folder or an archive finds, before it becomes a listing.

    Attributes:
        refused: images that are not tried.
        seen: names taken so far.
        other: how many files are no images by their name.
        archives: how many archives lie among them.
        extra: further notes.
    """

    refused: list[Quarantined] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    other: int = 0
    archives: int = 0
    extra: list[str] = field(default_factory=list)

    def refuse(self, name: str, reason: str) -> None:
        """Put a name into the quarantine; a second refusal of the same name is dropped."""
        if name not in self.seen:
            self.seen.add(name)
            self.refused.append(Quarantined(name, reason))

    def set_aside(self, name: str) -> None:
        """Count a file that is no image by its name."""
        if name.lower().endswith(_ARCHIVES):
            self.archives += 1
        else:
            self.other += 1

    def member(self, raw: str, *, folder: bool, reason: Callable[[], str | None]) -> tuple[bytes, str] | None:
        """Take a member of an archive, or say why not.

        Args:
            raw: its name as the archive has it.
            folder: it is a directory.
            reason: asked only of images by name: why it is not read, or None.

        Returns:
            where it stands in the order and its id; None if it is left aside or refused.
        """
        name, climbs = names.plain(raw), names.refusal(raw)
        if folder or (climbs is None and names.hidden(name)):
            return None
        if not names.is_image_name(name):
            self.set_aside(name)
            return None
        key = names.escape(name if climbs is None else raw)
        why = climbs or reason()
        if why is not None:
            self.refuse(key, why)
        elif key in self.seen:
            self.refuse(f"{key} (again)", "another member has the same name; the first is kept")
        else:
            self.seen.add(key)
            return names.order(name), key
        return None

    def notes(self) -> list[str]:
        """Sentences about what was left aside."""
        found = list(self.extra)
        if self.other:
            found.append(f"{self.other:,} files that are no images by their name were left aside.")
        if self.archives:
            found.append(f"{self.archives:,} archives inside were not opened; give them by their own path.")
        return found


def describe(listing: Listing) -> dict[str, Any]:
    """What a set's source says of its listing."""
    return {"kind": listing.kind, "path": listing.where, "notes": list(listing.notes)}
