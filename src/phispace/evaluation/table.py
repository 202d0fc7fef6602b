"""The table of scores: several stores (a method and its baselines) under the same evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation import REGISTRY
from phispace.evaluation.base import Scores
from phispace.evaluation.evaluate import evaluate, resolve_names
from phispace.metrics.intervals import wilson
from phispace.progress import SILENT, Progress
from phispace.storage import jsonable

MAJORITY = "majority class"
MAJORITY_METRIC = "majority"


def score_table(
    stores: Mapping[str, Embeddings],
    names: Sequence[str],
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Score several stores and put all numbers into rows.

    A store that lacks what an evaluation needs gets a row whose value is None, with the reason: the table of a
    foreign or unlabelled store is still a table.

    Args:
        stores: label -> store, for example {"supervised fc1": ..., "untrained": ..., "pca": ..., "pixels": ...}.
        names: registered evaluations, or `["all"]`.

    Returns:
        rows as `table_rows` makes them; the majority class has its own row after the stores.
    """
    progress = progress or SILENT
    chosen = resolve_names(names)
    found: dict[str, dict[str, Scores | str]] = {label: {} for label in stores}
    with progress.task("Scoring", total=len(stores) * len(chosen)) as task:
        for label, store in stores.items():
            for name in chosen:
                task.note(f"{label}: {name}")
                own = {name: options[name]} if options and name in options else None
                try:
                    found[label][name] = evaluate(store, [name], options=own, seed=seed)[name]
                except InputError as error:
                    found[label][name] = str(error)
                task.advance()
    return table_rows(found)


def table_rows(found: Mapping[str, Mapping[str, Scores | str]]) -> list[dict[str, Any]]:
    """Rows of plain values, grouped by evaluation, then store, then metric.

    Args:
        found: store -> evaluation -> its scores, or why there are none.

    Returns:
        objects with `store`, `evaluation`, `title`, `metric`, `value` (None = undefined), `interval` ([low, high] or
        None), `n`, `caveats`, `primary` (whether it is the evaluation's first metric) and `higher_is_better` (for the
        primary one, else None).
    """
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys(n for by_name in found.values() for n in by_name):
        kind = REGISTRY.get(name)
        majority: dict[str, Any] | None = None
        for label, by_name in found.items():
            scores = by_name.get(name)
            if scores is None:
                continue
            if isinstance(scores, str):
                scores = Scores({kind.primary: float("nan")}, caveats=[scores])
            for metric, value in scores.metrics.items():
                row = _row(label, kind, name, metric, value, scores)
                if metric != MAJORITY_METRIC:
                    rows.append(row)
                elif row["value"] is not None and majority is None:
                    n = scores.n.get("test", 0)
                    row |= {"store": MAJORITY, "metric": kind.primary, "primary": True, "caveats": []}
                    row |= {"interval": list(wilson(round(value * n), n)), "higher_is_better": True}
                    majority = row
        if majority is not None:
            rows.append(majority)
    plain: list[dict[str, Any]] = jsonable(rows)
    return plain


def _row(label: str, kind: Any, name: str, metric: str, value: float, scores: Scores) -> dict[str, Any]:
    primary = metric == kind.primary
    interval = scores.interval.get(metric)
    return {
        "store": label,
        "evaluation": name,
        "title": kind.title,
        "metric": metric,
        "value": None if value != value else value,
        "interval": list(interval) if interval else None,
        "n": dict(scores.n),
        "caveats": list(scores.caveats),
        "primary": primary,
        "higher_is_better": kind.higher_is_better if primary else None,
    }
