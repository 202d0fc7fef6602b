"""The same query images in every representation: one sheet, precision at k by class, and two libraries that must agree.

FAISS finds the nearest training images of each test image; scikit-learn's exact search is asked the same for a part of
them. Where they differ, the similarities must be equal: equal vectors may stand in either order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.maps.subset import stratified_subset
from phispace.metrics.directions import unit_vectors
from phispace.report.document import Column, Figure, Finding, Findings, Number, Row, Table, Verdict
from phispace.search.compared import Line, draw_compared
from phispace.search.index import Index
from phispace.search.query import picture, precision_at_k
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.embed import stores_of
from phispace.studies.steps.train import images_of

TOLERANCE = 1e-4
"""Largest difference of two cosines that are called equal, in float32."""


class SameQueriesOptions(StepOptions):
    """Options of the step `same-queries`."""

    of: str
    queries: int = Field(10, ge=1, le=20, description="query images on the sheet, spread over the classes")
    shown: int = Field(5, ge=1, le=10, description="neighbours on the sheet")
    k: int = Field(10, ge=1, description="neighbours of the precision")
    checked: int = Field(500, ge=1, description="queries that scikit-learn is asked too")
    against: tuple[str, ...] = Field(("colour histograms", "pixels"), description="the stores that the claim names")
    about: tuple[str, ...] = Field((), description="runs that the claim is about; by default all that learnt")
    stores: tuple[str, ...] = Field((), description="only these, in this order; by default all")
    guess: str = ""


class SameQueries(Step[SameQueriesOptions]):
    """One sheet of the same queries in all stores; precision at k by class; FAISS against scikit-learn."""

    Options = SameQueriesOptions

    def title(self, options: SameQueriesOptions) -> str:
        return "Searching for the same images in every representation"

    def run(self, context: Context, name: str, options: SameQueriesOptions) -> Outcome:
        stores = stores_of(context, options.of)
        learnt = set(context.result(options.of)["layers"])
        stray = sorted(set(options.about) - {label.split(" ")[0] for label in learnt})
        if stray:
            raise InputError(f"'about' names {stray[0]!r}, which is not among the runs of {options.of!r}.")
        if options.stores:
            stores = {label: stores[label] for label in options.stores}
        images = images_of(context, context.result(options.of)["run"])
        precision: dict[str, dict[str, float]] = {}
        agreement: dict[str, dict[str, float]] = {}
        lines: list[Line] = []
        with context.progress.task("Searching", total=len(stores)) as task:
            for label, store in stores.items():
                asked, held = store.part("test", labelled=True), store.part("train", labelled=True)
                k = min(options.k, len(held))
                precision[label] = precision_at_k(store, k)
                index = Index.build(held)
                agreement[label] = agree(index, asked, held, k, options.checked)
                chosen = stratified_subset(asked.ids, asked.labels, min(options.queries, len(asked)))
                _, position = index.search(asked.vectors[chosen], min(options.shown, len(held)))
                found = [[picture(images, held, int(p)) for p in row] for row in position]
                same = (held.labels[position] == asked.labels[chosen][:, None]).tolist()
                lines.append(Line(label, found, same))
                queries = [picture(images, asked, int(p)) for p in chosen]
                titles = [store.classes[i] for i in asked.labels[chosen]]
                task.advance()
        sheet = context.place("figures", f"{name}.png")
        draw_compared(queries, titles, lines, sheet)
        worst = min(agreement.values(), key=lambda row: row["same"])
        sections = [
            Figure(
                title="What is near the same images in each representation?",
                path=sheet.relative_to(context.out).as_posix(),
                alt=f"The {options.shown} nearest training images of {len(queries)} test images by representation",
                caption="Test images, one column each, chosen by a hash of their ids, and their nearest training "
                "images by cosine, nearest first; green frames are of the query's class.",
            ),
            _table(precision, learnt, options.k),
        ]
        claim = _claim(precision, learnt, options, len(asked)) if options.guess else None
        if claim is not None:
            sections.append(claim)
        words = (
            f"FAISS and scikit-learn found the same neighbours for {worst['same']:.2%} or more of the places, with "
            f"cosines equal to {max(row['difference'] for row in agreement.values()):.0e} at every place."
        )
        return Outcome({"precision": precision, "agreement": agreement}, sections, words)


def agree(index: Index, asked: Embeddings, held: Embeddings, k: int, most: int) -> dict[str, float]:
    """FAISS and scikit-learn on the same queries.

    Returns:
        `same`: share of the n x k places with the same neighbour; `difference`: largest difference of their cosines;
        `n`: queries asked.

    Raises:
        ValueError: the cosines differ by more than `TOLERANCE`: one of the two is wrong.
    """
    from sklearn.neighbors import NearestNeighbors

    few = asked.take(stratified_subset(asked.ids, asked.labels, min(most, len(asked))))
    cosine, position = index.search(few.vectors, k)
    gallery = unit_vectors(np.asarray(held.vectors, np.float32))
    peer = NearestNeighbors(n_neighbors=k, algorithm="brute", metric="cosine").fit(gallery)
    distance, other = peer.kneighbors(unit_vectors(np.asarray(few.vectors, np.float32)))
    difference = float(np.abs((1 - distance) - cosine).max())
    if difference > TOLERANCE:
        raise ValueError(
            f"FAISS and scikit-learn differ by {difference:.2g} in cosine; at most {TOLERANCE:g} is rounding"
        )
    return {"same": float((other == position).mean()), "difference": difference, "n": float(len(few))}


def _table(precision: Mapping[str, Mapping[str, float]], learnt: set[str], k: int) -> Table:
    classes = [c for c in next(iter(precision.values())) if c != "mean"]
    rows = tuple(
        Row(
            label=label,
            baseline=label not in learnt,
            cells=tuple(Number(value=found[c], form="share") for c in ("mean", *classes)),
        )
        for label, found in precision.items()
    )
    return Table(
        title=f"Whose {k} nearest are of its class?",
        label_title="Representation",
        columns=tuple(Column(title=c, form="share", higher_is_better=True) for c in ("mean", *classes)),
        rows=rows,
        caption=f"Precision at {k} by the query's class: test images look among training images, by cosine. "
        "Chance is the class's share of the training images.",
    )


def _claim(
    precision: Mapping[str, Mapping[str, float]], learnt: set[str], options: SameQueriesOptions, queries: int
) -> Findings | None:
    """Is class meaning in the neighbourhoods that colours and pixels do not give?"""
    against = {label: precision[label]["mean"] for label in options.against if label in precision}
    if not against:
        return None
    bar = max(against.values())
    about = {label for label in learnt if not options.about or label.split(" ")[0] in options.about}
    means = {label: precision[label]["mean"] for label in precision if label in about}
    if not means:
        return None
    above = {label for label, mean in means.items() if mean - bar > 2 * _error(mean, bar, queries)}
    best, worst = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    undecided = not above and max(means.values()) > bar
    verdict: Verdict = "no" if len(above) == len(means) else "partly" if above else "open" if undecided else "yes"
    names = ", ".join(f"{label} {mean:.1%}" for label, mean in against.items())
    answer = (
        f"Precision at {options.k} of neighbours, mean over classes: {names}. Of the {len(means)} representations that "
        f"the claim is about {len(above)} are above by more than two standard errors; the best, {best}, has "
        f"{means[best]:.1%}, the lowest, {worst}, {means[worst]:.1%}."
    )
    return Findings(findings=(Finding(claim=options.guess, verdict=verdict, answer=answer),))


def _error(one: float, other: float, queries: int) -> float:
    """Largest standard error of a difference of two precisions: a query's share varies most where it is 0 or 1."""
    return math.sqrt((one * (1 - one) + other * (1 - other)) / queries)
