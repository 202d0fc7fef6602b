"""How well groups of classes separate, named by what they hold: vehicles against animals.

The labels are replaced by those of the groups, classes in no group become unknown, and the usual scores are taken: kNN
and the linear probe (accuracy, and balanced accuracy since groups are rarely of one size), and the silhouette.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from phispace.embeddings.store import UNKNOWN, Embeddings
from phispace.errors import InputError
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.knn import KNN, KNNConfig
from phispace.evaluation.linear import LinearProbe
from phispace.evaluation.separation import Separation

KNOWN_GROUPS: tuple[dict[str, tuple[str, ...]], ...] = (
    {
        "vehicles": ("airplane", "automobile", "ship", "truck", "car"),
        "animals": ("bird", "cat", "deer", "dog", "frog", "horse", "monkey"),
    },
)
"""Taken where no groups are given and the store's classes are among them: CIFAR-10's and STL-10's."""


class GroupsConfig(EvaluationConfig):
    """Options of the scores of groups."""

    groups: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="group -> its classes by name, or 'vehicles=ship,truck; animals=cat,dog'; none: vehicles, animals",
    )

    @field_validator("groups", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(";") if part.strip()]
        if any(not sign or not name.strip() for name, sign, _ in pairs):
            raise ValueError("expected NAME=CLASS,CLASS; NAME=CLASS,CLASS")
        return {name.strip(): tuple(c.strip() for c in classes.split(",") if c.strip()) for name, _, classes in pairs}


class Groups(Evaluation):
    """kNN, linear probe and silhouette of groups of classes, for example vehicles against animals."""

    name: ClassVar[str] = "groups"
    title: ClassVar[str] = "groups of classes"
    needs: ClassVar[frozenset[str]] = frozenset({"train", "test", "labels"})
    reference: ClassVar[str] = "the scores knn, linear and separation of this library over the groups' labels"
    primary: ClassVar[str] = "linear_accuracy"
    Config: ClassVar[type[EvaluationConfig]] = GroupsConfig
    config: GroupsConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        groups = self.config.groups or known_groups(embeddings.classes)
        metrics = dict.fromkeys(
            ("linear_accuracy", "linear_balanced_accuracy", "knn_accuracy", "knn_balanced_accuracy", "majority",
             "silhouette"), float("nan"),
        )  # fmt: skip
        if not groups:
            known = "; ".join(f"{k}: {', '.join(v)}" for k, v in KNOWN_GROUPS[0].items())
            return Scores(
                metrics, n={"train": 0, "test": 0},
                caveats=[f"Undefined: the groups are not given, and the classes are none of those known ({known})."],
            )  # fmt: skip
        grouped = regrouped(embeddings, groups)
        caveats: list[str] = []
        interval: dict[str, tuple[float, float]] = {}
        n: dict[str, int] = {}
        linear = LinearProbe().run(grouped, seed=seed)
        nearest = KNN(KNNConfig.model_validate({"literature": False})).run(grouped, seed=seed)
        for prefix, scores in (("linear", linear), ("knn", nearest)):
            for name in ("accuracy", "balanced_accuracy"):
                metrics[f"{prefix}_{name}"] = scores.metrics[name]
                if name in scores.interval:
                    interval[f"{prefix}_{name}"] = scores.interval[name]
            caveats += [f"{prefix}: {text}" for text in scores.caveats]
            n |= scores.n
        metrics["majority"] = linear.metrics["majority"]
        try:
            apart = Separation().run(grouped, seed=seed)
        except InputError as error:
            caveats.append(f"silhouette: Undefined: {error}")
        else:
            metrics["silhouette"] = apart.metrics["silhouette"]
            if "silhouette" in apart.interval:
                interval["silhouette"] = apart.interval["silhouette"]
            caveats += [f"silhouette: {text}" for text in apart.caveats]
        details = {
            "groups": {name: [c for c in classes if c in embeddings.classes] for name, classes in groups.items()},
            "left_out": sorted(set(embeddings.classes) - {c for classes in groups.values() for c in classes}),
            "confusion": linear.details.get("confusion"),
            "classes": list(groups),
        }
        return Scores(metrics, interval, n, caveats, details)


def known_groups(classes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The first known grouping of which each group has a class here; empty if there is none."""
    for grouping in KNOWN_GROUPS:
        if all(set(members) & set(classes) for members in grouping.values()):
            return {name: tuple(c for c in members if c in classes) for name, members in grouping.items()}
    return {}


def regrouped(embeddings: Embeddings, groups: Mapping[str, tuple[str, ...]]) -> Embeddings:
    """The same items, labelled by group; classes in no group are unknown.

    Raises:
        InputError: fewer than two groups, a class that is not there, or one in two groups.
    """
    if len(groups) < 2:
        raise InputError(f"At least two groups are needed to tell apart; got {', '.join(groups) or 'none'}.")
    label = np.full(len(embeddings.classes) + 1, UNKNOWN, np.int64)  # the last one is that of unknown labels
    for number, (name, members) in enumerate(groups.items()):
        if not members:
            raise InputError(f"The group {name!r} has no classes.")
        for member in members:
            if member not in embeddings.classes:
                there = ", ".join(embeddings.classes) or "none"
                raise InputError(f"The group {name!r} names the class {member!r}; this store has {there}.")
            place = embeddings.classes.index(member)
            if label[place] != UNKNOWN:
                raise InputError(f"The class {member!r} is in two groups, {list(groups)[label[place]]!r} and {name!r}.")
            label[place] = number
    return Embeddings.build(
        embeddings.vectors, embeddings.ids, label[embeddings.labels], embeddings.splits, list(groups)
    )
