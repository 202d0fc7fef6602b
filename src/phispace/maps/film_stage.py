"""One frame of a film as pixels: points or thumbnails, legend beside them, captions, numbers, badges and a timeline."""

from __future__ import annotations

import textwrap
import warnings
from typing import TYPE_CHECKING

import numpy as np

from phispace.maps.figure import INK, SOFT, new_figure, plain
from phispace.maps.film import Film
from phispace.maps.mosaic import make_tile
from phispace.maps.palette import colours_of
from phispace.maps.scatter import draw_legend, draw_points, plane, point_style

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet

DRAWN = "drawn in-between: positions interpolated, nothing was measured here"
_ACCENT = "#b3500b"


class Stage:
    """What stays the same over a film is drawn once; `render` sets what changes.

    Args:
        film: what is shown; one axis box holds all frames.
        size: (width, height) in pixels.
        title: first line, the same on all frames.
        images: thumbnails in place of points.
        positions: where the film's items are in `images`, int64 (N,).
        thumbnail: their longer side in pixels.
    """

    def __init__(
        self,
        film: Film,
        size: tuple[int, int],
        title: str,
        images: ImageSet | None = None,
        positions: np.ndarray | None = None,
        thumbnail: int = 20,
    ) -> None:
        self.film = film
        dpi = 100
        width, height = size[0] / dpi, size[1] / dpi
        self.figure = new_figure(width, height)
        self.figure.set_dpi(dpi)
        top, bottom = 1.0, 0.62
        side = height - top - bottom
        self.axes = plane(
            self.figure, film.xy.reshape(-1, 2), (0.25 / width, bottom / height, side / width, side / height)
        )
        n_classes = len(film.classes)
        self.tiles: list[np.ndarray] = []
        if images is not None and positions is not None:
            colours = colours_of(film.labels, n_classes)
            self.tiles = [
                _framed(make_tile(images.images[p], thumbnail - 2), colours[row]) for row, p in enumerate(positions)
            ]
            self.points = []
        else:
            area, opacity = point_style(len(film.ids))
            self.points = draw_points(self.axes, film.xy[0], film.labels, n_classes, 0.6 * area, opacity)
        draw_legend(self.axes, film.labels, film.classes)
        left = 0.25 / width
        write = self.figure.text
        write(left, 1 - 0.15 / height, plain(title, 70), size=9, color=SOFT, va="top", parse_math=False)
        self.moment = write(left, 1 - 0.36 / height, "", size=15, weight="bold", va="top", parse_math=False)
        self.numbers = write(left, 1 - 0.72 / height, "", size=9, color=SOFT, va="top", parse_math=False)
        edge = (0.25 + side + 0.15) / width
        self.badge = write(
            edge, (bottom + 0.05) / height, "", size=9, color=_ACCENT, va="bottom", weight="bold", linespacing=1.5,
            parse_math=False,
        )  # fmt: skip
        self._timeline(left, side / width, height)

    def _timeline(self, left: float, length: float, height: float) -> None:
        """Dots for the real frames and a cursor between them, below the points."""
        count = len(self.film)
        line = self.figure.add_axes((left, 0.12 / height, length, 0.38 / height))
        line.set_axis_off()
        line.set_xlim(-0.02 * max(count - 1, 1), 1.02 * max(count - 1, 1))
        line.set_ylim(-1, 1)
        line.plot([0, max(count - 1, 1)], [0.4, 0.4], color="#d4d9de", linewidth=1.5, zorder=1)
        line.plot(range(count), [0.4] * count, "o", color="#9aa3ac", markersize=5, markeredgewidth=0, zorder=2)
        step = max(1, -(-count // 16))
        for t in range(0, count, step):
            epoch = self.film.captions[t].epoch
            line.text(
                t, -0.15, f"{epoch:g}" if epoch is not None else str(t), size=7.5, color=SOFT, ha="center", va="top"
            )
        (self.cursor,) = line.plot([0], [0.4], "o", markersize=9, color=INK, markeredgewidth=1.5, zorder=3)

    def render(self, xy: np.ndarray, t: int, share: float = 0.0) -> np.ndarray:
        """A frame as uint8 (height, width, 3).

        Args:
            xy: positions (N, 2).
            t: the real frame, or with `share` the one before.
            share: 0 = the real frame t; above 0 an in-between on the way to t + 1, and marked as such.
        """
        drawn = share > 0
        for index, points in self.points:
            points.set_offsets(xy[index])
        self.moment.set_text(between(self.film, t) if drawn else plain(self.film.captions[t].words or f"frame {t}", 60))
        self.moment.set_color(SOFT if drawn else INK)
        self.moment.set_fontstyle("italic" if drawn else "normal")
        self.numbers.set_text(DRAWN if drawn else frame_line(self.film, t))
        badges = [] if drawn else self.film.badges(t)
        self.badge.set_text("\n".join(textwrap.fill(f"⚠ {badge}", 24) for badge in badges))
        self.cursor.set_data([t + share], [0.4])
        self.cursor.set_markerfacecolor("white" if drawn else INK)
        for spine in self.axes.spines.values():
            spine.set_linestyle((0, (4, 3)) if drawn else "-")
            spine.set_color("#9aa3ac" if drawn else INK)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            self.figure.canvas.draw()
        pixels = np.asarray(self.figure.canvas.buffer_rgba())[:, :, :3].copy()  # type: ignore[attr-defined]
        if self.tiles:
            self._paste(pixels, xy)
        return pixels

    def _paste(self, pixels: np.ndarray, xy: np.ndarray) -> None:
        place = self.axes.transData.transform(xy)
        for item in np.random.Generator(np.random.Philox(key=1)).permutation(len(xy)):
            tile = self.tiles[item]
            height, width = tile.shape[:2]
            x = int(np.clip(round(place[item, 0] - width / 2), 0, pixels.shape[1] - width))
            y = int(np.clip(round(pixels.shape[0] - place[item, 1] - height / 2), 0, pixels.shape[0] - height))
            pixels[y : y + height, x : x + width] = tile


def between(film: Film, t: int) -> str:
    """`between epochs 3 and 4, drawn`."""
    first, second = film.captions[t], film.captions[t + 1]
    if first.epoch is not None and second.epoch is not None:
        return f"between epochs {first.epoch:g} and {second.epoch:g}, drawn"
    return f"between frames {t} and {t + 1}, drawn"


def frame_line(film: Film, t: int) -> str:
    """The frame's numbers in one line; what is not known is left out."""
    row = film.table[t]
    known = {name: value for name, value in row.items() if np.isfinite(value)}
    parts = []
    if "displacement" in known:
        alone = known.get("displacement_independent")
        parts.append(f"moved {known['displacement']:.2f}" + (f" (independent fits {alone:.2f})" if alone else ""))
    if "trustworthiness" in known:
        alone = known.get("trustworthiness_independent")
        parts.append(f"trustworthiness {known['trustworthiness']:.3f}" + (f" ({alone:.3f})" if alone else ""))
    if "leak" in known:
        parts.append(f"leak {known['leak']:+.3f}")
    if "churn" in known:
        parts.append(f"neighbours changed {known['churn']:.0%}")
    return " · ".join(parts)


def _framed(tile: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """A tile with one pixel of its class' colour around it."""
    out = np.empty((tile.shape[0] + 2, tile.shape[1] + 2, 3), np.uint8)
    out[:] = colour
    out[1:-1, 1:-1] = tile
    return out
