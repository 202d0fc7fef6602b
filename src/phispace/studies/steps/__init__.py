"""The steps that studies are made of; each is one file, the table below names them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from phispace.errors import InputError

if TYPE_CHECKING:
    from typing import Any

    from phispace.studies.steps.base import Step

STEPS = {
    "train": "phispace.studies.steps.train:Train",
    "embed": "phispace.studies.steps.embed:Embed",
    "checkpoints": "phispace.studies.steps.checkpoints:EmbedCheckpoints",
    "evaluate": "phispace.studies.steps.evaluate:Evaluate",
    "accuracy": "phispace.studies.steps.accuracy:Accuracy",
    "map": "phispace.studies.steps.map:DrawMap",
    "maps": "phispace.studies.steps.maps:DrawMaps",
    "film": "phispace.studies.steps.film:DrawFilm",
    "trajectory": "phispace.studies.steps.trajectory:Trajectory",
    "similarity": "phispace.studies.steps.similarity:Similarity",
    "mixing": "phispace.studies.steps.mixing:Mixing",
    "networks": "phispace.studies.steps.networks:Networks",
    "function-space": "phispace.studies.steps.function_space:FunctionSpace",
    "backbone-resolutions": "phispace.studies.steps.backbone_resolutions:BackboneResolutions",
    "same-minutes": "phispace.studies.steps.same_minutes:SameMinutes",
    "transfer-costs": "phispace.studies.steps.transfer_costs:TransferCosts",
    "transfer-by-labels": "phispace.studies.steps.transfer_by_labels:TransferByLabels",
    "few-labels": "phispace.studies.steps.few_labels:FewLabelsStep",
    "adaptation": "phispace.studies.steps.adaptation:Adaptation",
    "codes": "phispace.studies.steps.codes:Codes",
    "reconstructions": "phispace.studies.steps.decoded:Reconstructions",
    "latents": "phispace.studies.steps.decoded:Latents",
    "curves": "phispace.studies.steps.decoded:Curves",
    "longer": "phispace.studies.steps.longer:Longer",
    "same-queries": "phispace.studies.steps.same_queries:SameQueries",
    "costs": "phispace.studies.steps.costs:Costs",
    "ranking": "phispace.studies.steps.ranking:Ranking",
    "drift": "phispace.studies.steps.drift:DriftStep",
    "word-map": "phispace.studies.steps.word_map:WordMap",
    "look": "phispace.studies.steps.look:LookInside",
}


def get_step(name: str) -> Step[Any]:
    """A step by name.

    Raises:
        InputError: no such step.
    """
    if name not in STEPS:
        raise InputError(f"There is no step {name!r}; there are: {', '.join(STEPS)}.")
    module, _, attribute = STEPS[name].partition(":")
    found: Step[Any] = getattr(importlib.import_module(module), attribute)()
    return found
