"""One report from what the steps left: question, answer in words, numbers, sections, provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from phispace.provenance import provenance
from phispace.report.document import Fact, Findings, Provenance, Report, Section
from phispace.run import now
from phispace.studies.runner import Context

if TYPE_CHECKING:
    from phispace.studies.study import Study

_SECTIONS: TypeAdapter[Any] = TypeAdapter(Section)
_FACTS: TypeAdapter[list[Fact]] = TypeAdapter(list[Fact])


def compose(study: Study, context: Context, outcomes: Sequence[Mapping[str, Any]], command: str) -> Report:
    """The study's report; the guesses and their answers come first, gathered from all steps.

    Args:
        outcomes: what `Outcome.as_json` gave, in the steps' order.
        command: what repeats this.
    """
    sections = [_SECTIONS.validate_python(s) for outcome in outcomes for s in outcome["sections"]]
    order = list(study.guesses.values())
    findings = sorted(
        (f for s in sections if isinstance(s, Findings) for f in s.findings),
        key=lambda f: order.index(f.claim) if f.claim in order else len(order),
    )
    rest = [s for s in sections if not isinstance(s, Findings)]
    guesses = (
        [Findings(title="The guesses, each answered by a measurement", findings=tuple(findings))] if findings else []
    )
    answers = [outcome["answer"] for outcome in outcomes if outcome["answer"]]
    images = context.images
    return Report(
        title=study.title,
        question=study.question,
        answer=" ".join(answers),
        subtitle=f"{images.name}, scale {context.scale}, seed {context.seed}",
        headline=tuple(f for outcome in outcomes for f in _FACTS.validate_python(outcome["headline"])),
        sections=(*guesses, *rest),
        caveats=_caveats(study, context),
        provenance=Provenance(
            command=command,
            facts=_facts(study, context),
            configuration=json.dumps(study.at(context.scale), indent=1),
        ),
        made=now(),
    )


def _caveats(study: Study, context: Context) -> tuple[str, ...]:
    own = [str(c) for c in context.images.source.get("caveats", [])]
    if study.at(context.scale) != study.at("paper") or context.scale in study.limit:
        own.append(f"The scale {context.scale!r} is shorter than the published schedule; see the configuration below.")
    if len(context.images.quarantine):
        own.append(f"{len(context.images.quarantine)} images could not be decoded and were left out.")
    return (*own, f"One seed ({context.seed}): an anecdote until it is repeated.")


def _facts(study: Study, context: Context) -> tuple[Fact, ...]:
    machine, images = provenance(), context.images
    counts = {split: sum(row.values()) for split, row in images.counts().items()}
    git = machine.get("git") or {}
    facts = {
        "repeats": study.reference,
        "images": f"{images.name}, {len(images):,} of {images.shape} (C, H, W)",
        "splits": ", ".join(f"{split} {n:,}" for split, n in counts.items()),
        "fingerprint": images.fingerprint,
        "phispace": machine["phispace"] + (f" at {git['commit'][:12]}" if git.get("commit") else ""),
        "versions": ", ".join(f"{k} {v}" for k, v in machine["packages"].items()),
        "machine": f"{machine['processor']}, {machine['processors']} processors",
        "python": machine["python"],
    }
    return tuple(Fact(name=k, value=str(v)) for k, v in facts.items() if v)
