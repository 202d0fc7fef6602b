"""Extract a run's layers for all images, and the honest baselines beside them."""

from __future__ import annotations

from typing import Literal

from phispace.embeddings.baselines import pca, pixels
from phispace.embeddings.extract import extract_run, extract_untrained
from phispace.embeddings.store import Embeddings
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.train import images_of, run_of


class EmbedOptions(StepOptions):
    """Options of the step `embed`."""

    run: str
    layers: tuple[str, ...] = ("features",)
    checkpoint: str = "best"
    baselines: tuple[Literal["pixels", "pca", "untrained"], ...] = ()


class Embed(Step[EmbedOptions]):
    """Stores by label: the layers first, then the baselines."""

    Options = EmbedOptions

    def title(self, options: EmbedOptions) -> str:
        return f"Extracting {', '.join(options.layers)} of {options.run}"

    def run(self, context: Context, name: str, options: EmbedOptions) -> Outcome:
        run, images = run_of(context, options.run), images_of(context, options.run)
        stores = dict(
            extract_run(run, images, options.layers, checkpoint=options.checkpoint, progress=context.progress)
        )
        first = stores[options.layers[0]]
        if "pixels" in options.baselines or "pca" in options.baselines:
            raw = pixels(images)
            if "pixels" in options.baselines:
                stores["pixels"] = raw
            if "pca" in options.baselines:
                stores["PCA"] = pca(raw, first.dim)
        if "untrained" in options.baselines:
            fresh = extract_untrained(run, images, options.layers[:1], progress=context.progress)
            stores["untrained"] = fresh[options.layers[0]]
        for label, store in stores.items():
            if store.path is None:
                store.save(context.place("embeddings", name, label))
        paths = {label: inner_path(context, store) for label, store in stores.items()}
        return Outcome(
            {
                "stores": paths,
                "layers": list(options.layers),
                "run": options.run,
                "sources": {layer: (options.run, layer) for layer in options.layers},
                "checkpoint": options.checkpoint,
            }
        )


def inner_path(context: Context, store: Embeddings) -> str:
    """A stored store's path in the study's directory."""
    if store.path is None:
        raise ValueError("a store of a study is saved before it is named")
    return store.path.relative_to(context.out).as_posix()


def stores_of(context: Context, identity: str) -> dict[str, Embeddings]:
    """The stores that the step of this id made, by label."""
    paths: dict[str, str] = context.result(identity)["stores"]
    return {label: Embeddings.open(context.out / path) for label, path in paths.items()}
