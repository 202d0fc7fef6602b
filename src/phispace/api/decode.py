"""Originals beside what several runs give back, as scores and as one figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phispace.api.learn import images_of, open_run
from phispace.api.reconstruction import apply, decode_with, load_decoding, pixels_of, reconstruction_scores
from phispace.errors import InputError
from phispace.progress import SILENT, Progress
from phispace.run import Run

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet


@dataclass(frozen=True)
class Reconstructed:
    """Attributes:
    rows: label of the run -> rows of its scores, as they stand in its scores.json.
    figure: the picture.
    """

    rows: dict[str, list[dict[str, Any]]]
    figure: Path


def reconstruct(
    runs: Sequence[Run | Path | str],
    *,
    checkpoint: str = "best",
    split: str = "test",
    items: int = 10,
    baselines: bool = True,
    out: Path | str | None = None,
    images: str | Path | ImageSet | None = None,
    data_dir: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Reconstructed:
    """Score the reconstructions of runs (MSE, PSNR, SSIM, noise taken away); draw originals and each run's in a figure.

    Args:
        runs: one or more, all of the same images.
        split: of the images that are scored and drawn.
        items: images in the figure, spread over the classes.
        baselines: score principal components and the mean image too.
        out: a .png or .svg file; by default reconstructions.png in the first run.
        seed: of the noise and the intervals' bootstrap.

    Raises:
        InputError: no run, a run without a decoder, runs of different images, or no images in the split.
    """
    from phispace.maps.reconstructions import draw_reconstructions
    from phispace.maps.subset import stratified_subset

    progress = progress or SILENT
    opened = [open_run(run) for run in runs]
    if not opened:
        raise InputError("No run was named; the reconstructions of at least one are wanted.")
    methods = [load_decoding(run, checkpoint) for run in opened]
    if images is None:
        _check_same_images(opened)
    found = images_of(opened[0], images, data_dir=data_dir, progress=progress)
    labels = _labels(opened)
    rows = {
        label: reconstruction_scores(
            run, found, checkpoint=checkpoint, split=split, baselines=baselines, seed=seed, progress=progress
        )
        for label, run in zip(labels, opened, strict=True)
    }
    positions = found.where(split)
    chosen = positions[stratified_subset(found.ids[positions], found.labels[positions], items)]
    chosen = chosen[np.argsort(found.labels[chosen], kind="stable")]
    pixels = pixels_of(found, chosen)
    pictures = {}
    for label, method in zip(labels, methods, strict=True):
        shown = getattr(method, "shown", None)
        if callable(shown):  # it gives images back from a part of them
            pictures[f"{label}, what it sees"] = apply(shown, pixels).transpose(0, 2, 3, 1)
        pictures[label] = decode_with(method)(pixels).transpose(0, 2, 3, 1)
    notes = {label: _note(own[0]["metrics"]) for label, own in rows.items()}
    path = Path(out) if out is not None else opened[0].path / "reconstructions.png"
    subtitle = f"{found.name}, {split} · errors over {len(positions):,} images"
    draw_reconstructions(pixels.transpose(0, 2, 3, 1), pictures, path, subtitle=subtitle, notes=notes)
    return Reconstructed(rows, path)


def _check_same_images(runs: Sequence[Run]) -> None:
    first, *others = runs
    for run in others:
        if run.record["images"]["fingerprint"] != first.record["images"]["fingerprint"]:
            one, other = (r.config.get("images", {}).get("name") for r in (first, run))
            raise InputError(
                f"{first.name} and {run.name} were trained on different images ({one} and {other}), which do not "
                "compare; name the images for all of them with --images."
            )


def _labels(runs: Sequence[Run]) -> list[str]:
    """Names of the runs, with their parent's where two are called alike."""
    names = [run.name for run in runs]
    longer = [f"{run.path.resolve().parent.name}/{run.name}" for run in runs]
    labels = [long if names.count(name) > 1 else name for name, long in zip(names, longer, strict=True)]
    if len(set(labels)) < len(labels):
        raise InputError(f"A run is named twice: {next(x for x in labels if labels.count(x) > 1)}.")
    return labels


def _note(metrics: dict[str, float | None]) -> str:
    parts = [f"MSE {metrics['mse']:.4f}"]
    if (ssim := metrics.get("ssim")) is not None and np.isfinite(ssim):
        parts.append(f"SSIM {ssim:.2f}")
    return " · ".join(parts)
