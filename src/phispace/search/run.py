"""A search in a run: image files or stored items in, the contact sheet and JSON out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phispace import storage
from phispace.data.imageset import ImageSet
from phispace.embeddings.store import Embeddings
from phispace.errors import DataError, InputError
from phispace.progress import Progress
from phispace.search.index import Index
from phispace.search.query import Query, by_class, by_id, find, picture
from phispace.search.sheet import draw_sheet

if TYPE_CHECKING:
    from phispace.run import Run

Embed = Callable[[np.ndarray], tuple[np.ndarray, str]]
"""uint8 pixels (N, H, W, C) -> vectors (N, D) and the digest of the weights."""


def search_run(
    run: Run | None,
    store: Embeddings,
    images: ImageSet,
    *,
    queries: Sequence[Path | str] = (),
    ids: Sequence[str] = (),
    classes: Sequence[str] = (),
    k: int = 10,
    layer: str = "features",
    checkpoint: str = "best",
    metric: str = "cosine",
    index: str = "exact",
    sheet: Path | str | None = None,
    embed: Embed | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Search a run's store by image files, stored items or class means.

    An image file that is itself in the store is recognised by its pixels, and left out of its own answers.

    Args:
        run: named on the sheet; None for a store without a run.
        store: the run's embeddings of `images`.
        images: the pictures to draw; the store's `image` column points into them.
        embed: what embeds image files, for example `phispace.embeddings.extract.embed_pixels` of the run, layer and
            checkpoint; needed for `queries` alone, because a search knows vectors and no networks.
        sheet: where the contact sheet (PNG) goes, with the results beside it as .json; None = neither is written.

    Returns:
        one JSON-able object a query: query, neighbours, notices, metric, index, layer, checkpoint, store.
    """
    checkpoint = str(store.manifest.get("checkpoint", checkpoint))
    wanted = [by_id(store, identity) for identity in ids] + [by_class(store, name) for name in classes]
    wanted += by_files(store, images, [Path(path) for path in queries], embed)
    built = Index.build(store, index, metric, progress=progress)
    answers = find(built, store, _drawn(wanted, images, store), k, images=images)
    about = {
        "metric": metric,
        "index": built.kind,
        "recall": built.recall,
        "layer": layer,
        "checkpoint": checkpoint,
        "store": store.digest,
    }
    results = [storage.jsonable({**answer.as_json(store, metric), **about}) for answer in answers]
    if sheet is not None:
        of = ", ".join(part for part in (layer, checkpoint, run.name if run is not None else "") if part)
        title = f"Nearest by {'cosine' if metric == 'cosine' else 'Euclidean distance'}: {of}"
        draw_sheet(answers, store, images, sheet, title=title, metric=metric)
        storage.write_json(Path(sheet).with_suffix(".json"), {"results": results})
    return results


def by_files(store: Embeddings, images: ImageSet, paths: Sequence[Path], embed: Embed | None) -> list[Query]:
    """Queries by image files, decoded as the store's images were.

    Raises:
        DataError: a file that is no image; a store that other weights made.
    """
    from phispace.data.decode import read_image
    from phispace.data.ranges import ValueRange

    if not paths:
        return []
    if embed is None:
        raise InputError("Image files can be searched for only with `embed`, the network that made the store.")
    channels, size, _ = images.shape
    deep = images.source.get("range")
    value_range = ValueRange(**deep) if isinstance(deep, dict) else None
    background = str(images.source.get("background", "white"))
    pixels = np.stack([read_image(path, size, channels, value_range, background) for path in paths])
    vectors, digest = embed(pixels)
    if store.manifest.get("weights_sha256") not in (None, digest):
        raise DataError(
            "The store was made by other weights than the run's checkpoint has now; embed the images again."
        )
    return [
        Query("image", str(path), vector, pixels=picture)
        for path, vector, picture in zip(paths, vectors, pixels, strict=True)
    ]


def _drawn(queries: Sequence[Query], images: ImageSet, store: Embeddings) -> list[Query]:
    """The queries with the pixels of those that are stored items."""
    return [
        replace(query, pixels=picture(images, store, query.position)) if query.position >= 0 else query
        for query in queries
    ]
