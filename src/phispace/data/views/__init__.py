"""Views: batched augmentations of uint8 images, with parameters drawn per image from one generator.

`make_view("shift-rotate-flip", 32)` gives a callable `(images uint8 (B, C, H, W), rng) -> float32 (B, C, H, W)` in
[0, 1], channels_last. Moves by whole pixels are gathers on uint8, and the conversion to float comes last.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, Any

from phispace.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from phispace.data.views.base import View

# name -> (class, its options here, description)
_TABLE: dict[str, tuple[str, dict[str, Any], str]] = {
    "none": ("phispace.data.views.base:Unchanged", {}, "the image as it is"),
    "flip": ("phispace.data.views.move:Move", {"shift": 0}, "half of the images mirrored left to right"),
    "translate-flip": (
        "phispace.data.views.move:Move",
        {"shift": 2, "fill": "reflect"},
        "moved by up to 2 whole pixels with reflection at the border, half of them mirrored (as airbench does)",
    ),
    "crop-flip": (
        "phispace.data.views.move:Move",
        {"shift": 4, "fill": "black"},
        "a crop of the image padded by 4 black pixels, half of them mirrored (the usual one for CIFAR)",
    ),
    "translate": (
        "phispace.data.views.move:Move",
        {"shift": 2, "fill": "reflect", "flip": 0.0},
        "as translate-flip, never mirrored",
    ),
    "translate-cutout": (
        "phispace.data.views.move:Move",
        {"shift": 4, "fill": "reflect", "flip": 0.0, "cutout": 0.375},
        "moved by up to 4 whole pixels with reflection at the border, a grey square of 3/8 of the side, never mirrored",
    ),
    "shift-rotate-flip": (
        "phispace.data.views.affine:ShiftRotate",
        {"degrees": 15.0, "shift": 0.1, "flip": 0.5},
        "rotated by up to 15 degrees, shifted by up to a tenth of the side, filled with the nearest pixel, "
        "half of them mirrored (Keras' ImageDataGenerator in the study of CIFAR-10)",
    ),
    "shift-rotate": (
        "phispace.data.views.affine:ShiftRotate",
        {"degrees": 15.0, "shift": 0.1, "flip": 0.0},
        "as shift-rotate-flip, never mirrored: for digits and letters",
    ),
}


def view_names() -> list[str]:
    """All names, in the order of the table."""
    return list(_TABLE)


def describe_view(name: str) -> str:
    """One line on what a view does.

    Raises:
        InputError: no such view.
    """
    return _entry(name)[2]


def make_view(name: str, size: int, **options: Any) -> View:
    """The augmentation of this name.

    Args:
        name: one of `view_names()`.
        size: side of the images in pixels.
        options: change the parameters of the name: `shift`, `flip`, `fill`, `cutout`, `degrees`.

    Raises:
        InputError: no such view, or an option that it does not have or that does not fit.
    """
    target, defaults, _ = _entry(name)
    module, _, attribute = target.partition(":")
    kind = getattr(importlib.import_module(module), attribute)
    unknown = sorted(set(options) - set(kind.OPTIONS))
    if unknown:
        known = ", ".join(kind.OPTIONS) or "none"
        raise InputError(f"The view {name!r} has no option {unknown[0]!r}; its options are: {known}.")
    view: View = kind(size, **{**defaults, **options})
    return view


def to_float(images: Tensor) -> Tensor:
    """uint8 (B, C, H, W) -> float32 in [0, 1], channels_last: what every view ends with."""
    from phispace.data.views.base import to_float as convert

    return convert(images)


def _entry(name: str) -> tuple[str, dict[str, Any], str]:
    if name in _TABLE:
        return _TABLE[name]
    close = difflib.get_close_matches(str(name), _TABLE, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(close)}?" if close else f" There are: {', '.join(_TABLE)}."
    raise InputError(f"There is no view named {name!r}.{hint}")
