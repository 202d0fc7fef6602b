"""One map of one store, by the name of a projection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.maps import REGISTRY
from phispace.maps.base import Map, Projection
from phispace.maps.subset import stratified_subset
from phispace.progress import Progress


def make_projection(method: str, options: Mapping[str, Any] | None = None) -> Projection:
    """A projection by name, with its options checked.

    Raises:
        InputError: no such projection, or an option that it does not have or that does not fit.
    """
    chosen: type[Projection] = REGISTRY.get(method)
    try:
        return chosen(chosen.Config(**dict(options or {})))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        there = ", ".join(chosen.Config.model_fields) or "none"
        raise InputError(
            f"Option {where!r} of the map {method!r}: {first['msg']}. Its options are: {there}."
        ) from error


def make_map(
    embeddings: Embeddings,
    method: str = "tsne",
    *,
    options: Mapping[str, Any] | None = None,
    start: Map | None = None,
    seed: int = 0,
    max_items: int | None = None,
    progress: Progress | None = None,
) -> Map:
    """Place a store's items in the plane and measure how faithful the picture is.

    Args:
        embeddings: a store or a part of one (`embeddings.part("test")`).
        method: registered name: pca, tsne, umap, pacmap, isomap.
        options: the projection's options by name.
        start: a map of the same ids to start from.
        seed: for draws.
        max_items: above this many, a subset stratified by class and chosen by a hash of the id is mapped; the map's ids
            say which.

    Raises:
        InputError: see `Projection.fit` and `make_projection`.
    """
    projection = make_projection(method, options)
    if max_items is not None and len(embeddings) > max_items:
        chosen = stratified_subset(embeddings.ids, embeddings.labels, max_items)
        whole, embeddings = len(embeddings), embeddings.take(chosen)
        made = projection.fit(embeddings, start=start, seed=seed, progress=progress)
        made.info["subset"] = {"of": whole, "max_items": max_items, "rule": "stratified by class, by hash of the id"}
        return made
    return projection.fit(embeddings, start=start, seed=seed, progress=progress)
