"""The answer of a run's report in words: sentences made from the numbers, with what the numbers do not allow to say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from phispace.report.document import Number
from phispace.report.history import History
from phispace.report.numerals import sentence
from phispace.report.scores import evaluation_title, is_baseline, number_of, primary_of, rival_label

Entry = Mapping[str, Any]
# Evaluations in the order in which the answer prefers them.
_PREFERRED = ("linear", "knn", "mlp")
_SUBJECTS = {"linear": "A linear probe", "knn": "The vote of the nearest neighbours"}
_RIVALS = {"pixels": "on raw pixels", "pca": "on their PCA", "untrained": "on the untrained encoder"}


def main_entry(entries: Sequence[Entry]) -> Entry | None:
    """The score that the answer is made of: a probe of a learnt store, on shares."""
    learnt = [e for e in entries if not is_baseline(str(e["store"])) and primary_of(e) is not None]
    for name in _PREFERRED:
        for entry in learnt:
            if entry["evaluation"] == name and number_of(entry, str(primary_of(entry))).value is not None:
                return entry
    return None


def _rival(entries: Sequence[Entry], main: Entry, store: str) -> Number | None:
    label = rival_label(entries, store, str(main["store"]).partition(" @ ")[0])
    for entry in entries:
        same = entry["evaluation"] == main["evaluation"] and entry.get("options") == main.get("options")
        if same and entry["store"] == label:
            number = number_of(entry, str(primary_of(main)), caveats=False)
            return number if number.value is not None else None
    return None


def _majority(entry: Entry) -> Number | None:
    """Accuracy of always naming the commonest class of train, as classifiers keep it."""
    value = (entry.get("metrics") or {}).get("majority")
    return None if value is None or not math.isfinite(value) else Number(value=value, form="share")


def answer(entries: Sequence[Entry], main: Entry | None, history: History | None) -> str:
    """The answer in sentences made from the numbers."""
    if main is None:
        return _unscored(history)
    metric, name = str(primary_of(main)), str(main["evaluation"])
    own = number_of(main, metric, caveats=False)
    n = (main.get("n") or {}).get("test")
    layer, at, _ = str(main["store"]).partition(" @ ")
    where, what = (f" on the layer {layer}", "images") if at else ("", "items")  # vectors from elsewhere have no layers
    said = f"{_SUBJECTS.get(name, f'The {evaluation_title(name).lower()}')}{where} names the class of "
    said += f"{sentence(own)} of the {n:,} test {what}." if n else f"{sentence(own)} of the test {what}."
    rivals = {store: _rival(entries, main, store) for store in _RIVALS}
    compared = [f"{_RIVALS[k]} {sentence(r, uncertainty=False)}" for k, r in rivals.items() if r is not None]
    majority = _majority(main)
    if compared:
        said += f" The same gives {_listed(compared)}"
        said += f"; naming the commonest class gives {sentence(majority, uncertainty=False)}." if majority else "."
    elif majority:
        said += f" Naming the commonest class gives {sentence(majority, uncertainty=False)}."
    best = max((r for r in rivals.values() if r is not None), key=lambda r: r.value or 0.0, default=None)
    if best is not None and own.value is not None and best.value is not None:
        said += f" {_gain(own, best)}"
    return " ".join([said, *_health_words(entries)])


def _gain(own: Number, best: Number) -> str:
    """What learning gained over the best baseline, and whether the intervals allow to say so."""
    difference = (own.value or 0.0) - (best.value or 0.0)
    gain = sentence(Number(value=abs(difference), form="points")).removeprefix("+")
    if own.interval is None or best.interval is None:
        sure = "without intervals that is not yet a finding"
    elif own.interval[0] > best.interval[1] or own.interval[1] < best.interval[0]:
        sure = "the intervals do not overlap"
    else:
        sure = "the intervals overlap, so this may be chance"
    if difference > 0:
        return f"Learning gained {gain} over the best of these ({sure})."
    return f"Learning gained nothing over the best of these: it is {gain} behind ({sure})."


def _health_words(entries: Sequence[Entry]) -> list[str]:
    for entry in entries:
        if entry["evaluation"] == "health" and not is_baseline(str(entry["store"])):
            words = (entry.get("details") or {}).get("words")
            if words:
                return [str(words)]
    return []


def _unscored(history: History | None) -> str:
    accuracy = history.last("accuracy") if history is not None else math.nan
    if math.isfinite(accuracy):
        value = sentence(Number(value=accuracy, form="share"))
        return f"Not scored yet. Its own head names {value} of the validation images right after the last epoch."
    loss = history.last("loss") if history is not None else math.nan
    if math.isfinite(loss):
        return f"Not scored yet. The validation loss is {loss:.4g} after the last epoch."
    return "Not scored yet: the run holds no scores and no validation numbers."


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
