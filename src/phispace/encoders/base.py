"""φ: a network with named layers that can be tapped.

An encoder is built from (channels, size) and takes floats in [0, 1]: its first stage is the normalisation, so it
takes the same input wherever it goes. Every paper taps another layer; here the layer is a parameter, and its reading
(`features+mirror`, see `phispace.encoders.readings`) part of its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from phispace.encoders.readings import is_reading, read, readings
from phispace.encoders.sparse import Sparse, Sparsity
from phispace.errors import InputError

DEFAULT_LAYER = "features"
_BLOCK = 256


class Normalise(nn.Module):
    """(x - mean) / std per channel, with the statistics of the training images as buffers."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, channels, 1, 1), 0.5))
        self.register_buffer("std", torch.full((1, channels, 1, 1), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        scale = self.std.reciprocal()
        return torch.addcmul(-self.mean * scale, x, scale)

    @torch.no_grad()
    def measure(self, images: np.ndarray) -> None:
        """Set the statistics from uint8 (N, H, W, C) images: exact sums over how often each value is there, by blocks.

        As floats, 5,000 images of 64 x 64 in colour and what numpy makes on the way to a deviation take 1 GB.
        """
        channels, values = images.shape[-1], np.arange(256)
        counts = np.zeros((channels, 256), np.int64)
        for start in range(0, len(images), _BLOCK):
            block = images[start : start + _BLOCK]
            for channel in range(channels):
                counts[channel] += np.bincount(block[..., channel].ravel(), minlength=256)
        share = counts / counts.sum(1, keepdims=True)
        mean = share @ values
        std = np.sqrt((share * (values - mean[:, None]) ** 2).sum(1))
        self.mean.copy_(torch.from_numpy(mean / 255).float().view(1, -1, 1, 1))
        self.std.copy_(torch.from_numpy(std / 255).float().clamp_min(1 / 255).view(1, -1, 1, 1))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; then each part is in its own mode again, frozen ones in evaluation mode."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


class Encoder(nn.Module):
    """Base of all encoders: a sequence of named stages.

    A subclass fills `self.stages` in forward order, with a `Normalise` first; a last stage is named `features`.
    Networks that are not a plain sequence override `_taps` and `layers`.

    Args of every encoder: `channels` (1 or 3), `size` (H = W in pixels); further options by keyword. `build_encoder`
    gives every encoder two more options, `code` and `sparse`: see `append_code` and `append_sparsity`.

    Class attributes:
        extraction_batch: images a pass, for extraction; large networks are faster where a batch stays in the
            processor's cache.

    Attributes:
        appended: options of `build_encoder` by which this network goes beyond what its class made.
        resting: modules that stay in evaluation mode while the others train; see `phispace.encoders.freezing`.
        always_fixed: names of weights that the network itself fixed, once something was frozen; else None.
    """

    extraction_batch: ClassVar[int] = 500
    stages: nn.ModuleDict
    appended: dict[str, int | str]
    resting: tuple[nn.Module, ...]
    always_fixed: frozenset[str] | None
    channels: int
    size: int

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        if channels < 1 or size < 4:
            raise InputError(f"An encoder needs at least 1 channel and 4 pixels; got {channels} and {size}.")
        self.channels = channels
        self.size = size
        self.stages = nn.ModuleDict()
        self.appended = {}
        self.resting = ()
        self.always_fixed = None

    def train(self, mode: bool = True) -> Self:
        """Training mode, but for what rests."""
        super().train(mode)
        for module in self.resting:
            module.training = False
        return self

    def named_parts(self) -> dict[str, nn.Module]:
        """All modules behind the normalisation, by the names that layers and rules of freezing have."""
        return {
            f"{stage}.{name}" if name else stage: module
            for stage, whole in self.stages.items()
            if stage != "normalise"
            for name, module in whole.named_modules()
        }

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that can be tapped, in forward order."""
        return tuple(name for name in self.stages if name != "normalise")

    def forward(self, x: Tensor, layer: str = DEFAULT_LAYER) -> Tensor:
        """Run up to a layer.

        Args:
            x: (B, C, H, W), floats in [0, 1].
            layer: one of `layers`, or a reading of it.

        Returns:
            the layer's output: (B, D) or a map (B, D, h, w).

        Raises:
            InputError: no such layer.
        """
        return self.taps(x, (layer,))[layer]

    def taps(self, x: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        """Several layers' outputs from one pass, or one of each reading; stops after the last one that is wanted."""
        self.check_layers(layers)
        return read(self._taps, x, layers) if any(map(is_reading, layers)) else self._taps(x, layers)

    def _taps(self, x: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        """The same of layers that are there, as they are."""
        wanted = set(layers)
        found: dict[str, Tensor] = {}
        for name, stage in self.stages.items():
            x = stage(x)
            if name in wanted:
                found[name] = x
                if len(found) == len(wanted):
                    break
        return found

    def check_layers(self, layers: tuple[str, ...]) -> None:
        """Raise InputError if one of these is not a layer of this encoder, or not a reading of one."""
        wrong = [one.layer for name in layers for one in readings(name) if not self._has(one.layer)]
        if wrong:
            raise InputError(f"{type(self).__name__} has no layer {wrong[0]!r}; there are: {', '.join(self.layers)}.")

    def _has(self, layer: str) -> bool:
        return layer in self.layers

    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of each layer's output for one image, measured with one pass in evaluation mode."""
        return self.shapes_of(self.layers)

    def shapes_of(self, layers: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
        """The same of some layers or readings.

        Raises:
            InputError: no such layer, or a reading at a side that this network does not take.
        """
        parameter = next(self.parameters(), None)
        device = None if parameter is None else parameter.device
        with evaluating(self), torch.no_grad():
            black = torch.zeros(1, self.channels, self.size, self.size, device=device)
            try:
                out = self.taps(black, layers)
            except (RuntimeError, AssertionError) as error:
                sides = {one.side for name in layers for one in readings(name) if one.side is not None}
                if not sides:
                    raise
                raise InputError(
                    f"{type(self).__name__} was built for images of {self.size} pixels and does not take "
                    f"{' or '.join(map(str, sorted(sides)))}; that needs an encoder that pools over the whole map, "
                    "such as speednet or resnet18, or one of its maps."
                ) from error
        return {name: tuple(out[name].shape[1:]) for name in layers}

    def width(self, layer: str = DEFAULT_LAYER) -> int:
        """Number of values of a layer for one image, flattened."""
        return int(np.prod(self.shapes_of((layer,))[layer]))

    def append_code(self, width: int) -> None:
        """End in a linear layer of `width` values, the new `features`; what was `features` is then `trunk`.

        Glorot uniform weights, zero bias. An encoder that is not a plain sequence of stages overrides this.
        """
        dense = nn.Linear(self.width(), width)
        nn.init.xavier_uniform_(dense.weight)
        nn.init.zeros_(dense.bias)
        self._append("trunk", dense)
        self.appended["code"] = width

    def append_sparsity(self, keep: Sparsity) -> None:
        """End in a layer that sets negative values (`relu`) or all but the k largest to 0; what was `features` is then
        `dense`.

        Raises:
            InputError: k is not below the width, or the encoder ends so already.
        """
        if "sparse" in self.appended:
            raise InputError(f"{type(self).__name__} ends in a sparse code already ({self.appended['sparse']}).")
        if keep != "relu" and keep >= self.width():
            raise InputError(
                f"A code that keeps {keep} values must have more than that; {type(self).__name__} has {self.width()}. "
                "Set encoder.code to a larger width, or keep fewer."
            )
        self._append("dense", Sparse(keep))
        self.appended["sparse"] = keep

    def _append(self, name: str, last: nn.Module) -> None:
        self.stages[name] = self.stages.pop(DEFAULT_LAYER)
        self.stages[DEFAULT_LAYER] = last

    def facts(self) -> Mapping[str, Any]:
        """What a run's record says of this network beside its name, layers and size; JSON-able. By default nothing."""
        return {}

    def began(self, name: str, sha256: str) -> None:
        """Told that its weights are now those of this run, whose file has this digest. By default nothing."""

    def pretrained(self) -> frozenset[str]:
        """Names in the state of what a file of pretrained weights gave it. By default nothing."""
        return frozenset()

    def decoder(self) -> nn.Module | None:
        """The decoder that was published with this network: codes (B, D) -> (B, C, H, W) before the last sigmoid.

        New weights at each call. None where there is none: `phispace.methods.decoders.mirror` makes one.
        """
        return None

    def initialise(self, images: np.ndarray, generator: torch.Generator) -> None:
        """Set what depends on the training images (statistics, whitening) before training begins.

        Args:
            images: uint8 (N, H, W, C), a sample of the training images.
            generator: for draws, if there are any.
        """
        for stage in self.stages.values():
            if isinstance(stage, Normalise):
                stage.measure(images)
