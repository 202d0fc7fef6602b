"""An encoder taken apart into the layers that are trained one at a time, and the small way back of each."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from phispace.encoders.base import Encoder
from phispace.errors import InputError

Shape = tuple[int, ...]


def layer_stages(encoder: Encoder) -> tuple[tuple[str, ...], ...]:
    """Names of the encoder's stages, layer by layer, behind those that nothing trains (normalisation, whitening).

    A layer begins at each stage that has filters or a matrix to train, and holds the stages up to the next such one:
    a convolution with its normalisation, activation and pooling; a dense layer with what follows; a residual group.

    Raises:
        InputError: the encoder is not a plain sequence of stages, or has nothing to train.
    """
    if type(encoder)._taps is not Encoder._taps or type(encoder).forward is not Encoder.forward:
        raise InputError(
            f"{type(encoder).__name__} is not a plain sequence of stages, so it cannot be trained layer by layer; "
            "take one that is, such as mlp, convnet2 or convnet4."
        )
    layers: list[list[str]] = []
    for name, stage in encoder.stages.items():
        if any(p.ndim >= 2 and p.requires_grad for p in stage.parameters()):
            layers.append([name])
        elif layers:
            layers[-1].append(name)
    if not layers:
        raise InputError(f"{type(encoder).__name__} has no weights to train.")
    return tuple(map(tuple, layers))


def run(encoder: Encoder, names: Sequence[str], x: Tensor) -> Tensor:
    """Some of the encoder's stages, one after the other."""
    for name in names:
        x = encoder.stages[name](x)
    return x


class LayerDecoder(nn.Module):
    """From a layer's output back to its input: one dense layer or one convolution, linear.

        (D,) -> (E,)                dense
        (D,) -> (C, h, w)           dense, reshaped
        (D, h', w') -> (C, h, w)    nearest-neighbour upsampling to (h, w) where the layer pooled, 3x3 convolution

    Args:
        inputs: shape of one item before the layer, which is what is reconstructed.
        outputs: shape of one item after it.

    Raises:
        InputError: a layer from a vector to a map.
    """

    def __init__(self, inputs: Shape, outputs: Shape) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        if len(outputs) == 1:
            size = 1
            for axis in inputs:
                size *= axis
            self.back: nn.Module = nn.Linear(outputs[0], size)
        elif len(inputs) == 3 and len(outputs) == 3:
            self.back = nn.Conv2d(outputs[0], inputs[0], 3, padding=1)
        else:
            raise InputError(f"A layer from {inputs} to {outputs} has no small decoder; maps and vectors have.")

    def forward(self, code: Tensor) -> Tensor:
        """(B, *outputs) -> (B, *inputs)."""
        if len(self.outputs) == 3 and self.outputs[1:] != self.inputs[1:]:
            code = F.interpolate(code, size=self.inputs[1:], mode="nearest")
        back: Tensor = self.back(code)
        return back.reshape(len(code), *self.inputs)
