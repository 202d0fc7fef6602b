"""Is the representation alive? Measured without labels at each validation, collapse named in words.

Fixed images of train and val (never of test) go through the encoder as it is. Written to metrics.csv:

    health_std             mean over dimensions of the standard deviation of the vectors scaled to length sqrt(D)
                           (1 for directions spread evenly, 0 for collapsed ones)
    health_effective_rank  exp of the entropy of the singular values (RankMe, Garrido et al. 2023)
    health_centred_rank    the same of the vectors minus their mean: in how many directions they vary
    health_uniformity      Wang and Isola 2020; about -4 when spread evenly, 0 when all are equal
    health_alignment       the same: mean squared distance of two views of an image, 0 to 4, 2 where they are unrelated;
                           of methods that compare views, with the views that they train on, drawn once
    health_knn             accuracy of 20 cosine neighbours, train -> val; where labels are known
    health_NAME            what the method itself measures (`Method.measure`), for example active units

The words are those of `phispace.metrics.collapse`, as in the evaluation `health`. A representation that collapses, or
comes back, is said so in the log after that epoch.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from phispace.data.batches import gather
from phispace.data.imageset import UNKNOWN, ImageSet
from phispace.data.views.base import View
from phispace.methods.base import Method
from phispace.metrics.collapse import Verdict, judge
from phispace.randomness import rng, torch_rng
from phispace.training.assemble import Plan, count_views, make_plan_views

_CHUNK = 256


class Health:
    """Measures the encoder on fixed images.

    Args:
        plan: images of train and val are drawn by its seed.
        say: takes a sentence for the log.

    Attributes:
        verdict: what the last measurement means, in words, or None if there was none.
        collapsed: whether it found a collapse.
    """

    def __init__(self, plan: Plan, say: Callable[[str], None] | None = None) -> None:
        options = plan.config.training
        self.plan = plan
        self.every = options.health_every
        self.say = say or (lambda text: None)
        self.verdict: str | None = None
        self.collapsed = False
        self.train = _draw(plan.items.train, options.health_items, plan.seed, "train")
        self.val = _draw(plan.items.val, options.health_items // 2, plan.seed, "val")
        self.views = make_plan_views(plan)[:2] if count_views(plan) > 1 else []

    def due(self, epoch: int) -> bool:
        """Whether the representation is measured after this epoch."""
        last = epoch == int(self.plan.config.method["epochs"])
        return self.every > 0 and (epoch % self.every == 0 or last)

    def row(self, trainer: pl.Trainer, method: Method, epoch: int) -> dict[str, float]:
        """The measurements after this epoch, or nothing if it is not their turn; on the first process alone."""
        if not trainer.is_global_zero or not self.due(epoch):
            return {}
        images = self.plan.images
        with trainer.precision_plugin.forward_context():
            found = measure(method, images, self.train, self.val)
            if self.views:
                pairs = self.train[::2]
                found["health_alignment"] = measure_alignment(method, images, pairs, self.views, self.plan.seed)
            own = _own(method, images, self.train)
        possible = min(len(self.train) - 1, method.encoder.width())
        self._conclude(judge_found(found, possible), method, own, epoch)
        return found | {f"health_{name}": value for name, value in own.items()}

    def _conclude(self, general: Verdict, method: Method, own: dict[str, float], epoch: int) -> None:
        before, special = self.collapsed, method.verdict(own)
        if epoch:  # an untrained network has not collapsed
            self.collapsed = general.state == "collapsed" or method.collapsed(own)
        both = general.state == "collapsed" and special
        self.verdict = f"{general.words} {special}" if both else special or general.words
        if self.collapsed != before:
            self.say(f"After epoch {epoch}: {self.verdict}")


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


def measure_alignment(method: Method, images: ImageSet, index: np.ndarray, views: Sequence[View], seed: int) -> float:
    """Mean squared distance of the unit vectors of two views of each image; the draws depend on the seed alone.

    Args:
        index: int64 positions of the images.
        views: two augmentations.
    """
    from phispace.metrics.uniformity import alignment

    with _watching(method):
        sides: list[np.ndarray] = []
        for number, view in enumerate(views):
            drawn, parts = torch_rng(seed, "health-views", number), []
            for start in range(0, len(index), _CHUNK):
                seen = view(gather(images.images, index[start : start + _CHUNK]), drawn).to(method.device)
                parts.append(method.encoder(seen).flatten(1).float().cpu())
            sides.append(torch.cat(parts).numpy())
    return alignment(sides[0], sides[1])


def judge_found(found: dict[str, float], possible: int) -> Verdict:
    """What the measurements mean.

    Args:
        found: as `measure` gives it.
        possible: the highest rank that the vectors can have, min(N - 1, D).
    """
    return judge(found["health_std"], found["health_centred_rank"], possible)


def _features(method: Method, images: ImageSet, index: np.ndarray) -> np.ndarray:
    if method.known is not None:
        return method.known(torch.from_numpy(index)).numpy()
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
