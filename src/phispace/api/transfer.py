"""A backbone or a run put to a new use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phispace.api.learn import train
from phispace.errors import InputError
from phispace.progress import Progress
from phispace.run import Run, safe_name

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet


def transfer(
    source: Run | Path | str,
    images: str | Path | ImageSet | None = None,
    *,
    freeze: str | None = None,
    resolution: int | None = None,
    head: Sequence[int] | None = None,
    dropout: float | None = None,
    probe_epochs: int | None = None,
    unfreeze_epochs: int | None = None,
    layer_decay: float | None = None,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    preset: str | None = None,
    settings: Sequence[str] = (),
    out: Path | str | None = None,
    seed: int | None = None,
    resume: bool = False,
    training: Mapping[str, Any] | None = None,
    data_dir: Path | None = None,
    size: int | None = None,
    progress: Progress | None = None,
) -> Run:
    """Train a new head on a pretrained encoder, and as much of the encoder as is not frozen.

    Args:
        source: an encoder by name, such as `EfficientNet-Lite0` or `timm:resnet50`; or a run, with `@CHECKPOINT` for
            another than the best.
        images: a name, a path, or an image set; of a run's encoder at the size that it takes.
        freeze: a rule of `phispace.encoders.freezing`; by default the whole encoder.
        resolution: side that a backbone sees; by default the one that it was trained at.
        head: values of dense layers before the classes.
        others: options of the method and of `train`; None leaves the default.

    Returns:
        the run.

    Raises:
        InputError: no such encoder or run, or options that do not fit.
    """
    chosen: dict[str, Any] = {
        "freeze": freeze if freeze is not None or resume or preset else "all",
        "dense": None if head is None else list(head),
        "dropout": dropout,
        "probe_epochs": probe_epochs,
        "unfreeze_epochs": unfreeze_epochs,
        "layer_decay": layer_decay,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
    }
    given = [f"method.{key}={value!r}" for key, value in chosen.items() if value is not None]
    name, own, takes = _source(source, resume)
    if resolution is not None:
        given.append(f"encoder.resolution={resolution}")
    what = Path(str(getattr(images, "name", images) or "digits")).stem
    target = Path(out) if out is not None else Path("runs") / safe_name(f"transfer-{name.rpartition(':')[2]}-{what}")
    return train(
        "transfer",
        images,
        encoder=name,
        preset=preset,
        epochs=epochs,
        settings=(*own, *given, *settings),
        out=target,
        seed=seed,
        resume=resume,
        training=training,
        data_dir=data_dir,
        size=size or takes,
        progress=progress,
    )


def _source(source: Run | Path | str, resume: bool) -> tuple[str, list[str], int | None]:
    """Name of the encoder, settings that make it the source's, and the size of the images that it takes."""
    run = source if isinstance(source, Run) else None
    text = str(run.path if run is not None else source)
    place, at, checkpoint = text.partition("@")
    if run is None and (Path(place) / "run.json").is_file():
        run = Run.open(place)
    if run is None:
        from phispace.encoders import REGISTRY

        if Path(place).exists() or "/" in place or "\\" in place:
            raise InputError(f"{place} is no run (it has no run.json); name a run or an encoder to transfer from.")
        return REGISTRY.resolve(text), [], None
    encoder = run.config.get("encoder", {})
    if "name" not in encoder or "task" not in run.record:
        raise InputError(f"{run.path} has no encoder that could be transferred.")
    settings = [f"encoder.{key}={_toml(value)}" for key, value in encoder.get("options", {}).items()]
    if not resume:
        settings.append(f"encoder.start={str(run.path) + at + checkpoint!r}")
    return str(encoder["name"]), settings, int(run.record["task"]["size"])


def _toml(value: Any) -> str:
    """A plain value in TOML's syntax."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value)
