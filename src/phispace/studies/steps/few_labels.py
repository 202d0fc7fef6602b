"""Few labelled images, many unlabelled: labels alone, or an autoencoder first?

    (a) a convolutional classifier is trained on the labelled images alone
    (b) an autoencoder is trained on the unlabelled images and validated on the labelled ones
    (c) a logistic regression is trained on its codes of the labelled images

(a) and (c) are judged on the same held-out images of a repeated stratified cross-validation; each repeat has its own
division and its own autoencoder. Beside (c) stand the same regression on raw pixels, on principal components of the
unlabelled images and on the codes of the encoder untrained.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import Field

from phispace.api.decode import reconstruct
from phispace.api.learn import train
from phispace.data.imageset import ImageSet
from phispace.embeddings.baselines import pca, pixels
from phispace.embeddings.extract import extract_run, extract_untrained
from phispace.embeddings.store import Embeddings
from phispace.registry import registry
from phispace.report.document import Figure, Part, Text
from phispace.run import Run
from phispace.studies.labelled_folds import FewLabels, few_labels
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.few_labels_report import Contestant, sections

QUIET = ("training.health_every=0", "training.tensorboard=false", "training.checkpoints='last'")
STRENGTHS = tuple(10.0**-e for e in range(7))
CONTROLS = {"pixels": "raw pixels", "pca": "PCA of the unlabelled", "untrained": "untrained encoder"}


class FewLabelsOptions(StepOptions):
    """Options of the step `few-labels`."""

    labelled: int = Field(400, ge=4, description="labelled images that are used; more are hidden")
    folds: int = Field(4, ge=2, description="parts of them; one is held out, the others are trained on")
    repeats: int = Field(3, ge=1, description="divisions into folds, each with its own autoencoder")
    classifier: str = Field("convnet4", description="encoder of (a)")
    classifier_epochs: int = Field(60, ge=1)
    classifier_settings: tuple[str, ...] = ()
    autoencoder: str = Field("autoencoder", description="method of (b)")
    encoder: str = Field("convnet2", description="encoder of (b)")
    encoder_epochs: int = Field(30, ge=1)
    encoder_settings: tuple[str, ...] = ()
    baselines: tuple[Literal["pixels", "pca", "untrained"], ...] = ("pixels", "pca", "untrained")


class FewLabelsStep(Step[FewLabelsOptions]):
    """A classifier on few labelled images beside one on the codes of an autoencoder of many unlabelled ones."""

    Options = FewLabelsOptions

    def title(self, options: FewLabelsOptions) -> str:
        return f"Few labels: {options.repeats} x {options.folds} folds, with and without the unlabelled images"

    def run(self, context: Context, name: str, options: FewLabelsOptions) -> Outcome:
        few = few_labels(context.images, options.labelled, options.folds, options.repeats, context.seed)
        shape = (options.repeats, len(few.labelled))
        contestants = [Contestant("classifier", "(a) labels alone", np.full(shape, -1))]
        codes = Contestant("codes", f"(c) {options.autoencoder} first"[:28], np.full(shape, -1))
        controls = [Contestant(kind, CONTROLS[kind], np.full(shape, -1), control=True) for kind in options.baselines]
        contestants += [codes, *controls]
        divisions = list(few.divisions())
        for repeat in range(options.repeats):
            learnt = self._autoencoder(context, name, options, few, repeat)
            stores = self._stores(context, few, learnt, options)
            codes.minutes += float(learnt.record["result"].get("minutes", 0.0))
            codes.notes.append(float(learnt.record["result"].get("best_val_loss", float("nan"))))
            for _, fold, chosen, held_out in (d for d in divisions if d[0] == repeat):
                images = few.fold_images(chosen)
                predicted, minutes = self._classify(context, name, options, images, repeat, fold)
                contestants[0].predicted[repeat, held_out] = predicted
                contestants[0].minutes += minutes
                for contestant in contestants[1:]:
                    found = regress(stores[contestant.key], few.labelled.labels, chosen, held_out, context.seed)
                    contestant.predicted[repeat, held_out] = found
        made, answer, headline, numbers = sections(
            context, name, few, contestants, options.autoencoder, options.classifier
        )
        made.append(self._reconstructions(context, name, few, options, codes.notes))
        return Outcome(numbers, made, answer, headline)

    def _reconstructions(
        self, context: Context, name: str, few: FewLabels, options: FewLabelsOptions, losses: list[float]
    ) -> Part:
        """What the first repeat's autoencoder keeps of the labelled images, which it was validated on."""
        told = ", ".join(f"{loss:.4f}" for loss in losses)
        validated = f"Validation loss on the labelled images, which it did not train on: {told}, one number a repeat."
        if not hasattr(registry("methods").get(options.autoencoder), "reconstruct"):
            return Text(title="What the codes keep", paragraphs=(validated,))
        path = context.place("figures", f"{name}-reconstructions.png")
        run = Run.open(context.place("runs", f"{name}-{options.autoencoder}-0"))
        reconstruct([run], split="val", images=few.unlabelled, baselines=False, out=path, progress=context.progress)
        return Figure(
            title="What do the codes keep?",
            path=path.relative_to(context.out).as_posix(),
            alt="Labelled images above what the autoencoder gives back of them",
            caption=f"What is lost here, no classifier on the codes can find. {validated}",
            pixelated=True,
        )

    def _autoencoder(self, context: Context, name: str, options: FewLabelsOptions, few: FewLabels, repeat: int) -> Run:
        path = context.place("runs", f"{name}-{options.autoencoder}-{repeat}")
        return train(
            options.autoencoder, few.unlabelled, encoder=options.encoder, epochs=options.encoder_epochs,
            settings=(*QUIET[1:], *options.encoder_settings), out=path, seed=context.seed + repeat,
            resume=(path / "run.json").exists(), training=context.training, progress=context.progress,
        )  # fmt: skip

    def _classify(
        self, context: Context, name: str, options: FewLabelsOptions, images: ImageSet, repeat: int, fold: int
    ) -> tuple[np.ndarray, float]:
        """Class of each held-out image, int64, and the minutes of training."""
        path = context.place("runs", f"{name}-classifier-{repeat}-{fold}")
        run = train(
            "supervised", images, encoder=options.classifier, epochs=options.classifier_epochs,
            settings=(*QUIET, *options.classifier_settings), out=path, seed=context.seed + repeat,
            resume=(path / "run.json").exists(), training=context.training, progress=context.progress,
        )  # fmt: skip
        store = extract_run(run, images, checkpoint="last", splits=("test",), precision="float32")["features"]
        predicted = store.column("prediction")
        if predicted is None:
            raise ValueError("a supervised run predicts classes")
        return predicted, float(run.record["result"].get("minutes", 0.0))

    def _stores(self, context: Context, few: FewLabels, run: Run, options: FewLabelsOptions) -> dict[str, np.ndarray]:
        """Vectors of the labelled pool, by contestant, (n, D) each in the pool's order."""
        pool, ids = few.labelled, few.labelled.ids
        found = {"codes": extract_run(run, pool, precision="float32", progress=context.progress)["features"]}
        if "untrained" in options.baselines:
            found["untrained"] = extract_untrained(run, pool, precision="float32")["features"]
        if "pixels" in options.baselines:
            found["pixels"] = pixels(pool)
        if "pca" in options.baselines:
            found["pca"] = pca(pixels(few.unlabelled), found["codes"].dim).part("val")
        return {kind: _in_order(store, ids) for kind, store in found.items()}


def _in_order(store: Embeddings, ids: np.ndarray) -> np.ndarray:
    place = {identity: row for row, identity in enumerate(store.ids.tolist())}
    return np.asarray(store.vectors[[place[identity] for identity in ids.tolist()]], np.float64)


def regress(vectors: np.ndarray, labels: np.ndarray, chosen: np.ndarray, held_out: np.ndarray, seed: int) -> np.ndarray:
    """Classes that a logistic regression gives the held-out vectors, int64.

    The objective is the linear probe's (`phispace.evaluation.logistic`): vectors standardised on the chosen ones, an L2
    penalty whose strength is chosen by five-fold cross-validation inside them (log loss; fewer folds where a class has
    fewer images, the middle strength where one has a single image); then it is fitted on all of them.

    Args:
        vectors: (n, D).
        labels: int64 (n,).
        chosen, held_out: positions.
    """
    from sklearn.model_selection import StratifiedKFold

    known, y = np.unique(labels[chosen], return_inverse=True)
    x = vectors[chosen].astype(np.float32)
    smallest = int(np.bincount(y).min())
    best = len(STRENGTHS) // 2
    if smallest >= 2:
        losses = np.zeros(len(STRENGTHS))
        division = StratifiedKFold(min(5, smallest), shuffle=True, random_state=seed)
        for inner, rest in division.split(x, y):
            for number, log_p in enumerate(_fitted(x[inner], y[inner], len(known), x[rest])):
                losses[number] -= log_p[np.arange(len(rest)), y[rest]].sum()
        best = int(losses.argmin())
    log_p = list(_fitted(x, y, len(known), vectors[held_out].astype(np.float32), STRENGTHS[: best + 1]))[-1]
    return known[log_p.argmax(1)].astype(np.int64)


def _fitted(
    x: np.ndarray, y: np.ndarray, classes: int, asked: np.ndarray, strengths: tuple[float, ...] = STRENGTHS
) -> Iterator[np.ndarray]:
    """log p (m, K) of other vectors, for each strength from strong to weak."""
    from phispace.evaluation.logistic import Standardised, solve_path

    features = Standardised(x)
    others = features(asked)
    for solution in solve_path(features, y, classes, strengths):
        yield solution.log_probability(others).numpy()
