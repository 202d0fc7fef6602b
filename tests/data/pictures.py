"""Small images made on the spot."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def encode(seed: int = 0, size: tuple[int, int] = (20, 16), mode: str = "RGB", form: str = "PNG", **save) -> bytes:
    """One image of smooth noise, encoded."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)
    stream = io.BytesIO()
    image.save(stream, form, **save)
    return stream.getvalue()
