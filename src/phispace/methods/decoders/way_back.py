"""The mirror of an encoder: its steps in reverse order, back to the sizes that were met on the way down."""

from __future__ import annotations

import copy
from itertools import pairwise

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.resnet import BasicBlock

from phispace.encoders.base import Encoder
from phispace.encoders.convolution import Conv3x3
from phispace.encoders.norm import BatchNorm1d, BatchNorm2d
from phispace.encoders.sparse import Sparse
from phispace.encoders.upward import Unflatten
from phispace.errors import InputError
from phispace.methods.decoders.decoder import Decoder, Output, make_decoder
from phispace.methods.decoders.reverse import spread, upsampling, weighted
from phispace.methods.decoders.way_down import Step, way_down

ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Softplus, nn.Tanh,
    nn.Sigmoid, nn.PReLU,
)  # fmt: skip
NORMALISATIONS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)
OVER_THE_MAP = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
LEAST_MOMENTUM = 0.1
"""Of the mirror's running statistics: of a slower encoder's (0.01) they lag behind the weights, which costs a
reconstruction in evaluation a tenth of its error after 150 steps and a representation hardly anything."""
LEFT_OUT = (nn.Dropout, nn.Dropout2d, nn.Identity, nn.LocalResponseNorm, Sparse)


def mirror(encoder: Encoder, *, output: Output = "sigmoid") -> Decoder:
    """A decoder (B, D) -> (B, C, H, W) that mirrors an encoder's stages from `features` back, with new weights.

    Each convolution and dense layer has its counterpart with inputs and outputs exchanged, each pooling an upsampling
    to the size that was pooled (11 to 5 goes back to 11), each residual block a residual block; between two of them
    stand the normalisation and activation that the encoder has there. An average or maximum over the whole map is
    mirrored by a dense layer to a map. Dropout has no counterpart, and nothing follows the last convolution.

    Args:
        encoder: decides the sizes; its weights are not touched.
        output: `sigmoid` or `linear`.

    Raises:
        InputError: the encoder has no way back.
    """
    return make_decoder(encoder, "mirror", output)


def mirror_body(encoder: Encoder) -> nn.Sequential:
    """The mirror without its output; see `mirror`."""
    way = _Way(encoder)
    for step in reversed(way_down(encoder)):
        way.undo(step)
    way.flush(last=True)
    body = nn.Sequential(*_with_the_right_biases(way.modules))
    for module in body.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return body


def _with_the_right_biases(modules: list[nn.Module]) -> list[nn.Module]:
    """A bias everywhere but before batch normalisation, which has a shift of its own."""
    found: list[nn.Module] = []
    for module, following in pairwise([*modules, nn.Identity()]):
        if isinstance(following, _BatchNorm):
            if isinstance(module, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
                module.register_parameter("bias", None)
        elif isinstance(module, Conv3x3):
            module = nn.Conv2d(module.in_channels, module.out_channels, 3, padding=1)
        found.append(module)
    return found


class _Way:
    """The modules of the mirror so far, and what waits for its place.

    Normalisation and activation between two layers keep their order, and come before the upsampling that undoes the
    pooling among them: on the smaller map they cost less.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.name = type(encoder).__name__
        self.width = encoder.width()
        self.modules: list[nn.Module] = []
        self._between: list[nn.Module] = []
        self._upsamplings: list[nn.Module] = []
        self._begun = False  # what follows the encoder's last layer belongs to the code

    def undo(self, step: Step) -> None:
        """Add what undoes one step."""
        module = step.module
        if isinstance(module, LEFT_OUT):
            return
        if isinstance(module, ACTIVATIONS + NORMALISATIONS):
            if self._begun:
                self._between.insert(0, _fresh(module))
            return
        back = weighted(step)
        if back is not None:
            self.flush()
            self.modules += back
            self._begun = True
        elif any(True for _ in module.parameters()) or not self._reshape(step):
            raise InputError(
                f"{self.name} has no way back: its stage {step.stage!r} holds a {type(module).__name__} from "
                f"{step.before} to {step.after}, which cannot be mirrored. Take an encoder of convolutions, poolings, "
                "dense layers and residual blocks, such as convnet4 or resnet18."
            )

    def _reshape(self, step: Step) -> bool:
        """Undo a step without weights by what it did to the shape; False if that is none of the known."""
        before, after = step.before, step.after
        if before == after and len(before) == 1:
            return isinstance(step.module, nn.Flatten)
        if len(before) != 3:
            return False
        channels, height, width = before
        if len(after) == 1 and after[0] == channels * height * width:
            self.flush()
            self.modules.append(Unflatten(before))
            return True
        if after == (channels,) or (after == (channels, 1, 1) and isinstance(step.module, OVER_THE_MAP)):
            self._spread(channels, before, pooled=len(after) == 3)
            return True
        if len(after) == 3 and after[0] == channels and after[1] <= height and after[2] <= width:
            if after != before:
                self._upsamplings.append(upsampling(step))
            return True
        return False

    def _spread(self, channels: int, before: tuple[int, ...], pooled: bool) -> None:
        """A dense layer to a map, instead of the dense layer that stands directly before it, if one does."""
        self.flush()
        if pooled:  # to (C, 1, 1), and then perhaps flattened
            if self.modules and isinstance(self.modules[-1], Unflatten):
                self.modules.pop()
            else:
                self.modules.append(nn.Flatten())
        inputs = channels
        if self.modules and isinstance(dense := self.modules[-1], nn.Linear):
            inputs = dense.in_features
            self.modules.pop()
        self.modules += spread(inputs, before)
        self._begun = True

    def flush(self, last: bool = False) -> None:
        """What waits takes its place; after a residual block, which ends in both, only the upsampling."""
        ends_in_both = bool(self.modules) and isinstance(self.modules[-1], BasicBlock)
        if not last and not ends_in_both:
            self.modules += self._between
        self.modules += self._upsamplings
        self._between, self._upsamplings = [], []


def _fresh(module: nn.Module) -> nn.Module:
    """The same kind with the same options, as it starts; see `LEAST_MOMENTUM`."""
    made = copy.deepcopy(module)
    for part in made.modules():
        reset = getattr(part, "reset_parameters", None)
        if callable(reset):
            reset()
        if isinstance(part, BatchNorm1d | BatchNorm2d):
            part.least_momentum = max(part.least_momentum, LEAST_MOMENTUM)
        elif isinstance(part, _BatchNorm) and part.momentum is not None:
            part.momentum = max(part.momentum, LEAST_MOMENTUM)
    return made
