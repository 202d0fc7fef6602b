"""Figures without pyplot: text that is drawn as it is written, files that are written whole and repeatably."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phispace import storage
from phispace.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#1d2329"
SOFT = "#68717b"
FORMATS = (".png", ".svg")


def plain(text: object, longest: int = 60) -> str:
    """Text for a picture: one line, only printable characters, shortened with an ellipsis.

    matplotlib reads `$` as mathematics; give `parse_math=False` with what comes from users.
    """
    line = "".join(c if c.isprintable() else " " for c in str(text))
    line = " ".join(line.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def new_figure(width: float, height: float) -> Figure:
    """A white figure of this size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def heading(figure: Figure, title: str, subtitle: str, left: float = 0.03) -> tuple[Any, Any]:
    """A title and one softer line below it, at the upper left; both are written as they are."""
    height = figure.get_figheight()
    top = figure.text(
        left, 1 - 0.22 / height, plain(title, 80), size=15, weight="bold", color=INK, va="top", parse_math=False
    )
    below = figure.text(left, 1 - 0.55 / height, plain(subtitle, 150), size=9.5, color=SOFT, va="top", parse_math=False)
    return top, below


def save_figure(figure: Figure, path: Path | str, dpi: int = 160) -> Path:
    """Write a figure as PNG or SVG, by the suffix; the same figure gives the same bytes.

    Raises:
        InputError: another suffix.
        StorageError: the disk refused.
    """
    import matplotlib as mpl

    path = Path(path)
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise InputError(f"Pictures are written as {' or '.join(FORMATS)}; got {path.name!r}.")
    with (
        storage.atomic_path(path) as temporary,
        warnings.catch_warnings(),
        mpl.rc_context({"svg.hashsalt": "phispace"}),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the font lacks a script; the rest is drawn
        metadata = {"Software": None} if kind == ".png" else {"Date": None}
        figure.savefig(temporary, format=kind[1:], dpi=dpi, metadata=metadata)
    return path
