"""How like is this representation to others of the same images: raw pixels, the untrained encoder, another method?

It is no quality: it says what was learnt that the others do not have. A trained encoder whose CKA with the untrained
one is high has learnt little, or the untrained one did not need more.
Sources: Kornblith et al., ICML 2019 (arXiv 1905.00414); debiased and in minibatches, Nguyen, Raghu and Kornblith, ICLR
2021 (arXiv 2010.15327), equation 2; Procrustes, Ding et al., NeurIPS 2021; mutual kNN, Huh et al., ICML 2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.protocol import ShownSplit, shown_split
from phispace.evaluation.similarity import MEASURES, similarities


class CKAConfig(EvaluationConfig):
    """Options of the comparison with other representations."""

    split: ShownSplit = "auto"
    max_items: int = Field(2000, ge=4, description="items of all measures but cka, drawn at random")
    batch_size: int = Field(1000, ge=4, description="items of a minibatch of cka, which looks at all items")
    k: int = Field(10, ge=1, description="neighbours of mutual_knn")


class CKA(Evaluation):
    """Debiased linear CKA with the other stores of the same images; Procrustes and mutual neighbours beside it."""

    name: ClassVar[str] = "cka"
    title: ClassVar[str] = "similarity to the others"
    needs: ClassVar[frozenset[str]] = frozenset({"others"})
    reference: ClassVar[str] = "Nguyen, Raghu and Kornblith, ICLR 2021 (arXiv 2010.15327), equation 2"
    primary: ClassVar[str] = "cka"
    Config: ClassVar[type[EvaluationConfig]] = CKAConfig
    config: CKAConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        """See the base; `others` are any stores of the same images. Metrics are means over them, details name each."""
        split = shown_split(embeddings, self.config.split)
        count = int((embeddings.splits == split).sum())
        metrics = dict.fromkeys(MEASURES, float("nan"))
        if not others:
            return Scores(metrics, n={split: count}, caveats=["Undefined: there is no other store to compare with."])
        each: dict[str, dict[str, Any]] = {}
        caveats: list[str] = []
        for label, other in others.items():
            try:
                found = similarities(
                    {"this": embeddings, label: other}, split=split, max_items=self.config.max_items,
                    batch_size=self.config.batch_size, k=self.config.k, seed=seed,
                )  # fmt: skip
            except InputError as error:
                caveats.append(f"Undefined with {label}. {error}")
                continue
            values = {m: float(table[0, 1]) for m, table in found.matrices.items()}
            each[label] = {m: v if np.isfinite(v) else None for m, v in values.items()} | {"n": found.n[split]}
            caveats += found.caveats
        for measure in MEASURES:
            values_of = [row[measure] for row in each.values() if row[measure] is not None]
            if values_of:
                metrics[measure] = float(np.mean(values_of))
        return Scores(metrics, n={split: count}, caveats=list(dict.fromkeys(caveats)), details={"others": each})
