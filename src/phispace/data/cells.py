"""Synthetic dividing cells: rods as in bright-field microscopy, in three stages of their septum.

    no septum         a rod
    septum forming    the septum grows inwards from both sides of the middle and has not met
    septum complete   it crosses the whole cell, which begins to narrow there

Generated, not microscopy: no image shows a real cell. The set has the shape of a usual task of a laboratory: few
labelled images, many unlabelled ones, 40 x 40, grey. Length, width, bend, place, angle, contrast, focus, texture,
noise, light and neighbours vary within every stage; a septum that has only just begun or almost met is hard to tell.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from phispace.data.imageset import UNKNOWN, ImageSet
from phispace.data.origin import Allocate, Origin, Request
from phispace.data.source import Source, SourceConfig
from phispace.errors import InputError
from phispace.progress import Progress
from phispace.randomness import rng

STAGES = ("no septum", "septum forming", "septum complete")
SHARES = (0.45, 0.25, 0.30)
SIZE = 40
CAVEAT = "The cells are synthetic: drawn by a program, not seen through a microscope."
_OVERSAMPLE = 2
_CHUNK = 256
# Lengths over all, in pixels of a 40-pixel image; they overlap, so that length alone does not tell the stage.
_LENGTH = ((15.0, 27.0), (20.0, 30.0), (21.0, 31.0))


class CellsConfig(SourceConfig):
    """Options of the cells."""

    labelled: int = Field(default=400, ge=30, le=100_000, description="images whose stage is given")
    unlabelled: int = Field(default=3892, ge=0, le=1_000_000, description="images whose stage is not given")
    seed: int = Field(default=0, ge=0, description="which cells")
    noise: float = Field(default=0.04, ge=0, le=1, description="deviation of the camera's noise, as a share of white")


class Cells(Source):
    """Synthetic dividing cells, few labelled and many not. The classes are three stages of the septum."""

    name = "cells"
    title = "Synthetic dividing cells (generated, not microscopy)"
    reference = "generated here; no image shows a real cell"
    offline = True
    Config = CellsConfig

    def origin(self, request: Request) -> Origin:
        config = self.config if isinstance(self.config, CellsConfig) else CellsConfig()
        size = request.size or SIZE
        n = config.labelled + config.unlabelled

        def build(allocate: Allocate, progress: Progress) -> ImageSet:
            stages = np.concatenate([
                rng(config.seed, "cells", part).choice(len(STAGES), count, p=SHARES)
                for part, count in (("labelled", config.labelled), ("unlabelled", config.unlabelled))
            ])  # fmt: skip
            pixels = allocate((n, size, size, 1))
            with progress.task("Drawing synthetic cells", n) as task:
                for start in range(0, n, _CHUNK):
                    part = stages[start : start + _CHUNK]
                    drawn = draw(part, rng(config.seed, "cells", "draw", start), size, config.noise)
                    pixels[start : start + _CHUNK] = drawn
                    task.advance(len(part))
            known = np.arange(n) < config.labelled
            return ImageSet(
                images=pixels,
                labels=np.where(known, stages, UNKNOWN).astype(np.int64),
                ids=np.array([f"synthetic-cells/{'labelled' if k else 'unlabelled'}/{i:06d}" for i, k in
                              enumerate(known.tolist())]),
                classes=STAGES,
                split=np.where(known, "train", "unlabelled"),
                name=self.name,
                source={
                    "kind": "generated",
                    "synthetic": True,
                    "size": size,
                    "sizes": {f"{size}x{size}": n},
                    "modes": {"L": n},
                    "caveats": [CAVEAT],
                    "options": config.model_dump(),
                },
            )  # fmt: skip

        return Origin(self.name, {"name": self.name, "size": size, **config.model_dump()}, build, keep=n > 2000)


def draw(stages: np.ndarray, generator: np.random.Generator, size: int = SIZE, noise: float = 0.04) -> np.ndarray:
    """Draw one cell for each stage.

    Args:
        stages: whole numbers (N,), indices of `STAGES`.
        generator: for all that varies.
        size: H = W in pixels.
        noise: deviation of the camera's noise, as a share of white.

    Returns:
        uint8 (N, size, size, 1).

    Raises:
        InputError: an index that is no stage.
    """
    from scipy.ndimage import gaussian_filter

    stages = np.asarray(stages)
    if stages.ndim != 1 or not np.isin(stages, range(len(STAGES))).all():
        raise InputError(f"Stages must be a list of whole numbers from 0 to {len(STAGES) - 1}; got {stages!r}.")
    n, fine = len(stages), size * _OVERSAMPLE
    unit = fine / SIZE  # a pixel of the 40-pixel image

    def between(low: float, high: float) -> np.ndarray:
        return generator.uniform(low, high, (n, 1, 1)).astype(np.float32)

    def field(smooth: float) -> np.ndarray:
        """Smooth noise of deviation 1."""
        rough = generator.standard_normal((n, fine, fine), np.float32)
        values = gaussian_filter(rough, (0, smooth * unit, smooth * unit), truncate=2.5)
        return np.asarray(values / values.std(axis=(1, 2), keepdims=True))

    x, y = _axes(fine, unit, *3 * (np.zeros((1, 1, 1), np.float32),))
    along, across = _axes(fine, unit, between(0, np.pi), between(-2.0, 2.0), between(-2.0, 2.0))
    across = across + between(-0.007, 0.007) * along**2  # bent
    lengths = np.array(_LENGTH, np.float32)[stages]
    length = between(0, 1) * (lengths[:, 1] - lengths[:, 0])[:, None, None] + lengths[:, 0][:, None, None]
    radius = between(3.9, 5.2)
    middle = along - between(-1.2, 1.2)
    grown, narrowing = _septum(stages, generator)
    waist = radius * (1 - narrowing * np.exp(-(middle**2) / (2 * 1.6**2)))
    outside = np.hypot(np.maximum(np.abs(along) - (length / 2 - radius), 0), across) - waist

    contrast = between(0.8, 1.2)
    inside = 1 / (1 + np.exp(outside / 0.35))
    light = between(0.5, 0.64) + (between(-1, 1) * x + between(-1, 1) * y) / 400 + between(-1, 1) * x * y / 8000
    cell = -0.28 * np.exp(-(outside**2) / (2 * 0.75**2))  # the dark wall
    cell += 0.17 * np.exp(-((outside - 2.0) ** 2) / (2 * 1.1**2))  # and the bright halo around it
    cell += inside * (0.05 + 0.03 * field(1.1) + 0.03 * field(2.5))
    septum = np.exp(-(middle**2) / (2 * 0.6**2)) - 0.45 * np.exp(-((np.abs(middle) - 1.7) ** 2) / (2 * 0.6**2))
    reached = 1 / (1 + np.exp(((1 - grown) * waist - np.abs(across)) / 0.3))  # from both sides inwards
    cell -= between(0.22, 0.36) * septum * reached * inside
    picture = light + contrast * cell + _neighbour(generator, n, fine, unit)

    sharp, soft = (gaussian_filter(picture, (0, s * unit, s * unit), truncate=2.5) for s in (0.45, 1.15))
    focus = between(0.25, 1.0)
    picture = focus * sharp + (1 - focus) * soft
    picture = picture.reshape(n, size, _OVERSAMPLE, size, _OVERSAMPLE).mean(axis=(2, 4))
    picture += noise * between(0.6, 1.3) * generator.standard_normal(picture.shape, np.float32)
    return (picture.clip(0, 1) * 255 + 0.5).astype(np.uint8)[..., None]


def _axes(fine: int, unit: float, angle: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along and across a cell of each pixel, in pixels of the 40-pixel image: two of (N, fine, fine)."""
    place = ((np.arange(fine) + 0.5) / unit - fine / unit / 2).astype(np.float32)
    dx, dy = place[None, None, :] - x, place[None, :, None] - y
    return dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)


def _septum(stages: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How far the septum has grown inwards (0 .. 1) and how much the cell narrows there, (N, 1, 1) each."""
    share = generator.uniform(0.3, 0.72, len(stages))
    grown = np.choose(stages, [np.full(len(stages), -1.0), share, np.full(len(stages), 2.0)])
    most = np.choose(stages, [np.full(len(stages), 0.02), 0.03 + 0.07 * share, np.full(len(stages), 0.2)])
    narrowing = most * generator.uniform(0, 1, len(stages))
    return grown[:, None, None].astype(np.float32), narrowing[:, None, None].astype(np.float32)


def _neighbour(generator: np.random.Generator, n: int, fine: int, unit: float) -> np.ndarray:
    """The end of another cell at the border, in a third of the images."""
    there = np.flatnonzero(generator.uniform(0, 1, n) < 0.33)
    shape = (len(there), 1, 1)
    direction = generator.uniform(0, 2 * np.pi, shape).astype(np.float32)
    far = generator.uniform(20.5, 24.0, shape).astype(np.float32)
    angle = direction + generator.uniform(-0.5, 0.5, shape).astype(np.float32) + np.float32(np.pi / 2)
    along, across = _axes(fine, unit, angle, far * np.cos(direction), far * np.sin(direction))
    outside = np.hypot(np.maximum(np.abs(along) - 7.0, 0), across) - 4.5
    wall = -0.24 * np.exp(-(outside**2) / (2 * 0.75**2)) + 0.13 * np.exp(-((outside - 2.0) ** 2) / (2 * 1.1**2))
    whole = np.zeros((n, fine, fine), np.float32)
    whole[there] = wall
    return whole
