"""A network of another library as an encoder: its own preprocessing first, its modules tapped by their names."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from phispace.encoders.base import DEFAULT_LAYER, Encoder, evaluating
from phispace.encoders.prepare import Fit, Interpolation, Prepare
from phispace.encoders.weights import Source
from phispace.errors import InputError

Resolution = Annotated[int, Field(ge=16, le=2048)]
"""Side in pixels that a network sees."""


@dataclass(frozen=True)
class DataConfig:
    """What a network was trained with: side, statistics per channel, interpolation."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Interpolation


@dataclass(frozen=True)
class Made:
    """A network without its classifier, (B, 3, R, R) -> (B, D), and where its weights come from."""

    network: nn.Module
    config: DataConfig
    source: Source


class Backbone(Encoder):
    """Base of networks from other libraries. `size` is that of the images; the network itself sees `resolution`.

    Layers: the network's stages in forward order, by the names that its library gives them, and `features`, the pooled
    values before the classifier, which is left out. Any other module of it can be tapped by its name as well, for
    example `blocks.2.1.conv_dw`; of one that is used several times the first output.

    Options:
        resolution: side that the images are resized to; by default the one that the network was trained at.
        fit: stretch, or pad (resized in proportion, black beside it); the same for square images.
        interpolation: nearest, bilinear or bicubic; by default the one that the network was trained with.
        weights: pretrained, random (drawn by the seed), or the path of a file (safetensors, or a pickle of tensors).
        grey: what a grey image is to the network: repeat (three equal channels, no weight is changed), or sum (the
            first convolution's filters are summed over colours and its statistics averaged, for one channel).

    Mean, standard deviation and interpolation are the library's record of the weights, also where they are drawn anew.

    Attributes:
        source: where the weights come from.
        modules_in_order: names of the network's modules as a forward pass enters them; unused ones are left out.
        own_stages: names of its stages in that order.
    """

    extraction_batch: ClassVar[int] = 64
    prefix: ClassVar[str] = ""
    model: ClassVar[str] = ""

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        resolution: Resolution | None = None,
        fit: Fit = "stretch",
        interpolation: Interpolation | None = None,
        weights: str = "pretrained",
        grey: Literal["repeat", "sum"] = "repeat",
    ) -> None:
        super().__init__(channels, size)
        if channels not in (1, 3):
            raise InputError(f"{self.title} takes grey or colour images, 1 or 3 channels; got {channels}.")
        made = self.make(weights, resolution)
        config, network = made.config, made.network
        self.source, self.grey = made.source, grey
        mean, std = config.mean, config.std
        if channels == 1 and grey == "sum":
            sum_colours(network)
            mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
        self.resolution = resolution or config.size
        prepare = Prepare(self.resolution, mean, std, interpolation or config.interpolation, fit)
        self.stages["normalise"] = prepare
        self.stages[DEFAULT_LAYER] = network
        self._held = (prepare, network)  # a tuple: not registered twice
        self.modules_in_order, self.own_stages = self._pass()

    @classmethod
    def make(cls, weights: str, resolution: int | None) -> Made:
        """The network, for a family to define."""
        raise NotImplementedError(f"{cls.__name__} must define make (abstract)")

    @property
    def title(self) -> str:
        """The registered name."""
        return f"{self.prefix}:{self.model}"

    @property
    def network(self) -> nn.Module:
        """The library's module."""
        return self._held[1]

    def _pass(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """One pass of an image, so that a resolution that the network does not take is said at once.

        Returns:
            names of the modules in the order in which they are entered, and of the stages.
        """
        entered: list[str] = []
        whole: set[str] = set()

        def enter(name: str) -> None:
            if name not in entered:
                entered.append(name)

        def leave(name: str, output: Any) -> None:
            if isinstance(output, Tensor):
                whole.add(name)

        hooks = []
        for name, module in self.network.named_modules():
            if name:
                hooks.append(module.register_forward_pre_hook(lambda *_, n=name: enter(n)))
                hooks.append(module.register_forward_hook(lambda _m, _i, out, n=name: leave(n, out)))
        try:
            with evaluating(self), torch.no_grad():
                x = torch.zeros(1, self.channels, self.size, self.size)
                out = self.network(self.stages["normalise"](x))
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"{self.title} does not take images of {self.resolution} pixels ({reason[:160]}). "
                "Choose another encoder.resolution."
            ) from error
        finally:
            for hook in hooks:
                hook.remove()
        if not isinstance(out, Tensor) or out.ndim != 2:
            raise InputError(f"{self.title} does not end in one vector an image, so it cannot be an encoder.")
        return tuple(entered), _stages(self.network, entered, whole)

    @property
    def layers(self) -> tuple[str, ...]:
        return (*self.own_stages, *(name for name in self.stages if name != "normalise"))

    def named_parts(self) -> dict[str, nn.Module]:
        """The network's modules by its own names, then what was appended."""
        own = {name or "(network)": module for name, module in self.network.named_modules()}
        appended = super().named_parts()
        return own | {n: m for n, m in appended.items() if self.stages[n.partition(".")[0]] is not self.network}

    def _has(self, layer: str) -> bool:
        return super()._has(layer) or layer in (name for name, _ in self.network.named_modules() if name)

    def _taps(self, x: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        inside = [name for name in layers if name not in self.stages]
        if not inside:
            return super()._taps(x, layers)
        outside = tuple(name for name in layers if name in self.stages)
        found: dict[str, Tensor] = {}

        def keep(name: str, output: Tensor) -> None:
            if name not in found:
                # a copy: the next module may work in place
                found[name] = output.clone()
                if not outside and len(found) == len(set(inside)):
                    raise _EnoughError

        hooks = [
            self.network.get_submodule(name).register_forward_hook(lambda _m, _i, out, n=name: keep(n, out))
            for name in inside
        ]
        try:
            found |= super()._taps(x, outside or (next(n for n in self.stages if self.stages[n] is self.network),))
        except _EnoughError:
            pass
        finally:
            for hook in hooks:
                hook.remove()
        missing = [name for name in inside if name not in found]
        if missing:
            raise InputError(f"{self.title} has a module {missing[0]!r} that a forward pass does not use.")
        return {name: found[name] for name in dict.fromkeys(layers)}

    def began(self, name: str, sha256: str) -> None:
        """Its weights come from a run now."""
        self.source = Source("run", name, sha256=sha256)

    def pretrained(self) -> frozenset[str]:
        """The network's whole state, unless its weights were drawn."""
        if self.source.path is None:
            return frozenset()
        name = next(name for name, stage in self.stages.items() if stage is self.network)
        return frozenset(f"stages.{name}.{key}" for key in self.network.state_dict())

    def facts(self) -> Mapping[str, Any]:
        """What a run's record says of it: model, resolution, preprocessing, and where its weights come from."""
        grey = {"grey": self.grey} if self.channels == 1 else {}
        return {"model": self.model, **self._held[0].facts(), **grey, "weights": self.source.record()}


_TAKEN = (DEFAULT_LAYER, "trunk", "dense", "normalise")
"""Names of an encoder's own stages; a network's sequence of such a name is known by its members."""


def _stages(network: nn.Module, entered: Sequence[str], whole: Collection[str]) -> tuple[str, ...]:
    """A network's children in forward order; of a sequence of composite ones, such as `blocks`, its members.

    What does nothing in evaluation mode (dropout, the place of the classifier) is left out.
    """
    stages: dict[str, nn.Module] = {}
    for name, module in network.named_children():
        inner = dict(module.named_children())
        composite = any(next(m.children(), None) is not None for m in inner.values())
        if isinstance(module, (nn.Sequential, nn.ModuleList)) and (composite or name in _TAKEN):
            stages |= {f"{name}.{k}": m for k, m in inner.items()}
        elif name not in _TAKEN:
            stages[name] = module
    found = [name for name, module in stages.items() if name in whole and not _idle(module)]
    return tuple(sorted(found, key=list(entered).index))


def _idle(module: nn.Module) -> bool:
    leaves = [m for m in module.modules() if next(m.children(), None) is None]
    return all(isinstance(m, (nn.Identity, nn.Dropout, nn.Dropout2d)) for m in leaves)


class _EnoughError(Exception):
    """Leaves a forward pass of which all that is wanted has been seen."""


def sum_colours(network: nn.Module) -> None:
    """Let a network take one channel: the filters of its first convolution summed over the three they have.

    For an image of three equal channels the convolution gives the same, where mean and standard deviation are the same
    for all colours, and nearly so else.

    Raises:
        InputError: the network does not begin with a convolution of three channels.
    """
    first = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None or first.in_channels != 3 or first.groups != 1:
        raise InputError("Colours can be summed where a network begins with a convolution of 3 channels; use repeat.")
    first.weight = nn.Parameter(first.weight.detach().sum(1, keepdim=True))
    first.in_channels = 1
