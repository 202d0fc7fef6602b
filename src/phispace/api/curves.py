"""Losses of several runs in one figure, over iterations, the total and each term."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from phispace.api.learn import open_run
from phispace.errors import InputError
from phispace.run import Run

_FIRST = ("loss", "reconstruction", "kl")
_SKIPPED = ("learning_rate", "images_per_second")

Curve = tuple[list[float], list[float]]


def draw_curves(
    runs: Sequence[Run | Path | str],
    out: Path | str,
    *,
    terms: Sequence[str] | None = None,
    validation: bool = False,
    title: str = "",
) -> Path:
    """Draw them and write `out` (.png).

    Args:
        runs: of any methods; a run that has no such term is not in that panel.
        terms: names of the loss's terms; by default all of all runs.
        validation: the validation losses, one value an epoch; otherwise the training losses, where TensorBoard's files
            are there a value every `training.log_every` steps, else each epoch's mean.

    Raises:
        InputError: no runs, two of one name, or a term that no run has.
    """
    from phispace.report.figures.latents import loss_curves

    found: dict[str, dict[str, Curve]] = {}
    for source in runs:
        run = open_run(source)
        if run.name in found:
            raise InputError(f"Two runs are named {run.name!r}; lines need names of their own. Rename a directory.")
        found[run.name] = by_epoch(run, "val_") if validation else (by_step(run) or by_epoch(run, "train_"))
    there = list(dict.fromkeys(term for curves in found.values() for term in curves))
    there = [*(t for t in _FIRST if t in there), *(t for t in there if t not in _FIRST)]
    wrong = [term for term in terms or () if term not in there]
    if wrong or not there:
        raise InputError(
            f"None of the runs logged the term {wrong[0]!r}; there are: {', '.join(there)}."
            if wrong
            else "The runs have logged no losses yet; train them for at least an epoch."
        )
    shown = {name: {t: curves[t] for t in terms or there if t in curves} for name, curves in found.items()}
    return loss_curves(shown, out, title=title or f"{'Validation' if validation else 'Training'} losses")


def by_epoch(run: Run, prefix: str) -> dict[str, Curve]:
    """Term -> (steps, values), from metrics.csv: `train_` are means over the epoch, `val_` are at its end."""
    from phispace.training.table import read_table

    table = run.path / "metrics.csv"
    curves: dict[str, Curve] = {}
    for row in read_table(table) if table.exists() else []:
        for key, value in row.items():
            if key.startswith(prefix) and isinstance(value, float):
                steps, values = curves.setdefault(key.removeprefix(prefix), ([], []))
                steps.append(float(row["step"]))
                values.append(value)
    return curves


def by_step(run: Run) -> dict[str, Curve]:
    """Term -> (steps, values) of the training batches that TensorBoard's files hold; empty where there are none.

    Where a run was cut and went on, a step may be there twice: the later one counts. The means of whole epochs, which
    lie under the same names, are left out.
    """
    folder = run.path / "tensorboard"
    if not any(folder.rglob("events.out.tfevents.*")):
        return {}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from phispace.training.table import read_table

    table = run.path / "metrics.csv"
    ends = {int(row["step"]) for row in (read_table(table) if table.exists() else [])}
    merged: dict[str, dict[int, float]] = {}
    for path in sorted(folder.rglob("events.out.tfevents.*")):
        events: Any = EventAccumulator(str(path), size_guidance={"scalars": 0})
        events.Reload()
        for tag in events.Tags()["scalars"]:
            group, _, term = tag.partition("/")
            if group != "train" or term in _SKIPPED:
                continue
            points = {int(e.step): float(e.value) for e in events.Scalars(tag) if int(e.step) not in ends}
            merged.setdefault(term, {}).update(points)
    ordered = {term: sorted(points.items()) for term, points in merged.items() if points}
    return {term: ([float(s) for s, _ in points], [v for _, v in points]) for term, points in ordered.items()}
