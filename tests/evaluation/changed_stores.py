"""Stores of changed images without images: what the contract hands to the evaluations that compare."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Evaluation
from phispace.metrics.partners import partners

#: Options without which an evaluation has nothing to say about digits, or takes long.
OPTIONS: dict[str, dict[str, Any]] = {
    "conv-block": {"epochs": 2},
    "dense-1": {"epochs": 4},
    "dense-2": {"epochs": 4},
    "dense-3": {"epochs": 4},
    "linear-sgd": {"epochs": 10},
    "mlp": {"epochs": 4},
    "dci": {"trees": 5, "max_dims": 64},
    "factorvae": {"votes": 400, "test_votes": 200, "batch": 16},
    "groups": {"groups": {"even": list("02468"), "odd": list("13579")}},
    "hierarchy": {"tree": {"round": list("0689"), "straight": list("147"), "other": list("235")}},
}


def changed_stores(evaluation: Evaluation, store: Embeddings) -> dict[str, Embeddings]:
    """The stores that `evaluation` asks for, as changes of the vectors, and one of other labels."""
    found = {name: _changed(store.part(*_splits(of)), name) for name, of in evaluation.variants().items()}
    found["images/other"] = Embeddings.build(
        np.asarray(store.vectors), store.ids, np.where(store.labels >= 0, store.labels % 3, -1), store.splits
    )
    return found


def _splits(wanted: str) -> list[str]:
    """Of `test+val:100` the splits; the contract's stores are small enough to be changed whole."""
    return [term.partition(":")[0] for term in wanted.split("+")]


def _changed(part: Embeddings, name: str) -> Embeddings:
    x, turn = np.asarray(part.vectors, np.float32), np.random.default_rng(zlib.crc32(name.encode()))
    if name.startswith("mix/"):
        t = np.float32(name.removeprefix("mix/"))
        vectors = (1 - t) * x + t * x[partners(part.ids)]
    else:
        vectors = np.float32(0.9) * x + np.float32(0.1) * x[:, turn.permutation(x.shape[1])]
    return Embeddings.build(vectors, part.ids, part.labels, part.splits, part.classes)


def without(stores: Mapping[str, Embeddings], count: int) -> dict[str, Embeddings]:
    """All but the first stores."""
    return dict(list(stores.items())[count:])
