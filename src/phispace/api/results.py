"""From runs and stores to scores, maps, neighbours, files and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phispace.api.learn import images_of, open_run
from phispace.api.sources import open_source
from phispace.errors import InputError
from phispace.progress import SILENT, Progress
from phispace.run import Run, safe_name

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet
    from phispace.embeddings.store import Embeddings
    from phispace.maps.base import Map


@dataclass(frozen=True)
class DrawnMap:
    """A map and the files that show it."""

    map: Map
    files: list[Path]


def draw_map(
    source: Run | Path | str | Embeddings,
    method: str = "tsne",
    *,
    layer: str = "features",
    checkpoint: str = "best",
    split: str | None = None,
    out: Path | str | None = None,
    mosaic: bool = True,
    canvas: tuple[int, int] = (4000, 3000),
    tile: int | None = None,
    max_items: int | None = None,
    settings: Sequence[str] = (),
    images: str | Path | ImageSet | None = None,
    data_dir: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> DrawnMap:
    """Fit a map and draw it: the scatter by class, and with images the mosaic at map positions and on a grid.

    Args:
        source: a run, a store, or a file of embeddings.
        split: train, val, test, unlabelled or all; by default test, and all of embeddings that name no test part.
        images: of embeddings, to draw them; their ids must be the items' ids.
    """
    from phispace.maps.make import make_map
    from phispace.maps.mosaic import draw_grid, draw_mosaic
    from phispace.maps.scatter import draw_scatter
    from phispace.training.config import parse_settings

    progress = progress or SILENT
    opened = open_source(
        source, layer=layer, checkpoint=checkpoint, images=images, data_dir=data_dir, progress=progress
    )  # fmt: skip
    run, store, found = opened.run, opened.store, opened.images
    if split is None:  # a part that was set aside only for scores is no picture of the whole
        aside = any("no test part" in str(c) for c in store.manifest.get("caveats", []))
        split = "all" if not opened.trained and aside else "test"
    part = store if split == "all" else store.part(split)
    if len(part) == 0:
        raise InputError(f"The store has no items of split {split!r}; it has {', '.join(sorted(set(store.splits)))}.")
    folder = Path(out) if out is not None else (run.path / "maps" if run is not None else Path("maps"))
    options = parse_settings(settings)
    made = make_map(part, method, options=options, max_items=max_items, seed=seed, progress=progress)
    what = f"{layer}-{checkpoint}" if opened.trained else safe_name(opened.label)
    stem = f"{method}-{what}-{split}"
    files = [made.save(folder / stem)]
    named = layer if opened.trained else opened.label
    draw_scatter(made, folder / f"{stem}.png", title=f"{made.info.get('title', method)} of {named}, {split}")
    files.append(folder / f"{stem}.png")
    if mosaic and found is not None:
        with progress.task("Drawing the mosaics", total=2) as task:
            draw_mosaic(made, found, folder / f"{stem}-mosaic.png", canvas=canvas, tile=tile)
            task.advance()
            draw_grid(made, found, folder / f"{stem}-grid.png", tile=tile)
            task.advance()
        files += [folder / f"{stem}-mosaic.png", folder / f"{stem}-grid.png"]
    return DrawnMap(made, files)


@dataclass(frozen=True)
class Found:
    """Neighbours: JSON-able results, and the contact sheet where there are images."""

    results: list[dict[str, Any]]
    sheet: Path | None


def search_images(
    source: Run | Path | str | Embeddings,
    queries: Sequence[Path | str] = (),
    *,
    ids: Sequence[str] = (),
    k: int = 10,
    layer: str = "features",
    checkpoint: str = "best",
    metric: str = "cosine",
    index: str = "exact",
    out: Path | str | None = None,
    images: str | Path | ImageSet | None = None,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Found:
    """Nearest images of image files or of stored items, with a contact sheet.

    Args:
        source: a run; or a store or a file of embeddings, where only stored items can be searched for and a sheet is
            drawn only if `images` names their images.
    """
    if not queries and not ids:
        raise InputError("A search needs a query: --query some.png, or --id with an item of the store.")
    opened = open_source(
        source, layer=layer, checkpoint=checkpoint, images=images, data_dir=data_dir, progress=progress
    )  # fmt: skip
    run, found = opened.run, opened.images
    if queries and not opened.trained:
        raise InputError("Image files can be searched for only in a run, which has the encoder; use --id here.")
    if found is None and out is not None:
        raise InputError("A contact sheet needs images; name them with --images.")
    if found is None:
        return Found(search_store(opened.store, list(ids), k, metric, index, progress), None)
    from phispace.embeddings.extract import embed_pixels
    from phispace.search.run import search_run

    encoder = run if opened.trained else None
    folder = Path("search") if run is None else run.path / "search"
    sheet = Path(out) if out is not None else folder / "neighbours.png"
    results = search_run(
        run, opened.store, found, queries=[Path(q) for q in queries], ids=list(ids), k=k,
        layer=layer if opened.trained else opened.label, checkpoint=checkpoint if opened.trained else "",
        metric=metric, index=index, sheet=sheet, progress=progress,
        embed=None if encoder is None else lambda pixels: embed_pixels(encoder, pixels, layer, checkpoint=checkpoint),
    )  # fmt: skip
    return Found(results, sheet)


def search_store(
    store: Embeddings, ids: Sequence[str], k: int, metric: str, index: str, progress: Progress | None
) -> list[dict[str, Any]]:
    """Nearest items of stored ones where there are no images: ids, classes and similarities alone."""
    from phispace.search.index import Index
    from phispace.search.query import by_id, find
    from phispace.storage import jsonable

    wanted = [by_id(store, identity) for identity in ids]
    built = Index.build(store, index, metric, progress=progress)
    about = {"metric": metric, "index": built.kind, "recall": built.recall, "store": store.digest}
    return [jsonable({**answer.as_json(store, metric), **about}) for answer in find(built, store, wanted, k)]


def write_report(run: Run | Path | str) -> Path:
    """Write a run's (or a study's) report.html from what lies in its directory."""
    from phispace.report.build import write

    return write(run.path if isinstance(run, Run) else Path(run))


def export_encoder(
    run: Run | Path | str,
    out: Path | str | None = None,
    *,
    checkpoint: str = "best",
    layer: str = "features",
    onnx: bool = True,
) -> list[Path]:
    """Write the encoder so that plain PyTorch, and other runtimes, load it."""
    from phispace.export import export_run

    run = open_run(run)
    formats = ("safetensors", "pt2", "onnx") if onnx else ("safetensors", "pt2")
    return export_run(
        run, Path(out) if out else run.path / "export", checkpoint=checkpoint, formats=formats, layer=layer
    )


def predict_classes(
    run: Run | Path | str,
    images: str | Path | ImageSet,
    *,
    out: Path | str | None = None,
    checkpoint: str = "best",
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> str:
    """Classify images; the CSV's text, also written to `out` if given."""
    from phispace.predict import predict, to_csv
    from phispace.storage import write_text

    run = open_run(run)
    found = images_of(run, images, data_dir=data_dir, progress=progress)
    text = to_csv(predict(run, found, checkpoint=checkpoint))
    if out is not None:
        write_text(out, text)
    return text


@dataclass(frozen=True)
class StudyReport:
    """Where a study's report lies, and its answers in words."""

    path: Path
    answers: list[str]


def study(
    name: str,
    *,
    images: str | Path | ImageSet | None = None,
    out: Path | str | None = None,
    scale: str = "cpu",
    data_dir: Path | None = None,
    size: int | None = None,
    seed: int = 0,
    training: Mapping[str, Any] | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> StudyReport:
    """Run an experiment of the literature, or go on with it; see `phispace.studies`."""
    from phispace.data.imageset import ImageSet
    from phispace.studies.runner import run_study
    from phispace.studies.study import load

    declared = load(name)
    ready = images if isinstance(images, ImageSet) else None
    target = Path(out) if out is not None else Path("runs") / f"{declared.name}-{scale}"
    path, answers = run_study(
        declared, out=target, images=None if images is None or ready is not None else str(images),
        load=(lambda: ready) if ready is not None else None, scale=scale, seed=seed, data_dir=data_dir, size=size,
        training={k: v for k, v in (training or {}).items() if v is not None}, command=command, progress=progress,
    )  # fmt: skip
    return StudyReport(path, answers)
