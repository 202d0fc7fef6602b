"""Learning and extracting: images in, runs and stores out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phispace.errors import DataError, InputError
from phispace.progress import Progress
from phispace.run import Run

if TYPE_CHECKING:
    from pytorch_lightning.callbacks import Callback

    from phispace.data.imageset import ImageSet
    from phispace.embeddings.store import Embeddings


def has_gpu() -> bool:
    """Whether Lightning would find an accelerator here."""
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def inspect(
    images: str | Path | ImageSet,
    *,
    sheet: Path | str | None = None,
    data_dir: Path | None = None,
    size: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Counts, classes, sizes and quarantine of images, JSON-able; a contact sheet if a path is given."""
    from phispace.data.imageset import ImageSet
    from phispace.data.inspect import contact_sheet, inspect_images
    from phispace.data.loading import load_images

    if isinstance(images, ImageSet):
        found = images
    else:
        found = load_images(images, data_dir=data_dir, size=size, progress=progress)
    if sheet is not None:
        contact_sheet(found, Path(sheet))
    return inspect_images(found)


def train(
    method: str | None = None,
    images: str | Path | ImageSet | None = None,
    *,
    encoder: str | None = None,
    out: Path | str | None = None,
    preset: str | None = None,
    epochs: int | None = None,
    minutes: float | None = None,
    settings: Sequence[str] = (),
    seed: int | None = None,
    resume: bool = False,
    training: Mapping[str, Any] | None = None,
    data_dir: Path | None = None,
    size: int | None = None,
    progress: Progress | None = None,
    callbacks: Sequence[Callback] = (),
) -> Run:
    """Learn a representation.

    Args:
        method: a name of `registry("methods")`; by default supervised.
        images: a name, a path, or an image set; by default digits.
        encoder: a name of `registry("encoders")`; by default the method's own.
        out: the run directory; by default runs/METHOD-IMAGES.
        preset: one of the method's published settings.
        epochs: passes over the training images; when resuming, a larger number extends the run.
        minutes: in place of `epochs`: as many as fit into them on this machine, measured on a few steps.
        settings: `table.key=value` overrides, as of --set.
        seed: of every draw; by default 0.
        resume: go on with the run in `out`; what is left out here is the run's own, what is named must agree with it.
        training: overrides of [training].
        callbacks: further Lightning callbacks, which watch.

    Returns:
        the run.
    """
    from phispace.api.known import known_for
    from phispace.data.imageset import ImageSet
    from phispace.training.config import make_config
    from phispace.training.train import train as run_training

    if images is not None and not isinstance(images, (str, Path, ImageSet)):
        raise InputError(
            f"Images are a name, a path or an ImageSet; got {type(images).__name__}. Arrays can be saved as .npz."
        )
    ready = images if isinstance(images, ImageSet) else None
    name = ready.name if ready is not None else None if images is None else str(images)
    target = Path(out) if out is not None else Path("runs") / f"{method or 'supervised'}-{Path(name or 'digits').stem}"
    config = make_config(
        method=method,
        images=name,
        base=Run.open(target).config if resume else None,
        encoder=encoder,
        preset=preset,
        epochs=None if resume else epochs,
        settings=settings,
        training={k: v for k, v in {"seed": seed, "minutes": minutes, **(training or {})}.items() if v is not None},
        data_dir=data_dir,
        size=size,
    )
    return run_training(
        config, target, images=ready, resume=resume, epochs=epochs, progress=progress, callbacks=callbacks,
        look_up=known_for,
    )  # fmt: skip


def images_of(
    run: Run,
    images: str | Path | ImageSet | None = None,
    *,
    data_dir: Path | None = None,
    size: int | None = None,
    progress: Progress | None = None,
) -> ImageSet:
    """The images a run was trained on, or others at the run's size.

    A run of a study that takes a part of a set is found the same part again, by the counts in its record.

    Raises:
        DataError: the run's own images changed since, by their fingerprint.
    """
    from phispace.data.imageset import ImageSet
    from phispace.data.loading import load_images

    if isinstance(images, ImageSet):
        return images
    own = run.config["images"]
    options = own.get("options") if images is None else None
    found = load_images(
        images or own["name"],
        data_dir=data_dir or (Path(own["data_dir"]) if own.get("data_dir") else None),
        size=size or int(run.record["task"]["size"]),
        options=options,
        progress=progress,
    )
    expected = run.record["images"]["fingerprint"]
    if images is None and found.fingerprint != expected:
        part = _part_of_a_study(run, found)
        if part is not None and part.fingerprint == expected:
            return part
        raise DataError(
            f"The images {own['name']!r} are not those that {run.path} was trained on (fingerprint "
            f"{found.fingerprint[:12]}…, {expected[:12]}… is expected). "
            "Name the right ones with --images or --data-dir."
        )
    return found


def _part_of_a_study(run: Run, images: ImageSet) -> ImageSet | None:
    """As many images of each split as the run had, chosen as studies choose them; None if it had no fewer."""
    from phispace.studies.study import images_subset

    counts: dict[str, int] = run.record["images"]["items"]
    whole = {split: len(images.where(split)) for split in counts}
    if any(counts[split] > whole[split] for split in counts) or sum(counts.values()) >= len(images):
        return None
    return images_subset(images, **counts)


def embed(
    run: Run | Path | str,
    images: str | Path | ImageSet | None = None,
    *,
    layers: Sequence[str] = ("features",),
    checkpoint: str = "best",
    data_dir: Path | None = None,
    size: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Embeddings]:
    """Extract layers of a run for every image, into the run's stores.

    Returns:
        layer name -> store.
    """
    from phispace.embeddings.extract import extract_run

    run = open_run(run)
    found = images_of(run, images, data_dir=data_dir, size=size, progress=progress)
    wanted = (layers,) if isinstance(layers, str) else tuple(layers)
    return extract_run(run, found, wanted, checkpoint=checkpoint, progress=progress)


def open_run(source: Run | Path | str) -> Run:
    """The run itself, or the one at a path."""
    return source if isinstance(source, Run) else Run.open(source)
