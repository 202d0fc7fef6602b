"""Episodic few-shot classification: thousands of small tasks, drawn from the test part.

Each episode has its own classes (5 by default) and its own labelled items (1 and 5 of each); 15 further items of each
class are classified. Nothing is trained beyond the episode. The classifier is the nearest class mean: by cosine on
vectors that are centred on train's mean and scaled to length 1 (SimpleShot's CL2N), and by Euclidean distance on the
vectors as they are (prototypical networks). Intervals are Student's over the episodes: they say how far other episodes
of these items would be. Whether the encoder has seen the classes is for the reader to know.
Sources: see `phispace.metrics.episodes`; 5 ways, 1 and 5 shots, 15 queries as on miniImageNet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.protocol import Part, mean_of
from phispace.evaluation.scored import scored_part, undefined
from phispace.metrics.directions import unit_vectors
from phispace.metrics.intervals import Interval, mean_interval
from phispace.randomness import rng

NAN = float("nan")
_ROWS = 1 << 24  # numbers held at a time: 64 MB in float32


class EpisodesConfig(EvaluationConfig):
    """Options of the episodes."""

    ways: int = Field(5, ge=2, description="classes of an episode; fewer where there are fewer")
    shots: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 5), min_length=1, description="labelled items a class")
    queries: int = Field(15, ge=1, description="items to classify a class; fewer where the classes are small")
    episodes: int = Field(2000, ge=2, description="number of episodes")
    centre: bool = Field(True, description="cosine: subtract the mean of train first")
    logistic: bool = Field(False, description="also logistic regression (C = 1) on the vectors of the cosine")
    split: Literal["auto", "train", "val", "test"] = Field(
        "auto", description="part to draw from; auto = test, else val, else train"
    )


class EpisodesEvaluation(Evaluation):
    """n-way k-shot classification by the nearest class mean, over thousands of episodes."""

    name: ClassVar[str] = "episodes"
    title: ClassVar[str] = "few-shot episodes"
    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    reference: ClassVar[str] = "Wang et al., SimpleShot, 2019 (arXiv 1911.04623), section 3"
    primary: ClassVar[str] = "accuracy_5shot"
    Config: ClassVar[type[EvaluationConfig]] = EpisodesConfig
    config: EpisodesConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        split, part, caveats = scored_part(embeddings, self.config.split)
        shots = list(dict.fromkeys(self.config.shots))
        metrics = {f"accuracy_{k}shot{kind}": NAN for k in shots for kind in self._kinds()}
        n = {split: len(part), "episodes": 0}
        reason = undefined(part)
        if reason:
            return Scores({self.primary: NAN, **metrics}, {}, n, [reason, *caveats])
        centre, about = self._centre(embeddings, part, split)
        caveats += about
        x = {"": unit_vectors(part.x - centre), "_euclidean": part.x / np.abs(part.x).max()}
        interval: dict[str, Interval] = {}
        details: dict[str, Any] = {"split": split, "chance": {}, "ways": {}, "queries": {}, "deviation": {}}
        for k in shots:
            found, shape, words = self._episodes(x, part.y, k, rng(seed, "episodes", k))
            caveats += words
            if not found:
                continue
            n["episodes"] = self.config.episodes
            details["ways"][f"{k}"], details["queries"][f"{k}"] = shape
            details["chance"][f"{k}"] = 1 / shape[0]
            for kind, values in found.items():
                name = f"accuracy_{k}shot{kind}"
                metrics[name] = float(values.mean())
                low, high = mean_interval(values)
                interval[name] = max(0.0, low), min(1.0, high)
                details["deviation"][name] = float(values.std(ddof=1))
        if self.primary not in metrics:
            metrics = {self.primary: NAN, **metrics}
            caveats.append("The accuracy at 5 shots is undefined: 5 is not among the shots that were asked for.")
        return Scores(metrics, interval, n, list(dict.fromkeys(caveats)), details)

    def _kinds(self) -> list[str]:
        return ["", "_euclidean", *(["_logistic"] if self.config.logistic else [])]

    def _centre(self, embeddings: Embeddings, part: Part, split: str) -> tuple[np.ndarray, list[str]]:
        """What is subtracted before vectors are scaled: train's mean, of labelled and unlabelled items."""
        if not self.config.centre:
            return np.zeros(part.x.shape[1], np.float32), []
        if not (embeddings.splits == "train").any():
            return np.zeros(part.x.shape[1], np.float32), ["There is no train part: the vectors are not centred."]
        return mean_of(embeddings, "train"), []

    def _episodes(
        self, x: Mapping[str, np.ndarray], y: np.ndarray, shots: int, draws: np.random.Generator
    ) -> tuple[dict[str, np.ndarray], tuple[int, int], list[str]]:
        """Accuracy of each episode by classifier; ways and queries; caveats."""
        import torch

        from phispace.metrics.episodes import accuracies, draw_episodes, logistic, possible, prototypes

        ways, queries = possible(y, self.config.ways, shots, self.config.queries)
        if ways < 2:
            sizes = np.unique(y, return_counts=True)[1]
            return {}, (0, 0), [
                f"Undefined at {shots} shots: {int((sizes > shots).sum())} classes have more than {shots} items; two "
                "are needed."
            ]  # fmt: skip
        caveats = []
        if ways < self.config.ways:
            caveats.append(f"The episodes of {shots} shots have {ways} classes, all that have more than {shots} items.")
        if queries < self.config.queries:
            caveats.append(f"The episodes of {shots} shots have {queries} queries a class; the classes are small.")
        drawn = draw_episodes(y, ways, shots, queries, self.config.episodes, draws)
        if drawn.eligible < len(np.unique(y)):
            caveats.append(
                f"{len(np.unique(y)) - drawn.eligible} classes have fewer than {shots + queries} items and take no "
                f"part at {shots} shots."
            )
        step = max(1, _ROWS // (ways * (shots + queries) * x[""].shape[1]))
        found: dict[str, list[np.ndarray]] = {}
        for start in range(0, self.config.episodes, step):
            rows = slice(start, start + step)
            for kind, vectors in x.items():
                support, query = (torch.from_numpy(vectors[p[rows]]) for p in (drawn.support, drawn.query))
                predicted = prototypes(support, query, cosine=kind == "")
                found.setdefault(kind, []).append(accuracies(predicted))
                if kind == "" and self.config.logistic:
                    found.setdefault("_logistic", []).append(accuracies(logistic(support, query)))
        return {kind: np.concatenate(values) for kind, values in found.items()}, (ways, queries), caveats
