"""Which classes mix: the k nearest neighbours' classes of one group of images in several representations."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.metrics.intervals import wilson
from phispace.metrics.knn import nearest
from phispace.report.document import Column, Fact, Finding, Findings, Number, Row, Table
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.embed import stores_of


class MixingOptions(StepOptions):
    """Options of the step `mixing`."""

    of: str
    classes: tuple[str, str]
    before: str = "pixels"
    after: str = "fc1"
    k: int = Field(20, ge=1)
    guess: str = ""


class Mixing(Step[MixingOptions]):
    """Share of a class's test images whose nearest training neighbours are mostly of the other class."""

    Options = MixingOptions

    def title(self, options: MixingOptions) -> str:
        return f"Counting how {options.classes[0]} and {options.classes[1]} mix"

    def run(self, context: Context, name: str, options: MixingOptions) -> Outcome:
        stores = stores_of(context, options.of)
        pair = _labels(stores[options.after], options.classes)
        if pair is None:
            text = f"These images have no classes {options.classes[0]!r} and {options.classes[1]!r}."
            finding = Finding(claim=options.guess, verdict="open", answer=text)
            return Outcome({}, [Findings(findings=(finding,))])
        rates = {label: _mixing(store, pair, options.k) for label, store in stores.items()}
        before, after = rates[options.before], rates[options.after]
        first, second = options.classes
        table = Table(
            title=f"How {first} and {second} mix",
            label_title="Representation",
            columns=(
                Column(title=f"{first} taken for {second}", form="share", higher_is_better=False),
                Column(title=f"{second} taken for {first}", form="share", higher_is_better=False),
                Column(title=f"neighbours of {first} that are {second}", form="share"),
            ),
            rows=tuple(
                Row(
                    label=label,
                    baseline=label != options.after,
                    cells=(_share(r["there"], r["n"][0]), _share(r["back"], r["n"][1]), Number(value=r["neighbours"])),
                )
                for label, r in rates.items()
            ),
            caption=f"Vote of the {options.k} nearest training images by cosine, for the two classes' test images.",
        )
        fell = after["both"] < before["both"] / 2
        answer = (
            f"In {options.before}, {before['both']:.1%} of the two classes' test images are taken for the other class "
            f"by their nearest neighbours; in {options.after} {after['both']:.1%}."
        )
        finding = Finding(
            claim=options.guess or f"{first} and {second} mix in {options.before} and separate in {options.after}.",
            verdict="yes" if fell else "partly" if after["both"] < before["both"] else "no",
            answer=answer,
            numbers=tuple(
                Fact(name=f"mixed in {label}", value=Number(value=rates[label]["both"], form="share"))
                for label in (options.before, options.after)
            ),
        )
        return Outcome({"rates": rates}, [Findings(findings=(finding,)), table])


def _labels(store: Embeddings, classes: tuple[str, str]) -> tuple[int, int] | None:
    names = [c.lower() for c in store.classes]
    found = [names.index(c.lower()) for c in classes if c.lower() in names]
    return (found[0], found[1]) if len(found) == 2 else None


def _mixing(store: Embeddings, pair: tuple[int, int], k: int) -> dict[str, Any]:
    train, test = store.part("train", labelled=True), store.part("test", labelled=True)
    queries = test.take(np.isin(test.labels, pair))
    _, position = nearest(
        np.asarray(queries.vectors, np.float32), np.asarray(train.vectors, np.float32), min(k, len(train)), "cosine"
    )
    votes = np.stack([(train.labels[position] == c).sum(1) for c in range(len(store.classes))], 1)
    said = votes.argmax(1)
    first, second = (queries.labels == pair[0]), (queries.labels == pair[1])
    there, back = int((said[first] == pair[1]).sum()), int((said[second] == pair[0]).sum())
    n = int(first.sum()), int(second.sum())
    return {
        "there": there / n[0] if n[0] else float("nan"),
        "back": back / n[1] if n[1] else float("nan"),
        "both": (there + back) / sum(n) if sum(n) else float("nan"),
        "neighbours": float((train.labels[position[first]] == pair[1]).mean()) if n[0] else float("nan"),
        "n": n,
    }


def _share(value: float, n: int) -> Number:
    low, high = wilson(round(value * n), n) if n else (float("nan"), float("nan"))
    return Number(value=value, low=low, high=high, form="share")
