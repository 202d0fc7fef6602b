"""Stored scores as tables: results, baselines, intervals, caveats as footnotes.

A row of scores.json has `evaluation`, `store`, `metrics`, and where known `interval`, `n`, `caveats`, `details`,
`options`. Stores that are not results of learning (`pixels`, `pca`, `untrained`, `majority`) are baselines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from phispace.errors import PhispaceError
from phispace.report.document import Column, Fact, Form, Number, Row, Table
from phispace.report.emphasis import emphasise

Entry = Mapping[str, Any]
USUAL_LAYER = "features"
BASELINES = ("pixels", "pca", "untrained", "majority", "mean-image")
_NAMES = {
    "pixels": "raw pixels",
    "pca": "PCA of the pixels",
    "untrained": "the same encoder, untrained",
    "majority": "majority class",
    "mean-image": "the mean training image",
}
_SHARES = (
    "accuracy",
    "recall",
    "precision",
    "purity",
    "agreement",
    "majority",
    "f1",
    "map",
    "top",
    "trustworthiness",
    "linear",
    "centroid",
    "propagation",
)
_METRICS = {
    "rankme": "effective rank (RankMe)",
    "map": "mean average precision",
    "nmi": "NMI",
    "ari": "ARI",
    "two_nn": "by TwoNN",
    "hoyer": "Hoyer's",
    "linear_20": "linear, 20 labels a class",
    "accuracy_5shot": "accuracy with 5 shots",
    "mig": "MIG",
    "mse": "mean squared error",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "sap": "SAP",
}


def is_baseline(store: str, main: Sequence[str] | None = None) -> bool:
    """Whether a store's label names a baseline; with `main` given, everything else is one."""
    if main is not None:
        return not any(store == m or store.startswith(f"{m} @ ") for m in main)
    return rule(store) in BASELINES


def store_name(store: str) -> str:
    """A store's label for people; what follows a baseline's name stays with it: `PCA 16 components`."""
    kind = rule(store)
    if kind not in _NAMES:
        return store
    more = store[len(kind) :].partition("@")[0].strip()
    if kind == "pca" and more and not more[0].isdecimal():
        more = f"as wide as {more}"
    return f"{_NAMES[kind]}, {more}" if more else _NAMES[kind]


def short_name(store: str) -> str:
    """The same for the small places of a figure."""
    kind, _, more = store.partition(" @ ")[0].partition(" ")
    short = {"pca": "PCA of pixels", "untrained": "untrained encoder"}.get(kind.lower())
    return store_name(store) if short is None else f"{short}, {more}" if more else short


def baseline_label(kind: str, layer: str) -> str:
    """Label of the store that a layer is held against, where it is another one for each layer: `untrained block2`."""
    return kind if layer == USUAL_LAYER else f"{kind} {layer}"


def rival_label(entries: Sequence[Entry], kind: str, layer: str) -> str | None:
    """The label under which the baseline of this kind was scored for a layer; a file may have one for all layers."""
    there = {str(e["store"]) for e in entries if rule(str(e["store"])) == kind}
    return next((label for label in (f"{kind} {layer}", kind) if label in there), None)


def rule(store: str) -> str:
    """What kind of store a label names: `PCA @ best` is a `pca`."""
    return store.split(" ")[0].split("@")[0].lower()


def metric_name(metric: str) -> str:
    """A metric's name for people."""
    return _METRICS.get(metric, metric.replace("_", " "))


def form_of(metric: str) -> Form:
    """How a metric of this name is written."""
    words = metric.lower().replace("-", "_").split("_")
    return "share" if any(word.startswith(s) for word in words for s in _SHARES) else "number"


def number_of(entry: Entry, metric: str, *, caveats: bool = True) -> Number:
    """One metric of a score, with its interval and caveats; undefined where the score does not have it."""
    value = entry.get("metrics", {}).get(metric)
    notes = [str(c) for c in entry.get("caveats", [])]
    if value is None or not math.isfinite(value):
        reason = next((n for n in notes if metric in n), " ".join(notes)) or f"{metric} was not measured here."
        return Number(value=None, form=form_of(metric), reason=reason)
    low, high = (entry.get("interval", {}).get(metric) or (None, None))[:2]
    return Number(value=value, low=low, high=high, form=form_of(metric), notes=tuple(notes) if caveats else ())


@cache
def _declared(evaluation: str) -> tuple[str, str | None, bool | None]:
    """Title, primary metric and direction of a registered evaluation; unknown ones are named as they are."""
    try:
        from phispace.registry import registry

        found = registry("evaluations").get(evaluation)
        return str(found.title), str(found.primary), bool(found.higher_is_better)
    except (PhispaceError, ImportError, AttributeError):
        return evaluation, None, None


def primary_of(entry: Entry) -> str | None:
    """The metric that tables show first, or None if the score has no metric at all."""
    _, primary, _ = _declared(str(entry["evaluation"]))
    metrics = entry.get("metrics", {})
    return primary if primary in metrics else next(iter(metrics), None)


def is_higher_better(evaluation: str, metric: str) -> bool | None:
    """Whether a higher value of this metric is better; None where there is no better."""
    _, primary, higher = _declared(evaluation)
    # Neither has a best: a rank can be too low, but the highest one is not therefore the best; and two alike
    # representations are not better than two different ones.
    if evaluation in ("health", "cka", "intrinsic-dimension"):
        return None
    return higher if metric == primary else True if form_of(metric) == "share" else None


def evaluation_title(evaluation: str) -> str:
    """An evaluation's name for people."""
    return capital(_declared(evaluation)[0])


def score_title(evaluation: str, metric: str) -> str:
    """A score's name for people: the evaluation's, and the metric's where it says more."""
    title, name = evaluation_title(evaluation), metric_name(metric)
    return title if name.lower() in title.lower() else f"{title}: {name}"


def verb_of(evaluation: str) -> str | None:
    """The verb that scores it, where that is not `evaluate`."""
    return {"reconstruction": "reconstruct", "bounds": "bounds"}.get(evaluation)


def capital(title: str) -> str:
    """The title with a capital, but `k nearest neighbours` stays as it is."""
    return title if title[1:2] in ("-", " ") else title[:1].upper() + title[1:]


def by_options(entries: Sequence[Entry], evaluation: str) -> list[list[Entry]]:
    """The entries of one evaluation, those of the same options together."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry["evaluation"] == evaluation:
            groups.setdefault(repr(sorted((entry.get("options") or {}).items())), []).append(entry)
    return list(groups.values())


def _variants(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """(evaluation, how its options differ from the other entries of this evaluation), in order."""
    return list(dict.fromkeys((str(e["evaluation"]), _options_text(e, entries)) for e in entries))


def _options_text(entry: Entry, entries: Sequence[Entry]) -> str:
    same = [e.get("options") or {} for e in entries if e["evaluation"] == entry["evaluation"]]
    own = entry.get("options") or {}
    keys = sorted({k for o in same for k in o if any(o.get(k) != other.get(k) for other in same)})
    return ", ".join(f"{k} {own[k]}" for k in keys if k in own)


def score_table(entries: Sequence[Entry], *, title: str = "", main: Sequence[str] | None = None) -> Table:
    """Stores as rows, the primary metric of each evaluation as columns."""
    variants = _variants(entries)
    columns, keys = [], []
    for evaluation, options in variants:
        some = next(e for e in entries if e["evaluation"] == evaluation and _options_text(e, entries) == options)
        metric = primary_of(some)
        if metric is None:
            continue
        _, primary, _ = _declared(evaluation)
        head = score_title(evaluation, metric) + (f" ({options})" if options else "")
        direction = is_higher_better(evaluation, metric) if metric == primary else None
        columns.append(Column(title=head, form=form_of(metric), higher_is_better=direction))
        keys.append((evaluation, options, metric))
    found = {(str(e["store"]), str(e["evaluation"]), _options_text(e, entries)): e for e in entries}
    rows = []
    for store in dict.fromkeys(str(e["store"]) for e in entries):
        cells: list[Number | None] = []
        for evaluation, options, metric in keys:
            entry = found.get((store, evaluation, options))
            if entry is not None and store == "majority" and entry["metrics"].get(metric) is None:
                entry = None  # a rule names classes; other metrics do not concern it
            cells.append(_absent(evaluation, store) if entry is None else number_of(entry, metric))
        rows.append(Row(label=store_name(store), cells=tuple(cells), baseline=is_baseline(store, main)))
    table = Table(
        title=title, label_title="Representation", columns=tuple(columns), rows=tuple(rows), caption=_counts(entries)
    )
    return emphasise(table)


def _absent(evaluation: str, store: str) -> Number | None:
    """The cell of a score that nobody took; a rule like the majority class has no representation to look at."""
    if store == "majority":
        return None
    return Number(value=None, reason=f"{evaluation_title(evaluation)} was not run on {store_name(store)}.")


def all_metrics(entries: Sequence[Entry], *, main: Sequence[str] | None = None) -> Table:
    """Every metric as a row, stores as columns; folded."""
    stores = sorted(dict.fromkeys(str(e["store"]) for e in entries), key=lambda s: is_baseline(s, main))
    rows = []
    for evaluation, options in _variants(entries):
        mine = {
            str(e["store"]): e
            for e in entries
            if e["evaluation"] == evaluation and _options_text(e, entries) == options
        }
        for metric in dict.fromkeys(m for e in mine.values() for m in e.get("metrics", {})):
            cells = tuple(number_of(mine[s], metric, caveats=False) if s in mine else None for s in stores)
            name = f"{evaluation}.{metric}" + (f" ({options})" if options else "")
            rows.append(Row(label=name, cells=cells))
    columns = tuple(Column(title=store_name(s)) for s in stores)
    return Table(label_title="Score", columns=columns, rows=tuple(rows), folded="All metrics of all representations")


def score_section(
    entries: Sequence[Entry], *, title: str = "How good is it?", main: Sequence[str] | None = None
) -> tuple[Table, ...]:
    """The parts of a report about scores: the table of primary metrics, and all metrics folded.

    Args:
        entries: rows as of scores.json.
        main: labels (or layers) of the results; everything else is then a baseline.
    """
    if not any(e.get("metrics") for e in entries):
        return ()
    return score_table(entries, title=title, main=main), all_metrics(entries, main=main)


def _named(entry: Entry, first: Mapping[str, str] | None) -> str | None:
    """The metric of this score that a headline names."""
    wanted = (first or {}).get(str(entry["evaluation"]))
    return wanted if wanted in entry.get("metrics", {}) else primary_of(entry)


def primary_facts(entries: Sequence[Entry], store: str, first: Mapping[str, str] | None = None) -> list[Fact]:
    """The headline numbers of one store (its label, or a layer): primary metrics, with what baselines reach.

    Args:
        first: evaluation -> the metric to name, where that is not its primary one.
    """
    facts = []
    mine = [e for e in entries if e["store"] == store or str(e["store"]).startswith(f"{store} @ ")]
    for entry in mine:
        metric = _named(entry, first)
        if metric is None:
            continue
        layer = str(entry["store"]).partition(" @ ")[0]
        labels = [rival_label(entries, kind, layer) for kind in ("pixels", "untrained")]
        rivals = [
            f"{store_name(str(e['store']))} {_short(number_of(e, metric))}"
            for e in entries
            if e["evaluation"] == entry["evaluation"]
            and e.get("options") == entry.get("options")
            and e["store"] in labels
        ]
        number = number_of(entry, metric, caveats=False)
        title = evaluation_title(str(entry["evaluation"]))
        name = title if number.form == "share" else f"{title}, {metric_name(metric)}"
        facts.append(Fact(name=name, value=number, note=", ".join(rivals)))
    return facts


def best_facts(entries: Sequence[Entry], stores: Sequence[str], first: Mapping[str, str] | None = None) -> list[Fact]:
    """The headline of several stores side by side: of each evaluation that has a best the best of them, what the others
    reach, and the best of the baselines.

    Args:
        first: as of `primary_facts`.
    """
    facts = []
    for evaluation in dict.fromkeys(str(e["evaluation"]) for e in entries):
        scored = [(e, _named(e, first)) for e in entries if e["evaluation"] == evaluation]
        found = [(e, m, number_of(e, m, caveats=False)) for e, m in scored if m is not None]
        found = [f for f in found if f[2].value is not None]
        mine = [f for f in found if f[0]["store"] in stores]
        if not mine:
            continue
        higher = is_higher_better(evaluation, mine[0][1])
        if higher is None:
            continue  # there is no best
        sign = 1 if higher else -1
        ordered = sorted(mine, key=lambda f: sign * (f[2].value or 0.0))
        (best, metric, number), (worst, _, lowest) = ordered[-1], ordered[0]
        note = f"{best['store']}, the best of {len(mine)}" if len(mine) > 1 else str(best["store"])
        if len(mine) > 1:
            note += f" (down to {_short(lowest)}, {worst['store']})"
        others = [f for f in found if f[0]["store"] not in stores and f[0]["store"] != "majority"]
        if others:
            rival, _, reached = max(others, key=lambda f: sign * (f[2].value or 0.0))
            note += f"; best baseline: {store_name(str(rival['store']))}, {_short(reached)}"
        title = evaluation_title(evaluation)
        name = title if number.form == "share" else f"{title}, {metric_name(metric)}"
        facts.append(Fact(name=name, value=number, note=note))
    return facts


def _short(number: Number) -> str:
    from phispace.report.numerals import sentence

    return sentence(number, uncertainty=False)


def _counts(entries: Sequence[Entry]) -> str:
    counts: dict[str, set[int]] = {}
    for entry in entries:
        for split, n in (entry.get("n") or {}).items():
            counts.setdefault(str(split), set()).add(int(n))
    agreed = [f"{n:,} {split}" for split, (n, *more) in ((s, sorted(v)) for s, v in counts.items()) if not more]
    basis = f" Items: {', '.join(agreed)}." if agreed else ""
    return f"In brackets: 95 % intervals over the test items.{basis}" if entries else ""
