"""Where networks go in the space of functions: outputs on the test images, at each moment one vector a network.

Erhan et al., "Why Does Unsupervised Pre-training Help Deep Learning?", JMLR 11, 2010, section 6.3 (figures 5 and 6):
the class probabilities of all followed images are concatenated to one vector for each network and moment; all vectors
of all networks are projected to the plane together, by t-SNE, which keeps neighbours, and by Isomap, which keeps
distances. Claims are answered by distances between the vectors themselves, not by the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.maps.make import make_map, make_projection
from phispace.report.document import Fact, Facts, Figure, Finding, Findings, Number, Part, Verdict
from phispace.report.figures.trajectories import trajectories
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions

_IMAGES = 500


class FunctionSpaceOptions(StepOptions):
    """Options of the step `function-space`."""

    of: str
    maps: tuple[str, ...] = Field(("tsne", "isomap"), min_length=1)
    components: int = Field(50, ge=2, description="principal components that the maps are made of")


class FunctionSpace(Step[FunctionSpaceOptions]):
    """Trajectories of networks through the space of functions, by t-SNE and Isomap, colour for time."""

    Options = FunctionSpaceOptions

    def title(self, options: FunctionSpaceOptions) -> str:
        return f"Following the networks through the space of functions ({', '.join(options.maps)})"

    def run(self, context: Context, name: str, options: FunctionSpaceOptions) -> Outcome:
        from phispace.training.outputs import OUTPUTS, read_outputs

        made = context.result(options.of)
        groups: list[str] = made["groups"]
        found = [(row, *read_outputs(context.out / row["run"] / OUTPUTS)) for row in made["outputs"]]
        steps = np.concatenate([s for _, s, _ in found])
        group = np.concatenate([np.full(len(s), row["group"]) for row, s, _ in found])
        network = np.concatenate([np.full(len(s), i) for i, (_, s, _) in enumerate(found)])
        gram = gram_of([outputs for _, _, outputs in found])
        vectors, explained = principal_coordinates(gram, options.components)
        store = Embeddings.build(
            vectors, [f"{i:03d}/{s:08d}" for i, s in zip(network, steps, strict=True)], group, "test", groups,
            columns={"step": steps, "network": network}, name="function-space",
        )  # fmt: skip
        panels, quality = {}, {}
        for kind in options.maps:
            placed = make_map(store, kind, seed=context.seed, progress=context.progress)
            placed.save(context.place("maps", f"{name}-{kind}"))
            panels[make_projection(kind).title], quality[kind] = placed.xy, placed.quality
        picture = context.place("figures", f"{name}.png")
        trajectories(
            panels, network, steps, group, groups, picture, title="Ways through the space of functions",
            time_label="supervised steps",
        )  # fmt: skip
        images = found[0][2].shape[1]
        findings, numbers = answers(distances(gram), network, steps, group)
        sections: list[Part] = [
            Figure(
                title="Where do the networks go?",
                path=picture.relative_to(context.out).as_posix(),
                alt=f"{len(found)} networks at {len(np.unique(steps))} moments by {' and '.join(panels)}, colour is "
                "the training step, the mark is the group",
                caption=f"Each point is one network at one moment: its class probabilities of {images:,} test images "
                f"in one vector. Rings mark the last moment. Made of {vectors.shape[1]} principal components, which "
                f"hold {explained:.1%} of the variance. t-SNE keeps neighbours, Isomap distances.",
            ),
            Facts(
                facts=tuple(
                    Fact(name=f"Trustworthiness, {kind}", value=Number(value=q.get("trustworthiness")))
                    for kind, q in quality.items()
                ),
                caption="How faithful the pictures are: 1 is perfect.",
            ),
            Findings(findings=findings),
        ]
        return Outcome({"numbers": numbers, "quality": quality, "explained": explained}, sections)


def gram_of(outputs: Sequence[np.ndarray]) -> np.ndarray:
    """Inner products of all vectors, float64 (M, M), block of images by block: the vectors are never whole in memory.

    Args:
        outputs: a network's probabilities (T, N, K) each, on the same N images.
    """
    images, total = outputs[0].shape[1], sum(len(o) for o in outputs)
    gram = np.zeros((total, total))
    for start in range(0, images, _IMAGES):
        block = np.concatenate([o[:, start : start + _IMAGES].reshape(len(o), -1) for o in outputs]).astype(np.float64)
        gram += block @ block.T
    return gram


def principal_coordinates(gram: np.ndarray, count: int) -> tuple[np.ndarray, float]:
    """The vectors' principal components float32 (M, count) from their inner products, and their share of variance."""
    n = len(gram)
    centre = np.eye(n) - 1.0 / n
    values, directions = np.linalg.eigh(centre @ gram @ centre)
    values, directions = values[::-1].clip(0), directions[:, ::-1]
    kept = min(count, n - 1)
    coordinates = directions[:, :kept] * np.sqrt(values[:kept])
    total = float(values.sum())
    return coordinates.astype(np.float32), float(values[:kept].sum() / total) if total > 0 else 1.0


def distances(gram: np.ndarray) -> np.ndarray:
    """Euclidean distances (M, M) from inner products."""
    square = np.diag(gram)
    return np.asarray(np.sqrt(np.clip(square[:, None] + square[None, :] - 2 * gram, 0, None)))


def answers(
    apart: np.ndarray, network: np.ndarray, steps: np.ndarray, group: np.ndarray
) -> tuple[tuple[Finding, ...], dict[str, float]]:
    """Erhan et al.'s three observations, by mean distances between networks at their first and last moments.

    Args:
        apart: distances (M, M). network, steps, group: (M,).
    """
    ids = np.unique(network)
    last = np.array([np.flatnonzero(network == i)[steps[network == i].argmax()] for i in ids])
    first = np.array([np.flatnonzero(network == i)[steps[network == i].argmin()] for i in ids])
    kinds = group[last]

    def between(rows: np.ndarray, a: int, b: int) -> float:
        one, other = rows[kinds == a], rows[kinds == b]
        block = apart[np.ix_(one, other)]
        return float(block[np.triu_indices(len(one), 1)].mean() if a == b else block.mean())

    way = [float(np.mean([apart[f, t] for f, t in zip(first[kinds == k], last[kinds == k], strict=True)]))
           for k in (0, 1)]  # fmt: skip
    numbers = {
        "between_first": between(first, 0, 1), "between_last": between(last, 0, 1),
        "within_without_first": between(first, 0, 0), "within_without_last": between(last, 0, 0),
        "within_with_first": between(first, 1, 1), "within_with_last": between(last, 1, 1),
        "way_without": way[0], "way_with": way[1],
    }  # fmt: skip
    ends = [numbers["within_without_last"], numbers["within_with_last"]]
    ratio = numbers["between_last"] / max(float(np.mean(ends)), 1e-12)
    nearest = apart[np.ix_(last, last)] + np.diag(np.full(len(last), np.inf))
    own = float((kinds[nearest.argmin(1)] == kinds).mean())
    apart_at_end: Verdict = "yes" if own == 1 and ratio > 1.1 else "no" if own < 0.75 else "partly"
    smaller = ends[1] / max(ends[0], 1e-12)
    volume: Verdict = "yes" if smaller < 0.9 else "no" if smaller > 1.1 else "open"
    together = [ends[0] / max(way[0], 1e-12), ends[1] / max(way[1], 1e-12)]
    many: Verdict = "yes" if min(together) > 0.1 else "no" if max(together) < 0.1 else "partly"
    return (
        Finding(
            claim="The two groups stay apart: pretrained networks end in another part of function space.",
            verdict=apart_at_end,
            answer=f"At the last step {own:.0%} of the networks have their nearest neighbour in their own group; the "
            f"mean distance between groups is {ratio:.2f} times that within. (Yes: all, and over 1.1.)",
        ),
        Finding(
            claim="Networks of one group do not end in one place: there are many minima.",
            verdict=many,
            answer="At the last step two networks of one group are as far apart as "
            f"{together[0]:.2f} (without) and {together[1]:.2f} (with pretraining) of the way that each has come. "
            "(One place would be under 0.1.)",
        ),
        Finding(
            claim="Pretrained networks end in a smaller part of function space.",
            verdict=volume,
            answer=f"The mean distance between two of them is {smaller:.2f} times that between two networks without "
            "pretraining. (Yes: under 0.9; no: over 1.1.)",
        ),
    ), numbers
