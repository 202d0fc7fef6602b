"""What every registered projection promises. A projection is tested by being registered."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import blobs

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.maps import REGISTRY
from phispace.maps.base import Map, Projection, ProjectionConfig
from phispace.maps.make import make_map
from phispace.maps.quality import MEASURES

# These compile for tens of seconds when they are imported, so their contract is one slow test each.
COMPILES = {"umap", "pacmap"}
NAMES = [pytest.param(n, marks=pytest.mark.slow) if n in COMPILES else n for n in REGISTRY.names()]


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str) -> None:
    projection = REGISTRY.get(name)
    described(name, projection)
    store = blobs(60)
    made = make_map(store, name)
    whole(made, store, name)
    repeatable(made, store, name)
    odd_stores(name, projection.min_items)
    starts(name, projection, store, made)


def described(name: str, projection: type[Projection]) -> None:
    assert issubclass(projection, Projection)
    assert projection.name == name
    assert projection.title
    assert projection.reference
    assert (projection.__doc__ or "").strip()
    assert issubclass(projection.Config, ProjectionConfig)
    with pytest.raises(InputError, match="no_such_option"):
        make_map(blobs(30), name, options={"no_such_option": 1})


def whole(made: Map, store: Embeddings, name: str) -> None:
    assert made.xy.shape == (len(store), 2)
    assert made.xy.dtype == np.float32
    assert np.isfinite(made.xy).all()
    assert np.abs(made.xy.mean(axis=0)).max() < 1e-3 * np.abs(made.xy).max()
    assert np.array_equal(made.ids, store.ids)
    assert np.array_equal(made.labels, store.labels)
    assert made.classes == store.classes
    assert made.method == name
    assert set(MEASURES) <= set(made.quality)
    assert made.quality["trustworthiness"] > 0.8
    assert made.quality["class_agreement"] > 0.95, "three blobs eight deviations apart must stay apart"
    assert made.info["options"] == REGISTRY.get(name).Config().model_dump()


def repeatable(made: Map, store: Embeddings, name: str) -> None:
    assert np.array_equal(made.xy, make_map(store, name).xy)


def odd_stores(name: str, least: int) -> None:
    small = blobs(least)
    assert np.isfinite(make_map(small, name).xy).all()
    with pytest.raises(InputError, match=rf"needs at least {least} items; this store has {least - 1}"):
        make_map(small.take(np.arange(least - 1)), name)

    ids = [f"i{k}" for k in range(40)]
    repeated = make_map(Embeddings.build(np.repeat(blobs(8).vectors, 5, axis=0), ids), name)
    assert np.isfinite(repeated.xy).all()
    assert np.ptp(repeated.xy, axis=0).max() > 0

    constant = make_map(Embeddings.build(np.full((40, 6), 3.5, np.float32), ids), name)
    assert not constant.xy.any()
    assert "equal" in constant.info["caveats"][0]
    assert np.isnan(constant.quality["trustworthiness"])

    half = blobs(40)
    half = Embeddings.build(half.vectors.astype(np.float16), ids, half.labels, classes=half.classes)
    assert make_map(half, name).quality["trustworthiness"] > 0.7

    unlabelled = make_map(Embeddings.build(blobs(40).vectors, ids), name)
    assert np.isnan(unlabelled.quality["class_agreement"])
    assert np.isfinite(unlabelled.quality["trustworthiness"])

    line = make_map(Embeddings.build(np.linspace(0, 1, 40, dtype=np.float32)[:, None], ids), name)
    assert np.isfinite(line.xy).all()

    huge = make_map(Embeddings.build(blobs(40).vectors * np.float32(1e30), ids), name)
    assert huge.quality["trustworthiness"] > 0.7


def starts(name: str, projection: type[Projection], store: Embeddings, made: Map) -> None:
    if not projection.takes_start:
        with pytest.raises(InputError, match="cannot start from another map"):
            make_map(store, name, start=made)
        return
    order = np.random.default_rng(0).permutation(len(store))
    mixed = Map(made.xy[order], made.ids[order], made.labels[order], made.classes, name)
    from_mixed = make_map(store, name, start=mixed)
    assert np.array_equal(from_mixed.xy, make_map(store, name, start=made).xy), "start is matched by id, not by row"
    assert from_mixed.info["started"]
    fewer = store.take(np.arange(len(store) - 1))
    with pytest.raises(InputError, match="same ids"):
        make_map(fewer, name, start=made)
    renamed = Map(made.xy, np.array([f"x{i}" for i in made.ids]), made.labels, made.classes, name)
    with pytest.raises(InputError, match=f"{len(store)} of the store's ids are not in it"):
        make_map(store, name, start=renamed)
    collapsed = Map(np.zeros_like(made.xy), made.ids, made.labels, made.classes, name)
    assert make_map(store, name, start=collapsed).quality["class_agreement"] > 0.95
