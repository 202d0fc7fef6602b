"""Probes with hidden layers: a small network trained on frozen features, its epoch and decay chosen on val.

Departures that all of them share: features of the unchanged images (the published heads saw a new crop of each image in
every epoch), standardised by train, since a store of another tool has any scale; and the epoch that is best on val
where the published scripts take the last or, worse, the best on test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.evaluation.base import EvaluationConfig
from phispace.evaluation.probe import Outcome, Probe
from phispace.evaluation.protocol import Part, Parts
from phispace.evaluation.selection import on_val

if TYPE_CHECKING:
    from torch import nn

    from phispace.evaluation.head import Recipe
    from phispace.evaluation.standardise import Scaling


class HeadConfig(EvaluationConfig):
    """Options of the probes with hidden layers."""

    recipe: Literal["quick", "published"] = Field(
        "quick", description="quick: the same head in fewer epochs, under a cosine; published: the source's schedule"
    )
    epochs: int | None = Field(None, ge=1, description="passes over train; none = the recipe's")
    optimizer: Literal["adam", "sgd"] | None = Field(
        None, description="adam, or sgd with Nesterov momentum 0.9; none = the recipe's"
    )
    learning_rate: float | None = Field(None, gt=0, description="at the start; none = the recipe's")
    weight_decay: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (), description="decays to choose from on val, a training each (without val the first); none = the recipe's"
    )
    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto", description="auto = bf16 where a batch is 200 million multiply-adds and the processor has AMX"
    )


class TrainedHead(Probe):
    """Base of them: a subclass defines `recipes` and `network`."""

    calibrated: ClassVar[bool] = True
    likelihood: ClassVar[bool] = True
    Config: ClassVar[type[EvaluationConfig]] = HeadConfig
    config: HeadConfig

    def recipes(self) -> dict[str, Recipe]:
        """`quick` and `published`."""
        raise NotImplementedError(f"{type(self).__name__} must define recipes (abstract)")

    def network(self, parts: Parts, n_classes: int) -> Callable[[], nn.Module]:
        """Makes a network, (B, D) -> logits (B, n_classes)."""
        raise NotImplementedError(f"{type(self).__name__} must define network (abstract)")

    def inputs(self, parts: Parts, part: Part) -> np.ndarray:
        """A part's vectors as the network takes them, float32 (n, D)."""
        return part.x

    def scaling(self, x: np.ndarray, parts: Parts) -> Scaling:
        """What standardises the network's inputs, fitted on those of train."""
        from phispace.evaluation.standardise import Scaling

        return Scaling(x)

    def classify(self, parts: Parts, seed: int) -> Outcome:
        from torch import nn

        from phispace.evaluation.head import Standardise, fit_head

        config, train, val = self.config, parts.train, parts.val
        known, y = np.unique(train.y, return_inverse=True)
        recipe = self.recipes()[config.recipe]
        if config.epochs is not None:
            recipe = replace(recipe, epochs=config.epochs, least_steps=0)
        if config.optimizer is not None:
            recipe = replace(recipe, optimizer=config.optimizer)
        if config.learning_rate is not None:
            recipe = replace(recipe, learning_rate=config.learning_rate)
        x, x_val = self.inputs(parts, train), self.inputs(parts, val) if len(val) else None
        scaling, network = self.scaling(x, parts), self.network(parts, len(known))
        decays = list(dict.fromkeys(config.weight_decay)) or [recipe.weight_decay]

        def make() -> nn.Module:
            return nn.Sequential(Standardise(scaling, x.shape[1]), network())

        def read_val(log_probability: np.ndarray) -> dict[str, float]:
            return on_val(log_probability, known, val.y)

        several = [replace(recipe, weight_decay=decay) for decay in (decays if len(val) else decays[:1])]
        heads = [
            fit_head(make, x, y, one, seed, val=x_val, on_val=read_val, precision=config.precision) for one in several
        ]
        head = max(heads, key=lambda h: h.merit) if len(val) else heads[0]
        caveats = [] if len(val) else ["There is no val item to choose the epoch on; the last one counts."]
        epochs = head.recipe.epochs
        if len(val) and head.epoch == epochs > 1 and head.curve[-1]["val_loss"] < head.curve[-2]["val_loss"]:
            caveats.append(f"Val was still gaining at the last of {epochs} epochs; more may do better.")
        chosen: dict[str, Any] = {
            "recipe": config.recipe,
            "optimizer": head.recipe.optimizer,
            "learning_rate": head.recipe.learning_rate,
            "epoch": head.epoch,
            "epochs": epochs,
            "weight_decay": head.recipe.weight_decay,
            "batch_size": head.recipe.batch_size,
            "precision": head.precision,
        }
        curve = [row | {"weight_decay": h.recipe.weight_decay} for h in heads for row in h.curve]
        n_parameters = sum(p.numel() for p in head.network.parameters())
        return Outcome.of_likelihood(
            head.log_probability(self.inputs(parts, parts.test)),
            known,
            len(parts.classes),
            chosen=chosen,
            details={"curve": curve, "parameters": n_parameters},
            caveats=caveats,
        )
