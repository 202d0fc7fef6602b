"""The command `phispace`: parse, call the library, print. One function a verb."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from phispace.errors import InputError, PhispaceError
from phispace.progress import Bars, Progress

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="phispace learns representations of images, measures how good they are, shows them and searches them.",
)
data_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at images before anything is learnt.")
app.add_typer(data_app, name="data")

ImagesOption = Annotated[
    str, typer.Option("--images", "-i", help="A name (`phispace list images`) or a path: folder, zip, tar, npz, parquet.")
]
OptionalImages = Annotated[
    str | None, typer.Option("--images", "-i", help="A name or a path; by default what the run or the study names.")
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where named data sets lie; else PHISPACE_DATA, then the cache.")
]
Size = Annotated[int | None, typer.Option("--size", help="Pixels a side; by default the commonest size, at most 64.")]
Seed = Annotated[int, typer.Option("--seed", "-s", help="Seed of every draw.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, as `phispace train --out` made it.")]
Checkpoint = Annotated[str, typer.Option("--checkpoint", help="best, last, or a checkpoint's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="An option, for example method.learning_rate=0.01 (repeatable); see `phispace show`."),
]
Threads = Annotated[int | None, typer.Option("--threads", help="Threads to compute with; by default all cores.")]
Precision = Annotated[str, typer.Option("--precision", help="auto, 32 or bf16; auto measures a few steps.")]


def _progress(quiet: bool) -> Progress:
    return Progress() if quiet else Bars()


def _version(value: bool) -> None:
    if value:
        from phispace import __version__

        typer.echo(f"phispace {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option("--out", "-o", help="Directory to write.")] = Path("runs/quickstart"),
    images: OptionalImages = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """The whole job on handwritten digits: train, compare with honest baselines, map, report. Under two minutes."""
    _study("quickstart", out, images, data_dir, None, "cpu", seed, threads, "auto", quiet)


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="A name of `phispace list studies`, or a .toml file.")],
    images: OptionalImages = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Directory; by default runs/NAME-SCALE.")] = None,
    scale: Annotated[str, typer.Option("--scale", help="smoke (seconds), cpu (minutes), paper, or auto.")] = "auto",
    data_dir: DataDir = None,
    size: Size = None,
    seed: Seed = 0,
    threads: Threads = None,
    precision: Precision = "auto",
    quiet: Quiet = False,
) -> None:
    """Run an experiment of the literature; what is done already is kept, what was cut goes on."""
    if scale == "auto":
        from phispace.api import has_gpu

        scale = "paper" if has_gpu() else "cpu"
    target = out or Path("runs") / f"{Path(name).stem}-{scale}"
    _study(name, target, images, data_dir, size, scale, seed, threads, precision, quiet)


def _study(
    name: str,
    out: Path,
    images: str | None,
    data_dir: Path | None,
    size: int | None,
    scale: str,
    seed: int,
    threads: int | None,
    precision: str,
    quiet: bool,
) -> None:
    from phispace.api import study as run

    report = run(
        name,
        images=images,
        out=out,
        scale=scale,
        data_dir=data_dir,
        size=size,
        seed=seed,
        training={"threads": threads, "precision": precision},
        command=_command_line(),
        progress=_progress(quiet),
    )
    for line in report.answers:
        typer.echo(line)
    typer.echo(f"Report: {report.path}")


@app.command()
def train(
    method: Annotated[str, typer.Argument(help="A name of `phispace list methods`.")] = "supervised",
    images: ImagesOption = "digits",
    encoder: Annotated[str | None, typer.Option("--encoder", "-e", help="Default: the method's own.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Run directory; default runs/METHOD-IMAGES.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="Published settings; see `phispace show method`.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the images; with --resume: extend.")] = None,
    set_: Set = None,
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    refit: Annotated[bool, typer.Option("--refit", help="Train on train and val together, all settings fixed.")] = False,
    data_dir: DataDir = None,
    size: Size = None,
    precision: Precision = "auto",
    threads: Threads = None,
    devices: Annotated[str, typer.Option("--devices", help="For Lightning: a number, or auto.")] = "auto",
    num_nodes: Annotated[int, typer.Option("--num-nodes", help="For Lightning.")] = 1,
    strategy: Annotated[str, typer.Option("--strategy", help="For Lightning, for example ddp.")] = "auto",
    accelerator: Annotated[str, typer.Option("--accelerator", help="For Lightning: auto, cpu, gpu ...")] = "auto",
    quiet: Quiet = False,
) -> None:
    """Learn a representation; the result is a run directory."""
    from phispace import api

    run = api.train(
        method,
        images,
        encoder=encoder,
        out=out,
        preset=preset,
        epochs=epochs,
        settings=set_ or (),
        seed=seed,
        resume=resume,
        training={
            "refit": refit,
            "precision": precision,
            "threads": threads,
            "devices": devices,
            "num_nodes": num_nodes,
            "strategy": strategy,
            "accelerator": accelerator,
        },
        data_dir=data_dir,
        size=size,
        progress=_progress(quiet),
    )
    typer.echo(f"Run: {run.path}")
    for name, value in run.record.get("result", {}).items():
        typer.echo(f"  {name}: {value}")


@app.command()
def embed(
    run: RunPath,
    images: OptionalImages = None,
    layer: Annotated[list[str] | None, typer.Option("--layer", "-l", help="A layer by name (repeatable).")] = None,
    checkpoint: Checkpoint = "best",
    parquet: Annotated[Path | None, typer.Option("--parquet", help="Also write one Parquet file for other tools.")] = None,
    data_dir: DataDir = None,
    size: Size = None,
    quiet: Quiet = False,
) -> None:
    """Extract a run's embeddings into its store."""
    from phispace import api

    stores = api.embed(
        run, images, layers=layer or ["features"], checkpoint=checkpoint, data_dir=data_dir, size=size,
        progress=_progress(quiet),
    )
    for name, store in stores.items():
        typer.echo(f"{name}: {len(store)} x {store.dim} in {store.path}")
    if parquet is not None:
        next(iter(stores.values())).to_parquet(parquet)
        typer.echo(f"Parquet: {parquet}")


@app.command()
def evaluate(
    source: Annotated[Path, typer.Argument(metavar="RUN|STORE", help="A run directory or an embeddings store.")],
    with_: Annotated[
        list[str] | None, typer.Option("--with", "-w", help="Evaluations by name, or all (repeatable).")
    ] = None,
    layer: Annotated[str, typer.Option("--layer", "-l", help="For a run: the layer.")] = "features",
    checkpoint: Checkpoint = "best",
    baselines: Annotated[bool, typer.Option(help="For a run: score pixels, PCA and the untrained encoder too.")] = True,
    images: OptionalImages = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Score a representation; test is read once."""
    from phispace import api

    rows = api.evaluate(
        source, with_ or ["knn", "linear", "health"], layer=layer, checkpoint=checkpoint, baselines=baselines,
        images=images, data_dir=data_dir, seed=seed, progress=_progress(quiet),
    )
    if as_json:
        from phispace.storage import jsonable

        typer.echo(json.dumps(jsonable(rows), indent=2))
        return
    from phispace.api import score_lines

    for line in score_lines(rows):
        typer.echo(line)


@app.command(name="map")
def map_(
    source: Annotated[Path, typer.Argument(metavar="RUN|STORE", help="A run directory or an embeddings store.")],
    method: Annotated[str, typer.Option("--method", "-m", help="A name of `phispace list maps`.")] = "tsne",
    layer: Annotated[str, typer.Option("--layer", "-l", help="For a run: the layer.")] = "features",
    checkpoint: Checkpoint = "best",
    split: Annotated[str, typer.Option("--split", help="train, val, test, unlabelled or all.")] = "test",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Directory; default: the run's maps/.")] = None,
    mosaic: Annotated[bool, typer.Option(help="Draw the images at their places, and on a grid.")] = True,
    canvas: Annotated[str, typer.Option("--canvas", help="Mosaic's pixels, WIDTHxHEIGHT.")] = "4000x3000",
    tile: Annotated[int | None, typer.Option("--tile", help="Pixels of a mosaic's image; by default by number.")] = None,
    max_items: Annotated[int | None, typer.Option("--max-items", help="Fit a fixed stratified subset.")] = None,
    set_: Set = None,
    images: OptionalImages = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Draw embeddings in the plane: scatter by class, mosaic, grid, and how faithful the picture is."""
    from phispace import api

    made = api.draw_map(
        source, method, layer=layer, checkpoint=checkpoint, split=split, out=out, mosaic=mosaic,
        canvas=_canvas(canvas), tile=tile, max_items=max_items, settings=set_ or (), images=images, data_dir=data_dir,
        seed=seed, progress=_progress(quiet),
    )
    for name, value in made.map.quality.items():
        typer.echo(f"{name}: {value:.4f}")
    for path in made.files:
        typer.echo(str(path))


@app.command()
def search(
    source: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    query: Annotated[list[Path] | None, typer.Option("--query", help="An image file (repeatable).")] = None,
    id_: Annotated[list[str] | None, typer.Option("--id", help="An item of the store (repeatable).")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Neighbours a query.")] = 10,
    layer: Annotated[str, typer.Option("--layer", "-l", help="The layer.")] = "features",
    checkpoint: Checkpoint = "best",
    metric: Annotated[str, typer.Option("--metric", help="cosine or euclidean.")] = "cosine",
    index: Annotated[str, typer.Option("--index", help="auto, exact, ivf or hnsw.")] = "exact",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Contact sheet; default RUN/search/.")] = None,
    images: OptionalImages = None,
    data_dir: DataDir = None,
    quiet: Quiet = False,
) -> None:
    """Find the nearest images: a contact sheet and JSON."""
    from phispace import api

    found = api.search_images(
        source, queries=query or (), ids=id_ or (), k=k, layer=layer, checkpoint=checkpoint, metric=metric, index=index,
        out=out, images=images, data_dir=data_dir, progress=_progress(quiet),
    )
    typer.echo(json.dumps(found.results, indent=2))
    typer.echo(f"Sheet: {found.sheet}", err=True)


@app.command()
def report(run: RunPath) -> None:
    """Write RUN/report.html again, from stored results only."""
    from phispace import api

    typer.echo(f"Report: {api.write_report(run)}")


@app.command()
def export(
    run: RunPath,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Directory; default RUN/export.")] = None,
    checkpoint: Checkpoint = "best",
    layer: Annotated[str, typer.Option("--layer", "-l", help="The ONNX file's output.")] = "features",
    onnx: Annotated[bool, typer.Option(help="Also ONNX, checked against PyTorch's output.")] = True,
) -> None:
    """Write the encoder for use without phispace: safetensors and JSON, a PyTorch program, ONNX."""
    from phispace import api

    for path in api.export_encoder(run, out, checkpoint=checkpoint, layer=layer, onnx=onnx):
        typer.echo(str(path))


@app.command()
def predict(
    run: RunPath,
    images: Annotated[str, typer.Argument(metavar="IMAGES", help="A name or path of images.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="CSV file; by default standard output.")] = None,
    checkpoint: Checkpoint = "best",
    data_dir: DataDir = None,
    quiet: Quiet = False,
) -> None:
    """Classify images: a CSV of id, class, confidence."""
    from phispace import api

    text = api.predict_classes(run, images, out=out, checkpoint=checkpoint, data_dir=data_dir, progress=_progress(quiet))
    typer.echo(f"Wrote {out}" if out else text, nl=out is not None)


@app.command(name="list")
def list_(
    kind: Annotated[str, typer.Argument(help="methods, encoders, images, evaluations, maps or studies.")],
) -> None:
    """Names that can be used."""
    from phispace.describe import one_line
    from phispace.registry import registry

    table = registry(kind)
    width = max(len(name) for name in table.names())
    for name in table.names():
        typer.echo(f"{name:<{width}}  {one_line(kind, name)}")


@app.command()
def show(
    kind: Annotated[str, typer.Argument(help="method, encoder, images, evaluation, map or study.")],
    name: Annotated[str, typer.Argument(help="A name of `phispace list KIND`.")],
) -> None:
    """What it is, its options, its source."""
    from phispace.describe import describe

    typer.echo(describe(kind, name))


@data_app.command()
def inspect(
    images: Annotated[str, typer.Argument(help="A name or a path.")],
    sheet: Annotated[Path | None, typer.Option("--sheet", help="Contact sheet to write (PNG).")] = None,
    data_dir: DataDir = None,
    size: Size = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Counts, classes, sizes, what is in quarantine, and a contact sheet."""
    from phispace import api

    found = api.inspect(images, sheet=sheet, data_dir=data_dir, size=size, progress=_progress(quiet))
    typer.echo(json.dumps(found.as_json(), indent=2) if as_json else found.text())


def _canvas(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) >= 64 and int(height) >= 64):
        raise InputError(f"--canvas is {text!r}; WIDTHxHEIGHT in pixels is expected, for example 4000x3000.")
    return int(width), int(height)


def _command_line() -> str:
    import shlex

    return shlex.join(["phispace", *sys.argv[1:]])


def main(arguments: list[str] | None = None) -> None:
    """Entry point: errors of ours become one line and their exit code."""
    try:
        app(args=arguments)
    except PhispaceError as error:
        typer.echo(f"phispace: {error}", err=True)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
