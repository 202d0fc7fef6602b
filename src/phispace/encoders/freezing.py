"""Which part of a network stands still. A layer is a leaf module, counted in the order of a forward pass.

    none            nothing
    all             the whole encoder
    first:N         the first N layers
    last:N          the last N layers
    but-last:N      all but the last N layers
    until:NAME      everything up to a stage or module, itself included
    NAME,NAME ...   these stages or modules

Activations and pooling are leaf modules too, so N is not the number of layers with weights, and not what Keras counts.
A frozen part has no gradient and runs in evaluation mode: its running statistics and its dropout rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from phispace.encoders.base import Encoder, evaluating
from phispace.errors import InputError

FORMS = "none, all, first:N, last:N, but-last:N, until:NAME, or names of stages or modules with commas between"


@dataclass(frozen=True)
class Layer:
    """A leaf module that a forward pass uses, or a composite one that owns weights itself, at the place of its first
    leaf."""

    name: str
    module: nn.Module
    leaf: bool


@dataclass(frozen=True)
class Frozen:
    """What a rule froze.

    Attributes:
        layers: names of the frozen leaf modules.
        of_layers: leaf modules in all.
        parameters, of_parameters: weights that the rule froze, and all of the encoder.
    """

    layers: tuple[str, ...]
    of_layers: int
    parameters: int
    of_parameters: int

    def words(self) -> str:
        """One sentence."""
        return (
            f"Frozen: {len(self.layers):,} of the encoder's {self.of_layers:,} layers (leaf modules in forward order), "
            f"{self.parameters:,} of its {self.of_parameters:,} weights."
        )


def layers_of(encoder: Encoder) -> tuple[Layer, ...]:
    """An encoder's layers in forward order, by names as its taps have them."""
    named = encoder.named_parts()
    order: list[str] = []
    hooks = []
    for name, module in named.items():
        hooks.append(module.register_forward_pre_hook(lambda *_, n=name: order.append(n)))
    device = next((p.device for p in encoder.parameters()), None)
    try:
        with evaluating(encoder), torch.no_grad():
            encoder(torch.zeros(1, encoder.channels, encoder.size, encoder.size, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    found = []
    for name in dict.fromkeys(order):
        leaf = next(named[name].children(), None) is None
        if leaf or next(named[name].parameters(recurse=False), None) is not None:
            found.append(Layer(name, named[name], leaf))
    return tuple(found)


def chosen(layers: Iterable[Layer], rule: str, known: Collection[str]) -> frozenset[str]:
    """Names of the leaf modules that a rule means.

    Args:
        layers: in forward order.
        rule: see the module.
        known: names of all stages and modules.

    Raises:
        InputError: no such rule, or a name that the encoder does not have.
    """
    leaves = [layer.name for layer in layers if layer.leaf]
    word, colon, rest = rule.partition(":")
    if rule in ("none", "all"):
        return frozenset(leaves if rule == "all" else ())
    if colon and word in ("first", "last", "but-last"):
        if not rest.isdecimal() or int(rest) > len(leaves):
            raise InputError(
                f"{rule!r} does not say how many layers are meant; expected a number up to {len(leaves)}, as the "
                "encoder has so many."
            )
        count = int(rest)
        cut = count if word == "first" else len(leaves) - count
        return frozenset(leaves[cut:] if word == "last" else leaves[:cut])
    names = [rest] if word == "until" and colon else [name.strip() for name in rule.split(",")]
    meant: set[str] = set()
    for name in names:
        inside = {leaf for leaf in leaves if leaf == name or leaf.startswith(f"{name}.")}
        if not inside:
            there = ", ".join(dict.fromkeys(n for n in known if "." not in n or n.count(".") == 1))
            raise InputError(f"{rule!r} does not say what to freeze ({name!r} is no part of the encoder): {FORMS}. "
                             f"Its parts are: {there[:400]}.")  # fmt: skip
        meant |= inside
    if word == "until" and colon:
        meant = set(leaves[: max(map(leaves.index, meant)) + 1])
    return frozenset(meant)


def freeze(encoder: Encoder, layers: Iterable[Layer], names: Collection[str]) -> Frozen:
    """Freeze these leaf modules and nothing else; weights that the encoder itself fixed stay fixed.

    A composite module's own weights go with its first leaf.
    """
    layers = tuple(layers)
    if encoder.always_fixed is None:
        encoder.always_fixed = frozenset(n for n, p in encoder.named_parameters() if not p.requires_grad)
    fixed = {encoder.get_parameter(name) for name in encoder.always_fixed}
    still = still_modules(layers, names)
    count = 0
    for layer in layers:
        rests = layer.module in still
        for parameter in layer.module.parameters(recurse=False):
            parameter.requires_grad_(not rests and parameter not in fixed)
            count += parameter.numel() if rests else 0
    leaves = {layer.module for layer in layers if layer.leaf} & still
    encoder.resting = (*leaves, *_whole(encoder, leaves))
    encoder.train(encoder.training)
    frozen = tuple(layer.name for layer in layers if layer.leaf and layer.name in names)
    of = sum(layer.leaf for layer in layers)
    return Frozen(frozen, of, count, sum(p.numel() for p in encoder.parameters()))


def still_modules(layers: Iterable[Layer], names: Collection[str]) -> set[nn.Module]:
    """Modules whose own weights stand still: these leaves, and composite ones whose first leaf is among them."""
    layers = tuple(layers)
    first = None
    found = set()
    for layer in reversed(layers):
        first = layer.name if layer.leaf else first
        if first in names:
            found.add(layer.module)
    return found


def _whole(encoder: nn.Module, still: Collection[nn.Module]) -> list[nn.Module]:
    """Composite modules of which every leaf rests: what they do themselves (a dropout as a function) rests too."""
    found = []
    for module in encoder.modules():
        leaves = [m for m in module.modules() if next(m.children(), None) is None]
        rest = all(m in still or next(m.parameters(), None) is None for m in leaves)
        if rest and module not in still and any(m in still for m in leaves):
            found.append(module)
    return found


def stage_numbers(layers: Iterable[Layer], stages: Collection[str]) -> Mapping[str, int]:
    """Which stage each layer lies in, counted from 0; what lies in none counts for the first."""
    numbers = {name: number for number, name in enumerate(stages)}

    def number(name: str) -> int:
        parts = name.split(".")
        prefixes = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
        return next((numbers[p] for p in prefixes if p in numbers), 0)

    return {layer.name: number(layer.name) for layer in layers}
