"""Evaluations by name: over one store, and over several beside each other."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

from pydantic import ValidationError

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation import REGISTRY
from phispace.evaluation.base import Evaluation, Scores
from phispace.metrics.intervals import wilson
from phispace.progress import SILENT, Progress

Keep = Callable[[str, str, Mapping[str, Any], Scores], Mapping[str, Any]]


def make_evaluation(name: str, options: Mapping[str, Any] | None = None) -> Evaluation:
    """An evaluation by its registered name.

    Raises:
        InputError: no such name or option; the known ones are listed.
    """
    kind: type[Evaluation] = REGISTRY.get(name)
    try:
        config = kind.Config.model_validate(dict(options or {}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        known = ", ".join(kind.Config.model_fields) or "none"
        raise InputError(
            f"Option {where!r} of the evaluation {name!r}: {first['msg']}. Its options: {known}."
        ) from error
    return kind(config)


def evaluate(
    embeddings: Embeddings,
    names: Sequence[str],
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    others: Mapping[str, Embeddings] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Scores]:
    """Score one store.

    Args:
        embeddings: the store; test is read by the evaluations, nowhere else.
        names: registered names, or `["all"]`.
        options: evaluation -> its options.
        others: further stores, for evaluations that compare; `wanted_variants` says which are looked for.
        seed: for draws (samples, bootstrap).

    Returns:
        name -> scores, in the order of `names`.

    Raises:
        InputError: an unknown name or option, or the store lacks what an evaluation needs.
    """
    progress = progress or SILENT
    chosen = resolve_names(names)
    stray = sorted(set(options or {}) - set(chosen))
    if stray:
        raise InputError(f"Options are given for {', '.join(stray)}, which is not among {', '.join(chosen)}.")
    evaluations = [make_evaluation(name, (options or {}).get(name)) for name in chosen]
    found = {}
    with progress.task("Scoring", total=len(chosen)) as task:
        for name, evaluation in zip(chosen, evaluations, strict=True):
            task.note(evaluation.title)
            found[name] = evaluation.run(embeddings, others=others, seed=seed)
            task.advance()
    return found


def resolve_names(names: Sequence[str]) -> list[str]:
    """Registered names, each once; `["all"]` is all of them.

    Raises:
        InputError: an unknown name, or none at all.
    """
    if isinstance(names, str):
        names = [names]
    if list(names) == ["all"]:
        return REGISTRY.names()
    chosen = list(dict.fromkeys(REGISTRY.resolve(name) for name in names))
    if not chosen:
        raise InputError(f"No evaluation was named. There are: {', '.join(REGISTRY.names())}.")
    return chosen


def wanted_variants(names: Sequence[str], options: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, str]:
    """What the evaluations look for among their `others`: variant -> splits, joined by `+`, over all of them.

    Raises:
        InputError: an unknown name or option.
    """
    return _merged(make_evaluation(name, (options or {}).get(name)).variants() for name in resolve_names(names))


def wanted_images(names: Sequence[str], options: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, str]:
    """The other image sets whose stores the evaluations look for: name -> items, joined by `+`, over all of them.

    Raises:
        InputError: an unknown name or option.
    """
    return _merged(make_evaluation(name, (options or {}).get(name)).other_images() for name in resolve_names(names))


def _merged(asked: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """What any of them asks for, items joined by `+`."""
    wanted: dict[str, list[str]] = {}
    for one in asked:
        for name, items in one.items():
            wanted.setdefault(name, []).extend(items.split("+"))
    return {name: "+".join(dict.fromkeys(items)) for name, items in wanted.items()}


def score_entry(name: str, scores: Scores, *, store: str, options: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """One object of scores.json: evaluation, store, options, `more`, and all of the scores; plain values for JSON."""
    return {"evaluation": name, "store": store, "options": dict(options), **more, **scores.as_dict()}


def score_table(
    stores: Mapping[str, Embeddings],
    names: Sequence[str],
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    others: Mapping[str, Mapping[str, Embeddings]] | None = None,
    seed: int = 0,
    keep: Keep | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Score several stores, a method's and its baselines, beside each other.

    A store that lacks what an evaluation needs has an entry whose value is None, with the reason in its caveats: the
    table of a foreign or unlabelled store is still a table.

    Args:
        stores: label -> store, for example {"fc1": ..., "untrained": ..., "pca": ..., "pixels": ...}.
        names: registered evaluations, or `["all"]`.
        options: evaluation -> its options.
        others: label -> the further stores that belong to this one, by variant. An evaluation gets the variants that it
            asks for and what is no variant; one that needs others to compare with gets the table's other stores too.
        keep: called with evaluation, label, options and scores of each; what it returns is added to the entry. It keeps
            what an entry has no room for, such as the items.

    Returns:
        entries as `score_entry` makes them with the `seconds` it took, by evaluation, then store. Where the evaluation
        names classes, one of the store `majority` follows: the accuracy of always naming train's commonest class.

    Raises:
        InputError: an unknown name or option.
    """
    progress = progress or SILENT
    evaluations = {name: make_evaluation(name, (options or {}).get(name)) for name in resolve_names(names)}
    variants = {variant for evaluation in evaluations.values() for variant in evaluation.variants()}
    entries = []
    with progress.task("Scoring", total=len(stores) * len(evaluations)) as task:
        for name, evaluation in evaluations.items():
            used = evaluation.config.model_dump(mode="json")
            majority = None
            for label, store in stores.items():
                task.note(f"{evaluation.title} of {label}")
                began = time.perf_counter()
                try:
                    beside = _beside(evaluation, label, stores, (others or {}).get(label, {}), variants)
                    scores = evaluation.run(store, others=beside, seed=seed)
                except InputError as error:
                    scores = Scores({evaluation.primary: float("nan")}, caveats=[str(error)])
                more = {"seconds": round(time.perf_counter() - began, 3)}
                more |= keep(name, label, used, scores) if keep is not None else {}
                entries.append(score_entry(name, scores, store=label, options=used, **more))
                majority = majority or _majority_of(scores)
                task.advance()
            if majority is not None:
                entries.append(score_entry(name, majority, store="majority", options=used))
    return entries


def _beside(
    evaluation: Evaluation,
    label: str,
    stores: Mapping[str, Embeddings],
    given: Mapping[str, Embeddings],
    variants: Set[str],
) -> dict[str, Embeddings]:
    """What this evaluation of the store `label` sees beside it."""
    siblings = {k: s for k, s in stores.items() if k != label} if "others" in evaluation.needs else {}
    asked = evaluation.variants()
    return siblings | {name: store for name, store in given.items() if name in asked or name not in variants}


def _majority_of(scores: Scores) -> Scores | None:
    value, n = scores.metrics.get("majority", float("nan")), scores.n.get("test", 0)
    if not math.isfinite(value) or not n:
        return None
    return Scores({"accuracy": value}, {"accuracy": wilson(round(value * n), n)}, scores.n)
