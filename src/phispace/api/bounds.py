"""ELBO and importance-weighted bound of a run, in bits per dimension, as rows of scores (evaluation `bounds`).

Bits per dimension bound the bits that a code needs for one value of an image. Eight-bit images have no density: uniform
noise makes them continuous, x = (pixel + u) / 256, and the expected log-density of x, with log2 256 = 8 bits for the
change of scale, bounds the log-probability of the pixels from below (Theis, van den Oord and Bethge, ICLR 2016,
section 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phispace.api.codes import need_decoder
from phispace.api.learn import images_of, open_run
from phispace.errors import InputError
from phispace.progress import SILENT, Progress
from phispace.randomness import rng, torch_rng
from phispace.run import Run

if TYPE_CHECKING:
    from torch import Tensor

    from phispace.data.imageset import ImageSet
    from phispace.methods.variational import Variational

_BATCH = 100
_FIT_ITEMS = 2000


def likelihood_bounds(
    run: Run | Path | str,
    *,
    k: int = 100,
    items: int = 1000,
    checkpoint: str = "best",
    split: str = "test",
    images: str | Path | ImageSet | None = None,
    data_dir: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Bound the likelihood of images under a variational autoencoder, and keep the row in the run's scores.

    The observation model is what the bounds are bounds of. For squared errors it is a Gaussian around the decoded
    image, whose one variance is fitted on train images (their mean squared error, drawn codes); beside it stand the
    bounds under the variance that the loss stands for (β/2 with `mse-sum`, P β/2 with `mse-mean`), as `..._trained`.
    For `bernoulli` the grey values are probabilities: images of drawn black and white pixels are scored, which are
    one bit each.

    Args:
        k: draws of the importance-weighted bound.
        items: at most so many images, stratified by class.

    Returns:
        one row: `elbo_bits`, `iwae_bits` (upper bounds of the bits per dimension, lower is better) with intervals
            over the images, the same in nats an image (lower bounds of the log-density of x in [0, 1], or of the
            log-probability of the black and white image), `kl_nats`.

    Raises:
        InputError: the run's method has no posterior or no decoder, or there are no such images.
    """
    from phispace.evaluation.base import Scores
    from phispace.evaluation.evaluate import score_entry
    from phispace.metrics.intervals import bootstrap_mean
    from phispace.training.restore import load_method

    progress = progress or SILENT
    run = open_run(run)
    method: Any = load_method(run, checkpoint)
    need_decoder(method, run)
    if not callable(getattr(method, "posterior", None)):
        name = run.config["method"]["name"]
        raise InputError(
            f"The run {run.name} was trained by {name!r}, which has no posterior, so there is no bound; a vae has."
        )
    if k < 1 or items < 1:
        raise InputError(f"At least one draw and one image are needed; got k = {k} and items = {items}.")
    found = images_of(run, images, data_dir=data_dir, progress=progress)
    chosen = _subset(found, split, items)
    bernoulli = method.config.observation == "bernoulli"
    fitted = None if bernoulli else fitted_variance(method, found, seed)
    trained = None if bernoulli else trained_variance(method.config, math.prod(found.shape))
    variances = {suffix: v for suffix, v in (("", fitted), ("_trained", trained)) if v is not None}
    with progress.task("Bounding the likelihood", total=len(chosen)) as task:
        parts = []
        for batch in _batches(found, chosen, seed, bernoulli):
            parts.append(_of_batch(method, batch, list(variances.values()), k, seed))
            task.advance(len(batch.seen))
    table = {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}
    metrics = {"kl_nats": float(table["kl"].mean())}
    interval: dict[str, tuple[float, float]] = {}
    for row, suffix in enumerate(variances or [""]):
        for what in ("elbo", "iwae"):
            nats = table[what][row]
            # Bits a value: -nats / (P log 2), and the 8 bits of the scale where there is noise.
            bits = -nats / (math.prod(found.shape) * math.log(2)) + (0 if bernoulli else 8)
            metrics |= {f"{what}_bits{suffix}": float(bits.mean()), f"{what}_nats{suffix}": float(nats.mean())}
            if len(bits) > 1:
                interval[f"{what}_bits{suffix}"] = bootstrap_mean(bits, rng(seed, "interval", "bounds"))
    details = {
        "observation": "bernoulli of black and white pixels" if bernoulli else "gaussian",
        "variance": fitted,
        "variance_trained": trained,
        "dequantisation": "none: pixels are drawn black or white" if bernoulli else "uniform noise, (pixel + u) / 256",
        "split": split,
        "k": k,
    }
    options = {"k": k, "items": items, "split": split}
    scores = Scores(
        metrics, interval, {split: len(chosen)}, _caveats(bernoulli, fitted, k, len(chosen), found, split), details
    )
    rows = [score_entry("bounds", scores, store=f"features @ {checkpoint}", options=options)]
    run.add_scores(rows)
    return rows


@dataclass(frozen=True)
class _Batch:
    """Attributes:
    seen: images as the encoder gets them, (B, C, H, W) in [0, 1].
    scored: what the density is of: the same with noise, or black and white.
    first: position of the first image, for draws.
    """

    seen: Tensor
    scored: Tensor
    first: int


def _batches(images: ImageSet, positions: np.ndarray, seed: int, bernoulli: bool) -> Iterator[_Batch]:
    import torch

    from phispace.embeddings.streaming import batches

    for chosen, x in batches(images, positions, _BATCH, torch.device("cpu")):
        first = int(chosen[0])
        noise = torch.rand(x.shape, generator=torch_rng(seed, "dequantisation", first))
        scored = (noise < x).float() if bernoulli else (x.double() * 255 + noise) / 256
        yield _Batch(x, scored, first)


def _of_batch(
    method: Variational, batch: _Batch, variances: Sequence[float], k: int, seed: int
) -> dict[str, np.ndarray]:
    import torch

    from phispace.methods.bounds import bernoulli_log_density, bounds, gaussian_log_density

    with torch.no_grad():
        mean, log_variance = method.posterior(batch.seen)

        def density(z: Tensor) -> Tensor:
            if not variances:
                return bernoulli_log_density(batch.scored, method.decoder.logits(z))
            return gaussian_log_density(batch.scored, method.decoder(z), variances)

        found = bounds(mean, log_variance, density, k, torch_rng(seed, "bounds", batch.first))
    return {"elbo": found.elbo.numpy(), "iwae": found.iwae.numpy(), "kl": found.kl.numpy()}


def fitted_variance(method: Variational, images: ImageSet, seed: int) -> float:
    """The variance under which train images are likeliest: the mean squared error of drawn codes, noise included."""
    import torch

    from phispace.methods.gaussian_codes import draw

    total, count = 0.0, 0
    with torch.no_grad():
        for batch in _batches(images, _subset(images, "train", _FIT_ITEMS), seed, bernoulli=False):
            mean, log_variance = method.posterior(batch.seen)
            noise = torch.randn(mean.shape, generator=torch_rng(seed, "fit variance", batch.first))
            decoded = method.decoder(draw(mean, log_variance, noise))
            total += float((batch.scored - decoded.double()).square().sum())
            count += batch.scored.numel()
    return max(total / count, 1 / (12 * 256**2))  # never under the variance of the noise itself


def trained_variance(config: Any, values: int) -> float | None:
    """The variance under which the loss is the negative ELBO, but for a factor and a constant; None where there is
    none.

    Σ (x - x̂)² + β KL = β (Σ (x - x̂)² / (2 v) + KL) with v = β / 2.
    """
    beta = getattr(config, "beta", None)
    if beta is None or beta <= 0 or config.observation not in ("mse-sum", "mse-mean") or hasattr(config, "alpha"):
        return None
    if getattr(config, "capacity", 0):
        return None
    return 0.5 * float(beta) * (values if config.observation == "mse-mean" else 1)


def _subset(images: ImageSet, split: str, items: int) -> np.ndarray:
    from phispace.maps.subset import stratified_subset

    positions = images.where(split)
    if not len(positions):
        raise InputError(f"{images.name!r} has no images in split {split!r}, which the bounds need.")
    return positions[stratified_subset(images.ids[positions], images.labels[positions], items)]


def _caveats(bernoulli: bool, variance: float | None, k: int, n: int, images: ImageSet, split: str) -> list[str]:
    caveats = [f"The importance-weighted bound has k = {k}; it grows with k, so compare runs at the same k only."]
    if bernoulli:
        caveats.append(
            "Bits of images whose pixels are drawn black or white, with the grey value as the probability: they do not "
            "compare with bits of eight-bit images."
        )
    else:
        caveats.append(
            f"The observation is a Gaussian with one variance for all values, {variance:.3g}, fitted on train images; "
            "uniform noise makes the pixels continuous. The Gaussian also covers values outside of [0, 1]."
        )
    whole = len(images.where(split))
    if n < whole:
        caveats.append(f"Of {n:,} images of {whole:,}, stratified by class.")
    return caveats
