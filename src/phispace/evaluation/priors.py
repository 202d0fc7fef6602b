"""What makes a representation good, as Bengio, Courville and Vincent list it, and which score measures each prior.

Each measure has two controls, constructed stores that must score low and high; their scores are the ends of its scale:

    position = (value - low) / (1 - low)

0 is the low control, 1 the high one. Positions of different priors do not compare with one another: halfway between
noise and a curve is not halfway between chance and a perfect tree. Read along one prior, across representations; higher
is not always better either (a code of one dimension is the most concentrated one, a decoder of one image takes away all
noise: `reconstruction.noise_removed` is read beside the error of the reconstructions). Source of the priors: IEEE TPAMI
2013 (arXiv 1206.5538), section 3.1; the measures are ours, and the evaluations' pages say what they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CHANCE = "1 / classes"


@dataclass(frozen=True)
class Prior:
    """One prior and its measure.

    Attributes:
        title: the prior.
        evaluation, metric: the score that measures it.
        measure: the measure in a few words.
        low: score of the low control; a name is another metric of the same entry, and `CHANCE` one over the number of
            classes in its details. The high control scores 1 in all of them.
        low_control, high_control: what such a representation is, in a few words.
        needs: what must be there that not every representation has, in a few words.
    """

    title: str
    evaluation: str
    metric: str
    measure: str
    low: float | str
    low_control: str
    high_control: str
    needs: str = ""

    def value(self, entry: Mapping[str, Any]) -> float:
        """The score; `nan` where undefined."""
        return _number(entry, self.metric)

    def position(self, entry: Mapping[str, Any], value: float | None = None) -> float:
        """Where the score (or another value, such as an interval's end) stands between the controls; `nan` where
        undefined. Nothing is cut off: beyond the low control it is below 0."""
        low, value = self.low_of(entry), self.value(entry) if value is None else value
        return (value - low) / (1 - low) if low < 1 else math.nan

    def low_of(self, entry: Mapping[str, Any]) -> float:
        """The low control's score beside this entry; `nan` if the entry does not have it."""
        if not isinstance(self.low, str):
            return self.low
        if self.low == CHANCE:
            classes = (entry.get("details") or {}).get("classes") or ()
            return 1 / len(classes) if classes else math.nan
        return _number(entry, self.low)


def _number(entry: Mapping[str, Any], metric: str) -> float:
    value = (entry.get("metrics") or {}).get(metric)
    return math.nan if value is None else float(value)


PRIORS: tuple[Prior, ...] = (
    Prior(
        "Smoothness", "smoothness", "smoothness", "codes stay under small changes",
        0.0, "as far as another image", "code unchanged",
    ),
    Prior(
        "Smoothness on the way", "smoothness", "path", "classes met between two images",
        "path_chance", "any class", "only the two classes",
    ),
    Prior(
        "Sparsity", "sparsity", "hoyer", "Hoyer's sparsity",
        0.0, "all values equally large", "one value per image",
    ),
    Prior(
        "Manifold", "manifold", "concentration", "dimensions fewer than noise has",
        0.0, "fills the space like noise", "a single point or curve",
    ),
    Prior(
        "Back to the manifold", "reconstruction", "noise_removed", "noise that the decoder takes away",
        0.0, "all passes: identity", "nothing passes: one image", needs="a decoder",
    ),
    Prior(
        "Natural clusters", "clustering", "ari", "adjusted Rand index of k-means",
        0.0, "clusters at random", "clusters are the classes",
    ),
    Prior(
        "Hierarchy", "hierarchy", "dendrogram_purity", "dendrogram against the class tree",
        "purity_chance", "classes placed at random", "the tree itself",
    ),
    Prior(
        "Disentanglement", "dci", "disentanglement", "DCI: one factor a dimension",
        0.0, "each dimension serves all", "each serves one factor",
    ),
    Prior(
        "Shared factors", "shared-factors", "gain", "accuracy on other images' labels",
        0.0, "their commonest class", "no error",
    ),
    Prior(
        "Semi-supervision", "few-labels", "linear_area", "area under the few-label curve",
        CHANCE, "guessing", "no error with one label",
    ),
)  # fmt: skip
