"""From runs and stores to scores, maps, neighbours, files and reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phispace.api.learn import embed, images_of, open_run, stores_of
from phispace.errors import InputError
from phispace.progress import SILENT, Progress
from phispace.run import Run

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet
    from phispace.embeddings.store import Embeddings
    from phispace.maps.base import Map

DEFAULT_EVALUATIONS = ("knn", "linear", "health")


def evaluate(
    source: Run | Path | str | Embeddings,
    names: Sequence[str] = DEFAULT_EVALUATIONS,
    *,
    layer: str = "features",
    checkpoint: str = "best",
    baselines: bool = True,
    images: str | Path | ImageSet | None = None,
    data_dir: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Score a run's layer beside its baselines, or a store; a run keeps the scores in scores.json.

    Returns:
        one JSON-able row an evaluation and store.
    """
    from phispace.embeddings.store import Embeddings
    from phispace.evaluation import REGISTRY
    from phispace.evaluation.evaluate import score_table

    wanted = REGISTRY.names() if list(names) == ["all"] else [REGISTRY.resolve(n) for n in names]
    if isinstance(source, Embeddings):
        stores = {str(source.manifest.get("name", "store")): source}
    else:
        stores = stores_of(
            source, layer=layer, checkpoint=checkpoint, baselines=baselines, images=images, data_dir=data_dir,
            progress=progress,
        )  # fmt: skip
    rows = score_table(stores, wanted, seed=seed, progress=progress)
    run = _maybe_run(source)
    if run is not None:
        run.add_scores(rows)
    return rows


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
    split: str = "test",
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
    """Fit a map and draw it: the scatter by class, and for a run the mosaic at map positions and on a grid."""
    from phispace.embeddings.store import Embeddings
    from phispace.maps.make import make_map
    from phispace.maps.mosaic import draw_grid, draw_mosaic
    from phispace.maps.scatter import draw_scatter
    from phispace.training.config import parse_settings

    progress = progress or SILENT
    run = _maybe_run(source)
    found: ImageSet | None = None
    if isinstance(source, Embeddings):
        store = source
    elif run is None:
        store = Embeddings.open(Path(str(source)))
    else:
        found = images_of(run, images, data_dir=data_dir, progress=progress)
        store = next(
            iter(
                stores_of(
                    run, layer=layer, checkpoint=checkpoint, baselines=False, images=found, progress=progress
                ).values()
            )
        )
    part = store if split == "all" else store.part(split)
    if len(part) == 0:
        raise InputError(f"The store has no items of split {split!r}; it has {', '.join(sorted(set(store.splits)))}.")
    folder = Path(out) if out is not None else (run.path / "maps" if run is not None else Path("maps"))
    options = parse_settings(settings)
    made = make_map(part, method, options=options, max_items=max_items, seed=seed, progress=progress)
    stem = f"{method}-{layer}-{checkpoint}-{split}" if run is not None else f"{method}-{split}"
    files = [made.save(folder / stem)]
    draw_scatter(made, folder / f"{stem}.png", title=f"{made.info.get('title', method)} of {layer}, {split}")
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
    """Neighbours: JSON-able results and the contact sheet."""

    results: list[dict[str, Any]]
    sheet: Path


def search_images(
    source: Run | Path | str,
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
    """Nearest images of image files or of stored items, with a contact sheet."""
    from phispace.embeddings.extract import embed_pixels
    from phispace.search.run import search_run

    if not queries and not ids:
        raise InputError("A search needs a query: --query some.png, or --id with an item of the store.")
    run = open_run(source)
    found = images_of(run, images, data_dir=data_dir, progress=progress)
    store = embed(run, found, layers=(layer,), checkpoint=checkpoint, progress=progress)[layer]
    sheet = Path(out) if out is not None else run.path / "search" / "neighbours.png"
    results = search_run(
        run, store, found, queries=[Path(q) for q in queries], ids=list(ids), k=k, layer=layer, checkpoint=checkpoint,
        metric=metric, index=index, sheet=sheet, progress=progress,
        embed=lambda pixels: embed_pixels(run, pixels, layer, checkpoint=checkpoint),
    )  # fmt: skip
    return Found(results, sheet)


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


def score_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows of scores as lines of text: store, evaluation.metric, value, interval."""
    lines, width = [], max((len(str(r["store"])) for r in rows), default=0)
    for row in rows:
        for metric, value in row["metrics"].items():
            low, high = row["interval"].get(metric) or (None, None)
            interval = f"  [{low:.4f}, {high:.4f}]" if low is not None and high is not None else ""
            text = "n/a" if value is None or value != value else f"{value:.4f}"
            lines.append(f"{row['store']!s:<{width}}  {row['evaluation'] + '.' + metric:<34} {text}{interval}")
    notes = dict.fromkeys(c for row in rows for c in row["caveats"])
    return [*lines, *(f"note: {n}" for n in notes)]


def _maybe_run(source: Any) -> Run | None:
    if isinstance(source, Run):
        return source
    if isinstance(source, (str, Path)) and (Path(source) / "run.json").is_file():
        return Run.open(source)
    return None
