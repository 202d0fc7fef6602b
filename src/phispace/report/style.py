"""How pictures of the report look: one theme for light pages and one for dark, and how a drawing becomes a file.

A drawing is a function of a theme. `save` calls it twice: `curves.png` for light pages and print, `curves.dark.png`
beside it for dark ones, which the page chooses by itself.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from phispace import storage
from phispace.report.plaintext import one_line

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = TypeVar("P", bound=PurePath)
DPI = 200
HALF = (5.2, 3.4)
WIDE = (10.6, 4.2)


@dataclass(frozen=True)
class Theme:
    """Colours of one kind of page; the same as in templates/report.css.

    Attributes:
        series: colours that are told apart by most kinds of colour vision, in order of use.
        scale: name of the colour map of one-sided quantities, from the page's colour upwards.
    """

    name: str
    page: str
    ink: str
    soft: str
    line: str
    series: tuple[str, ...]
    scale: str


LIGHT = Theme(
    "light", "#fbfaf8", "#1d2129", "#59606c", "#e3e0da",
    ("#2f5d8c", "#c8702a", "#2f8265", "#8e5aa8", "#b34a5e", "#7a7220", "#2a8fa3", "#6b6f78"), "Blues",
)  # fmt: skip
DARK = Theme(
    "dark", "#15171b", "#e4e5e8", "#9ba2ae", "#31353c",
    ("#8db8e3", "#eda566", "#79c7a6", "#c69bdd", "#e78fa0", "#cfc46a", "#72cbdc", "#a6abb5"), "Blues_r",
)  # fmt: skip
THEMES = (LIGHT, DARK)


def settings(theme: Theme) -> dict[str, Any]:
    """matplotlib's settings. `$` in a label is a dollar sign: foreign names are never read as mathematics."""
    return {
        "text.parse_math": False,
        "font.family": _families(),
        "font.size": 9.0,
        "figure.facecolor": theme.page,
        "figure.dpi": DPI,
        "savefig.facecolor": theme.page,
        "axes.facecolor": theme.page,
        "axes.edgecolor": theme.line,
        "axes.labelcolor": theme.soft,
        "axes.titlecolor": theme.ink,
        "axes.titlesize": 10.0,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 10.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "grid.color": theme.line,
        "grid.linewidth": 0.7,
        "text.color": theme.ink,
        "xtick.color": theme.soft,
        "ytick.color": theme.soft,
        "xtick.major.size": 3.0,
        "ytick.major.size": 0.0,
        "lines.linewidth": 1.7,
        "lines.solid_capstyle": "round",
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
    }


@cache
def _families() -> list[str]:
    """Fonts that are here, in order of preference; DejaVu Sans comes with matplotlib, the last ones add scripts."""
    from matplotlib import font_manager

    here = {font.name for font in font_manager.fontManager.ttflist}
    wanted = ("Inter", "DejaVu Sans", "Noto Sans CJK JP", "Noto Sans", "WenQuanYi Zen Hei", "Arial Unicode MS")
    return [family for family in wanted if family in here]


def new(size: tuple[float, float], rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    """A figure of this size in inches and its axes; to be called inside a drawing."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    return figure, figure.subplots(rows, columns)


def save(draw: Callable[[Theme], Figure], path: Path | str) -> Path:
    """Draw for each theme and write `path` (.png) and its dark twin.

    Returns:
        `path`.

    Raises:
        StorageError: the disk refused.
    """
    import matplotlib as mpl
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    path = Path(path)
    for theme in THEMES:
        look: Any = settings(theme)
        with mpl.rc_context(look), warnings.catch_warnings():
            # A class name in a script that no font here has becomes boxes; that is not worth a warning a letter.
            warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
            canvas: Any = FigureCanvasAgg(draw(theme))
            canvas.draw()
            data = _png(np.asarray(canvas.buffer_rgba()))
        storage.write_bytes(path if theme is LIGHT else dark_twin(path), data)
    return path


def dark_twin(path: P) -> P:
    """Where the drawing for dark pages lies: `curves.png` -> `curves.dark.png`."""
    return path.with_name(f"{path.stem}.dark{path.suffix}")


def _png(pixels: np.ndarray) -> bytes:
    """uint8 (H, W, 4) as a PNG with 256 colours, which a chart does not miss: a third of the bytes."""
    import numpy as np
    from PIL import Image

    few = Image.fromarray(pixels[..., :3]).quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    # The background must be the page's colour exactly, or the picture shows as a box.
    colours, ground = few.getpalette() or [], int(np.asarray(few)[0, 0])
    colours[3 * ground : 3 * ground + 3] = [int(c) for c in pixels[0, 0, :3]]
    few.putpalette(colours)
    stream = io.BytesIO()
    few.save(stream, "PNG", compress_level=6)
    return stream.getvalue()


def label(text: object, most: int = 28) -> str:
    """A foreign name for a picture: one line, not too long."""
    line = one_line(str(text))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def plain_axes(axes: Axes) -> None:
    """No frame, ticks or grid: for pictures inside a picture."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
