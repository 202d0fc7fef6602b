"""What a representation is like, as parts of a report: the scorecard of the priors, and the spectra."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phispace.evaluation.priors import PRIORS, Prior
from phispace.report.document import Column, Figure, Number, Row, Section, Table
from phispace.report.figures.scorecard import Bar, Panel
from phispace.report.figures.scorecard import scorecard as draw_scorecard
from phispace.report.figures.spectrum import Spectrum, spectra
from phispace.report.numerals import write
from phispace.report.scores import is_baseline, number_of, store_name
from phispace.run import Run

Entry = Mapping[str, Any]
_FEWEST = 3
_NO_REPRESENTATION = ("majority", "mean-image")  # rules that look at no image; the mean image is a high control itself


def scorecard(
    entries: Sequence[Entry],
    path: Path | str,
    *,
    inside: Path | str,
    title: str = "What is it like?",
    main: Sequence[str] | None = None,
) -> tuple[Section, ...]:
    """The priors of Bengio, Courville and Vincent: a figure with a panel a prior, and a table of the raw numbers.

    Args:
        entries: rows as of scores.json, of any number of stores; of two alike the later counts.
        path: where the figure is written (.png).
        inside: the report's directory, in which `path` lies.
        main: labels of the results; everything else is then a baseline.

    Returns:
        the figure and the table; nothing if no prior was measured.
    """
    found = {(str(e["evaluation"]), str(e["store"])): e for e in entries if str(e["store"]) not in _NO_REPRESENTATION}
    measured = [p for p in PRIORS if any(_defined(p, e) for (name, _), e in found.items() if name == p.evaluation)]
    if not measured:
        return ()
    names = {p.evaluation for p in PRIORS}
    stores = list(dict.fromkeys(store for name, store in found if name in names))
    stores.sort(key=lambda store: is_baseline(store, main))
    panels = [_panel(p, {s: found.get((p.evaluation, s)) for s in stores}, main) for p in measured]
    path, inside = Path(path), Path(inside)
    draw_scorecard(panels, path)
    missing = [
        f"{p.title.lower()} ({p.evaluation}{f', needs {p.needs}' if p.needs else ''})"
        for p in PRIORS
        if p not in measured
    ]
    caption = (
        "A bar runs from the score of a constructed control that must score low to that of one that must score high; "
        "beside it the score itself. Read across representations within one panel: panels do not compare, and higher "
        "is not always better."
    )
    if missing:
        caption += f" Not measured: {', '.join(missing)}."
    figure = Figure(
        title=title, path=path.relative_to(inside).as_posix(), alt=_alt(panels), caption=caption, width="full"
    )
    return figure, _table(measured, found, stores, main)


def _defined(prior: Prior, entry: Entry) -> bool:
    return math.isfinite(prior.value(entry))


def _panel(prior: Prior, entries: Mapping[str, Entry | None], main: Sequence[str] | None) -> Panel:
    bars = []
    for store, entry in entries.items():
        entry = entry or {}
        low, high = (entry.get("interval") or {}).get(prior.metric) or (None, None)
        bars.append(
            Bar(
                store_name(store),
                prior.value(entry),
                prior.position(entry),
                None if low is None else prior.position(entry, low),
                None if high is None else prior.position(entry, high),
                is_baseline(store, main),
            )
        )
    return Panel(prior.title, prior.measure, prior.low_control, prior.high_control, tuple(bars))


def _table(
    priors: Sequence[Prior], found: Mapping[tuple[str, str], Entry], stores: Sequence[str], main: Sequence[str] | None
) -> Table:
    """Priors as rows, stores as columns, and the ends of the scale."""
    rows = []
    for prior in priors:
        cells: list[Number | str | None] = []
        for store in stores:
            entry = found.get((prior.evaluation, store))
            needs = f", which needs {prior.needs}," if prior.needs else ""
            reason = f"{prior.evaluation}{needs} was not run on {store_name(store)}."
            absent = Number(value=None, reason=reason)
            # As in the figure: positions on a scale, no percentages among them.
            cells.append(absent if entry is None else number_of(entry, prior.metric).model_copy(update={"form": None}))
        mine = [e for (name, _), e in found.items() if name == prior.evaluation]
        cells.append(_low(prior, mine))
        note = f"{prior.evaluation}.{prior.metric}. Controls: {prior.low_control}; {prior.high_control}."
        rows.append(Row(label=prior.title, cells=tuple(cells), note=note))
    columns = [*(Column(title=store_name(s)) for s in stores), Column(title="low control")]
    return Table(
        label_title="Prior",
        columns=tuple(columns),
        rows=tuple(rows),
        caption="In brackets: 95 % intervals over the items. A bar begins at the low control (the range, where "
        "it depends on the representation); the high control scores 1.",
    )


def _low(prior: Prior, entries: Sequence[Entry]) -> str:
    """The low control's score; the range over the entries if it depends on them."""
    values = [v for e in entries if math.isfinite(v := prior.low_of(e))]
    return " to ".join(dict.fromkeys(f"{v:.2g}" for v in (min(values), max(values)))) if values else "n/a"


def _alt(panels: Sequence[Panel]) -> str:
    said = []
    for panel in panels:
        bars = ", ".join(f"{b.name} {write(Number(value=b.value))[0]}" for b in panel.bars)
        said.append(f"{panel.title}: {bars}")
    return "Scores of the priors. " + "; ".join(said)


def prior_sections(run: Run, entries: Sequence[Entry]) -> tuple[Section, ...]:
    """Scorecard and spectra in the report of a run; a card of one or two priors would be no portrait."""
    folder = run.path / "report"
    measured = {p.evaluation for p in PRIORS for e in entries if e["evaluation"] == p.evaluation and _defined(p, e)}
    card = scorecard(entries, folder / "scorecard.png", inside=run.path) if len(measured) >= _FEWEST else ()
    lines = spectrum_figure(entries, folder / "spectra.png", inside=run.path)
    if lines and not card:
        lines = (lines[0].model_copy(update={"title": "What is it like?"}),)
    return (*card, *lines)


def spectrum_figure(
    entries: Sequence[Entry], path: Path | str, *, inside: Path | str, main: Sequence[str] | None = None
) -> tuple[Figure, ...]:
    """The spectra that the evaluation `health` kept, one line a store; nothing if there is none."""
    rows: dict[str, Spectrum] = {}
    for entry in entries:
        details, store = entry.get("details") or {}, str(entry["store"])
        shares, law = details.get("spectrum") or [], details.get("power_law") or {}
        if entry["evaluation"] != "health" or not any(shares):
            continue
        alpha, scale = (math.nan if law.get(k) is None else float(law[k]) for k in ("alpha", "scale"))
        rows[store] = Spectrum(
            store_name(store), shares, alpha, scale, int(law.get("first", 1)), int(law.get("last", 1)),
            is_baseline(store, main),
        )  # fmt: skip
    if not rows:
        return ()
    ordered = sorted(rows.values(), key=lambda row: row.baseline)
    path, inside = Path(path), Path(inside)
    spectra(ordered, path, title="Variance along the principal directions")
    fitted = next((r for r in ordered if not math.isnan(r.alpha)), None)
    caption = "A steep line: few directions carry all; a flat one: the vectors fill their space like noise."
    if fitted is not None:
        caption += (
            f" The thin line: the power law i^-α, fitted from rank {fitted.first}, at most to rank {fitted.last}."
        )
    said = "; ".join(f"{r.name}: first direction {r.shares[0]:.1%}" for r in ordered)
    return (
        Figure(
            path=path.relative_to(inside).as_posix(), alt=f"Eigenvalue spectra. {said}", caption=caption, width="half"
        ),
    )
