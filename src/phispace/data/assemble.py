"""From encoded images to an `ImageSet`: decode all, agree on size, colour and value range, quarantine the rest.

Size, colour and range belong to the whole set and are known when all is decoded. A first look at some images guesses
them; if the guess was wrong, a second pass decodes with what the first one found. Only images that decode fully count,
so a broken file changes nothing for the others.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from phispace.data.decode import Unreadable, decode, finish, strict_pillow
from phispace.data.imageset import ImageSet, Quarantined
from phispace.data.listing import Listing, Refusal, describe
from phispace.data.origin import Allocate
from phispace.data.ranges import Tally, ValueRange
from phispace.data.resize import default_size
from phispace.errors import DataError
from phispace.progress import Progress

MAX_BAD = 0.5
_LOOK = 256
_CHUNK, _CHUNK_BYTES = 64, 16 * 2**20
_Item = tuple[int, bytes | Refusal]


@dataclass(frozen=True)
class Wishes:
    """What was asked for; None is to be found out."""

    size: int | None = None
    channels: int | None = None
    background: str = "white"
    max_bad: float = MAX_BAD


@dataclass(frozen=True)
class Plan:
    """What all images become."""

    size: int
    channels: int
    deep: ValueRange | None


@dataclass
class Facts:
    """What is known of the images that decoded; the facts of parts add up."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    colour: int = 0
    deep: Tally = field(default_factory=Tally)

    def merge(self, other: Facts) -> None:
        """Add another part's facts."""
        for name in ("sizes", "modes", "formats", "notes"):
            getattr(self, name).update(getattr(other, name))
        self.colour += other.colour
        self.deep.merge(other.deep)

    def plan(self, wishes: Wishes) -> Plan:
        """The plan that fits these facts."""
        channels = wishes.channels or (3 if self.colour else 1)
        return Plan(wishes.size or default_size(self.sizes), channels, self.deep.range())


def assemble(listing: Listing, name: str, wishes: Wishes, allocate: Allocate, progress: Progress) -> ImageSet:
    """Decode a listing.

    Args:
        listing: the encoded images.
        name: the set's name.
        wishes: size, colour and background asked for.
        allocate: gives a writable uint8 array of a shape, in memory or mapped.
        progress: is told of each chunk.

    Raises:
        DataError: no images, or more than the allowed share of them is bad.
    """
    if not listing.ids and not listing.refused:
        raise DataError(f"There are no images in the {listing.kind} {listing.where}.{_hint(listing)}")
    with strict_pillow():
        facts = Facts()
        for _, found in _chunks(islice(listing.stream(), _LOOK), Plan(64, 3, None), wishes):
            facts.merge(found)
        for attempt in (1, 2, 3):
            plan = facts.plan(wishes)
            pixels = allocate((len(listing.ids), plan.size, plan.size, plan.channels))
            facts, bad = Facts(), {}
            with progress.task("Decoding images" if attempt == 1 else "Decoding again", len(listing.ids)) as task:
                for results, found in _chunks(listing.stream(), plan, wishes):
                    for position, result in results:
                        if isinstance(result, str):
                            bad[position] = result
                        else:
                            pixels[position] = result
                    facts.merge(found)
                    task.advance(len(results))
            if facts.plan(wishes) == plan:
                break
    kept = np.array([i for i in range(len(listing.ids)) if i not in bad], np.int64)
    arrangement = listing.arrange(kept)
    bad |= {int(kept[i]): reason for i, reason in arrangement.outside.items()}
    inside = np.array([i not in arrangement.outside for i in range(len(kept))], bool)
    quarantine = [*listing.refused, *(Quarantined(listing.ids[i], reason) for i, reason in bad.items())]
    quarantine.sort(key=lambda q: q.id.encode("utf-8", "surrogatepass"))
    check_quarantine(
        quarantine, len(kept) - len(arrangement.outside), f"the {listing.kind} {listing.where}", wishes.max_bad
    )
    for note in (*listing.notes, *arrangement.notes):
        progress.say(note)
    return ImageSet(
        images=keep_rows(pixels, kept[inside], allocate),
        labels=arrangement.labels[inside],
        ids=np.array([listing.ids[i] for i in kept[inside]], str),
        classes=arrangement.classes,
        split=arrangement.split[inside],
        name=name,
        quarantine=tuple(quarantine),
        source={**describe(listing), **_record(facts, plan, wishes, arrangement.notes)},
    )


def keep_rows(pixels: np.ndarray, kept: np.ndarray, allocate: Allocate) -> np.ndarray:
    """The kept rows; the array itself where all are kept."""
    if len(kept) == len(pixels):
        return pixels
    out = allocate((len(kept), *pixels.shape[1:]))
    for start in range(0, len(kept), 4096):
        out[start : start + 4096] = pixels[kept[start : start + 4096]]
    return out


def check_quarantine(quarantine: list[Quarantined], good: int, where: str, max_bad: float) -> None:
    """Raise DataError if nothing is left, or if the bad share passes the limit."""
    total = good + len(quarantine)
    if good and len(quarantine) <= max_bad * total:
        return
    first = "; ".join(f"{q.id}: {q.reason}" for q in quarantine[:3])
    raise DataError(
        f"{len(quarantine):,} of the {total:,} images of {where} cannot be used (at most {max_bad:.0%} may be bad). "
        f"The first: {first}."
    )


def _chunks(
    items: Iterable[_Item], plan: Plan, wishes: Wishes
) -> Iterator[tuple[list[tuple[int, np.ndarray | str]], Facts]]:
    """Decode in threads, chunk by chunk and in order; a few chunks are under way at a time."""
    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers, thread_name_prefix="phispace-decode") as pool:
        running: deque[Future[tuple[list[tuple[int, np.ndarray | str]], Facts]]] = deque()
        try:
            for chunk in _grouped(items):
                running.append(pool.submit(_decode_chunk, chunk, plan, wishes))
                if len(running) > 2 * workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


def _grouped(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    chunk: list[_Item] = []
    held = 0
    for item in items:
        chunk.append(item)
        held += len(item[1]) if isinstance(item[1], bytes) else 0
        if len(chunk) >= _CHUNK or held >= _CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _decode_chunk(chunk: list[_Item], plan: Plan, wishes: Wishes) -> tuple[list[tuple[int, np.ndarray | str]], Facts]:
    facts = Facts()
    results: list[tuple[int, np.ndarray | str]] = []
    for position, data in chunk:
        if isinstance(data, Refusal):
            results.append((position, data.reason))
            continue
        try:
            decoded = decode(data, wishes.background, plan.size)
            pixels = finish(decoded.pixels, plan.size, plan.channels, plan.deep)
        except Unreadable as error:
            results.append((position, str(error)))
            continue
        facts.sizes[decoded.size] += 1
        facts.modes[decoded.mode] += 1
        facts.formats[decoded.format] += 1
        facts.notes.update(decoded.notes)
        facts.colour += decoded.pixels.ndim == 3
        if decoded.pixels.dtype != np.uint8:
            facts.deep.add(decoded.pixels)
        results.append((position, pixels))
    return results, facts


def _record(facts: Facts, plan: Plan, wishes: Wishes, notes: Iterable[str]) -> dict[str, Any]:
    """What a reader of the set must know of how its pixels came about."""
    record: dict[str, Any] = {
        "size": plan.size,
        "sizes": {f"{w}x{h}": n for (w, h), n in facts.sizes.most_common(20)},
        "n_sizes": len(facts.sizes),
        "modes": dict(facts.modes.most_common()),
        "formats": dict(facts.formats.most_common()),
        "conversions": dict(facts.notes.most_common()),
        "resize": "scaled as a whole (bicubic, antialiased), centred on black",
        "background": wishes.background,
    }
    if plan.deep is not None:
        record["range"] = plan.deep.record()
    return record | {"layout": list(notes)}


def _hint(listing: Listing) -> str:
    return "".join(f" {note}" for note in listing.notes)
