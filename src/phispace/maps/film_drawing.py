"""A film as an animated WebP or GIF, as a folder of PNG frames, and its numbers as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from phispace import storage
from phispace.errors import InputError
from phispace.maps.figure import INK, SOFT, heading, new_figure, save_figure
from phispace.maps.film import DISPLACEMENT_BAR, LEAK_BAR, TRUST_BAR, Film
from phispace.maps.film_stage import Stage
from phispace.maps.mosaic import positions_in
from phispace.progress import SILENT, Progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL import Image

    from phispace.data.imageset import ImageSet

FORMATS = ("webp", "gif")
_TITLES = {
    "warm": "t-SNE, each frame started from the one before",
    "constant": "t-SNE, each frame started from the one before",
    "full": "t-SNE, each frame started from the one before, shrunk",
    "independent": "t-SNE, each frame fitted alone (not comparable)",
    "identity": "The two dimensions of the code, as they are",
}


def draw_film(
    film: Film,
    out_dir: Path | str,
    *,
    images: ImageSet | None = None,
    title: str | None = None,
    in_betweens: int = 10,
    seconds: float = 1.2,
    between_seconds: float = 0.6,
    formats: Sequence[str] = FORMATS,
    size: tuple[int, int] = (880, 700),
    thumbnail: int = 20,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Write the animation, its frames and its numbers.

    Real frames carry epoch, accuracy and their numbers; in-betweens say that they are drawn, have a dashed frame and
    grey italics, and their files end in `-drawn`.

    Args:
        film: from `fit_frames`.
        out_dir: gets film.webp, film.gif, frames/*.png and numbers.png; older ones are replaced.
        images: thumbnails of these in place of points.
        title: first line; by default the strategy.
        in_betweens: drawn frames between two real ones, eased at both ends.
        seconds: how long a real frame stands.
        between_seconds: how long the way to the next takes.
        formats: of `webp` and `gif`; none leaves the PNG frames.
        size: (width, height) in pixels.
        thumbnail: longer side in pixels.

    Returns:
        paths by `webp`, `gif`, `frames` (the folder) and `numbers`.

    Raises:
        InputError: an unknown format, a negative number, or items without an image.
    """
    out_dir = Path(out_dir)
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise InputError(f"Films are written as {' or '.join(FORMATS)}; got {', '.join(unknown)}.")
    if in_betweens < 0 or seconds <= 0 or between_seconds <= 0 or thumbnail < 4 or min(size) < 300:
        raise InputError(
            "A film needs in_betweens of at least 0, seconds above 0, thumbnails of at least 4 and sides of at least "
            f"300 pixels; got {in_betweens}, {seconds}, {between_seconds}, {thumbnail} and {size}."
        )
    positions = None if images is None else positions_in(film.frame(0), images)
    stage = Stage(film, size, title if title is not None else _TITLES[film.strategy], images, positions, thumbnail)
    folder = out_dir / "frames"
    for old in folder.glob("[0-9][0-9][0-9][0-9]-*.png"):
        old.unlink()
    pictures: list[Image.Image] = []
    durations: list[int] = []
    total = len(film) + (len(film) - 1) * in_betweens
    with (progress or SILENT).task("Drawing the film", total=total) as task:
        for number, (t, share) in enumerate(schedule(len(film), in_betweens)):
            xy = film.xy[t] if share == 0 else film.xy[t] + ease(share) * (film.xy[t + 1] - film.xy[t])
            picture = _picture(stage.render(xy, t, share))
            with storage.atomic_path(folder / f"{number:04d}-{_name(film, t, share)}.png") as temporary:
                picture.save(temporary, format="PNG", compress_level=6)
            pictures.append(picture)
            durations.append(round(1000 * (seconds if share == 0 else between_seconds / in_betweens)))
            task.advance()
    made = {"frames": folder}
    with (progress or SILENT).task("Writing the animation", total=len(formats)) as task:
        for kind in formats:
            made[kind] = animate(pictures, durations, out_dir / f"film.{kind}", kind)
            task.advance()
    made["numbers"] = draw_numbers(film, out_dir / "numbers.png")
    return made


def schedule(frames: int, in_betweens: int) -> list[tuple[int, float]]:
    """(t, share) of each picture: share 0 is the real frame t, above 0 an in-between on the way to t + 1."""
    out: list[tuple[int, float]] = []
    for t in range(frames):
        out.append((t, 0.0))
        if t + 1 < frames:
            out.extend((t, k / (in_betweens + 1)) for k in range(1, in_betweens + 1))
    return out


def ease(share: float) -> float:
    """3 s^2 - 2 s^3: slow at both ends."""
    return share * share * (3 - 2 * share)


def draw_numbers(film: Film, path: Path | str) -> Path:
    """The numbers of each frame in four small plots, each with its bar."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(9.6, 7.0)
    epochs = [caption.epoch for caption in film.captions]
    where = [float(t) if e is None else float(e) for t, e in enumerate(epochs)]
    summary = film.summary()
    panels = [figure.add_axes((0.075 + 0.49 * (k % 2), 0.585 - 0.455 * (k // 2), 0.41, 0.255)) for k in range(4)]
    x_name = "epoch" if all(e is not None for e in epochs) else "frame"

    alone = film.column("displacement_independent")
    _panel(panels[0], "Displacement since the frame before, in map radii")
    _line(panels[0], where, alone, "independent fits", SOFT, "--")
    _line(
        panels[0],
        where,
        np.where(np.isfinite(alone), DISPLACEMENT_BAR * summary["displacement_independent"], np.nan),
        "bar: a quarter of theirs",
        "#d55e00",
        ":",
    )
    _line(panels[0], where, film.column("displacement"), "this film", "#0072b2", "-")
    panels[0].set_ylim(bottom=0)

    trust = film.column("trustworthiness_independent")
    _panel(panels[1], "Trustworthiness")
    _line(panels[1], where, trust, "independent fits", SOFT, "--")
    _line(panels[1], where, trust - TRUST_BAR, f"bar: {TRUST_BAR} below theirs", "#d55e00", ":")
    _line(panels[1], where, film.column("trustworthiness"), "this film", "#0072b2", "-")

    _panel(panels[2], "Class agreement of ten neighbours")
    agreement = film.column("class_agreement_representation")
    panels[2].fill_between(
        where, agreement - LEAK_BAR, agreement + LEAK_BAR, color="#d55e00", alpha=0.13, linewidth=0,
        label=f"bar: within {LEAK_BAR}",
    )  # fmt: skip
    _line(panels[2], where, agreement, "in the representation", SOFT, "--")
    _line(panels[2], where, film.column("class_agreement"), "in the map", "#0072b2", "-")

    _panel(panels[3], "Neighbours")
    _line(panels[3], where, film.column("churn"), "changed since the frame before", "#882255", "-")
    _line(panels[3], where, film.column("knn_recall"), "kept by the map", "#0072b2", "-")
    _line(panels[3], where, film.column("stability"), "movement follows change", "#44aa99", "-")
    margin = 0.04 * max(max(where) - min(where), 1)
    for panel in panels:
        panel.set_xlabel(x_name, fontsize=8.5, color=SOFT, labelpad=1)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(
                fontsize=7.5, frameon=False, labelcolor=INK, loc="upper left", bbox_to_anchor=(-0.02, -0.19), ncols=2,
                columnspacing=1.4, handlelength=1.8,
            )  # fmt: skip
        panel.set_xlim(min(where) - margin, max(where) + margin)
        panel.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    ratio = summary["displacement_ratio"]
    parts = []
    if np.isfinite(ratio):
        parts.append(f"points move {ratio:.2f} times as far as between independent fits")
    if np.isfinite(summary["trustworthiness_loss_worst"]):
        parts.append(f"worst loss of trustworthiness {summary['trustworthiness_loss_worst']:+.3f}")
    if np.isfinite(summary["leak_worst"]):
        parts.append(f"worst leak {summary['leak_worst']:+.3f}")
    heading(figure, "How far to believe this film", " · ".join(parts))
    return save_figure(figure, path)


def _panel(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.tick_params(labelsize=8, colors=SOFT, length=3)
    axes.grid(axis="y", color="#e8ebee", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#c9cdd2")


def _line(axes: Axes, x: list[float], y: np.ndarray, name: str, colour: str, style: str) -> None:
    """A line with a dot a frame; left out where nothing is known."""
    if np.isfinite(y).any():
        marker = "o" if style == "-" else ""
        axes.plot(x, y, color=colour, linestyle=style, marker=marker, markersize=3.5, linewidth=1.6, label=name)


def _name(film: Film, t: int, share: float) -> str:
    epoch = film.captions[t].epoch
    where = f"frame-{t:03d}" if epoch is None else f"epoch-{epoch:g}"
    return f"{where}-plus-{round(100 * share):02d}-drawn" if share else where


def _picture(pixels: np.ndarray) -> Image.Image:
    from PIL import Image as PILImage

    return PILImage.fromarray(pixels)


def animate(pictures: list[Image.Image], durations: list[int], path: Path, kind: str) -> Path:
    """Write all pictures into one animated file that repeats for ever."""
    from PIL import Image as PILImage

    with storage.atomic_path(path) as temporary:
        if kind == "webp":
            pictures[0].save(
                temporary, format="WEBP", save_all=True, append_images=pictures[1:], duration=durations, loop=0,
                quality=70, method=4,
            )  # fmt: skip
        else:
            # One palette for all frames, taken from the real and the middle ones: colours must not flicker.
            sample = pictures[:: max(1, len(pictures) // 8)]
            strip = PILImage.new("RGB", (sample[0].width, sample[0].height * len(sample)))
            for k, picture in enumerate(sample):
                strip.paste(picture, (0, k * picture.height))
            palette = strip.quantize(128, method=PILImage.Quantize.MEDIANCUT)
            colours = np.array(palette.getpalette()).reshape(-1, 3)
            colours[colours.sum(axis=1).argmax()] = 255  # the mean of almost white is not white
            palette.putpalette(colours.ravel().tolist())
            frames = [p.quantize(palette=palette, dither=PILImage.Dither.NONE) for p in pictures]
            frames[0].save(
                temporary, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0,
                optimize=False, disposal=1,
            )  # fmt: skip
    return path
