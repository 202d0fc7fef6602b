"""What the step `networks` says: test errors of both groups by number of labels, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phispace.metrics.seeds import Estimate, mean_over_seeds
from phispace.report.document import Column, Fact, Figure, Finding, Findings, Number, Part, Row, Table, Verdict
from phispace.report.figures import lines
from phispace.studies.runner import Context

Errors = Mapping[int, Sequence[Sequence[float]]]


def sections(
    context: Context, name: str, errors: Errors, n_test: int, minutes: float, kind: str = "networks"
) -> tuple[list[Part], str, list[Part], dict[str, Any]]:
    """Parts of the report, the answer in words, the headline, and the numbers for later steps.

    Args:
        errors: number of labels (0 = all) -> test errors of the networks without and with pretraining.
        n_test: test images.
        minutes: of pretraining, of one network.
        kind: what the networks are called.
    """
    networks = len(next(iter(errors.values()))[0])
    gains = {n: _gain(without, pretrained) for n, (without, pretrained) in errors.items()}
    table = Table(
        title=f"Does pretraining lower the test error of {kind}?",
        label_title="Labelled images",
        columns=(
            Column(title="test error without", form="share", higher_is_better=False),
            Column(title="test error with", form="share", higher_is_better=False),
            Column(title="gain", form="points", higher_is_better=True),
            Column(title="spread with / without"),
        ),
        rows=tuple(
            Row(
                label=_count(n),
                cells=(
                    Number(value=_mean(without), spread=_sd(without), form="share"),
                    Number(value=_mean(pretrained), spread=_sd(pretrained), form="share"),
                    Number(value=gains[n].value, low=gains[n].interval[0], high=gains[n].interval[1], form="points"),
                    f"{_sd(pretrained) / _sd(without):.2f}" if _sd(without) > 0 else "undefined",
                ),
            )
            for n, (without, pretrained) in errors.items()
        ),
        caption=f"{networks} {kind} of each group, mean and standard deviation over them, {n_test:,} test images, "
        "each network as its last step left it. The gain is paired: network i of both groups has the same seed and the "
        f"same labelled images; its interval, 95 %, is for other seeds and draws. Pretraining took {minutes:.1f} "
        "minutes a network.",
    )
    sections_: list[Part] = [table]
    if len(errors) > 1:
        sections_.append(_curves(context, name, errors))
    sections_.append(Findings(findings=_findings(errors, gains, kind)))
    few = min((n for n in errors if n), default=0)
    without, pretrained = errors[few]
    answer = (
        f"With {_count(few)} labels, {kind} that begin where unsupervised pretraining left them err on "
        f"{_mean(pretrained):.1%} of the test images (± {_sd(pretrained):.1%} over {networks} networks), those that "
        f"begin at random on {_mean(without):.1%} (± {_sd(without):.1%})."
    )
    headline: list[Part] = [
        Fact(name=f"Gain by pretraining, {kind}, {_count(n)} labels",
             value=Number(value=gain.value, low=gain.interval[0], high=gain.interval[1], form="points"),
             note="points of test error")
        for n, gain in gains.items()
    ]  # fmt: skip
    numbers = {
        "errors": {_count(n): [list(group) for group in groups] for n, groups in errors.items()},
        "gains": {
            _count(n): {"value": g.value, "interval": list(g.interval), "p": g.p_value} for n, g in gains.items()
        },
    }
    return sections_, answer, headline, numbers


def _count(labels: int) -> str:
    return f"{labels:,}" if labels else "all"


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _sd(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1))


def _gain(without: Sequence[float], pretrained: Sequence[float]) -> Estimate:
    return mean_over_seeds(np.asarray(without) - np.asarray(pretrained))


def _curves(context: Context, name: str, errors: Errors) -> Figure:
    """Test error over the number of labels, each group with the range of its networks."""
    labels = sorted(errors, key=lambda n: n or np.inf)
    places = list(range(len(labels)))
    groups = {"without": 0, "with pretraining": 1}
    means = {title: [_mean(errors[n][g]) for n in labels] for title, g in groups.items()}
    bands = {
        title: ([min(errors[n][g]) for n in labels], [max(errors[n][g]) for n in labels]) for title, g in groups.items()
    }
    path = context.place("figures", f"{name}-errors.png")
    lines(
        places, means, path, title="Test error by number of labels", form="share", bands=bands,
        xlabel="labelled images", names=[_count(n) for n in labels],
    )  # fmt: skip
    return Figure(
        path=path.relative_to(context.out).as_posix(),
        alt="Mean test error with and without pretraining, by number of labelled images",
        caption="Means of each group; the shade reaches from its best network to its worst.",
        width="half",
    )


def _findings(errors: Errors, gains: Mapping[int, Estimate], kind: str) -> tuple[Finding, ...]:
    labels = sorted(errors, key=lambda n: n or np.inf)
    told = "; ".join(
        f"{_count(n)} labels {100 * gains[n].value:+.1f} points [{100 * gains[n].interval[0]:+.1f}, "
        f"{100 * gains[n].interval[1]:+.1f}]"
        for n in labels
    )
    sure = [gains[n].interval[0] > 0 for n in labels]
    worse = [gains[n].interval[1] < 0 for n in labels]
    helps: Verdict = "yes" if all(sure) else "partly" if any(sure) else "no" if any(worse) else "open"
    found = [
        Finding(
            claim=f"Unsupervised pretraining lowers the test error of {kind}.", verdict=helps, answer=f"Gains: {told}."
        )
    ]
    if len(labels) > 1:
        few, most = gains[labels[0]].value, gains[labels[-1]].value
        grows: Verdict = "yes" if few > most and sure[0] else "open" if not sure[0] else "no"
        found.append(
            Finding(
                claim=f"It helps {kind} most where labels are few.",
                verdict=grows,
                answer=f"{_count(labels[0])} labels: {100 * few:+.1f} points; {_count(labels[-1])}: {100 * most:+.1f}.",
            )
        )
    from scipy.stats import levene

    many = min(len(g) for groups in errors.values() for g in groups) > 2  # two values are always equally far from both
    ratios = {n: _sd(errors[n][1]) / _sd(errors[n][0]) for n in labels if many and _sd(errors[n][0]) > 0}
    tests = {n: float(levene(*errors[n], center="median").pvalue) for n in ratios}
    less = [n for n in ratios if ratios[n] < 1 and tests[n] < 0.05]
    more = [n for n in ratios if ratios[n] > 1 and tests[n] < 0.05]
    verdict: Verdict = "open" if not less and not more else "no" if not less else "yes"
    if less and len(less) < len(ratios):
        verdict = "partly"
    told = "; ".join(f"{_count(n)} labels {ratios[n]:.2f} (p = {tests[n]:.2g})" for n in ratios)
    found.append(
        Finding(
            claim=f"Pretrained {kind} differ less from seed to seed.",
            verdict=verdict,
            answer=f"Standard deviation with over without pretraining: {told or 'undefined with two networks'} (Brown "
            "and Forsythe's test of equal spread).",
        )
    )
    return tuple(found)
