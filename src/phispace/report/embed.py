"""Pictures inside the page: as data, so that one file can be mailed, and small enough that it can be.

A picture is opened before it is embedded, whatever its name says; only the formats below pass. One that is too large
is embedded as a smaller preview with a link to the full file. A missing or damaged one becomes a sentence.
"""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

FORMATS = {"PNG": "image/png", "WEBP": "image/webp", "JPEG": "image/jpeg", "GIF": "image/gif"}
MAX_BYTES = 700_000
MAX_FILM_BYTES = 6_000_000
MAX_SIDE = 2400
PREVIEW_SIDE = 1800
MAX_PIXELS = 400_000_000


@dataclass(frozen=True)
class Embedded:
    """A picture as it goes into the page.

    Attributes:
        data: data URI, or empty if there is nothing to show (then `problem` says why).
        width, height: of the embedded picture in pixels.
        link: address of the full file relative to the page, where the embedded one is a smaller preview.
        full: what the full file is, for example "4000 × 3000, 8.1 MB".
        problem: why there is no picture.
    """

    data: str = ""
    width: int = 0
    height: int = 0
    link: str = ""
    full: str = ""
    problem: str = ""


def address(path: str) -> str:
    """A relative path as the address of a link; nothing in it can become a scheme or another host."""
    return "./" + quote(path, safe="/")


def embed(root: Path, path: str, *, film: bool = False) -> Embedded:
    """Read a picture below `root` and make it embeddable.

    Args:
        path: relative to `root`, with forward slashes.
        film: animated pictures keep their frames as long as they are not too large; then the first frame is shown.
    """
    from PIL import Image

    file = root / path
    if not file.resolve().is_relative_to(root.resolve()):
        return Embedded(problem=f"{path} lies outside the report's directory and is not shown.")
    try:
        size = file.stat().st_size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=list(FORMATS)) as picture:
                width, height = picture.size
                full = f"{width} × {height}, {size / 1e6:.1f} MB"
                limit = MAX_FILM_BYTES if film else MAX_BYTES
                if size <= limit and max(width, height) <= MAX_SIDE:
                    picture.load()
                    return Embedded(_uri(FORMATS[str(picture.format)], file.read_bytes()), width, height)
                if width * height > MAX_PIXELS:
                    return Embedded(link=address(path), full=full, problem=f"{path} is too large for a preview.")
                data, shown = _preview(picture)
                return Embedded(_uri("image/webp", data), *shown, link=address(path), full=full)
    except FileNotFoundError:
        return Embedded(problem=f"The picture {path} is missing.")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return Embedded(problem=f"The picture {path} cannot be read: {error}")


def _uri(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def _preview(picture: object) -> tuple[bytes, tuple[int, int]]:
    """A WebP of at most `PREVIEW_SIDE` and about `MAX_BYTES`, and its size."""
    from PIL import Image

    if not isinstance(picture, Image.Image):
        raise ValueError("not a picture")
    if getattr(picture, "is_animated", False):
        picture.seek(0)
    # JPEG can be decoded at a fraction of its size; others ignore this.
    picture.draft("RGB", (PREVIEW_SIDE, PREVIEW_SIDE))
    small = picture.convert("RGBA" if "A" in picture.getbands() or "transparency" in picture.info else "RGB")
    side, data = PREVIEW_SIDE, b""
    for _ in range(4):
        trial = small.copy()
        trial.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        stream = io.BytesIO()
        trial.save(stream, "WEBP", quality=82, method=4)
        data, shown = stream.getvalue(), trial.size
        if len(data) <= MAX_BYTES:
            break
        side = side * 3 // 4
    return data, shown
