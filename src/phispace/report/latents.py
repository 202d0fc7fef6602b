"""Sections about a code: whether it has collapsed, and the pictures that `phispace latents` and `reconstruct` drew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phispace import storage
from phispace.errors import PhispaceError
from phispace.report.document import Figure, Gallery, Section, Text
from phispace.run import Run

FOLDER = "latents"
RECONSTRUCTIONS = "reconstructions.png"
_PICTURES = {
    "scatter": ("The code of test images, by class", "Two dimensions of the code, coloured by class"),
    "grid": ("What the decoder makes of codes over the quantiles of the prior", "Images decoded from a grid of codes"),
    "traversals": ("One dimension changed at a time, the one that carries most first", "Traversals of the dimensions"),
    "interpolations": ("Between two images, along a line and along an arc", "Images decoded between pairs of images"),
    "samples": ("Drawn from the prior, none chosen", "Images decoded from draws of the prior"),
    "kl": ("What each dimension carries", "Bars of the KL divergence of each dimension from the prior"),
}

_GENERATED = {
    "interpolations": ("From one drawn code to another", "Images made of codes between pairs of drawn ones"),
    "samples": ("Made of drawn codes, none chosen", "Images that the generator makes of drawn codes"),
}


def latent_sections(run: Run) -> list[Section]:
    """A collapse in words, if the run's record names one, and the pictures that are there."""
    sections: list[Section] = []
    health = str(run.record.get("health") or "")
    if "POSTERIOR COLLAPSE" in health or health.startswith("Partial posterior collapse"):
        sections.append(Text(title="Is the whole code in use?", paragraphs=(health,), tone="caution"))
    if (run.path / RECONSTRUCTIONS).is_file():
        sections.append(
            Figure(
                title="What comes back from the code?", path=RECONSTRUCTIONS,
                alt="Test images above their reconstructions",
                caption="The first row are images, below them what the decoder makes of their codes.", pixelated=True,
            )
        )  # fmt: skip
    numbers = _numbers(run)
    if not numbers:
        return sections
    generator = numbers.get("generator") is True
    pictures = _PICTURES | (_GENERATED if generator else {})
    figures = tuple(
        Figure(path=f"{FOLDER}/{name}.png", alt=alt, caption=caption)
        for name, (caption, alt) in pictures.items()
        if (run.path / FOLDER / f"{name}.png").is_file()
    )
    if generator and figures:
        sections.append(Gallery(title="What does the generator make?", figures=figures))
    elif figures:
        used = f"{numbers.get('active_units')} of {numbers.get('dimensions')} dimensions of the code are in use"
        total = numbers.get("kl_total")
        carried = f", {total:.1f} nats in all" if isinstance(total, float) else ""
        sections.append(Gallery(title="What is in the code?", figures=figures, caption=f"{used}{carried}."))
    return sections


def _numbers(run: Run) -> Mapping[str, Any]:
    path = run.path / FOLDER / "latents.json"
    if not path.is_file():
        return {}
    try:
        return storage.read_json(path)
    except PhispaceError:
        return {}  # damaged: the pictures are drawn again by the verb
