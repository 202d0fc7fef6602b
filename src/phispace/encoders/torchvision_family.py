"""Networks of torchvision by name: `torchvision:resnet50`, or with the name of its weights
`torchvision:resnet50.IMAGENET1K_V1`."""

from __future__ import annotations

import difflib
import re
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from typing import Any, cast
from urllib.error import URLError

import torch
from torch import nn

from phispace import storage
from phispace.encoders.backbone import Backbone, DataConfig, Made
from phispace.encoders.weights import (
    RANDOM,
    Source,
    check_sha256,
    file_source,
    misfits,
    offline,
    read_weights,
    refuse,
    sha256_of,
)
from phispace.errors import DataError, InputError


@lru_cache(maxsize=128)
def torchvision_model(name: str) -> type[TorchvisionBackbone]:
    """Any classifier of torchvision (`torchvision.models.list_models()`), without its classifier.

    Raises:
        InputError: no such model, or no such weights of it.
    """
    from torchvision import models

    architecture, _, tag = name.partition(".")
    known = models.list_models(module=models)
    if architecture not in known:
        close = difflib.get_close_matches(architecture, known, n=3, cutoff=0.5)
        hint = f" Did you mean {', '.join(f'torchvision:{c}' for c in close)}?" if close else ""
        raise InputError(f"torchvision has no classifier named {architecture!r}.{hint}")
    there = [w.name for w in models.get_model_weights(architecture)]
    if tag and tag not in there:
        raise InputError(f"torchvision has no weights {tag!r} of {architecture!r}; there are: {', '.join(there)}.")
    documentation = f"torchvision's `{name}`, with the preprocessing that its weights were trained with.\n\n"
    documentation += "\n".join((Backbone.__doc__ or "").splitlines()[2:])
    return cast(
        "type[TorchvisionBackbone]",
        type(f"torchvision:{name}", (TorchvisionBackbone,), {"model": name, "__doc__": documentation}),
    )


class TorchvisionBackbone(Backbone):
    """A network of torchvision; see `Backbone`. Its weights are torchvision's own, in the cache of torch.hub."""

    prefix = "torchvision"

    @classmethod
    def make(cls, weights: str, resolution: int | None) -> Made:
        from torchvision import models

        architecture, _, tag = cls.model.partition(".")
        chosen = models.get_model_weights(architecture)[tag or "DEFAULT"]
        preset = chosen.transforms()
        data = DataConfig(
            preset.crop_size[0], tuple(preset.mean), tuple(preset.std), preset.interpolation.value.replace("_exact", "")
        )
        if data.interpolation not in ("nearest", "bilinear", "bicubic"):
            raise InputError(
                f"torchvision resizes for {cls.model!r} by {data.interpolation!r}, which is not known here."
            )
        source = RANDOM if weights == "random" else None
        if source is None:
            source = _download(chosen) if weights == "pretrained" else file_source(weights)
        network = _network(architecture, chosen, resolution or data.size, source, f"torchvision:{cls.model}")
        _behead(network, f"torchvision:{cls.model}")
        return Made(network, data, source)


def _download(chosen: Any) -> Source:
    """The weights' file in torch.hub's cache, fetched if need be; its name ends with the first digits of its sha256.

    Raises:
        DataError: damaged, or not to be fetched.
    """
    url = str(chosen.url)
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    prefix = re.search(r"-([0-9a-f]{8,64})\.", path.name)
    if not path.is_file():
        advice = "name a file with encoder.weights=PATH, or take random weights with encoder.weights=random"
        if offline():
            raise DataError(f"{path.name} is not on this machine and HF_HUB_OFFLINE forbids the network; {advice}.")
        with storage.atomic_path(path) as temporary:
            try:
                torch.hub.download_url_to_file(url, str(temporary), prefix[1] if prefix else None, progress=False)
            except (URLError, HTTPException, RuntimeError, TimeoutError) as error:
                reason = getattr(error, "reason", None) or error
                raise DataError(
                    f"{path.name} is not on this machine and could not be fetched ({reason}); {advice}."
                ) from error
    digest = check_sha256(path, prefix[1], f"torchvision's {path.name}") if prefix else sha256_of(path)
    return Source("torchvision", path.name, path, digest)


def _network(architecture: str, chosen: Any, resolution: int, source: Source, title: str) -> nn.Module:
    """The classifier with its weights, all of them or none."""
    from torchvision import models

    builder = models.get_model_builder(architecture)
    options: dict[str, Any] = {}
    if architecture.startswith("vit_"):
        options["image_size"] = resolution
    if architecture in ("inception_v3", "googlenet"):
        # as torchvision builds them around pretrained weights; the auxiliary classifiers go afterwards
        options |= {"transform_input": True, "aux_logits": True, "init_weights": source is RANDOM}
    if source.path is None:
        network: Any = builder(weights=None, **options)
    else:
        found = read_weights(source.path)
        with torch.random.fork_rng(devices=[]):
            network = builder(weights=None, num_classes=_classes(found, chosen), **options)
        found = _renamed(found)
        refuse(misfits(network.state_dict(), found), title, source)
        network.load_state_dict(found)
    if "aux_logits" in options:
        network.aux_logits = False
        for name in ("AuxLogits", "aux1", "aux2"):
            if hasattr(network, name):
                setattr(network, name, None)
    return network


def _classes(weights: dict[str, torch.Tensor], chosen: Any) -> int:
    """Rows of the last matrix, which is the classifier's."""
    last = [t for name, t in weights.items() if t.ndim == 2 and name.endswith(".weight")]
    return len(last[-1]) if last else len(chosen.meta["categories"])


def _renamed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """DenseNets were stored before torch forbade dots in names: `norm.1` is `norm1` now, as torchvision itself does."""
    pattern = re.compile(
        r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$"
    )
    return {(f"{m[1]}{m[2]}" if (m := pattern.match(name)) else name): t for name, t in weights.items()}


def _behead(network: nn.Module, title: str) -> None:
    """Take off the last dense layer, which classifies."""
    dense = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not dense:
        raise InputError(f"{title} has no dense layer at its end that could be taken off; choose another network.")
    parent, _, child = dense[-1].rpartition(".")
    setattr(network.get_submodule(parent), child, nn.Identity())
