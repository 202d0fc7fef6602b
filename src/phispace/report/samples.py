"""The section about a generator: what it made of the same codes, epoch by epoch, as a film and the last picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from phispace.report.document import Figure, Film, Section
from phispace.run import Run

if TYPE_CHECKING:
    from PIL import Image

T = TypeVar("T")

FOLDER = "samples"
_MOST_FRAMES = 40
_STILLS = 3
_FRAME, _LAST = 350, 2000  # milliseconds


def sample_sections(run: Run) -> list[Section]:
    """The pictures that training left in `samples/`, if there are any; the film goes to `report/samples.webp`."""
    files = sorted((run.path / FOLDER).glob("epoch=*.png"), key=_epoch)
    read = [(file, picture) for file in _thinned(files, _MOST_FRAMES) if (picture := _read(file)) is not None]
    if not read:
        return []
    frames = [(file, picture) for file, picture in read if picture.size == read[-1][1].size]
    title = "What did the generator make as it learnt?"
    last = _still(run, frames[-1][0])
    if len(frames) == 1:
        return [last.model_copy(update={"title": title})]
    from phispace.maps.film_drawing import animate

    durations = [_FRAME] * (len(frames) - 1) + [_LAST]
    path = animate([picture for _, picture in frames], durations, run.path / "report" / "samples.webp", "webp")
    stills = tuple(_still(run, file) for file, _ in _thinned(frames, _STILLS))
    return [
        Film(
            title=title, path=path.relative_to(run.path).as_posix(), stills=stills, frames=FOLDER,
            alt=f"Images that the generator makes of the same codes, from epoch {_epoch(frames[0][0])} to "
            f"{_epoch(frames[-1][0])}",
            caption="The same drawn codes in every frame; none is chosen.",
        )
    ]  # fmt: skip


def _thinned(things: list[T], most: int) -> list[T]:
    """At most so many, evenly spaced, the first and the last among them."""
    if len(things) <= most:
        return things
    return [things[round(i * (len(things) - 1) / (most - 1))] for i in range(most)]


def _still(run: Run, file: Path) -> Figure:
    epoch = _epoch(file)
    when = "before training" if epoch == 0 else f"after epoch {epoch}"
    return Figure(
        path=file.relative_to(run.path).as_posix(), alt=f"Images that the generator makes, {when}",
        caption=when.capitalize(), pixelated=True,
    )  # fmt: skip


def _epoch(file: Path) -> int:
    number = file.stem.partition("=")[2]
    return int(number) if number.isdigit() else -1


def _read(file: Path) -> Image.Image | None:
    """The picture, or None where it is damaged: the film goes on without it."""
    from PIL import Image

    try:
        with Image.open(file) as picture:
            return picture.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
