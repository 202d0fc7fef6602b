"""Common corruptions of images at five severities: what a photograph meets on its way, not what an adversary does.

`corrupt(images, ids, "fog", 3)` takes uint8 (B, H, W, C) and gives uint8 of the same shape, grey or colour, any size.
The kinds and the constants of their severities are those of CIFAR-10-C (Hendrycks and Dietterich, Benchmarking Neural
Network Robustness to Common Corruptions and Perturbations, ICLR 2019, arXiv 1903.12261; constants of its script
`make_cifar_c.py`), made for sides of 32 pixels: what is a length in pixels grows with the side, the rest is as it is.

Departures: an image's draws are a function of (seed, kind, image id) alone, so that they do not depend on batches, and
the same at all severities, so that only the strength differs. Each file says what else. Not here: glass blur, snow and
frost.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from phispace.errors import InputError, UnfitError

if TYPE_CHECKING:
    import numpy as np

    from phispace.data.corruptions.base import Draws

    Corruption = Callable[[np.ndarray, int, Draws], np.ndarray]

SEVERITIES = (1, 2, 3, 4, 5)

# kind -> (function, what it does); those of CIFAR-10-C's benchmark first, the last two are its extra ones
_TABLE: dict[str, tuple[str, str]] = {
    "gaussian-noise": ("noise:gaussian_noise", "normal noise added to every value, as of a poor sensor"),
    "shot-noise": ("noise:shot_noise", "Poisson noise, as of few photons"),
    "impulse-noise": ("noise:impulse_noise", "single values set to black or full, as of bit errors"),
    "defocus-blur": ("blur:defocus_blur", "blurred by a disc, as out of focus"),
    "motion-blur": ("motion:motion_blur", "smeared along a line, its direction drawn per image"),
    "zoom-blur": ("motion:zoom_blur", "smeared towards the centre, as of a camera that moves on"),
    "fog": ("fog:fog", "covered by a cloudy brightness drawn per image"),
    "brightness": ("colour:brightness", "brighter, the hue kept"),
    "contrast": ("colour:contrast", "drawn towards the image's mean colour"),
    "elastic": ("elastic:elastic", "stretched and wobbled by a small field drawn per image"),
    "pixelate": ("resampling:pixelate", "made coarser: averaged over larger squares"),
    "jpeg": ("resampling:jpeg", "stored as JPEG of lower quality"),
    "gaussian-blur": ("blur:gaussian_blur", "blurred by a Gaussian"),
    "saturate": ("colour:saturate", "colours paler (severities 1 and 2) or stronger (3 to 5); colour images only"),
}
BENCHMARK = tuple(_TABLE)[:12]
"""The kinds that CIFAR-10-C averages over, but for glass blur, snow and frost."""

_COLOUR_ONLY = frozenset({"saturate"})


def corruption_names() -> list[str]:
    """All kinds, in the order of the table."""
    return list(_TABLE)


def describe_corruption(kind: str) -> str:
    """One line on what a kind does.

    Raises:
        InputError: no such kind.
    """
    return _entry(kind)[1]


def check_corruption(kind: str, severity: int, channels: int) -> None:
    """Raise InputError if there is no such kind or severity, UnfitError if such images cannot have it."""
    _entry(kind)
    if severity not in SEVERITIES:
        raise InputError(f"A severity is 1, 2, 3, 4 or 5; got {severity!r}.")
    if channels == 1 and kind in _COLOUR_ONLY:
        raise UnfitError(f"The corruption {kind!r} changes colours, and these images are grey; leave it out.")


def corrupt(images: np.ndarray, ids: Sequence[str] | np.ndarray, kind: str, severity: int, seed: int = 0) -> np.ndarray:
    """Corrupted copies.

    Args:
        images: uint8 (B, H, W, C), C = 1 or 3.
        ids: B ids, which with the seed decide all draws.
        kind: one of `corruption_names()`.
        severity: 1 (weak) to 5 (strong).

    Returns:
        uint8 (B, H, W, C), rounded to the nearest.

    Raises:
        InputError: no such kind or severity, or images of another form.
        UnfitError: a kind for colours on grey images.
    """
    from phispace.data.corruptions.base import Draws, check_images

    check_images(images, ids)
    check_corruption(kind, severity, images.shape[3])
    module, _, function = _entry(kind)[0].partition(":")
    change: Corruption = getattr(importlib.import_module(f"phispace.data.corruptions.{module}"), function)
    return change(images, severity, Draws([str(i) for i in ids], kind, seed))


def _entry(kind: str) -> tuple[str, str]:
    if kind in _TABLE:
        return _TABLE[kind]
    close = difflib.get_close_matches(str(kind), _TABLE, n=3, cutoff=0.5)
    hint = f" Did you mean {', '.join(close)}?" if close else f" There are: {', '.join(_TABLE)}."
    raise InputError(f"There is no corruption named {kind!r}.{hint}")
