"""How like representations are to each other: between layers, epochs, methods; heat maps and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phispace.api.representations import Representation, gather
from phispace.api.sources import run_of
from phispace.progress import Progress

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet
    from phispace.embeddings.store import Embeddings
    from phispace.evaluation.similarity import Similarities
    from phispace.run import Run

MEASURES = ("cka", "procrustes", "mutual_knn")
"""What is measured unless others are named; `phispace.evaluation.similarity.MEASURES` are all."""

_PRINTED = 16  # columns that a terminal shows in one line


@dataclass(frozen=True)
class DrawnSimilarities:
    """Attributes:
    found: labels, matrices by measure, caveats.
    representations: in the order of the labels.
    files: measure -> heat map; `numbers` is the JSON file beside them.
    """

    found: Similarities
    representations: list[Representation]
    files: dict[str, Path]

    def lines(self) -> list[str]:
        """The matrices for a terminal: rows by name, columns by number."""
        from phispace.report.similarity import TITLES

        lines: list[str] = []
        if len(self.found.labels) > _PRINTED:
            return [f"{len(self.found.labels)} representations: the numbers are in the file.", *self.found.caveats]
        names = [f"{i + 1} {name}" for i, name in enumerate(self.found.labels)]
        width = max(map(len, names))
        for measure, table in self.found.matrices.items():
            lines += [TITLES[measure], " " * width + "".join(f"{i + 1:>7}" for i in range(len(names)))]
            cells = [["n/a" if not np.isfinite(v) else f"{v:.3f}" for v in row] for row in table]
            lines += [f"{n:<{width}}" + "".join(f"{c:>7}" for c in row) for n, row in zip(names, cells, strict=True)]
            lines.append("")
        return [*lines, *self.found.caveats]


def draw_similarities(
    *sources: Run | Path | str | Embeddings,
    layers: Sequence[str] = ("features",),
    checkpoints: Sequence[str] = ("best",),
    measures: Sequence[str] = MEASURES,
    split: str = "auto",
    items: int = 2000,
    out: Path | str | None = None,
    images: str | Path | ImageSet | None = None,
    data_dir: Path | None = None,
    seed: int = 0,
    command: str = "",
    progress: Progress | None = None,
) -> DrawnSimilarities:
    """Compare every two of some representations of the same images, and draw a heat map a measure.

    All combinations of sources, layers and checkpoints are compared; items are paired by id.

    Args:
        sources: runs, stores, or files of embeddings.
        layers: each is taken of the runs that have it; `all` = all layers of each run.
        checkpoints: names, `best`, `last`, or `all` = one each epoch.
        measures: `cka` (debiased), `cka_biased`, `procrustes`, `mutual_knn`.
        split: of the first run (without runs, of the first store); auto = test, else val, else train, else unlabelled.
        items: at most so many images, drawn at random of those in common.
        out: directory; by default RUN/similarity for one run, else `similarity`.
        images: in place of the runs' own.
        command: what the JSON file names as the command that made it.

    Raises:
        InputError: fewer than two representations, different images, or a layer that no run has.
        DataError, RunError: as for what the sources are.
    """
    from phispace import storage
    from phispace.evaluation.similarity import check_measures, similarities
    from phispace.report.figures.matrices import heat
    from phispace.report.similarity import TITLES

    measures = tuple(dict.fromkeys(measures))
    check_measures(measures)
    made, caveats = gather(
        sources, layers=layers, checkpoints=checkpoints, split=split, items=items, images=images, data_dir=data_dir,
        seed=seed, progress=progress,
    )  # fmt: skip
    labels, common = names_of(made)
    stores = {label: one.store for label, one in zip(labels, made, strict=True)}
    found = similarities(stores, measures=measures, split="auto", max_items=items, seed=seed)
    found.caveats[:0] = caveats
    run = run_of(sources[0]) if len(sources) == 1 else None
    folder = Path(out) if out is not None else run.path / "similarity" if run is not None else Path("similarity")
    files = {}
    for measure, table in found.matrices.items():
        title = f"{TITLES[measure]}: {common}" if common else TITLES[measure]
        files[measure] = heat(
            table, labels, labels, folder / f"{measure}.png", title=title, label=TITLES[measure], most=30
        )
    files["numbers"] = folder / "similarity.json"
    settings = {"seed": seed, "items": items, "images": None if images is None else str(images)}
    storage.write_json(files["numbers"], _numbers(found, made) | {"settings": settings, "command": command})
    return DrawnSimilarities(found, made, files)


def names_of(made: Sequence[Representation]) -> tuple[list[str], str]:
    """A label each, of the parts in which they differ; and what all have in common, for a title."""
    parts = [(one.source, one.layer, one.checkpoint) for one in made]
    varies = [len({part[i] for part in parts if part[i]}) > 1 for i in range(3)]
    labels = [
        " · ".join(word for i, word in enumerate(part) if word and (varies[i] or not part[1])) or part[0]
        for part in parts
    ]
    common = "" if any(not layer for _, layer, _ in parts) else ", ".join(
        word for i, word in enumerate(parts[0]) if word and not varies[i]
    )  # fmt: skip
    return labels, common


def _numbers(found: Similarities, made: Sequence[Representation]) -> dict[str, Any]:
    told = [
        {"label": label, "source": one.source, "layer": one.layer or None, "checkpoint": one.checkpoint or None}
        | {"dimensions": one.width, **one.about}
        for label, one in zip(found.labels, made, strict=True)
    ]
    return {
        "format": "phispace.similarity", "split": found.split, "n": found.n, "representations": told,
        "measures": {name: table.tolist() for name, table in found.matrices.items()}, "caveats": found.caveats,
    }  # fmt: skip
