"""What sheets of pictures are made of: framed images, and lines of text that cannot do harm.

Names are shown as they are, made printable and cut to fit; nothing in them is interpreted.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from phispace.data.names import escape

INK, QUIET, RULE, PAPER = (28, 30, 34), (110, 115, 122), (224, 226, 230), (255, 255, 255)
AGREES, DIFFERS = (22, 125, 72), (192, 57, 43)


@lru_cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def tile(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    pixels: np.ndarray | None,
    at: tuple[int, int],
    side: int,
    colour: tuple[int, int, int],
) -> None:
    """An image in its frame: whole-number enlargement keeps small pixels square, larger images are reduced."""
    x, y = at
    draw.rectangle([x - 3, y - 3, x + side + 2, y + side + 2], fill=colour)
    draw.rectangle([x, y, x + side - 1, y + side - 1], fill=(238, 239, 241))
    if pixels is None:
        return
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    times = side / max(image.size)
    shape = (max(1, round(image.width * times)), max(1, round(image.height * times)))
    image = image.resize(shape, Image.Resampling.NEAREST if times >= 4 else Image.Resampling.LANCZOS)
    sheet.paste(image, (x + (side - shape[0]) // 2, y + (side - shape[1]) // 2))


def text(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    words: str,
    font: ImageFont.FreeTypeFont,
    colour: tuple[int, int, int],
    width: int,
) -> None:
    """One line of text, printable, cut in the middle where it is too long."""
    words = escape(words[:400])
    if font.getlength(words) > width:
        kept = len(words)
        while kept > 1 and font.getlength(f"{words[: kept - kept // 3]}…{words[len(words) - kept // 3 :]}") > width:
            kept -= 1
        words = f"{words[: kept - kept // 3]}…{words[len(words) - kept // 3 :]}"
    draw.text(at, words, fill=colour, font=font)
