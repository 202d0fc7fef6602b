"""What of a run can be shown: its curves, confusions, maps and mosaics, found in its directory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phispace.errors import PhispaceError
from phispace.maps.base import Map
from phispace.report.document import Fact, Facts, Figure, Gallery, Number, Section, Text
from phispace.report.figures import Dot, confusion, dots, lines
from phispace.report.figures.matrices import MAX_CLASSES
from phispace.report.history import History
from phispace.report.scores import (
    evaluation_title,
    form_of,
    is_baseline,
    number_of,
    primary_of,
    score_title,
    store_name,
)
from phispace.run import Run, safe_name

FOLDER = "report"
# Quantities a colleague looks at first; the rest follows in the order of the file.
_FIRST = ("loss", "accuracy", "health_knn", "health_effective_rank")
_NAMES = {
    "health_knn": "k nearest neighbours",
    "health_effective_rank": "effective rank",
    "health_std": "spread (1: even, 0: collapsed)",
    "health_uniformity": "uniformity",
    "health_alignment": "alignment of two views (0: equal, 2: unrelated)",
}
MAX_CURVES = 6
MAX_CHARTS = 4
MAX_CONFUSIONS = 2
# Where many evaluations were run, these are drawn as well as told.
_CHARTED = ("linear", "knn", "retrieval", "clustering", "few-labels", "robustness")
QUALITY = {
    "trustworthiness": ("Trustworthiness", "of the neighbours on the map; 1 is perfect"),
    "continuity": ("Continuity", "of the true neighbours; 1 is perfect"),
    "knn_recall": ("k-NN recall", "share of the true neighbours that the map keeps"),
    "class_agreement": ("Class agreement", "share of neighbours on the map of the same class"),
    "class_agreement_representation": ("… in the vectors", "the same among the true neighbours"),
    "leak": ("Leak", "above 0 the map shows more class structure than the vectors have"),
}


def curves(run: Run, history: History | None) -> list[Section]:
    """Loss, accuracy and what else was logged, by epoch; training in grey, validation in colour."""
    if history is None or len(history.epochs) < 2:
        return []
    names = [q for q in (*_FIRST, *history.quantities()) if history.of(q)]
    best = _best_epoch(run)
    figures: list[Figure] = []
    drawn: set[str] = set()
    for quantity in dict.fromkeys(names):
        series = history.of(quantity)
        if all(sum(map(math.isfinite, values)) < 2 for values in series.values()) or _constant(series):
            continue
        if len(figures) == MAX_CURVES or repr(series) in drawn:
            continue  # a loss of one term is that term
        drawn.add(repr(series))
        words = _NAMES.get(quantity, quantity.replace("_", " ").replace("/", " "))
        named = dict(series)
        path = lines(
            history.epochs,
            named,
            run.path / FOLDER / f"{safe_name(quantity)}.png",
            title=words[:1].upper() + words[1:],
            form="share" if form_of(quantity) == "share" or quantity == "health_knn" else "number",
            quiet=("train",) if len(named) > 1 else (),
            mark=best if quantity in ("loss", "accuracy") else None,
            mark_label="chosen",
        )
        last = ", ".join(
            f"{name} {values[-1]:.4g}".strip() for name, values in named.items() if math.isfinite(values[-1])
        )
        figures.append(_figure(run, path, f"{words} by epoch; at the end {last}"))
    caption = (
        "By epoch; epoch 0 is the untrained network. Validation images are not trained on and not augmented. "
        "The dashed line marks the chosen checkpoint."
    )
    return [Gallery(title="How did training go?", figures=tuple(figures), caption=caption)] if figures else []


def _constant(series: Mapping[str, Sequence[float]]) -> bool:
    return all(len({v for v in values if math.isfinite(v)}) < 2 for values in series.values())


def _best_epoch(run: Run) -> float | None:
    value = (run.record.get("result") or {}).get("best_epoch")
    return float(value) if isinstance(value, (int, float)) else None


def score_chart(run: Run, entries: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Primary scores that are shares, with intervals, one chart an evaluation; of many evaluations the usual ones."""
    figures: list[Figure] = []
    names = list(dict.fromkeys(str(e["evaluation"]) for e in entries))
    if len(names) > MAX_CHARTS:
        names = [name for name in _CHARTED if name in names]
    for evaluation in names:
        mine = {str(e["store"]): e for e in entries if e["evaluation"] == evaluation}
        metric = next((m for e in mine.values() if (m := primary_of(e)) is not None), None)
        if metric is None or form_of(metric) != "share" or len(mine) < 2:
            continue
        rows = []
        for store, entry in mine.items():
            if store == "majority":
                continue  # so far below that all others would lie on one another
            number = number_of(entry, metric)
            value = math.nan if number.value is None else number.value
            rows.append(Dot(store_name(store), value, number.low, number.high, is_baseline(store)))
        if len(figures) == MAX_CHARTS or sum(math.isfinite(row.value) for row in rows) < 2:
            continue
        title = score_title(evaluation, metric)
        path = dots(rows, run.path / FOLDER / f"scores-{safe_name(evaluation)}.png", title=title)
        said = "; ".join(f"{r.name} {r.value:.1%}" for r in rows if math.isfinite(r.value))
        figures.append(_figure(run, path, f"{title} with 95 % intervals: {said}"))
    return [Gallery(figures=tuple(figures))] if figures else []


def confusions(run: Run, entries: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Confusion matrices of the learnt representation, where an evaluation kept one."""
    figures: list[Figure] = []
    order = {name: i for i, name in enumerate(("linear", "classifier", "knn"))}
    for entry in sorted(entries, key=lambda e: order.get(str(e["evaluation"]), len(order))):
        details = entry.get("details") or {}
        counts = details.get("confusion")
        if len(figures) == MAX_CONFUSIONS:
            break
        if counts is None or is_baseline(str(entry["store"])):
            continue
        classes = details.get("classes") or (run.record.get("task") or {}).get("classes") or range(len(counts))
        if not 2 <= len(counts) <= MAX_CLASSES or len(classes) != len(counts):
            continue
        title = evaluation_title(str(entry["evaluation"]))
        name = f"confusion-{safe_name(str(entry['evaluation']))}-{safe_name(str(entry['store']))}.png"
        path = confusion(
            counts, [str(c) for c in classes], run.path / FOLDER / name, title=f"{title}, {entry['store']}"
        )
        figures.append(_figure(run, path, f"Confusion matrix of the {title} on {entry['store']}"))
    caption = "Per cent of each true class, test images. The diagonal is grey so that the mistakes stand out."
    return [Gallery(title="Which classes are mixed up?", figures=tuple(figures), caption=caption)] if figures else []


def maps(run: Run) -> list[Section]:
    """Every stored map with its pictures and its measured faithfulness."""
    sections: list[Section] = []
    for file in sorted((run.path / "maps").glob("*.npz")):
        try:
            found = Map.open(file)
        except PhispaceError as error:
            sections.append(Text(title="" if sections else "Maps", paragraphs=(str(error),), tone="caution"))
            continue
        what = file.stem.removeprefix(found.method).strip("-").replace("-", ", ")
        title = f"{_projection(found.method)}: {what or 'map'}"
        sections += _map_sections(run, file, found, title)
    return sections


def _projection(method: str) -> str:
    """A projection's name for people."""
    from phispace.maps import REGISTRY

    return str(REGISTRY.get(method).title) if method in REGISTRY.names() else method


def _map_sections(run: Run, file: Path, found: Map, title: str) -> list[Section]:
    sections: list[Section] = []
    n = len(found.xy)
    captions = {
        "": (
            f"{n:,} images, coloured by class. Neighbourhoods can be read, as far as the numbers below "
            "say; distances between far groups and the groups' sizes cannot.",
            f"Scatter of {n} images in the plane by {found.method}, coloured by class",
        ),
        "-mosaic": ("Each image at its own place on the map.", "The images pasted at their places on the map"),
        "-grid": ("The same images on a grid: near their places, none covered.", "The images of the map on a grid"),
    }
    for suffix, (caption, alt) in captions.items():
        picture = file.with_name(f"{file.stem}{suffix}.png")
        if picture.is_file():
            part = _figure(run, picture, alt, caption=caption, title="" if sections else title)
            sections.append(part)
    facts = [
        Fact(name=name, value=Number(value=found.quality[key], reason="undefined for this map"), note=note)
        for key, (name, note) in QUALITY.items()
        if key in found.quality
    ]
    if facts:
        k, queries = (found.quality.get(key, math.nan) for key in ("k", "queries"))
        asked = f"Measured with the {k:.0f} nearest of {queries:,.0f} items." if k + queries > 0 else ""
        sections.append(Facts(title="" if sections else title, facts=tuple(facts), caption=asked))
    return sections


def _figure(run: Run, path: Path, alt: str, *, caption: str = "", title: str = "") -> Figure:
    return Figure(path=path.relative_to(run.path).as_posix(), alt=alt, caption=caption, title=title)
