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

_JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1, "jitter": 0.8}

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
    "crop": (
        "phispace.data.views.distort:Distort",
        {},
        "a crop of a fifth to all of the image, enlarged to its size, half of them mirrored",
    ),
    "simclr": (
        "phispace.data.views.distort:Distort",
        {**_JITTER, "grey": 0.2},
        "as crop, then colours jittered (0.4, 0.4, 0.2, 0.1; 4 of 5 images) and a fifth made grey; no blur (SimCLR "
        "for small images, saturation as in BYOL; the published one for CIFAR is simclr(saturation=0.4))",
    ),
    "simclr-paper": (
        "phispace.data.views.distort:Distort",
        {
            "crop": (0.08, 1.0),
            "brightness": 0.8,
            "contrast": 0.8,
            "saturation": 0.8,
            "hue": 0.2,
            "jitter": 0.8,
            "grey": 0.2,
            "blur": 0.5,
        },
        "a crop of 0.08 to all, colours jittered twice as much, a fifth grey, half blurred (SimCLR as published for "
        "ImageNet)",
    ),
    "byol-1": (
        "phispace.data.views.distort:Distort",
        {**_JITTER, "crop": (0.08, 1.0), "grey": 0.2, "blur": 1.0},
        "the first of BYOL's two: a crop of 0.08 to all, colours jittered, a fifth grey, all blurred",
    ),
    "byol-2": (
        "phispace.data.views.distort:Distort",
        {**_JITTER, "crop": (0.08, 1.0), "grey": 0.2, "blur": 0.1, "solarise": 0.2},
        "the second of BYOL's two: as the first, a tenth blurred, a fifth solarised",
    ),
    "affine": (
        "phispace.data.views.geometry:RandomAffine",
        {},
        "turned by any angle, moved by up to a fifth, scaled by 0.7 to 1.3, sheared by up to 30 degrees, on grey (AET)",
    ),
    "projective": (
        "phispace.data.views.geometry:RandomProjective",
        {},
        "scaled by 0.8 to 1.2, a quarter turn or none, each corner moved by up to an eighth of the side, on grey (AET)",
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
