"""One image's bytes to an array, for bytes that nobody vouches for.

Formats from a list, a ceiling on bytes and pixels before anything is inflated, a full decode (a header that verifies
says nothing about the pixels), Pillow's warnings as refusals. What is refused has a reason in words; nothing is
replaced. Orientation from EXIF is applied, transparency is composited, of an animation the first frame is taken.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from phispace.data.names import escape
from phispace.data.ranges import Tally, ValueRange
from phispace.data.resize import fit, with_channels
from phispace.errors import DataError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
MAX_BYTES = 64 * 2**20
MAX_PIXELS = 4096 * 4096
BACKGROUNDS = {"white": 255, "black": 0}
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


class Unreadable(DataError):
    """One image cannot be used; the message is the reason, without the image's name."""


@dataclass(frozen=True)
class Decoded:
    """One image as it is.

    Attributes:
        pixels: uint8 (h, w) or (h, w, 3); uint16 or float32 (h, w) where the image is deeper than 8 bits.
        size: (width, height) before any resizing, after orientation.
        mode: Pillow's mode of the file's pixels.
        format: file format, found from the content.
        notes: what was done to it.
    """

    pixels: np.ndarray
    size: tuple[int, int]
    mode: str
    format: str
    notes: tuple[str, ...]


@contextlib.contextmanager
def strict_pillow() -> Iterator[None]:
    """While this holds, Pillow's warnings are errors and truncated files are not filled up with grey.

    Both settings are the process's own, not the thread's; they are put back at the end.
    """
    tolerant = ImageFile.LOAD_TRUNCATED_IMAGES
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module=r"PIL(\.|$)")
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = tolerant


def decode(data: bytes, background: str = "white", enough: int | None = None) -> Decoded:
    """Decode one image fully. To be called inside `strict_pillow()`.

    Args:
        data: the file's bytes.
        background: what shows through transparency, "white" or "black".
        enough: a side length; a much larger JPEG may be decoded at a half, a quarter or an eighth, never below four
            times this length.

    Raises:
        Unreadable: with the reason.
    """
    if not data:
        raise Unreadable("the file is empty")
    if len(data) > MAX_BYTES:
        raise Unreadable(f"the file has {len(data):,} bytes; at most {MAX_BYTES:,} are read")
    try:
        return _decode(data, background, enough)
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable(f"not an image of a known format ({', '.join(FORMATS)})") from error
    except Exception as error:  # hostile bytes reach Pillow's parsers, which raise whatever comes to hand
        raise Unreadable(_reason(error)) from error


def _decode(data: bytes, background: str, enough: int | None) -> Decoded:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        width, height = image.size
        if width < 1 or height < 1 or width * height > MAX_PIXELS:
            raise Unreadable(f"the header claims {width} x {height} pixels; 1 to {MAX_PIXELS:,} are decoded")
        kind, mode = image.format or "", image.mode
        if enough is not None and kind == "JPEG":
            image.draft(None, (4 * enough, 4 * enough))
        image.load()
        if kind == "PNG":  # loading does not check the checksums of the pixels, verifying does
            with Image.open(io.BytesIO(data), formats=FORMATS) as again:
                again.verify()
        notes: list[str] = []
        upright: Image.Image = image
        if kind == "TIFF" or "exif" in image.info:
            upright = ImageOps.exif_transpose(image)  # damaged EXIF refuses the image: nobody knows where up is
        if kind in ("GIF", "WEBP", "PNG", "TIFF") and _animated(image):
            notes.append("first frame of several")
        if (upright.size[0] > upright.size[1]) != (image.size[0] > image.size[1]):
            width, height = height, width
        pixels = _deep(upright) if mode in _DEEP_MODES else _shallow(upright, background, notes)
    return Decoded(pixels, (width, height), mode, kind, tuple(notes))


def _animated(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # the first frame is sound; what follows it is not used
        return True


def _deep(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise Unreadable("holds values that are not finite")
        return values.astype(np.float32)
    if values.min() >= 0 and values.max() <= 65535:
        return values.astype(np.uint16)
    return values.astype(np.float32)


def _shallow(image: Image.Image, background: str, notes: list[str]) -> np.ndarray:
    if image.has_transparency_data:
        grey = image.mode in ("1", "L", "LA", "La")
        layers = np.asarray(image.convert("RGBA")).astype(np.uint16)
        alpha = layers[:, :, 3:]
        if (alpha < 255).any():
            notes.append(f"transparency composited on {background}")
        mixed = (layers[:, :, :3] * alpha + BACKGROUNDS[background] * (255 - alpha) + 127) // 255
        colour = mixed.astype(np.uint8)
        return np.ascontiguousarray(colour[:, :, 0]) if grey or _is_grey(image.mode, colour) else colour
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    colour = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    return np.ascontiguousarray(colour[:, :, 0]) if _is_grey(image.mode, colour) else colour


def _is_grey(mode: str, colour: np.ndarray) -> bool:
    """Whether a palette holds greys alone; a file that says RGB is colour, whatever its values."""
    if mode not in ("P", "PA"):
        return False
    return bool((colour == colour[:, :, :1]).all())


def _reason(error: Exception) -> str:
    text = re.sub(r"<[^<>]*object at 0x[0-9a-f]+>", "the file", str(error)).strip() or type(error).__name__
    return f"cannot be decoded: {escape(text)[:200]}"


def read_image(
    path: Path | str, size: int, channels: int, value_range: ValueRange | None = None, background: str = "white"
) -> np.ndarray:
    """One image file as a set of this size and colour would hold it: uint8 (size, size, channels).

    Args:
        path: the file.
        size: H = W of the result.
        channels: 1 or 3.
        value_range: range of the set's deep images; by default this image's own.
        background: what shows through transparency.

    Raises:
        DataError: missing, not readable, or not an image.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Unreadable(f"the file has more than {MAX_BYTES:,} bytes")
        with strict_pillow():
            decoded = decode(path.read_bytes(), background, size)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except Unreadable as error:
        raise DataError(f"{path} is not an image that can be used: {error}") from error
    return finish(decoded.pixels, size, channels, value_range)


def finish(pixels: np.ndarray, size: int, channels: int, value_range: ValueRange | None) -> np.ndarray:
    """Pixels of a `Decoded` to uint8 (size, size, channels)."""
    if pixels.dtype != np.uint8:
        if value_range is None:
            tally = Tally()
            tally.add(pixels)
            value_range = tally.range()
        pixels = value_range.to_uint8(pixels) if value_range is not None else pixels.astype(np.uint8)
    return with_channels(fit(pixels, size), channels)
