"""Single modules and what undoes their change of shape."""

from __future__ import annotations

from torch import nn
from torchvision.models.resnet import BasicBlock

from phispace.encoders.convolution import Conv3x3
from phispace.encoders.speednet import Whiten
from phispace.encoders.upward import Unflatten, Upsample
from phispace.methods.decoders.way_down import Shape, Step

LARGEST_SPREAD = 4
"""Side of the map that a vector is spread to by a dense layer; larger ones are reached by repeating pixels."""


def weighted(step: Step) -> list[nn.Module] | None:
    """The mirror of a step with weights: from the shape after it to the shape before it; None if it has none."""
    module = step.module
    if isinstance(module, nn.Linear):
        return [nn.Linear(step.after[0], step.before[0])]
    if isinstance(module, Conv3x3):
        return [Conv3x3(step.after[0], step.before[0])]
    if isinstance(module, nn.Conv2d) and module.groups == 1 and module.dilation == (1, 1):
        padding = module.padding if isinstance(module.padding, str) else (module.padding[0], module.padding[1])
        back = _convolution(step, _pair(module.kernel_size), _pair(module.stride), padding)
        return None if back is None else [back]
    if isinstance(module, Whiten):
        back = _convolution(step, (2, 2), (1, 1), (0, 0))
        return None if back is None else [back]
    if isinstance(module, BasicBlock):
        return _block(step)
    return None


def spread(inputs: int, shape: Shape) -> list[nn.Module]:
    """A vector (B, inputs) to a map of `shape`: the mirror of an average or maximum over the whole map."""
    channels, height, width = shape
    small = (min(height, LARGEST_SPREAD), min(width, LARGEST_SPREAD))
    modules: list[nn.Module] = [nn.Linear(inputs, channels * small[0] * small[1]), Unflatten((channels, *small))]
    if small != (height, width):
        modules.append(nn.Upsample(size=(height, width)))
    return modules


def _convolution(
    step: Step, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int] | str
) -> nn.Module | None:
    """The convolution that takes the sizes back: with stride 1 padded by kernel - 1 - padding, else transposed."""
    inputs, outputs = step.after[0], step.before[0]
    if padding == "same":
        return nn.Conv2d(inputs, outputs, kernel, padding="same")
    rows, columns = (0, 0) if isinstance(padding, str) else padding
    if stride == (1, 1):
        border = (kernel[0] - 1 - rows, kernel[1] - 1 - columns)
        return nn.Conv2d(inputs, outputs, kernel, padding=border) if min(border) >= 0 else None
    pairs = zip(step.before[1:], step.after[1:], kernel, stride, (rows, columns), strict=True)
    rest = [before - ((after - 1) * s - 2 * p + k) for before, after, k, s, p in pairs]
    return nn.ConvTranspose2d(inputs, outputs, kernel, stride, (rows, columns), output_padding=(rest[0], rest[1]))


def _block(step: Step) -> list[nn.Module]:
    """The residual block from many channels to few, after an upsampling where the block had a stride."""
    inputs, outputs = step.after[0], step.before[0]
    shortcut = None
    if inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
    block = BasicBlock(inputs, outputs, 1, shortcut)
    if step.before[1:] == step.after[1:]:
        return [block]
    return [upsampling(step), block]


def upsampling(step: Step) -> Upsample:
    """To the size before a step that made the map smaller, by its stride, or by the ratio where it has none."""
    before, after = _pair(step.before[1:]), _pair(step.after[1:])
    stride = getattr(step.module, "stride", None)
    if isinstance(stride, int):
        return Upsample((stride, stride), before)
    if isinstance(stride, tuple) and len(stride) == 2:
        return Upsample((stride[0], stride[1]), before)
    return Upsample((max(1, round(before[0] / after[0])), max(1, round(before[1] / after[1]))), before)


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return values[0], values[1]
