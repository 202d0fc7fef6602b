"""How entrants stand: means over seeds, paired differences, and whether metrics order methods alike."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from phispace.errors import InputError
from phispace.evaluation.compare import difference, mean_of
from phispace.metrics.intervals import UNDEFINED
from phispace.metrics.seeds import Estimate, difference_over_seeds, holm, mean_over_seeds
from phispace.report.entrants import Entrant, Score
from phispace.report.scores import evaluation_title, form_of, is_higher_better, number_of, verb_of
from phispace.run import Run

NAN = float("nan")


@dataclass(frozen=True)
class Measured:
    """A score of an entrant.

    Attributes:
        value: the mean over its runs; `nan` where it is undefined, and then `reason` says why.
        interval: 95 %: over seeds and items where there are several seeds, else over items; or None.
        spread: sample standard deviation over seeds, or None for one.
        runs: those that have the score.
        values: theirs, in this order.
        basis: what the interval speaks of.
    """

    value: float
    interval: tuple[float, float] | None
    spread: float | None
    runs: tuple[Run, ...]
    values: tuple[float, ...]
    basis: str = ""
    notes: tuple[str, ...] = ()
    reason: str = ""


def measure(entrant: Entrant, score: Score) -> Measured:
    """A score over an entrant's runs."""
    found = entrant.entries(score)
    if not found:
        return Measured(NAN, None, None, (), (), reason=_why_not(entrant, score))
    runs, values = tuple(run for run, _ in found), tuple(float(e["metrics"][score.metric]) for _, e in found)
    notes: tuple[str, ...] = ()  # caveats of single runs stand in their own reports
    missing = len(entrant.runs) - len(found)
    if missing:
        notes += (f"{missing} of {len(entrant.runs)} runs have no such score.",)
    if len(found) == 1:
        number = number_of(found[0][1], score.metric)
        basis = "items" if number.interval else ""
        return Measured(values[0], number.interval, None, runs, values, basis, notes)
    estimate = _mean(entrant, score, values)
    interval = estimate.interval if math.isfinite(estimate.interval[0]) else None
    if interval and form_of(score.metric) == "share":  # t intervals of few seeds reach beyond what a share can be
        interval = max(interval[0], 0.0), min(interval[1], 1.0)
    basis = "seeds and items" if estimate.n else "seeds"
    spread = statistics.stdev(values)
    return Measured(statistics.fmean(values), interval, spread, runs, values, basis, notes)


def _mean(entrant: Entrant, score: Score, values: Sequence[float]) -> Estimate:
    items = entrant.items(score)
    if items is not None and len(items) == len(values):
        try:
            return mean_of(items, score.metric)
        except InputError:
            pass  # other items in one of the runs: their seeds' own values are left
    return mean_over_seeds(np.array(values))


def _why_not(entrant: Entrant, score: Score) -> str:
    from phispace.report.entrants import scored

    title = evaluation_title(score.evaluation)
    for run in entrant.runs:
        entry = score.entry_of(scored(run), entrant.store)
        if entry is not None and entry.get("caveats"):
            return str(entry["caveats"][0])
    if entrant.baseline:
        return f"{title} was not run on this baseline."
    name, verb = entrant.runs[0].path.name, verb_of(score.evaluation)
    command = f"phispace {verb} {name}" if verb else f"phispace evaluate {name} --with {score.evaluation}"
    return f"Not scored with {title}: {command}."


@dataclass(frozen=True)
class Pair:
    """A minus B in one score.

    Attributes:
        estimate: the difference; of a metric without items and with one seed each it has no interval.
        corrected: p-value after Holm's correction over the pairs of this score.
    """

    a: Entrant
    b: Entrant
    score: Score
    estimate: Estimate
    corrected: float = NAN


def pairs(found: Sequence[Entrant], score: Score, among: Literal["all", "best"] = "all") -> list[Pair]:
    """Differences between entrants, the better one first.

    Args:
        among: every pair, or the best entrant against each other one.
    """
    measured = [(e, m) for e in found if math.isfinite((m := measure(e, score)).value)]
    sign = 1.0 if is_higher_better(score.evaluation, score.metric) is not False else -1.0
    measured.sort(key=lambda pair: -sign * pair[1].value)
    made = []
    for i, (a, of_a) in enumerate(measured[: 1 if among == "best" else None]):
        for b, of_b in measured[i + 1 :]:
            made.append(Pair(a, b, score, _difference(a, b, score, of_a, of_b)))
    corrected = holm(np.array([pair.estimate.p_value for pair in made]))
    return [replace(pair, corrected=float(p)) for pair, p in zip(made, corrected, strict=True)]


def _difference(a: Entrant, b: Entrant, score: Score, of_a: Measured, of_b: Measured) -> Estimate:
    first, second = a.items(score), b.items(score)
    if first is not None and second is not None:
        try:
            return difference(first, second, score.metric)
        except InputError as error:
            return Estimate(of_a.value - of_b.value, UNDEFINED, NAN, _seeds(of_a, of_b), 0, str(error))
    if len(of_a.values) > 1 and len(of_b.values) > 1:
        return difference_over_seeds(np.array(of_a.values), np.array(of_b.values))
    why = "none: one seed, and this score has no items"
    return Estimate(of_a.value - of_b.value, UNDEFINED, NAN, _seeds(of_a, of_b), 0, why)


def _seeds(*measured: Measured) -> tuple[int, ...]:
    return tuple(len(m.values) for m in measured)


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of two scores over n entrants; `nan` for fewer than 3 or where one is constant."""

    a: Score
    b: Score
    rho: float
    p_value: float
    n: int


def correlations(found: Sequence[Entrant], scores: Sequence[Score]) -> list[Correlation]:
    """Whether scores order the entrants alike, over the entrants that have both; baselines do not count."""
    from scipy import stats

    learnt = [e for e in found if not e.baseline]
    table = np.array([[measure(e, s).value for s in scores] for e in learnt]).reshape(len(learnt), len(scores))
    made = []
    for i, a in enumerate(scores):
        for j in range(i + 1, len(scores)):
            both = np.isfinite(table[:, i]) & np.isfinite(table[:, j])
            x, y, n = table[both, i], table[both, j], int(both.sum())
            rho = p_value = NAN
            if n >= 3 and np.ptp(x) > 0 and np.ptp(y) > 0:
                tested: Any = stats.spearmanr(x, y)
                rho, p_value = float(tested.statistic), float(tested.pvalue)
            made.append(Correlation(a, scores[j], rho, p_value, n))
    return made
