"""Pictures of a code: scatter, grid over the prior, traversals, samples, interpolations, KL of each dimension."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phispace import storage
from phispace.api.codes import Codes, read_codes
from phispace.api.generated import draw_generated, generates
from phispace.api.learn import open_run
from phispace.errors import InputError
from phispace.progress import SILENT, Progress
from phispace.randomness import rng
from phispace.run import Run
from phispace.training.config import method_class
from phispace.training.restore import load_method

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet

WHAT = ("scatter", "grid", "traversals", "samples", "interpolations", "kl")
_SIDE = 20  # images of a side of the grid
_VALUES = 11  # steps of a traversal or an interpolation
_MOST_DIMENSIONS = 10
_REACH = 3.0  # deviations of the prior that a traversal goes to either side
_PAIRS = 4


@dataclass(frozen=True)
class DrawnLatents:
    """Attributes:
    files: picture -> where it is; `numbers` is the JSON file beside them.
    numbers: KL, variance of the means and activity of each dimension, and what else was used; of a generator the
        dimensions and the seed; JSON-able.
    """

    files: dict[str, Path]
    numbers: dict[str, Any]


def draw_latents(
    run: Run | Path | str,
    what: Sequence[str] | None = None,
    *,
    checkpoint: str = "best",
    split: str = "test",
    items: int = 5000,
    dims: tuple[int, int] | None = None,
    out: Path | str | None = None,
    images: str | Path | ImageSet | None = None,
    data_dir: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> DrawnLatents:
    """Draw the code of a run that has a decoder, or what a generator makes.

    Args:
        what: names of `WHAT`; by default all that this run has (an autoencoder without a prior has no samples and no
            KL; there the quantiles of its codes take the place of the prior's; a generator has samples and
            interpolations, and needs no images).
        split: images that are encoded.
        items: at most so many, stratified by class.
        dims: the two dimensions of scatter and grid; by default those with the largest KL (or variance).
        out: directory; by default RUN/latents.
        seed: of the samples and of the pairs to interpolate between.

    Raises:
        InputError: the run has no decoder, or a picture is asked for that it does not have.
    """
    progress = progress or SILENT
    run = open_run(run)
    folder = Path(out) if out is not None else run.path / "latents"
    if generates(method_class(str(run.config["method"]["name"]))):
        return _with_numbers(*draw_generated(run, load_method(run, checkpoint), what, folder, seed=seed), folder)
    codes = read_codes(
        run, checkpoint=checkpoint, split=split, items=items, images=images, data_dir=data_dir, progress=progress
    )
    chosen = _chosen(codes, what)
    pair = dims if dims is not None else codes.two_dims()
    draw: dict[str, Callable[[Path], None]] = {
        "scatter": lambda path: _scatter(codes, path, pair),
        "grid": lambda path: _grid(codes, path, pair),
        "traversals": lambda path: _traversals(codes, path),
        "samples": lambda path: _samples(codes, path, seed),
        "interpolations": lambda path: _interpolations(codes, path, seed),
        "kl": lambda path: _kl(codes, path),
    }
    files: dict[str, Path] = {}
    with progress.task("Drawing the code", total=len(chosen)) as task:
        for name in chosen:
            task.note(name)
            files[name] = folder / f"{name}.png"
            draw[name](files[name])
            task.advance()
    return _with_numbers(files, codes.numbers() | {"seed": seed, "dims": list(pair)}, folder)


def _with_numbers(files: dict[str, Path], numbers: dict[str, Any], folder: Path) -> DrawnLatents:
    files["numbers"] = folder / "latents.json"
    storage.write_json(files["numbers"], numbers)
    return DrawnLatents(files, numbers)


def _chosen(codes: Codes, what: Sequence[str] | None) -> list[str]:
    wrong = [name for name in what or () if name not in WHAT]
    if wrong:
        raise InputError(f"There is no picture {wrong[0]!r} of a code; there are: {', '.join(WHAT)}.")
    lacking = {} if codes.kl is not None else dict.fromkeys(("samples", "kl"), "it has no prior; a vae has one")
    if codes.width < 2:
        lacking |= dict.fromkeys(("scatter", "grid"), "its code has one dimension; two are needed")
    for name in what or ():
        if name in lacking:
            raise InputError(f"The picture {name!r} cannot be drawn of {codes.run}: {lacking[name]}.")
    return list(dict.fromkeys(what)) if what else [name for name in WHAT if name not in lacking]


def _scatter(codes: Codes, path: Path, dims: tuple[int, int]) -> None:
    from phispace.maps.latent import draw_latent_scatter

    draw_latent_scatter(
        codes.means, codes.labels, codes.classes, path, title=f"Code of {codes.run}", subtitle=codes.where(), dims=dims,
        prior=codes.kl is not None,
    )  # fmt: skip


def _grid(codes: Codes, path: Path, dims: tuple[int, int]) -> None:
    from phispace.maps.image_rows import draw_image_rows
    from phispace.maps.latent_codes import EDGE, prior_grid

    grid = prior_grid(_SIDE, codes.width, dims)
    over = f"quantiles of the prior from {EDGE:.0%} to {1 - EDGE:.0%}"
    if codes.kl is None:  # the same shares of the codes themselves
        centre = np.median(codes.means, axis=0)
        grid[:] = centre
        shares = np.linspace(EDGE, 1 - EDGE, _SIDE)
        grid[..., dims[0]] = np.quantile(codes.means[:, dims[0]], shares)[None, :]
        grid[..., dims[1]] = np.quantile(codes.means[:, dims[1]], shares)[::-1, None]
        over = f"quantiles of the codes from {EDGE:.0%} to {1 - EDGE:.0%}"
    rest = ""
    if codes.width > 2:
        rest = f" · the other {codes.width - 2} dimensions at {'0' if codes.kl is not None else 'their median'}"
    draw_image_rows(
        codes.decode(grid), path, title=f"What the decoder of {codes.run} sees", subtitle=f"{over}{rest}",
        below=f"dimension {dims[0]}", beside=f"dimension {dims[1]}", gap=0, tile=56,
    )  # fmt: skip


def _traversals(codes: Codes, path: Path) -> None:
    from phispace.maps.image_rows import draw_image_rows
    from phispace.maps.latent_codes import traversals

    order = codes.order()[:_MOST_DIMENSIONS]
    start, original = codes.example()
    if codes.kl is not None:
        values = np.linspace(-_REACH, _REACH, _VALUES, dtype=np.float32)
        walked = traversals(start, order, values)
        names = [f"{v:+.1f}" if abs(v) > 1e-6 else "0" for v in values]
        below = "value of the dimension (deviations of the prior)"
        rows = [f"dim {d} · {codes.kl.mean(0)[d]:.2f} nats" for d in order]
    else:
        shares = np.linspace(0.01, 0.99, _VALUES)
        each = [traversals(start, np.array([d]), np.quantile(codes.means[:, d], shares)) for d in order]
        walked = np.concatenate(each)
        names, below = [f"{s:.0%}" for s in shares], "quantile of the dimension over the images"
        rows = [f"dim {d} · deviation {codes.means[:, d].std():.2g}" for d in order]
    pictures = codes.decode(walked)
    first = np.broadcast_to(original, (len(order), 1, *original.shape))
    left = codes.width - len(order)
    more = f" · {left} dimensions that carry less are not shown" if left else ""
    draw_image_rows(
        np.concatenate([first, pictures], axis=1), path, title=f"One dimension of {codes.run} at a time",
        subtitle=f"framed: the image it starts from{more}",
        rows=rows, columns=["image", *names], below=below, marked=[(r, 0) for r in range(len(order))],
    )  # fmt: skip


def _samples(codes: Codes, path: Path, seed: int, side: int = 8) -> None:
    from phispace.maps.image_rows import draw_image_rows

    drawn = rng(seed, "latent samples").standard_normal((side, 2 * side, codes.width)).astype(np.float32)
    draw_image_rows(
        codes.decode(drawn), path, title=f"Drawn from the prior of {codes.run}",
        subtitle=f"{2 * side * side} draws, none chosen · seed {seed}",
    )  # fmt: skip


def _interpolations(codes: Codes, path: Path, seed: int) -> None:
    from phispace.maps.image_rows import draw_image_rows
    from phispace.maps.latent_codes import linear, spherical

    rows: list[np.ndarray] = []
    names: list[str] = []
    marked: list[tuple[int, int]] = []
    for one, other in codes.pairs(_PAIRS, seed):
        for name, between in (("linear", linear), ("spherical", spherical)):
            pictures = codes.decode(between(codes.means[one], codes.means[other], _VALUES)[None])[0]
            ends = [codes.pixels(i)[None] for i in (one, other)]
            marked += [(len(rows), 0), (len(rows), _VALUES + 1)]
            rows.append(np.concatenate([ends[0], pictures, ends[1]]))
            names.append(name)
    columns = ["image", *(f"{t:.1f}" for t in np.linspace(0, 1, _VALUES)), "image"]
    draw_image_rows(
        np.stack(rows), path, title=f"Between two images, by the code of {codes.run}",
        subtitle="framed: the images themselves; between them decoded codes", rows=names, columns=columns,
        below="share of the way", marked=marked,
    )  # fmt: skip


def _kl(codes: Codes, path: Path) -> None:
    from phispace.report.figures.latents import kl_bars

    if codes.kl is not None:
        kl_bars(codes.kl.mean(0), codes.active(), path)
