"""Pictures of what a generator makes: samples, and the way from one drawn code to another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from phispace.errors import InputError
from phispace.randomness import torch_rng
from phispace.run import Run

if TYPE_CHECKING:
    from phispace.methods.base import Method

WHAT = ("samples", "interpolations")
_SIDE = 8  # rows of samples; there are twice as many columns
_PAIRS, _VALUES = 8, 12


def generates(method: type[Method]) -> bool:
    """Whether methods of this class make images of drawn codes that are not the encoder's."""
    return callable(getattr(method, "generate", None)) and callable(getattr(method, "draw_codes", None))


def draw_generated(
    run: Run, method: Method, what: Sequence[str] | None, folder: Path, *, seed: int = 0
) -> tuple[dict[str, Path], dict[str, Any]]:
    """Draw a generator's images.

    Args:
        method: of the run, in evaluation mode.
        what: names of `WHAT`; by default all.
        folder: gets the pictures.
        seed: of the codes.

    Returns:
        picture -> file, and the numbers for `latents.json`.

    Raises:
        InputError: a picture that needs codes of images.
    """
    wrong = [name for name in what or () if name not in WHAT]
    if wrong:
        raise InputError(
            f"The picture {wrong[0]!r} cannot be drawn of {run.name}: its images have no codes, only drawn codes have "
            f"images; there are {', '.join(WHAT)}."
        )
    files: dict[str, Path] = {}
    for name in dict.fromkeys(what or WHAT):
        files[name] = folder / f"{name}.png"
        (_samples if name == "samples" else _interpolations)(run, method, files[name], seed)
    width = int(_drawn(method, 1, seed, "width").shape[1])
    return files, {"run": run.name, "generator": True, "dimensions": width, "seed": seed}


def _samples(run: Run, method: Method, path: Path, seed: int) -> None:
    from phispace.maps.image_rows import draw_image_rows

    images = _images(method, _drawn(method, 2 * _SIDE * _SIDE, seed, "samples"))
    draw_image_rows(
        images.reshape(_SIDE, 2 * _SIDE, *images.shape[1:]), path, title=f"What the generator of {run.name} makes",
        subtitle=f"{2 * _SIDE * _SIDE} draws, none chosen · seed {seed}",
    )  # fmt: skip


def _interpolations(run: Run, method: Method, path: Path, seed: int) -> None:
    """Straight lines where codes are uniform, whose cube they do not leave; arcs where they are normal."""
    from phispace.maps.image_rows import draw_image_rows
    from phispace.maps.latent_codes import linear, spherical

    normal = getattr(method.config, "prior", None) == "normal"
    ends = _drawn(method, 2 * _PAIRS, seed, "interpolations").reshape(_PAIRS, 2, -1)
    ways = np.stack([(spherical if normal else linear)(one, other, _VALUES) for one, other in ends])
    images = _images(method, ways.reshape(_PAIRS * _VALUES, -1))
    draw_image_rows(
        images.reshape(_PAIRS, _VALUES, *images.shape[1:]), path,
        title=f"Between two drawn codes of {run.name}", subtitle=f"along {'arcs' if normal else 'lines'} · seed {seed}",
        columns=[f"{t:.2f}" for t in np.linspace(0, 1, _VALUES)], below="share of the way",
    )  # fmt: skip


def _drawn(method: Method, count: int, seed: int, purpose: str) -> np.ndarray:
    codes: torch.Tensor = method.draw_codes(count, torch_rng(seed, f"generated {purpose}"))  # type: ignore[operator]
    return codes.numpy()


def _images(method: Method, codes: np.ndarray) -> np.ndarray:
    """float32 (N, H, W, C) of codes (N, D)."""
    with torch.no_grad():
        made: torch.Tensor = method.generate(torch.from_numpy(codes))  # type: ignore[operator]
    return made.clamp(0, 1).permute(0, 2, 3, 1).numpy()
