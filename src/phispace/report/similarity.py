"""A section from stored scores: how like the representations are to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phispace.report.document import Figure, Gallery, Section
from phispace.report.figures.matrices import heat
from phispace.report.scores import by_options, short_name
from phispace.run import Run

Entry = Mapping[str, Any]
TITLES = {
    "cka": "Linear CKA, debiased",
    "cka_biased": "Linear CKA, biased",
    "procrustes": "Procrustes similarity",
    "mutual_knn": "Share of neighbours in common",
}


def similarity_section(run: Run, entries: Sequence[Entry], folder: str = "report") -> list[Section]:
    """Heat maps of the similarities between the representations that were scored together."""
    figures: list[Figure] = []
    for group in by_options(entries, "cka")[:1]:
        rows = {str(e["store"]): (e.get("details") or {}).get("others") or {} for e in group}
        labels = [s for s in rows if rows[s] or any(s in others for others in rows.values())]
        if len(labels) < 2:
            continue
        names = [short_name(s) for s in labels]
        for measure, title in TITLES.items():
            if measure == "cka_biased":
                continue  # beside the debiased one it says nothing more
            table = np.array([[_between(rows, a, b, measure) for b in labels] for a in labels])
            if np.isfinite(table[~np.eye(len(labels), dtype=bool)]).any():
                path = heat(table, names, names, run.path / folder / f"similarity-{measure}.png", title=title)
                alt = f"{title} between {', '.join(names)}"
                figures.append(Figure(path=path.relative_to(run.path).as_posix(), alt=alt, width="half"))
    caption = (
        "Over the same test images. 1: the same up to rotation and scale. It is no quality: it says who is like whom."
    )
    return (
        [Gallery(title="How like are they to each other?", figures=tuple(figures), caption=caption)] if figures else []
    )


def _between(rows: Mapping[str, Mapping[str, Any]], a: str, b: str, measure: str) -> float:
    if a == b:
        return 1.0
    found = rows[a].get(b) or rows[b].get(a) or {}
    value = found.get(measure)
    return float("nan") if value is None else float(value)
