"""Domain adaptation without labels of the target: learn on the images of two domains, classify by the labels of one.

For each target domain a method that needs no labels is trained on the images of both domains (`both`) and on those of
the labelled source alone (`source`), and a network on the source's labels. The network's features are taken as they
are, aligned by CORAL, and with statistics of batch normalisation from the target's images. A classifier is then fitted
on the source's labels and tested on the target, e(S, T), and, as what could be had with labels, fitted and tested on
the target, e(T, T). Errors are of test images.

    transfer loss    e(S, T) - e_b(T, T), with e_b the error on raw pixels
    transfer ratio   mean over targets of e(S, T) / e_b(T, T)
    in-domain ratio  mean over targets of e(T, T) / e_b(T, T)

Source: Glorot, Bordes and Bengio, "Domain Adaptation for Large-Scale Sentiment Classification", ICML 2011, section 4;
the proxy A-distance 2 (1 - 2 ε) of a linear classifier of the two domains as there, from Ben-David et al., 2007. CORAL:
see `phispace.embeddings.coral`; batch normalisation: see `phispace.encoders.norm.take_statistics`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from pydantic import Field

from phispace.api.decode import reconstruct
from phispace.api.learn import train
from phispace.data.domains import adaptation_set, in_colour, make_domain
from phispace.data.imageset import ImageSet
from phispace.data.views import to_float
from phispace.embeddings.baselines import fit_pca, in_components, inherited, pixels
from phispace.embeddings.coral import coral
from phispace.embeddings.extract import extract, extract_run, extract_untrained
from phispace.embeddings.store import Embeddings
from phispace.encoders.norm import take_statistics
from phispace.evaluation.evaluate import evaluate
from phispace.randomness import rng
from phispace.registry import registry
from phispace.report.document import Figure, Part
from phispace.run import Run, safe_name
from phispace.studies.runner import Context
from phispace.studies.steps.adaptation_report import Domain, Kind, Representation, sections
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.training.restore import load_method

LAST = "last"
"""The checkpoint: the lowest validation loss would be chosen on the source's images alone."""
_DOMAIN_ITEMS = 2000
_STATISTICS_BATCH = 500


class NetworkOptions(StepOptions):
    """The network of the source's labels."""

    encoder: str | None = None
    preset: str | None = Field(None, description="of the method `supervised`")
    epochs: int = Field(ge=1)
    settings: tuple[str, ...] = ()


class AdaptationOptions(StepOptions):
    """Options of the step `adaptation`."""

    targets: tuple[str, ...] = Field(
        min_length=1, description="changes of the images (see phispace.data.domains), or keys of [others]"
    )
    method: str = "denoising-autoencoder"
    encoder: str | None = None
    epochs: int = Field(ge=1)
    settings: tuple[str, ...] = ()
    network: NetworkOptions | None = Field(
        None, description="trained on the source's labels; adapted by CORAL and by batch normalisation"
    )
    on: str | None = Field(None, description="the labelled source; by default the study's own images")
    evaluation: str = Field("linear", description="the classifier; its accuracy is compared")


class Adaptation(Step[AdaptationOptions]):
    """A classifier of one domain's labels, tested on another, over what was learnt on the images of both."""

    Options = AdaptationOptions

    def title(self, options: AdaptationOptions) -> str:
        return f"Adapting to {', '.join(options.targets)} by a {options.method}"

    def run(self, context: Context, name: str, options: AdaptationOptions) -> Outcome:
        domains, figures = [], []
        for target in options.targets:
            found, figure = self._target(context, name, options, target)
            domains.append(found)
            figures.append(figure)
        source = context.images_named(options.on).name
        made, answer, headline, numbers = sections(source, domains, options.method)
        return Outcome(numbers, [*made, *figures], answer, headline)

    def _target(self, context: Context, name: str, options: AdaptationOptions, key: str) -> tuple[Domain, Part]:
        source, target = domains_of(context, key, options.on)
        both = adaptation_set(source, target)
        alone = source.take(source.where("train", "val"))
        kind = "grey" if source.shape[0] == 1 else "colour"
        learnt = (options.method, options.encoder, None, options.epochs, options.settings)
        runs = {
            "both": self._train(context, both, f"{name}-{safe_name(key)}-both", *learnt),
            "source": self._train(context, alone, f"{name}-source-{kind}", *learnt),
        }
        components = fit_pca(pixels(_all_train(both)), _width(runs["both"]))
        makers: dict[str, Callable[[ImageSet], Embeddings]] = {
            f"{options.method}, both domains": lambda x: _codes(runs["both"], x),
            f"{options.method}, source alone": lambda x: _codes(runs["source"], x),
        }
        if options.network is not None:
            n = options.network
            network = self._train(
                context, alone, f"{name}-network-{kind}", "supervised", n.encoder, n.preset, n.epochs, n.settings
            )
            makers |= _adapted(network, both)
        adapted = list(makers)[2:]
        makers |= {
            "untrained": lambda x: extract_untrained(runs["both"], x, precision="float32")["features"],
            f"PCA of both, {components.weights.shape[1]}": lambda x: in_components(pixels(x), components),
            "pixels": pixels,
        }
        rows: list[Representation] = []
        for label, make in makers.items():
            part: Kind = "learnt" if len(rows) < 2 else "network" if label in adapted else "baseline"
            rows.append(self._measure(context, options, label, part, make(both), make(target)))
        return Domain(key, target.name, tuple(rows)), self._figure(context, name, options, key, runs, both)

    def _train(
        self,
        context: Context,
        images: ImageSet,
        name: str,
        method: str,
        encoder: str | None,
        preset: str | None,
        epochs: int,
        settings: tuple[str, ...],
    ) -> Run:
        path = context.place("runs", name)
        return train(
            method, images, encoder=encoder, preset=preset, epochs=epochs, settings=settings, out=path,
            seed=context.seed, resume=(path / "run.json").exists(), training=context.training,
            progress=context.progress,
        )  # fmt: skip

    def _measure(
        self,
        context: Context,
        options: AdaptationOptions,
        label: str,
        part: Kind,
        across: Embeddings,
        within: Embeddings,
    ) -> Representation:
        """Scores of one representation: `across` has the source's labels and the target's test, `within` the target."""
        found = [evaluate(s, [options.evaluation], seed=context.seed)[options.evaluation] for s in (across, within)]
        accuracy = [float(s.metrics["accuracy"]) for s in found]
        low, high = found[0].interval.get("accuracy", (float("nan"),) * 2)
        distance = proxy_a_distance(_part(across, "train"), _part(across, "unlabelled"), context.seed)
        return Representation(label, accuracy[0], (low, high), accuracy[1], distance, int(found[0].n["test"]), part)

    def _figure(
        self, context: Context, name: str, options: AdaptationOptions, key: str, runs: dict[str, Run], both: ImageSet
    ) -> Part:
        path = context.place("figures", f"{name}-{safe_name(key)}.png")
        if not hasattr(registry("methods").get(options.method), "reconstruct"):
            from phispace.data.inspect import contact_sheet

            contact_sheet(both, path)
            return Figure(title=f"Images of {key}", path=_inner(context, path), alt=f"Images of both domains, {key}",
                          pixelated=True)  # fmt: skip
        reconstruct(list(runs.values()), checkpoint=LAST, images=both, baselines=False, out=path)
        return Figure(
            title=f"What is given back of the domain {key}?",
            path=_inner(context, path),
            alt=f"Test images of the domain {key} above what each autoencoder gives back",
            caption="Above: test images of the target. Below: what the autoencoder of both domains, and the one of the "
            "source alone, give back of them.",
            pixelated=True,
        )


def domains_of(context: Context, key: str, on: str | None = None) -> tuple[ImageSet, ImageSet]:
    """Source and target with as many channels each; the target is another set, or the source changed."""
    source = context.images_named(on)
    target = context.images_named(key) if key in context.others else make_domain(source, key, seed=context.seed)
    if source.shape[0] != target.shape[0]:
        source, target = in_colour(source), in_colour(target)
    return source, target


def proxy_a_distance(one: np.ndarray, other: np.ndarray, seed: int) -> float:
    """2 (1 - 2 ε), ε the error of a logistic regression that tells two domains apart, on items it was not fitted on.

    2 is told apart always, 0 not at all (it may be a little below by chance).

    Args:
        one, other: vectors (N, D) and (M, D); at most 2,000 of each are looked at, half of them to fit.
    """
    from phispace.evaluation.logistic import Standardised, solve

    draws = rng(seed, "proxy-a-distance")
    count = min(len(one), len(other), _DOMAIN_ITEMS) // 2 * 2
    if count < 4:
        return float("nan")
    parts = [v[draws.permutation(len(v))[:count]] for v in (one, other)]
    half = count // 2
    x = np.concatenate([p[:half] for p in parts]).astype(np.float32)
    y = np.repeat([0, 1], half)
    features = Standardised(x)
    asked = np.concatenate([p[half:] for p in parts]).astype(np.float32)
    named = solve(features, y, 2, 1e-3).log_probability(features(asked)).numpy().argmax(1)
    return 2 * (1 - 2 * float((named != y).mean()))


def _codes(run: Run, images: ImageSet) -> Embeddings:
    return extract_run(run, images, checkpoint=LAST, precision="float32")["features"]


def _adapted(run: Run, both: ImageSet) -> dict[str, Callable[[ImageSet], Embeddings]]:
    """Makers of the network's features as they are and under both adaptations to the second domain of `both`.

    Of the target alone (the set that is not `both`) CORAL leaves the features as they are: there is nothing to align.
    """
    trained, renewed = (load_method(run).encoder for _ in range(2))
    unlabelled = both.where("unlabelled")
    parts = np.array_split(unlabelled, -(-len(unlabelled) // _STATISTICS_BATCH))
    take_statistics(
        renewed,
        renewed,
        (to_float(torch.from_numpy(np.asarray(both.images[p])).permute(0, 3, 1, 2)) for p in parts),
    )

    made: dict[str, Embeddings] = {}

    def as_it_is(images: ImageSet) -> Embeddings:
        """Features alone: the network's own predictions, averaged over moves, would take longer and are not asked."""
        if images.fingerprint not in made:
            made[images.fingerprint] = extract(trained, images, precision="float32")["features"]
        return made[images.fingerprint]

    def aligned(images: ImageSet) -> Embeddings:
        return coral(as_it_is(images)) if images is both else as_it_is(images)

    def renormalised(images: ImageSet) -> Embeddings:
        found = extract(renewed, images, precision="float32")["features"]
        if images is not both:
            return found
        own = as_it_is(images)
        of_source = np.isin(own.splits, ("train", "val"))
        vectors = np.where(of_source[:, None], own.vectors, found.vectors)
        return Embeddings(vectors, own.items, inherited(own.manifest) | {"name": "batch-norm", "layer": "features"})

    return {
        "supervised on the source": as_it_is,
        "supervised on the source, CORAL": aligned,
        "supervised on the source, batch normalisation of the target": renormalised,
    }


def _width(run: Run) -> int:
    return int(load_method(run, LAST).encoder.width())


def _all_train(both: ImageSet) -> ImageSet:
    """Components are fitted on the images that the method learns from: train and unlabelled."""
    kept = both.take(both.where("train", "unlabelled"))
    return replace(kept, split=np.full(len(kept), "train"))


def _part(store: Embeddings, split: str) -> np.ndarray:
    return np.asarray(store.vectors[store.splits == split])


def _inner(context: Context, path: Any) -> str:
    return str(path.relative_to(context.out).as_posix())
