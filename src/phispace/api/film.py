"""The film of a run: its map at every stored checkpoint, in frames that stay comparable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from phispace.api.learn import images_of, open_run
from phispace.progress import Progress
from phispace.run import Run

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet
    from phispace.maps.film import Film


@dataclass(frozen=True)
class DrawnFilm:
    """A film and the files that show it, by `webp`, `gif`, `frames` and `numbers`."""

    film: Film
    files: dict[str, Path]


def draw_film(
    run: Run | Path | str,
    *,
    layer: str = "features",
    split: str = "test",
    strategy: Literal["warm", "constant", "full", "independent", "identity"] = "warm",
    items: int = 2000,
    at_most: int = 40,
    in_betweens: int = 10,
    thumbnails: bool = False,
    out: Path | str | None = None,
    images: str | Path | ImageSet | None = None,
    data_dir: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> DrawnFilm:
    """Map the same images at each stored checkpoint and draw the film.

    Args:
        strategy: `warm` (each frame starts from the one before), `constant` (the same with one exaggeration for all),
            `full` (the same with the whole schedule) or
            `independent` (each alone from a random start), or `identity` (no projection: a code of two dimensions as it
            is); see `phispace.maps.animation.fit_frames`.
        items: size of the fixed, stratified subset.
        at_most: checkpoints; more are thinned evenly.
        thumbnails: draw the images in place of points.
        out: directory; by default RUN/film-LAYER.

    Raises:
        RunError: fewer than two checkpoints are stored.
    """
    from phispace.embeddings.checkpoints import extract_checkpoints
    from phispace.maps.animation import draw_film as draw
    from phispace.maps.animation import fit_frames
    from phispace.maps.film import Caption
    from phispace.maps.subset import stratified_subset

    run = open_run(run)
    found = images_of(run, images, data_dir=data_dir, progress=progress)
    positions = found.where(split)
    chosen = positions[stratified_subset(found.ids[positions], found.labels[positions], items)]
    folder = Path(out) if out is not None else run.path / f"film-{layer}"
    moments = extract_checkpoints(
        run,
        found.take(chosen),
        layer,
        lambda checkpoint: folder / "embeddings" / checkpoint,
        at_most=at_most,
        progress=progress,
    )
    captions = [Caption(epoch=float(m.record["epoch"]), accuracy=m.record.get("val_accuracy")) for m in moments]
    film = fit_frames(
        [m.store for m in moments], captions, max_items=items, strategy=strategy, seed=seed, progress=progress
    )
    film.save(folder / "film")
    files = draw(film, folder, images=found if thumbnails else None, in_betweens=in_betweens, progress=progress)
    return DrawnFilm(film, files)
