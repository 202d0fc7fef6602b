"""Few labels on a leaderboard: the curves of all its methods in one figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phispace.metrics.seeds import Estimate, mean_over_seeds, mean_over_seeds_and_items
from phispace.report.document import Figure, Section
from phispace.report.entrants import Entrant, Score, scored
from phispace.report.figures.few_labels import few_label_curves
from phispace.report.leaderboard import Board
from phispace.report.style import LIGHT
from phispace.run import safe_name

CLASSIFIERS = ("linear", "centroid", "propagation")
Details = Mapping[str, Any]


def few_label_figure(board: Board, root: Path, figures: str | None, prefix: str = "") -> list[Section]:
    """The figure, where few-labels is among the board's scores and a run has its curves; nothing otherwise.

    Args:
        root: directory of the page.
        figures: folder below it for the picture; None draws none.
        prefix: of the title.
    """
    score = next((s for s in board.scores if s.evaluation == "few-labels"), None)
    if figures is None or score is None:
        return []
    found = {e.label: (e, over_seeds(details)) for e in board.entrants if (details := details_of(e, score))}
    learnt = [label for label, (e, _) in found.items() if not e.baseline]
    classifier = next((c for c in CLASSIFIERS if any(c in found[label][1]["curves"] for label in learnt)), None)
    if classifier is None:
        return []
    learnt = [label for label in learnt if classifier in found[label][1]["curves"]]
    shown = learnt[: len(LIGHT.series)]  # a colour each
    quiet = [label for label, (e, d) in found.items() if e.baseline and classifier in d["curves"]]
    curves = {label: found[label][1] for label in (*shown, *quiet)}
    classes = curves[shown[0]].get("classes") or []
    file = f"{figures}/few-labels-{safe_name(board.images)}.png"
    few_label_curves(
        curves, root / file, classifier=classifier, baselines=quiet, chance=1 / len(classes) if classes else None,
        title=f"{classifier.capitalize()} classifier on few labels",
    )  # fmt: skip
    caption = (
        "Means over draws of labelled items, the same for all; bands: 95 % intervals over draws, and over seeds too "
        "where there are several."
    )
    if len(learnt) > len(shown):
        caption += f" The {len(shown)} that stand first of {len(learnt)}."
    alt = f"Accuracy over the number of labelled items a class, for {', '.join(curves)}"
    return [Figure(title=f"{prefix}How far do few labels go?", path=file, alt=alt, caption=caption)]


def details_of(entrant: Entrant, score: Score) -> list[Details]:
    """Stored details with curves, of each of its runs that was scored under these options."""
    entries = [score.entry_of(scored(run), entrant.store) for run in entrant.runs]
    found = [(entry.get("details") or {}) for entry in entries if entry is not None]
    return [details for details in found if any((details.get("curves") or {}).values())]


def over_seeds(details: Sequence[Details]) -> Details:
    """The details of one run as they are; of several a curve each of the means over them.

    Its interval is over seeds and draws, which are crossed where all runs met the same number of draws, else over seeds
    alone; sizes that one of the runs lacks are left out.
    """
    curves = [{name: rows for name, rows in d["curves"].items() if rows} for d in details]
    if len(details) == 1:
        return {**details[0], "curves": curves[0]}
    merged: dict[str, list[dict[str, Any]]] = {}
    for name in curves[0]:
        by_size = [{row["per_class"]: row for row in c.get(name, ())} for c in curves]
        sizes = [size for size in by_size[0] if all(size in rows for rows in by_size)]
        rows = [_merged(size, [rows[size] for rows in by_size]) for size in sizes]
        if rows:
            merged[name] = rows
    return {**details[0], "curves": merged}


def _merged(size: int, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    draws = [row.get("values") or [] for row in rows]
    estimate: Estimate
    if len({len(values) for values in draws}) == 1 and len(draws[0]) > 1:
        estimate = mean_over_seeds_and_items(np.array(draws))
    else:
        estimate = mean_over_seeds(np.array([row["mean"] for row in rows]))
    low, high = estimate.interval
    known = math.isfinite(low)
    return {
        "per_class": size,
        "mean": estimate.value,
        "low": max(low, 0.0) if known else None,
        "high": min(high, 1.0) if known else None,
    }
