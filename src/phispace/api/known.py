"""What a frozen encoder gives, computed before training where it is the same in every epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phispace.progress import SILENT, Progress
from phispace.run import Run

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet
    from phispace.methods.known import KnownFeatures
    from phispace.training.config import RunConfig


def known_for(
    config: RunConfig, images: ImageSet, run: Run | None = None, progress: Progress | None = None
) -> KnownFeatures | None:
    """The features of all images, if the training that this configures never changes its encoder and sees no augmented
    images; else None.

    Args:
        run: the run that goes on; its features are taken in the precision in which it began.
    """
    from phispace.training.config import method_class

    progress = progress or SILENT
    kind = method_class(config.method["name"])
    if not config.training.cache_features or not kind.may_rest(config.method_config):
        return None
    from phispace.embeddings.features import known_features
    from phispace.encoders.base import DEFAULT_LAYER
    from phispace.methods.known import KnownFeatures
    from phispace.training.assemble import make_method, make_plan
    from phispace.training.speed import fast_process
    from phispace.training.start import start_from

    method = make_method(make_plan(config, images))
    if not method.rests:
        return None
    if config.encoder.start is not None and run is None:
        start_from(method, config.encoder.start)
    before = {} if run is None else run.record.get("choices", {}).get("features", {})
    if run is not None and not before:
        return None  # it began without
    if run is not None:
        from phispace.training.restore import load_method

        method = load_method(run, "epoch=000")
    with fast_process(config.training.threads):
        precision = str(before.get("precision", "auto"))
        store = known_features(method.encoder, images, precision=precision, progress=progress)[DEFAULT_LAYER]
    about = {key: store.manifest.get(key) for key in ("precision", "seconds", "cpu_seconds", "bf16_agreement")}
    about["vectors_sha256"] = store.digest
    if before and before.get("vectors_sha256") != store.digest:
        progress.say(
            "The frozen encoder gives other values here than where the run began, by rounding; it goes on with these."
        )
    return KnownFeatures(store.vectors, {k: v for k, v in about.items() if v is not None})
