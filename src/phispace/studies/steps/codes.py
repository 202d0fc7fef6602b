"""The codes of several runs over the same images as stores beside each other, with baselines of equal size."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, model_validator

from phispace.embeddings.baselines import pca, pixels
from phispace.embeddings.extract import extract_run, extract_untrained
from phispace.embeddings.histograms import histograms
from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.run import Run
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.embed import inner_path
from phispace.studies.steps.train import images_of, run_of

Baseline = Literal["pixels", "pca", "untrained", "histogram"]


class CodesOptions(StepOptions):
    """Options of the step `codes`."""

    runs: tuple[str, ...] = Field(min_length=1)
    layer: str = "features"
    layers: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="run -> the layers that are taken instead of `layer`"
    )
    checkpoint: str = "best"
    baselines: tuple[Baseline, ...] = ("pixels", "pca", "untrained")
    widths: tuple[int, ...] = Field((), description="components of the PCAs; by default the widths of all codes")

    @model_validator(mode="after")
    def _known(self) -> CodesOptions:
        unknown = sorted(set(self.layers) - set(self.runs))
        if unknown:
            raise ValueError(f"'layers' names {unknown[0]!r}, which is not among the runs")
        return self


class Codes(Step[CodesOptions]):
    """Stores by the runs' ids (and layers), then the baselines: pixels, colour histograms, PCA with as many components
    as each code, each encoder untrained."""

    Options = CodesOptions

    def title(self, options: CodesOptions) -> str:
        return f"Extracting the codes of {', '.join(options.runs)}"

    def run(self, context: Context, name: str, options: CodesOptions) -> Outcome:
        images = images_of(context, options.runs[0])
        for other in options.runs[1:]:
            if images_of(context, other).fingerprint != images.fingerprint:
                raise InputError(f"The runs {options.runs[0]!r} and {other!r} are on different images.")
        progress = context.progress
        stores: dict[str, Embeddings] = {}
        sources: dict[str, tuple[str, str]] = {}
        fresh: dict[str, Embeddings] = {}
        seen: set[tuple[str, str]] = set()
        for identity in options.runs:
            run, layers = run_of(context, identity), options.layers.get(identity, (options.layer,))
            found = extract_run(run, images, layers, checkpoint=options.checkpoint, progress=progress)
            labels = {layer: _label(identity, layer, layers) for layer in layers}
            stores |= {labels[layer]: found[layer] for layer in layers}
            sources |= {labels[layer]: (identity, layer) for layer in layers}
            if "untrained" in options.baselines:
                fresh |= self._untrained(context, run, identity, layers, seen)
        widths = options.widths or tuple(dict.fromkeys(store.dim for store in stores.values()))
        made = list(stores)
        stores |= {"untrained": next(iter(fresh.values()))} if len(fresh) == 1 and len(made) == 1 else fresh
        if "pixels" in options.baselines or "pca" in options.baselines:
            raw = pixels(images)
            if "pca" in options.baselines:
                stores |= {f"PCA {width} components": pca(raw, width) for width in widths}
            if "pixels" in options.baselines:
                stores["pixels"] = raw
        if "histogram" in options.baselines:
            stores["colour histograms"] = histograms(images)
        for label, store in stores.items():
            if store.path is None:
                store.save(context.place("embeddings", name, label))
        paths = {label: inner_path(context, store) for label, store in stores.items()}
        return Outcome(
            {
                "stores": paths,
                "layers": made,
                "run": options.runs[0],
                "several": True,
                "sources": sources,
                "checkpoint": options.checkpoint,
            }
        )

    def _untrained(
        self, context: Context, run: Run, identity: str, layers: tuple[str, ...], seen: set[tuple[str, str]]
    ) -> dict[str, Embeddings]:
        """The run's encoder untrained, layer by layer, unless an earlier run began with the same network."""
        table: dict[str, Any] = run.record["config"]["encoder"]
        network = json.dumps([table["name"], table["options"]], sort_keys=True)
        wanted = tuple(layer for layer in layers if (network, layer) not in seen)
        seen |= {(network, layer) for layer in wanted}
        if not wanted:
            return {}
        found = extract_untrained(run, images_of(context, identity), wanted, progress=context.progress)
        return {f"untrained {_label(identity, layer, layers)}": found[layer] for layer in wanted}


def _label(identity: str, layer: str, layers: tuple[str, ...]) -> str:
    return identity if len(layers) == 1 else f"{identity} {layer}"
