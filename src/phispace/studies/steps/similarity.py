"""How alike are representations of different epochs? Linear CKA over a fixed set of validation images.

Every layer is compared with its own final state, and one layer between all pairs of checkpoints. CKA needs only the
images' inner products, so each layer is kept as its centred Gram matrix (N, N), however wide it is.

Source: Kornblith, Norouzi, Lee, Hinton, "Similarity of Neural Network Representations Revisited", ICML 2019, eq. 1-3.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from phispace.embeddings.checkpoints import by_epoch
from phispace.embeddings.extract import extract
from phispace.metrics.cka import centred_gram, cka_of_grams
from phispace.report.document import Fact, Figure, Finding, Findings, Number, Verdict
from phispace.report.figures import heat, lines
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.train import images_of, run_of
from phispace.studies.study import images_subset
from phispace.training.restore import load_method


class SimilarityOptions(StepOptions):
    """Options of the step `similarity`."""

    run: str
    layers: tuple[str, ...]
    between: str = "fc1"
    images: int = Field(1000, ge=10)
    at_most: int = Field(20, ge=2)
    guess_change: str = ""
    guess_layers: str = ""
    dense: tuple[str, ...] = ("fc1",)


class Similarity(Step[SimilarityOptions]):
    """CKA between checkpoints, and of each layer with its own final state."""

    Options = SimilarityOptions

    def title(self, options: SimilarityOptions) -> str:
        return "Comparing the layers of all checkpoints (CKA)"

    def run(self, context: Context, name: str, options: SimilarityOptions) -> Outcome:
        run = run_of(context, options.run)
        followed = images_subset(images_of(context, options.run), val=options.images)
        places = by_epoch(run, options.at_most)
        epochs = [float(record["epoch"]) for _, record in places]
        layers = tuple(dict.fromkeys([*options.layers, options.between]))
        grams: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
        with context.progress.task("Comparing layers", total=len(places)) as task:
            for place, _ in places:
                stores = extract(load_method(run, place.name).encoder, followed, layers, precision="float32")
                for layer in layers:
                    grams[layer].append(centred_gram(np.asarray(stores[layer].vectors)))
                task.advance()
        own = {layer: [cka_of_grams(g, grams[layer][-1]) for g in grams[layer]] for layer in options.layers}
        pairs = np.array([[cka_of_grams(a, b) for b in grams[options.between]] for a in grams[options.between]])
        own_figure = context.place("figures", f"{name}-layers.png")
        lines(
            epochs,
            own,
            own_figure,
            title="Each layer compared with its own final state",
            xlabel="epoch",
            ylabel="linear CKA with the last checkpoint",
        )
        pair_figure = context.place("figures", f"{name}-epochs.png")
        ticks = [f"{e:g}" for e in epochs]
        heat(pairs, ticks, ticks, pair_figure, title=f"{options.between} between epochs", label="linear CKA")
        steps = [float(pairs[i, i + 1]) for i in range(len(pairs) - 1)]
        return Outcome(
            {"epochs": epochs, "own": own, "pairs": pairs.tolist(), "steps": steps},
            [
                Figure(
                    title="Does the representation change from epoch to epoch?",
                    path=pair_figure.relative_to(context.out).as_posix(),
                    alt=f"Heat map of linear CKA of {options.between} between all pairs of checkpoints",
                    caption=f"Linear CKA of {options.between} over {len(followed):,} validation images: 1 = the same "
                    "up to rotation and scale.",
                    width="half",
                ),
                Figure(
                    title="Which layers settle first?",
                    path=own_figure.relative_to(context.out).as_posix(),
                    alt="Linear CKA of each layer with its own final state, by epoch",
                    caption="The lower the line, the more of its way the layer still had to go.",
                    width="half",
                ),
                Findings(findings=(_change(epochs, steps, options), _layers(epochs, own, options))),
            ],
        )


def _change(epochs: list[float], steps: list[float], options: SimilarityOptions) -> Finding:
    """Epoch to epoch: drastic where CKA falls under 0.5, small where it stays over 0.9."""
    later = steps[1:] or steps
    low, middle = min(later), float(np.median(later))
    verdict: Verdict = "yes" if middle < 0.5 else "no" if low > 0.9 else "partly"
    return Finding(
        claim=options.guess_change or f"{options.between} changes drastically from epoch to epoch.",
        verdict=verdict,
        answer=f"From the untrained network to the first stored epoch CKA is {steps[0]:.2f}; between later "
        f"neighbouring checkpoints its median is {middle:.2f} and its lowest {low:.2f}. "
        "(Drastic would be under 0.5, small over 0.9.)",
        numbers=(
            Fact(name="first step", value=Number(value=steps[0])),
            Fact(name="median of later steps", value=Number(value=middle)),
            Fact(name="lowest of later steps", value=Number(value=low)),
        ),
    )


def _layers(epochs: list[float], own: dict[str, list[float]], options: SimilarityOptions) -> Finding:
    """How far from its final state each kind of layer is after a quarter of the training."""
    at = max(1, int(np.searchsorted(epochs, epochs[-1] / 4)))
    dense = [own[layer][at] for layer in own if layer in options.dense]
    convolutional = [own[layer][at] for layer in own if layer not in options.dense]
    early, late = float(np.mean(convolutional)), float(np.mean(dense))
    gap = early - late
    return Finding(
        claim=options.guess_layers or "The convolutions form early; later progress is in the dense layers.",
        verdict="yes" if gap > 0.1 else "no" if gap < 0 else "partly",
        answer=f"At epoch {epochs[at]:g} of {epochs[-1]:g} the convolutional layers have a CKA of {early:.2f} with "
        f"their own final state on average, {' and '.join(options.dense)} {late:.2f}. (A gap over 0.1 counts as yes.)",
        numbers=tuple(Fact(name=layer, value=Number(value=values[at])) for layer, values in own.items()),
    )
