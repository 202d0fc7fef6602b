"""Mosaics: the images themselves on the map, each at its own place, or on a grid without overlap."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from phispace import storage
from phispace.errors import InputError
from phispace.maps.base import Map
from phispace.maps.figure import plain
from phispace.maps.grid import grid_shape, snap_to_grid
from phispace.maps.palette import NAMED_CLASSES, class_colours, colours_of, rgb
from phispace.progress import SILENT, Progress

if TYPE_CHECKING:
    from PIL import Image

    from phispace.data.imageset import ImageSet

Background = Literal["white", "black"]
FORMATS = (".png", ".jpg", ".jpeg", ".webp")
_MOST_PIXELS = 200_000_000
_STRIP = 90


def draw_mosaic(
    map: Map,
    images: ImageSet,
    path: Path | str,
    *,
    canvas: tuple[int, int] = (4000, 3000),
    tile: int | None = None,
    background: Background = "white",
    border: bool = False,
    stretch: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Paste each image at its own map position.

    Images overlap where the map is dense. They are pasted in a fixed mixed order, so that no class covers another one
    only because it comes last.

    Args:
        map: positions with ids.
        images: holds the images of these ids (others are left alone).
        path: .png, .jpg or .webp.
        canvas: (width, height) in pixels.
        tile: longer side of a tile in pixels; by default from the distances between neighbours on the canvas, so that
            tiles overlap somewhat and stay readable, from 32 to 160.
        background: white or black.
        border: frame each tile in the colour of its class and name the colours in a strip at the lower edge.
        stretch: fill the canvas in both directions; by default both axes keep one scale.

    Raises:
        InputError: ids without an image, sizes that do not fit, or another suffix.
        StorageError: the disk refused.
    """
    path = _checked(path, canvas, tile)
    index = positions_in(map, images)
    strip = _STRIP if _has_strip(map, border) else 0
    width, height = canvas[0], canvas[1] - strip
    side = min(tile or _readable_side(map.xy, width, height), width, height)
    place = place_on_canvas(map.xy, width - side, height - side, stretch)
    left, top = np.rint(place).astype(int).T
    order = np.random.Generator(np.random.Philox(key=1)).permutation(len(index))
    return _paste(map, images, index, path, canvas, side, left, top, order, background, border, progress)


def draw_grid(
    map: Map,
    images: ImageSet,
    path: Path | str,
    *,
    canvas: tuple[int, int] = (4000, 3000),
    tile: int | None = None,
    columns: int | None = None,
    background: Background = "white",
    border: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Snap the map to a grid and paste each image into its own cell: nothing overlaps, each item is seen once.

    Args:
        canvas: (width, height) in pixels; without `tile` the picture is at most this large.
        tile: side of a cell in pixels; then the picture is as large as its cells need.
        columns: cells a row; by default from the canvas' shape.
        map, images, path, background, border: as for `draw_mosaic`.

    Raises:
        InputError: as `draw_mosaic`.
    """
    path = _checked(path, canvas, tile)
    index = positions_in(map, images)
    strip = _STRIP if _has_strip(map, border) else 0
    n = len(index)
    if columns is None:
        columns, rows = grid_shape(n, canvas[0] / (canvas[1] - strip))
    else:
        rows = math.ceil(n / max(columns, 1))
    cells = snap_to_grid(map.xy, columns, rows, progress=progress)
    side = tile or max(1, min(canvas[0] // columns, (canvas[1] - strip) // rows))
    size = _checked_size((columns * side, rows * side + strip))
    left, top = (cells % columns) * side, (rows - 1 - cells // columns) * side
    return _paste(map, images, index, path, size, side, left, top, np.arange(n), background, border, progress)


def place_on_canvas(xy: np.ndarray, width: float, height: float, stretch: bool = False) -> np.ndarray:
    """Positions (N, 2) in pixels from the upper left corner, centred in width x height with a margin of 1 %.

    Both axes keep one scale unless `stretch` is set; y points upwards in a map and downwards in a picture.
    """
    low, size = xy.min(axis=0), np.ptp(xy, axis=0)
    room = np.array([width, height], np.float64)
    scale = 0.98 * room / np.where(size > 0, size, 1)
    if not stretch:
        scale[:] = min(scale[size > 0], default=1.0)
    place = (xy - low) * scale + (room - size * scale) / 2
    place[:, 1] = height - place[:, 1]
    return np.clip(place, 0, room)


def _readable_side(xy: np.ndarray, width: int, height: int) -> int:
    """1.8 times the side of the square that one item has for itself, in the middle one of the neighbourhoods."""
    from scipy.spatial import KDTree

    place = place_on_canvas(xy, width, height)
    k = min(8, len(place) - 1)
    if k < 1:
        return 160
    reach = np.median(KDTree(place).query(place, k + 1)[0][:, -1])
    return int(np.clip(1.8 * reach * math.sqrt(math.pi / k), 32, 160))


def positions_in(map: Map, images: ImageSet) -> np.ndarray:
    """Where the map's items are in the image set, int64 (N,).

    Raises:
        InputError: some have no image there.
    """
    order = {str(name): row for row, name in enumerate(images.ids)}
    index = np.array([order.get(str(name), -1) for name in map.ids], np.int64)
    if (index < 0).any():
        lost = str(map.ids[int((index < 0).argmax())])
        raise InputError(
            f"{int((index < 0).sum())} of the map's {len(index)} items are not among the images "
            f"{images.name!r}, {lost!r} for example."
        )
    return index


def make_tile(image: np.ndarray, side: int) -> np.ndarray:
    """An image uint8 (H, W, C) as uint8 (h, w, 3) whose longer side is `side`."""
    from PIL import Image as PILImage

    picture = PILImage.fromarray(image[:, :, 0] if image.shape[2] == 1 else np.ascontiguousarray(image)).convert("RGB")
    share = side / max(picture.size)
    width, height = (max(1, round(length * share)) for length in picture.size)
    return np.asarray(picture.resize((width, height), PILImage.Resampling.LANCZOS))


def _paste(
    map: Map,
    images: ImageSet,
    index: np.ndarray,
    path: Path,
    size: tuple[int, int],
    side: int,
    left: np.ndarray,
    top: np.ndarray,
    order: np.ndarray,
    background: Background,
    border: bool,
    progress: Progress | None,
) -> Path:
    """Paste tiles of `side` pixels with their upper left corners at (left, top), and write the picture."""
    from PIL import Image as PILImage

    canvas = np.full((size[1], size[0], 3), 255 if background == "white" else 0, np.uint8)
    frame = max(1, round(side / 16)) if border and side >= 8 else 0
    colours = colours_of(map.labels, len(map.classes))
    with (progress or SILENT).task("Pasting images", total=len(index)) as task:
        for item in order:
            tile = make_tile(images.images[index[item]], side - 2 * frame)
            height, width = tile.shape[:2]
            y = top[item] + (side - 2 * frame - height) // 2
            x = left[item] + (side - 2 * frame - width) // 2
            if frame:
                canvas[y : y + height + 2 * frame, x : x + width + 2 * frame] = colours[item]
            canvas[y + frame : y + frame + height, x + frame : x + frame + width] = tile
            task.advance()
    picture = PILImage.fromarray(canvas)
    if _has_strip(map, border):
        _name_classes(picture, map, background)
    kind = path.suffix.lower()
    with storage.atomic_path(path) as temporary:
        if kind == ".png":
            picture.save(temporary, format="PNG", compress_level=6)
        elif kind == ".webp":
            picture.save(temporary, format="WEBP", quality=88, method=4)
        else:
            picture.save(temporary, format="JPEG", quality=90, subsampling=0)
    return path


def _has_strip(map: Map, border: bool) -> bool:
    return border and 0 < len(map.classes) <= NAMED_CLASSES


def _name_classes(picture: Image.Image, map: Map, background: Background) -> None:
    """Name the classes' colours in the strip at the lower edge, in as large a letter as fits."""
    from PIL import ImageDraw, ImageFont

    draw = ImageDraw.Draw(picture)
    present = [int(k) for k in np.unique(map.labels) if k >= 0]
    names = [plain(map.classes[k], 24) for k in present]
    colours = class_colours(len(map.classes))
    ink = (29, 35, 41) if background == "white" else (235, 238, 241)
    for letter in range(44, 7, -2):
        font = ImageFont.load_default(letter)
        lengths = [1.5 * letter + draw.textlength(name, font=font) + 1.4 * letter for name in names]
        if sum(lengths) <= picture.width:
            break
    x, y = (picture.width - sum(lengths) + 1.4 * letter) / 2, picture.height - _STRIP / 2
    for k, name, length in zip(present, names, lengths, strict=True):
        draw.rectangle((x, y - letter / 2, x + letter, y + letter / 2), fill=rgb(colours[k]))
        draw.text((x + 1.5 * letter, y), name, fill=ink, font=font, anchor="lm")
        x += length


def _checked(path: Path | str, canvas: tuple[int, int], tile: int | None) -> Path:
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"Mosaics are written as {', '.join(FORMATS)}; got {path.name!r}.")
    if tile is not None and tile < 1:
        raise InputError(f"A tile of {tile} pixels was asked for; at least 1 is expected.")
    if min(canvas) < 2 * _STRIP:
        raise InputError(
            f"A canvas of {canvas[0]} x {canvas[1]} pixels is too small; {2 * _STRIP} a side is the least."
        )
    _checked_size(canvas)
    return path


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    if size[0] * size[1] > _MOST_PIXELS:
        raise InputError(
            f"A picture of {size[0]:,} x {size[1]:,} pixels would take {size[0] * size[1] * 3 / 1e9:.1f} GB; choose a "
            "smaller canvas or tile."
        )
    return size
