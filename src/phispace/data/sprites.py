"""Sprites: one shape on black, drawn from six known factors of variation.

    shape 4, scale 5, rotation 16, x 12, y 12, colour 6     = 276,480 combinations, each one image

No shape looks the same after a turn of less than 360 degrees, so every rotation is another image (in dSprites, squares
and ellipses hide their rotation, which caps what a disentanglement score can reach). Edges are anti-aliased.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw
from pydantic import Field

from phispace.data.imageset import ImageSet
from phispace.data.origin import Allocate, Origin, Request
from phispace.data.source import Source, SourceConfig
from phispace.errors import InputError
from phispace.progress import Progress
from phispace.randomness import rng

FACTORS = ("shape", "scale", "rotation", "x", "y", "colour")
COUNTS = (4, 5, 16, 12, 12, 6)
SIZE = 64
_OVERSAMPLE = 4

SHAPES = ("heart", "arrow", "flag", "hook")
# Vertices within the unit circle, y downwards.
_HEART = [
    (
        16 * math.sin(t) ** 3 / 17.5,
        -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 17.5,
    )
    for t in (2 * math.pi * k / 48 for k in range(48))
]
_OUTLINES = (
    _HEART,
    [(0.0, -1.0), (0.72, -0.15), (0.3, -0.15), (0.3, 0.9), (-0.3, 0.9), (-0.3, -0.15), (-0.72, -0.15)],
    [(-0.55, -0.8), (0.75, -0.35), (-0.25, 0.1), (-0.25, 0.9), (-0.55, 0.8)],
    [(-0.6, -0.8), (-0.15, -0.8), (-0.15, 0.4), (0.7, 0.4), (0.7, 0.7), (0.5, 0.85), (-0.6, 0.85)],
)
# Okabe and Ito's palette, which people with colour blindness tell apart.
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167))
_RADIUS_LOW, _RADIUS_HIGH = 0.11, 0.22  # of the side
_PLACE_LOW, _PLACE_HIGH = 0.24, 0.76  # of the side


class SpritesConfig(SourceConfig):
    """Options of the sprites."""

    n: int = Field(default=5000, ge=2, le=math.prod(COUNTS), description="how many of the combinations")
    seed: int = Field(default=0, ge=0, description="which combinations; a smaller n takes a part of a larger one's")


class Sprites(Source):
    """Shapes with known factors: shape, scale, rotation, x, y, colour. The classes are the shapes."""

    name = "sprites"
    title = "Sprites (generated shapes)"
    reference = "generated here, after L. Matthey et al.: dSprites, 2017 (github.com/google-deepmind/dsprites-dataset)"
    offline = True
    Config = SpritesConfig

    def origin(self, request: Request) -> Origin:
        config = self.config if isinstance(self.config, SpritesConfig) else SpritesConfig()
        size = request.size or SIZE

        def build(allocate: Allocate, progress: Progress) -> ImageSet:
            chosen = np.sort(rng(config.seed, "sprites").permutation(math.prod(COUNTS))[: config.n])
            factors = np.stack(np.unravel_index(chosen, COUNTS), axis=1)
            pixels = allocate((len(factors), size, size, 3))
            with progress.task("Drawing sprites", len(factors)) as task:
                for start in range(0, len(factors), 256):
                    pixels[start : start + 256] = render(factors[start : start + 256], size)
                    task.advance(len(factors[start : start + 256]))
            return ImageSet(
                images=pixels,
                labels=factors[:, 0].astype(np.int64),
                ids=np.array(
                    [
                        "sprites/" + "-".join(f"{f[0]}{v:02d}" for f, v in zip(_LETTERS, row, strict=True))
                        for row in factors
                    ]
                ),
                classes=SHAPES,
                split=np.full(len(factors), "train"),
                name=self.name,
                factors=factors.astype(np.float64),
                factor_names=FACTORS,
                source={
                    "kind": "generated",
                    "size": size,
                    "sizes": {f"{size}x{size}": len(factors)},
                    "modes": {"RGB": len(factors)},
                    "factor_counts": dict(zip(FACTORS, COUNTS, strict=True)),
                    "options": config.model_dump(),
                },
            )

        identity = {"name": self.name, "size": size, **config.model_dump()}
        return Origin(self.name, identity, build, keep=config.n > 10_000)


_LETTERS = ("s", "z", "r", "x", "y", "c")


def sample_factors(n: int, generator: np.random.Generator, fixed: dict[str, int] | None = None) -> np.ndarray:
    """Factors of n images: int64 (n, 6), each value equally likely.

    Args:
        n: how many.
        generator: for the draw.
        fixed: factor name -> value index that all of them share.

    Raises:
        InputError: a name or value that there is not.
    """
    factors = np.stack([generator.integers(0, count, n) for count in COUNTS], axis=1).astype(np.int64)
    for name, value in (fixed or {}).items():
        if name not in FACTORS or not 0 <= value < COUNTS[FACTORS.index(name)]:
            raise InputError(
                f"{name} = {value} is no factor of the sprites; they have {dict(zip(FACTORS, COUNTS, strict=True))}."
            )
        factors[:, FACTORS.index(name)] = value
    return factors


def render(factors: np.ndarray, size: int = SIZE) -> np.ndarray:
    """Draw the images of given factors.

    Args:
        factors: whole numbers (N, 6), indices of values in the order of `FACTORS`.
        size: H = W in pixels.

    Returns:
        uint8 (N, size, size, 3).

    Raises:
        InputError: another shape, or an index outside of `COUNTS`.
    """
    factors = np.asarray(factors)
    if factors.ndim != 2 or factors.shape[1] != len(COUNTS):
        raise InputError(f"Factors must have shape (N, {len(COUNTS)}); got {factors.shape}.")
    whole = factors.astype(np.int64)
    if (whole != factors).any() or (whole < 0).any() or (whole >= np.array(COUNTS)).any():
        raise InputError(f"Factors must be whole numbers below {COUNTS}; got values outside.")
    out = np.zeros((len(whole), size, size, 3), np.uint8)
    for position, row in enumerate(whole.tolist()):
        shape, scale, turn, x, y, colour = row
        coverage = _coverage(shape, scale, turn, x, y, size)
        out[position] = (coverage[..., None] * np.array(COLOURS[colour], np.float32) + 0.5).astype(np.uint8)
    return out


def _coverage(shape: int, scale: int, turn: int, x: int, y: int, size: int) -> np.ndarray:
    """How much of each pixel the shape covers: float32 (size, size) in [0, 1]."""
    wide = size * _OVERSAMPLE
    radius = wide * _between(_RADIUS_LOW, _RADIUS_HIGH, scale, COUNTS[1])
    centre = tuple(wide * _between(_PLACE_LOW, _PLACE_HIGH, v, c) for v, c in ((x, COUNTS[3]), (y, COUNTS[4])))
    angle = 2 * math.pi * turn / COUNTS[2]
    cos, sin = math.cos(angle), math.sin(angle)
    points = [
        (centre[0] + radius * (px * cos - py * sin), centre[1] + radius * (px * sin + py * cos))
        for px, py in _OUTLINES[shape]
    ]
    canvas = Image.new("L", (wide, wide), 0)
    ImageDraw.Draw(canvas).polygon(points, fill=255)
    return np.asarray(canvas.reduce(_OVERSAMPLE), np.float32) / 255.0


def _between(low: float, high: float, index: int, count: int) -> float:
    return low + (high - low) * index / (count - 1)
