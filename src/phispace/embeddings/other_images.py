"""Stores of other images under the same encoder, for evaluations that ask what else a representation knows.

They lie below the run, apart from those that hold such a set whole:

    embeddings/{NAME}.part/{checkpoint}/{layer}/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from phispace.data.imageset import ImageSet
from phispace.embeddings.baselines import Components, fit_pca, in_components, pixels
from phispace.embeddings.extract import extract_run, extract_untrained
from phispace.embeddings.store import Embeddings
from phispace.embeddings.variants import wanted_items
from phispace.progress import SILENT, Progress
from phispace.run import Run


def other_image_stores(
    run: Run,
    own: ImageSet,
    *,
    wanted: Mapping[str, str],
    load: Callable[[str], ImageSet],
    labels: Sequence[str],
    layer: str = "features",
    checkpoint: str = "best",
    components: Components | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, Embeddings]]:
    """Embed parts of other image sets as a run's layer and its baselines do it.

    Args:
        run: the run.
        own: the images it was trained on; `pca` is fitted on their train part.
        wanted: name of a set -> its items, as `variant_stores` takes them (`train:5000+test:2000`).
        load: gives the set of a name, at the run's size.
        labels: of the stores that are scored: `pixels`, `pca`, `untrained`, the layer's name behind them or not; any
            other label stands for the layer.
        components: what `fit_pca` gave for `pca`, where it is at hand.

    Returns:
        label -> "images/NAME" -> store.

    Raises:
        InputError: a set without such items, or that does not fit the encoder even with its channels made alike.
    """
    progress = progress or SILENT
    found: dict[str, dict[str, Embeddings]] = {label: {} for label in labels}
    for name, items in wanted.items():
        images = load(name)
        part = _with_channels(images.take(wanted_items(images, items)), own.shape[0])
        part = replace(part, name=f"{images.name}.part")
        main = extract_run(run, part, (layer,), checkpoint=checkpoint, progress=progress)[layer]
        for label in labels:
            if label == "pixels":
                store = pixels(part)
            elif label.partition(" ")[0] == "pca":
                components = components or fit_pca(pixels(own, ("train",)), main.dim)
                store = in_components(pixels(part), components)
            elif label.partition(" ")[0] == "untrained":
                store = extract_untrained(run, part, (layer,), progress=progress)[layer]
            else:
                store = main
            found[label][f"images/{name}"] = store
    return found


def _with_channels(images: ImageSet, channels: int) -> ImageSet:
    """Grey images repeated over three channels, or colour images averaged to one, where the encoder wants it."""
    if images.shape[0] == channels:
        return images
    pixel = images.images
    changed = np.repeat(pixel, 3, axis=3) if channels == 3 else np.rint(pixel.mean(3, keepdims=True)).astype(np.uint8)
    return replace(images, images=changed, known_fingerprint=None)
