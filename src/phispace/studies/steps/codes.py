"""The codes of several runs over the same images as stores beside each other, with baselines of equal size."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from phispace.embeddings.baselines import pca, pixels
from phispace.embeddings.extract import extract_run, extract_untrained
from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.embed import inner_path
from phispace.studies.steps.train import images_of, run_of


class CodesOptions(StepOptions):
    """Options of the step `codes`."""

    runs: tuple[str, ...] = Field(min_length=1)
    layer: str = "features"
    checkpoint: str = "best"
    baselines: tuple[Literal["pixels", "pca", "untrained"], ...] = ("pixels", "pca", "untrained")


class Codes(Step[CodesOptions]):
    """Stores by the runs' ids, then the baselines: pixels, PCA with as many components as each code, untrained."""

    Options = CodesOptions

    def title(self, options: CodesOptions) -> str:
        return f"Extracting the codes of {', '.join(options.runs)}"

    def run(self, context: Context, name: str, options: CodesOptions) -> Outcome:
        images = images_of(context, options.runs[0])
        for other in options.runs[1:]:
            if images_of(context, other).fingerprint != images.fingerprint:
                raise InputError(f"The runs {options.runs[0]!r} and {other!r} are on different images.")
        layer, progress = options.layer, context.progress
        stores: dict[str, Embeddings] = {}
        for identity in options.runs:
            run = run_of(context, identity)
            stores[identity] = extract_run(
                run, images, (layer,), checkpoint=options.checkpoint, progress=progress
            )[layer]  # fmt: skip
        widths = list(dict.fromkeys(store.dim for store in stores.values()))
        if "untrained" in options.baselines:
            for identity in options.runs:
                fresh = extract_untrained(run_of(context, identity), images, (layer,), progress=progress)
                stores["untrained" if len(options.runs) == 1 else f"untrained {identity}"] = fresh[layer]
        if "pixels" in options.baselines or "pca" in options.baselines:
            raw = pixels(images)
            if "pca" in options.baselines:
                stores |= {f"PCA {width} components": pca(raw, width) for width in widths}
            if "pixels" in options.baselines:
                stores["pixels"] = raw
        for label, store in stores.items():
            if store.path is None:
                store.save(context.place("embeddings", name, label))
        paths = {label: inner_path(context, store) for label, store in stores.items()}
        return Outcome({"stores": paths, "layers": list(options.runs), "run": options.runs[0], "several": True})
