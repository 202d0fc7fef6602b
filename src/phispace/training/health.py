"""Is the representation alive? Measured without labels at each validation, collapse named in words.

Fixed images of train and val go through the encoder as it is. Written to metrics.csv:

    health_std             mean over dimensions of the standard deviation of the vectors scaled to length sqrt(D)
                           (1 for directions spread evenly, 0 for collapsed ones)
    health_effective_rank  exp of the entropy of the singular values (RankMe, Garrido et al. 2023)
    health_centred_rank    the same of the vectors minus their mean: in how many directions they vary
    health_uniformity      Wang and Isola 2020; about -4 when spread evenly, 0 when all are equal
    health_knn             accuracy of 20 cosine neighbours, train -> val; where labels are known
    health_NAME            what the method itself measures (`Method.measure`), for example active units

The words are those of `phispace.metrics.collapse`, as in the evaluation `health`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from phispace.data.batches import gather
from phispace.data.imageset import UNKNOWN, ImageSet
from phispace.methods.base import Method
from phispace.randomness import rng
from phispace.training.assemble import Plan

_CHUNK = 256


class Health:
    """Measures the encoder on fixed images.

    Args:
        plan: images of train and val are drawn by its seed.

    Attributes:
        verdict: what the last measurement means, in words, or None if there was none.
    """

    def __init__(self, plan: Plan) -> None:
        options = plan.config.training
        self.plan = plan
        self.every = options.health_every
        self.verdict: str | None = None
        self.train = _draw(plan.items.train, options.health_items, plan.seed, "train")
        self.val = _draw(plan.items.val, options.health_items // 2, plan.seed, "val")

    def row(self, trainer: pl.Trainer, method: Method, epoch: int) -> dict[str, float]:
        """The measurements after this epoch, or nothing if it is not their turn; on the first process alone."""
        last = epoch == int(self.plan.config.method["epochs"])
        if not self.every or not trainer.is_global_zero or (epoch % self.every and not last):
            return {}
        with trainer.precision_plugin.forward_context():
            found = measure(method, self.plan.images, self.train, self.val)
            own = _own(method, self.plan.images, self.train)
        possible = min(len(self.train) - 1, method.encoder.width())
        self.verdict = method.verdict(own) or describe(found, possible)
        return found | {f"health_{name}": value for name, value in own.items()}


def measure(method: Method, images: ImageSet, train: np.ndarray, val: np.ndarray) -> dict[str, float]:
    """See the module.

    Args:
        train, val: int64 positions of the images; val may be empty.
    """
    from phispace.metrics.knn import knn_accuracy
    from phispace.metrics.spectrum import effective_rank, per_dimension_std
    from phispace.metrics.uniformity import uniformity

    vectors = _features(method, images, train)
    result = {
        "health_std": float(per_dimension_std(vectors, normalise=True).mean() * math.sqrt(vectors.shape[1])),
        "health_effective_rank": effective_rank(vectors),
        "health_centred_rank": effective_rank(vectors, centre=True),
        "health_uniformity": uniformity(vectors),
    }
    known, asked = train[images.labels[train] != UNKNOWN], val[images.labels[val] != UNKNOWN]
    if len(known) and len(asked):
        gallery = vectors[images.labels[train] != UNKNOWN]
        queries = _features(method, images, asked)
        result["health_knn"] = knn_accuracy(gallery, images.labels[known], queries, images.labels[asked], k=20)
    return result


def describe(found: dict[str, float], possible: int) -> str:
    """The measurements in words.

    Args:
        found: as `measure` gives it.
        possible: the highest rank that the vectors can have, min(N - 1, D).
    """
    from phispace.metrics.collapse import judge

    return judge(found["health_std"], found["health_centred_rank"], possible).words


def _features(method: Method, images: ImageSet, index: np.ndarray) -> np.ndarray:
    with _watching(method):
        parts = [method.encoder(x).flatten(1).float().cpu() for x in _batches(method, images, index)]
    return torch.cat(parts).numpy()


def _own(method: Method, images: ImageSet, index: np.ndarray) -> dict[str, float]:
    with _watching(method):
        return method.measure(_batches(method, images, index))


def _batches(method: Method, images: ImageSet, index: np.ndarray) -> Iterator[Tensor]:
    from phispace.data.views import to_float

    for start in range(0, len(index), _CHUNK):
        yield to_float(gather(images.images, index[start : start + _CHUNK])).to(method.device)


@contextlib.contextmanager
def _watching(method: Method) -> Iterator[None]:
    """Evaluation mode without gradients; each module's own mode afterwards."""
    modes = {module: module.training for module in method.modules()}
    method.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _draw(items: np.ndarray, count: int, seed: int, what: str) -> np.ndarray:
    return np.sort(rng(seed, "health", what).choice(items, min(count, len(items)), replace=False))
