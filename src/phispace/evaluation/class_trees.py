"""Trees of classes: which classes belong together, by nature and not by any representation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse", "monkey")
_VEHICLES = ("airplane", "automobile", "car", "ship", "truck")
#: Vehicles and animals: CIFAR-10 and STL-10.
THINGS: Mapping[str, Sequence[str]] = {"vehicles": _VEHICLES, "animals": _ANIMALS}


def known_tree(classes: Sequence[str]) -> Mapping[str, Any] | None:
    """The natural tree of these classes, if all of them stand in `THINGS` (CIFAR-10's and STL-10's do), or None."""
    names = {c.lower() for c in classes}
    if len(names) < 3 or not names <= set(paths_of(THINGS)):
        return None
    return {group: [name for name in inner if name in names] for group, inner in THINGS.items()}


def paths_of(tree: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Class -> the groups it lies in, outermost first.

    Args:
        tree: group -> a list of classes, or a tree again.

    Raises:
        ValueError: something else, or a class that stands in two places.
    """
    found: dict[str, tuple[str, ...]] = {}
    for group, inner in tree.items():
        if isinstance(inner, Mapping):
            below = {name: (group, *path) for name, path in paths_of(inner).items()}
        elif isinstance(inner, (list, tuple)) and all(isinstance(name, str) for name in inner):
            below = dict.fromkeys(inner, (group,))
        else:
            raise ValueError(f"the group {group!r} must hold a list of class names or further groups; got {inner!r}")
        twice = sorted(set(found) & set(below))
        if twice:
            raise ValueError(f"the class {twice[0]!r} stands in two groups")
        found |= below
    return found
