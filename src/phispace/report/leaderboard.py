"""Runs side by side: one row a method, encoder and settings, with seeds, intervals and what it cost.

One seed is an anecdote: a row says how many seeds it rests on. With several, the interval is over seeds and test items
(`phispace.metrics.seeds`); with one, over test items alone. Runs are put into one row when nothing but the seed
differs, and beside each other when their images are the same.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from phispace.registry import registry
from phispace.report.document import Column, Form, Number, Row, Table
from phispace.report.emphasis import emphasise
from phispace.report.entrants import Entrant, Score, by_images, entrants, open_runs, scores_of
from phispace.report.record import field, is_foreign
from phispace.report.scores import form_of, is_higher_better, score_title, verb_of
from phispace.report.standing import Correlation, Measured, Pair, correlations, measure, pairs
from phispace.run import Run
from phispace.storage import jsonable

COSTS: tuple[tuple[str, Form, str], ...] = (
    ("minutes", "minutes", "result.minutes"),
    ("images seen", "count", "result.images_seen"),
    ("parameters", "count", "encoder.parameters"),
    ("multiply-adds an image", "count", "encoder.multiply_adds"),
)
MAX_COLUMNS = 2
_FIRST = ("linear", "knn", "classifier", "mlp")
Among = Literal["all", "best"]


@dataclass(frozen=True)
class Board:
    """Entrants on the same images.

    Attributes:
        images: their name.
        entrants: learnt ones first, by the first score; then baselines.
        scores: what is compared; the first one ranks.
        among: which differences are told.
    """

    images: str
    entrants: tuple[Entrant, ...]
    scores: tuple[Score, ...]
    among: Among = "best"

    @cached_property
    def measured(self) -> dict[tuple[str, str], Measured]:
        """(entrant's label, score's key) -> what it reached."""
        return {(e.label, s.key): measure(e, s) for e in self.entrants for s in self.scores}

    @cached_property
    def pairs(self) -> dict[str, list[Pair]]:
        """A score's key -> differences between learnt entrants, and baselines too where there are few."""
        learnt = [e for e in self.entrants if not e.baseline]
        rivals = [e for e in self.entrants if e.baseline and not e.store.startswith("majority")]
        found = [*learnt, *rivals] if len(learnt) <= 2 else learnt
        return {s.key: pairs(found, s, self.among) for s in self.scores}

    @cached_property
    def correlations(self) -> list[Correlation]:
        return correlations(self.entrants, self.scores)

    @property
    def runs(self) -> list[Run]:
        """All runs, by entrant."""
        found = {run.path: run for e in self.entrants if not e.baseline for run in e.runs}
        return list(found.values())

    def table(self, links: Mapping[Path, str] | None = None, scores: Sequence[Score] | None = None) -> Table:
        """Methods as rows, scores and costs as columns.

        Args:
            links: run's path -> where a reader finds it.
            scores: the columns, without costs; by default the first few, and costs.
        """
        chosen = self.scores[:MAX_COLUMNS] if scores is None else scores
        costs = COSTS if scores is None else ()
        columns = [Column(title="seeds", form="count"), *(score_column(s) for s in chosen)]
        columns += [Column(title=t, form=f) for t, f, _ in costs]
        columns += [Column(title="precision, threads")] if costs else []
        rows = [self._row(e, chosen, costs, links or {}) for e in self.entrants]
        machines = sorted({str(field(r.record, "provenance.processor") or "unknown processor") for r in self.runs})
        caption = (
            "Means over seeds, ± standard deviation over seeds where there are several. In brackets 95 % intervals: "
            "over seeds and test items where there are several seeds, else over test items alone."
        )
        if costs:
            caption += f" Minutes on {', '.join(machines)}."
        if costs and len(machines) > 1:
            caption += " Minutes of different machines do not compare."
        return emphasise(Table(label_title="Method", columns=tuple(columns), rows=tuple(rows), caption=caption))

    def _row(
        self,
        entrant: Entrant,
        chosen: Sequence[Score],
        costs: Sequence[tuple[str, Form, str]],
        links: Mapping[Path, str],
    ) -> Row:
        link = links.get(entrant.runs[0].path, "")
        unfinished = [run.name for run in entrant.runs if run.record.get("status") != "completed"]
        note = f"Not completed: {', '.join(unfinished)}." if unfinished and not entrant.baseline else ""
        cells: list[Number | str | None] = [Number(value=float(entrant.seeds), form="count", link=link)]
        if entrant.baseline and not entrant.store.startswith("untrained"):
            cells = [None]
        measured = [(self.measured[entrant.label, s.key], s) for s in chosen]
        # The majority class has no representation to look at.
        blank = entrant.store.startswith("majority")
        cells += [None if blank and not math.isfinite(m.value) else number(m, s, links) for m, s in measured]
        if entrant.baseline:
            cells += [None] * (len(costs) + 1 if costs else 0)
        elif costs:
            cells += [_mean([field(run.record, path) for run in entrant.runs], form, link) for _, form, path in costs]
            cells += [_how(entrant.runs)]
        return Row(label=entrant.label, cells=tuple(cells), note=note, baseline=entrant.baseline, link=link)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, in full precision."""
        return jsonable({
            "images": self.images,
            "scores": [{"evaluation": s.evaluation, "metric": s.metric, "options": s.options} for s in self.scores],
            "entrants": [self._entrant_dict(e) for e in self.entrants],
            "differences": [_pair_dict(p) for found in self.pairs.values() for p in found],
            "rank_correlations": [
                {"a": c.a.key, "b": c.b.key, "spearman": c.rho, "p_value": c.p_value, "n": c.n}
                for c in self.correlations
            ],
        })  # fmt: skip

    def _entrant_dict(self, entrant: Entrant) -> dict[str, Any]:
        scores = {}
        for score in self.scores:
            m = self.measured[entrant.label, score.key]
            scores[score.key] = {
                "mean": m.value, "interval": m.interval, "interval_over": m.basis, "spread": m.spread,
                "values": m.values, "runs": [run.path.as_posix() for run in m.runs], "reason": m.reason,
            }  # fmt: skip
        costs = {t: _mean([field(r.record, p) for r in entrant.runs], f, "").value for t, f, p in COSTS}
        return {
            "label": entrant.label, "baseline": entrant.baseline, "store": entrant.store, "seeds": entrant.seeds,
            "runs": [run.path.as_posix() for run in entrant.runs], "scores": scores,
            **({} if entrant.baseline else {"costs": costs}),
        }  # fmt: skip


def boards(
    sources: Iterable[Run | Path | str],
    *,
    evaluations: Sequence[str] | None = None,
    layer: str | None = None,
    baselines: bool = True,
    among: Among = "best",
) -> list[Board]:
    """One board for each set of images.

    Args:
        sources: runs, their directories, or folders of runs, in any order.
        evaluations: which are shown, as `knn` or `knn.accuracy_k200`; the first one ranks. By default all that there
            are, linear probe and nearest neighbours first.
        layer: only scores of this layer.
        baselines: whether they have rows too.
        among: differences between all pairs, or between the best and each other one.

    Raises:
        InputError: no runs, or an unknown evaluation.
        DataError: a folder without runs.
    """
    for name in evaluations or ():
        registry("evaluations").resolve(name.partition(".")[0])
    made = []
    for images, runs in by_images(open_runs(sources)).items():
        found = entrants(runs, layer=layer, baselines=baselines)
        scores = scores_of(found, evaluations)
        if evaluations is None:
            scores.sort(key=lambda s: _FIRST.index(s.evaluation) if s.evaluation in _FIRST else len(_FIRST))
        made.append(Board(images, tuple(_ranked(found, scores)), tuple(scores), among))
    return made


def _ranked(found: Sequence[Entrant], scores: Sequence[Score]) -> list[Entrant]:
    if not scores:
        return list(found)
    sign = -1.0 if is_higher_better(scores[0].evaluation, scores[0].metric) is False else 1.0
    values = {e.label: measure(e, scores[0]).value * sign for e in found}

    def rank(entrant: Entrant) -> tuple[bool, float]:
        value = values[entrant.label]
        return entrant.baseline, -value if math.isfinite(value) else math.inf

    return sorted(found, key=rank)


def score_column(score: Score) -> Column:
    """The head of a score's column."""
    title = score_title(score.evaluation, score.metric)
    return Column(
        title=title, form=form_of(score.metric), higher_is_better=is_higher_better(score.evaluation, score.metric)
    )


def number(measured: Measured, score: Score, links: Mapping[Path, str]) -> Number:
    """A cell: the mean with its uncertainty, and a link to the first of its runs."""
    form = form_of(score.metric)
    if not math.isfinite(measured.value):
        return Number(value=None, form=form, reason=measured.reason)
    low, high = measured.interval or (None, None)
    link = links.get(measured.runs[0].path, "")
    return Number(
        value=measured.value, low=low, high=high, spread=measured.spread, form=form, notes=measured.notes, link=link
    )


def _mean(values: Sequence[Any], form: Form, link: str) -> Number:
    known = [float(v) for v in values if isinstance(v, (int, float)) and math.isfinite(v)]
    if not known:
        return Number(value=None, form=form, reason="The run does not say.")
    return Number(value=sum(known) / len(known), form=form, link=link)


def _how(runs: Sequence[Run]) -> str:
    told = []
    for run in runs:
        precision, threads = (field(run.record, f"choices.{k}") for k in ("precision", "threads"))
        told.append(", ".join(str(v) for v in (precision, threads) if v is not None))
    return "; ".join(dict.fromkeys(t for t in told if t))


def _pair_dict(pair: Pair) -> dict[str, Any]:
    e = pair.estimate
    return {
        "score": pair.score.key, "a": pair.a.label, "b": pair.b.label, "difference": e.value,
        "interval": e.interval, "p_value": e.p_value, "p_value_holm": pair.corrected, "seeds": e.seeds,
        "items": e.n, "test": e.test,
    }  # fmt: skip


def rerun_command(run: Run) -> str:
    """The command that repeats the run; of foreign embeddings the one that scored them."""
    if is_foreign(run):
        return shlex.join(["phispace", *map(str, (field(run.record, "argv") or [])[1:])])
    return shlex.join(["phispace", "rerun", str(run.path)])


def score_command(run: Run, entrant: Entrant, scores: Sequence[Score]) -> str:
    """The command that scores the run again."""
    import json

    all_there = [s for s in scores if entrant.entries(s)]
    there = [s for s in all_there if verb_of(s.evaluation) is None]
    if all_there and not there:
        verbs = dict.fromkeys(verb_of(s.evaluation) or "evaluate" for s in all_there)
        return "\n".join(shlex.join(["phispace", verb, str(run.path)]) for verb in verbs)
    words = ["phispace", "evaluate", str(run.path)]
    layer, _, checkpoint = entrant.store.partition(" @ ")
    if checkpoint and layer != "features":
        words += ["--layer", layer]
    if checkpoint not in ("", "best"):
        words += ["--checkpoint", checkpoint]
    for name in dict.fromkeys(s.evaluation for s in there):
        words += ["--with", name]
    for name, options in dict.fromkeys((s.evaluation, s.options) for s in there):
        usual = registry("evaluations").get(name).Config().model_dump(mode="json")
        for key, value in json.loads(options).items():
            if usual.get(key) != value:
                words += ["--set", f"{name}.{key}={_setting(value)}"]
    return shlex.join(words)


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(_setting(v) for v in value)}]" if isinstance(value, list) else str(value)
