"""What the step `adaptation` says: accuracies across and within domains, transfer losses and ratios, findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from phispace.report.document import Column, Fact, Finding, Findings, Number, Part, Row, Table, Verdict
from phispace.report.scores import store_name

Kind = Literal["learnt", "network", "baseline"]


@dataclass(frozen=True)
class Representation:
    """One representation on one target.

    Attributes:
        label: what it is.
        across: accuracy on the target's test images, fitted on the source's labels.
        interval: of `across`, 95 %.
        within: the same fitted on the target's own labels.
        distance: proxy A-distance between the domains' training images.
        n: test images.
        kind: learnt without labels; a network of the source's labels as it is or adapted; or a baseline.
    """

    label: str
    across: float
    interval: tuple[float, float]
    within: float
    distance: float
    n: int
    kind: Kind = "baseline"

    def loss(self, floor: float) -> float:
        """Transfer loss: the error across less the error on raw pixels with the target's labels."""
        return 1 - self.across - floor


@dataclass(frozen=True)
class Domain:
    """A target with its representations: learnt on both, learnt on the source, the network of the source's labels as it
    is and adapted (or none of these), baselines; raw pixels last."""

    key: str
    name: str
    rows: tuple[Representation, ...]

    @property
    def network(self) -> tuple[Representation, ...]:
        """The network of the source's labels: as it is, then adapted."""
        return tuple(r for r in self.rows if r.kind == "network")

    @property
    def floor(self) -> float:
        """e_b(T, T): error on raw pixels with the target's labels."""
        return 1 - self.rows[-1].within


def ratio(error: float, floor: float) -> float:
    """Of two errors; nan where there is none to compare with."""
    return error / floor if floor > 0 else float("nan")


def sections(source: str, domains: Sequence[Domain], method: str) -> tuple[list[Part], str, list[Fact], dict[str, Any]]:
    """Tables, the answer, the headline and the numbers as JSON."""
    parts: list[Part] = [_table(source, d, first=not i) for i, d in enumerate(domains)]
    parts.append(_ratios(domains))
    findings = [_finding(source, d) for d in domains] + [_of_network(source, d) for d in domains if d.network]
    parts.append(Findings(findings=tuple(findings)))
    answer, headline = _told(source, domains, method)
    numbers = {
        "domains": {
            d.key: {
                r.label: {
                    "across": r.across, "interval": list(r.interval), "within": r.within, "n": r.n,
                    "proxy_a_distance": r.distance, "transfer_loss": r.loss(d.floor),
                }
                for r in d.rows
            }
            for d in domains
        }
    }  # fmt: skip
    return parts, answer, headline, numbers


def _told(source: str, domains: Sequence[Domain], method: str) -> tuple[str, list[Fact]]:
    """The answer and the headline: means over the targets."""
    shown = {"learnt on both": [d.rows[0] for d in domains]}
    if all(d.network for d in domains):
        names = ["network of the labels", *(_adaptation(r) for r in domains[0].network[1:])]
        shown |= {name: [d.network[place] for d in domains] for place, name in enumerate(names)}
    means = {name: fmean(r.across for r in rows) for name, rows in shown.items()}
    alone, raw = (fmean(d.rows[place].across for d in domains) for place in (1, -1))
    where = f"the target {domains[0].key}" if len(domains) == 1 else f"{len(domains)} targets, on average"
    answer = (
        f"Of the test images of {where}, a classifier of {source}'s labels names {means.pop('learnt on both'):.1%} "
        f"right on a {method} of both domains, {alone:.1%} on one of {source} alone and {raw:.1%} on raw pixels"
    )
    if means:
        plain, *adapted = means.items()
        changed = " and ".join(f"{value:.1%} with {name}" for name, value in adapted)
        answer += f"; {plain[1]:.1%} on the features of a {plain[0]} as it is, {changed}"
    note = "" if len(domains) == 1 else f"mean over {', '.join(d.key for d in domains)}"
    facts = [
        Fact(name=name, value=Number(value=fmean(r.across for r in rows), form="share"), note=note)
        for name, rows in shown.items()
    ]
    return f"{answer}.", facts


def _adaptation(row: Representation) -> str:
    """What was done to the network, from its label: "..., CORAL"."""
    return row.label.rsplit(", ", 1)[-1]


def _of_network(source: str, domain: Domain) -> Finding:
    """Does what unlabelled images of the target tell help a network of the source's labels? By intervals."""
    plain, *adapted = domain.network
    better = [r.interval[0] > plain.interval[1] for r in adapted]
    worse = [r.interval[1] < plain.interval[0] for r in adapted]
    verdict: Verdict = "yes" if all(better) else "no" if all(worse) else "partly" if any(better) else "open"
    told = ", ".join(
        f"{r.across:.1%} [{r.interval[0]:.1%}, {r.interval[1]:.1%}] with {_adaptation(r)}" for r in adapted
    )
    return Finding(
        claim=f"Unlabelled images of {domain.key} adapt a network that was trained on {source}'s labels.",
        verdict=verdict,
        answer=f"As it is it names {plain.across:.1%} [{plain.interval[0]:.1%}, {plain.interval[1]:.1%}] right; {told}"
        f"; with the target's labels, on its own features, it would be {plain.within:.1%}. (Yes: both above the "
        "network as it is, with intervals that do not meet; partly: one of them.)",
        numbers=tuple(Fact(name=_adaptation(r), value=_share(r)) for r in adapted),
    )


def _share(row: Representation) -> Number:
    return Number(value=row.across, low=row.interval[0], high=row.interval[1], form="share")


def _table(source: str, domain: Domain, *, first: bool) -> Table:
    return Table(
        title=f"From {source} to {domain.key}",
        label_title="Representation",
        columns=(
            Column(title=f"fitted on {source}", form="share", higher_is_better=True),
            Column(title="fitted on the target", form="share"),
            Column(title="transfer loss", form="points", higher_is_better=False),
            Column(title="proxy A-distance", form="number"),
        ),
        rows=tuple(
            Row(
                label=store_name(r.label),
                cells=(
                    _share(r),
                    Number(value=r.within, form="share"),
                    Number(value=r.loss(domain.floor), form="points"),
                    Number(value=r.distance),
                ),
                baseline=r.kind == "baseline",
            )
            for r in domain.rows
        ),
        caption=(
            f"Accuracy of a linear classifier on {domain.rows[0].n:,} test images of the target. The transfer loss is "
            "its error less that of a classifier of raw pixels that had the target's labels. The proxy A-distance "
            "says how well a linear classifier tells the domains apart: 2 always, 0 not at all."
            if first
            else ""
        ),
    )


def _ratios(domains: Sequence[Domain]) -> Table:
    """Glorot et al.'s two ratios, over the targets."""
    labels = [r.label for r in domains[0].rows]
    same = all([r.label for r in d.rows] == labels for d in domains)
    rows = []
    for place, label in enumerate(labels):
        found = [(d.rows[place], d.floor) for d in domains]
        rows.append(
            Row(
                label=store_name(label) if same else store_name(label).split(",")[0],
                cells=(
                    Number(value=fmean(ratio(1 - r.across, floor) for r, floor in found)),
                    Number(value=fmean(ratio(1 - r.within, floor) for r, floor in found)),
                ),
                baseline=domains[0].rows[place].kind == "baseline",
            )
        )
    return Table(
        title="Over all targets",
        label_title="Representation",
        columns=(
            Column(title="transfer ratio", form="number", higher_is_better=False),
            Column(title="in-domain ratio", form="number", higher_is_better=False),
        ),
        rows=tuple(rows),
        caption="Errors over that of raw pixels with the target's labels, mean over the targets (Glorot et al. 2011): "
        "fitted on the source's labels, and on the target's.",
    )


def _finding(source: str, domain: Domain) -> Finding:
    """Is learning on both better than on the source alone and than raw pixels? By intervals that do not meet."""
    both, alone, raw = domain.rows[0], domain.rows[1], domain.rows[-1]
    better = [both.interval[0] > other.interval[1] for other in (alone, raw)]
    worse = [both.interval[1] < other.interval[0] for other in (alone, raw)]
    verdict: Verdict = "yes" if all(better) else "no" if any(worse) else "partly" if any(better) else "open"
    return Finding(
        claim=f"Learning on unlabelled images of both domains carries the labels of {source} over to {domain.key}.",
        verdict=verdict,
        answer=f"{both.across:.1%} [{both.interval[0]:.1%}, {both.interval[1]:.1%}] of the target's test images are "
        f"named right, {alone.across:.1%} after learning on {source} alone and {raw.across:.1%} on raw pixels; with "
        f"the target's labels it would be {both.within:.1%}. (Yes: over both, with intervals that do not meet.)",
        numbers=(Fact(name="learnt on both", value=_share(both)),),
    )
