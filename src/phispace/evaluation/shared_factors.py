"""The meta-prior of shared factors: what was learnt on these images also names the classes of others.

`others["images/NAME"]` is a store of another image set under the same encoder, with its own labels and splits. A
classifier is trained on its train part and read on its test part; `gain` puts the accuracy between that set's commonest
class (0) and no error (1), so that sets of different numbers of classes can be averaged. Source of the prior: Bengio,
Courville and Vincent, IEEE TPAMI 2013 (arXiv 1206.5538), section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.knn import KNN
from phispace.evaluation.linear import LinearProbe
from phispace.evaluation.probe import Probe

NAN = float("nan")
PREFIX = "images/"
_CLASSIFIERS: Mapping[str, type[Probe]] = {"linear": LinearProbe, "knn": KNN}


class SharedFactorsConfig(EvaluationConfig):
    """Options of the shared factors evaluation."""

    images: tuple[str, ...] = Field((), description="other image sets whose labels are asked for, for example mnist")
    classifier: Literal["linear", "knn"] = Field("linear", description="what is trained on the other images' codes")
    train_items: int = Field(5000, ge=2, description="at most so many train items of each set, always the same ones")
    test_items: int = Field(2000, ge=1, description="at most so many test items of each set, always the same ones")


class SharedFactors(Evaluation):
    """Accuracy on other data sets' labels, with the encoder left as it is."""

    name: ClassVar[str] = "shared-factors"
    title: ClassVar[str] = "shared factors: transfer to other labels"
    reference: ClassVar[str] = "the prior: Bengio, Courville and Vincent, TPAMI 2013, section 3.1"
    primary: ClassVar[str] = "gain"
    Config: ClassVar[type[EvaluationConfig]] = SharedFactorsConfig
    config: SharedFactorsConfig

    def other_images(self) -> Mapping[str, str]:
        items = f"train:{self.config.train_items}+val:{-(-self.config.train_items // 5)}+test:{self.config.test_items}"
        return dict.fromkeys(self.config.images, items)

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        """See the base and the module; each set's accuracy is `accuracy_NAME`."""
        self.check_needs(embeddings)
        sets = {k.removeprefix(PREFIX): store for k, store in (others or {}).items() if k.startswith(PREFIX)}
        if not sets:
            reason = (
                "Undefined: there is no store of other images under the same encoder; name image sets of other "
                "labels with shared-factors.images, or give their stores."
            )
            return Scores({"gain": NAN, "accuracy": NAN, "majority": NAN}, {}, {}, [reason], {})
        metrics: dict[str, float] = {}
        interval: dict[str, tuple[float, float]] = {}
        counts: dict[str, int] = {}
        caveats: list[str] = []
        gains, details = [], {}
        for name, store in sets.items():
            if store.dim != embeddings.dim:
                raise InputError(
                    f"The store {PREFIX + name} has {store.dim} dimensions and the store itself {embeddings.dim}; one "
                    "encoder's are expected."
                )
            found = _CLASSIFIERS[self.config.classifier]().run(store, seed=seed)
            metrics[f"accuracy_{name}"], metrics[f"majority_{name}"] = (
                found.metrics[m] for m in ("accuracy", "majority")
            )
            if "accuracy" in found.interval:
                interval[f"accuracy_{name}"] = found.interval["accuracy"]
            counts |= {f"{split}_{name}": n for split, n in found.n.items()}
            caveats += [f"{name}: {caveat}" for caveat in found.caveats]
            gains.append(_gain(found.metrics["accuracy"], found.metrics["majority"]))
            details[name] = {"classes": len(store.classes), "gain": gains[-1]}
        means = {m: float(np.mean([metrics[f"{m}_{name}"] for name in sets])) for m in ("accuracy", "majority")}
        return Scores({"gain": float(np.mean(gains)), **means, **metrics}, interval, counts, caveats, details)


def _gain(accuracy: float, majority: float) -> float:
    """(accuracy - majority) / (1 - majority); `nan` where there is nothing to gain."""
    return (accuracy - majority) / (1 - majority) if majority < 1 else NAN
