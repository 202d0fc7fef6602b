"""How near a run's reconstructions are to the images: rows of scores.json, evaluation `reconstruction`.

And whether images beside the manifold are thrown back onto it: `noise_removed` is the share of Gaussian noise n that
the reconstruction does not let through, 1 - Σ‖g(φ(x + n)) - g(φ(x))‖² / Σ‖n‖².

Beside the run stand two baselines on the same images: the mean training image, and as many principal components of the
training images as the code has values (a k-sparse one has k), which is the best linear code there is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from phispace.api.learn import images_of, open_run
from phispace.errors import InputError
from phispace.progress import SILENT, Progress
from phispace.randomness import rng
from phispace.run import Run

if TYPE_CHECKING:
    from torch import Tensor

    from phispace.data.imageset import ImageSet
    from phispace.encoders.base import Encoder
    from phispace.evaluation.base import Scores

EVALUATION = "reconstruction"
NOISE = "corrupt/gaussian-noise/3"
"""The variant of the images (see `phispace.data.variants`) that lies off the manifold: deviation 0.08 of the range."""
_BATCH = 250
_FIT_VALUES = 100_000_000  # pixel values that the principal components are fitted on: 400 MB of floats

Decode = Callable[[np.ndarray], np.ndarray]
"""Images, float32 (B, C, H, W) in [0, 1] -> the same given back."""


class Decoding(Protocol):
    """A method with a decoder."""

    encoder: Encoder

    def reconstruct(self, images: Tensor) -> Tensor: ...

    def decode(self, codes: Tensor) -> Tensor: ...


def load_decoding(run: Run, checkpoint: str = "best") -> Decoding:
    """The method of a run with a decoder, in evaluation mode.

    Raises:
        InputError: the run's method has none.
        RunError, DataError: as for `phispace.training.restore.load_method`.
    """
    from phispace.training.restore import load_method

    method = load_method(run, checkpoint)
    if not callable(getattr(method, "reconstruct", None)):
        name = run.config.get("method", {}).get("name", type(method).__name__)
        raise InputError(
            f"The run {run.name} was trained by {name!r}, which has no decoder, so it gives no images back; "
            "train an autoencoder, a denoising-autoencoder, a sparse-autoencoder, a vae or a mae for that."
        )
    return cast(Decoding, method)


def reconstruction_scores(
    run: Run | Path | str,
    images: str | Path | ImageSet | None = None,
    *,
    checkpoint: str = "best",
    split: str = "test",
    baselines: bool = True,
    data_dir: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Score a run's reconstructions and keep the rows in its scores.json; images stream through in batches.

    Args:
        images: others than the run was trained on; their rows say so under `images`.
        split: of the images that are scored; the baselines are fitted on train.
        seed: of the noise, which is drawn by image id, and of the intervals' bootstrap.

    Returns:
        rows with `mse` (mean over an image's values, in units of the range 0 to 1), `psnr` (decibels) and `ssim`, each
        the mean over images, and `noise_removed` (share of the noise `NOISE` over all images), with 95 % intervals over
        the images; the run's own first, then `pca` and `mean-image`.

    Raises:
        InputError: a run without a decoder, images of another size, or none in the split.
    """
    from phispace.api.scores import keep_items
    from phispace.embeddings.extract import check_images
    from phispace.evaluation.evaluate import score_entry

    progress = progress or SILENT
    run = open_run(run)
    method = load_decoding(run, checkpoint)
    found = images_of(run, images, data_dir=data_dir, progress=progress)
    check_images(method.encoder, found)
    positions = found.where(split)
    if not len(positions):
        there = ", ".join(k for k, v in found.counts().items() if sum(v.values())) or "none"
        raise InputError(f"{found.name!r} has no images in split {split!r}; it has {there}.")
    decoders: dict[str, tuple[Decode, dict[str, int]]] = {f"features @ {checkpoint}": (decode_with(method), {})}
    if baselines:
        decoders |= _linear(found, _values_of(method.encoder), progress)
    own = found.fingerprint == run.record.get("images", {}).get("fingerprint")
    other = {} if own else {"images": {"name": found.name, "fingerprint": found.fingerprint}}
    options = {"split": split}
    rows = []
    for label, (decode, fitted) in decoders.items():
        scores = _score(found, positions, decode, split, fitted, seed, progress)
        kept = keep_items(run, EVALUATION, label, options, scores, *other.values())
        rows.append(score_entry(EVALUATION, scores, store=label, options=options, **other, **kept))
    run.add_scores(rows)
    return rows


def decode_with(method: Decoding) -> Decode:
    """The method's reconstructions as a function of arrays."""
    return lambda images: apply(method.reconstruct, images)


def apply(function: Callable[[Tensor], Tensor], images: np.ndarray) -> np.ndarray:
    """A function of images, without gradient, on float32 arrays (B, C, H, W) in [0, 1]; its values are cut to that."""
    import torch

    with torch.inference_mode():
        return function(torch.from_numpy(images)).clamp(0, 1).float().numpy()


def pixels_of(images: ImageSet, positions: np.ndarray) -> np.ndarray:
    """Images as float32 (B, C, H, W) in [0, 1]."""
    bytes_ = np.asarray(images.images[positions])
    return np.ascontiguousarray(bytes_.transpose(0, 3, 1, 2), np.float32) / np.float32(255)


def _values_of(encoder: Encoder) -> int:
    """Values of a code, those that are always 0 left out."""
    kept = encoder.appended.get("sparse")
    return kept if isinstance(kept, int) else encoder.width()


def _linear(found: ImageSet, width: int, progress: Progress) -> dict[str, tuple[Decode, dict[str, int]]]:
    """The mean training image and `width` principal components of up to 100 million pixel values."""
    from phispace.embeddings.baselines import fit_pca, pixels

    train = found.where("train")
    values = int(np.prod(found.shape))
    if len(train) < 2:
        return {}
    most = max(2, _FIT_VALUES // values)
    if len(train) > most:
        train = np.sort(rng(0, "reconstruction/pca").choice(train, most, replace=False))
    with progress.task("Principal components of the pixels", total=1) as task:
        components = fit_pca(pixels(found.take(train)), width)
        task.advance()
    mean, weights = components.mean.astype(np.float32), components.weights

    def linear(images: np.ndarray) -> np.ndarray:
        rows = images.reshape(len(images), -1)
        back = mean + components.project(rows) @ weights.T
        return np.clip(back, 0, 1).astype(np.float32).reshape(images.shape)

    def constant(images: np.ndarray) -> np.ndarray:
        return np.broadcast_to(mean.reshape(images.shape[1:]), images.shape).astype(np.float32)

    fitted = {"train": len(train), "components": weights.shape[1]}
    return {"pca": (linear, fitted), "mean-image": (constant, {"train": len(train)})}


def _score(
    found: ImageSet,
    positions: np.ndarray,
    decode: Decode,
    split: str,
    fitted: Mapping[str, int],
    seed: int,
    progress: Progress,
) -> Scores:
    from phispace.data.variants import make_variant
    from phispace.evaluation.base import Scores
    from phispace.evaluation.items import Items
    from phispace.metrics.intervals import bootstrap, bootstrap_mean
    from phispace.metrics.reconstruction import (
        LEAST_SIDE,
        noise_norms,
        noise_removed,
        psnr_of,
        squared_error,
        ssim,
    )

    noisy = make_variant(found, NOISE, seed=seed)
    errors, likeness, norms = [], [], []
    with progress.task(f"Reconstructing {found.name}", total=len(positions)) as task:
        for start in range(0, len(positions), _BATCH):
            at = positions[start : start + _BATCH]
            x, beside = pixels_of(found, at), pixels_of(noisy, at)
            y = decode(x)
            errors.append(squared_error(x, y))
            likeness.append(ssim(x, y))
            norms.append(noise_norms(x, beside, y, decode(beside)))
            task.advance(len(x))
    mse = np.concatenate(errors)
    values = {"mse": mse, "psnr": psnr_of(mse), "ssim": np.concatenate(likeness)}
    caveats = []
    lost = int((~np.isfinite(mse)).sum())
    if lost:
        caveats.append(f"{lost} reconstructions are not finite and left out of the means; noise_removed is undefined.")
    exact = int((mse == 0).sum())
    if exact:
        caveats.append(
            f"psnr is infinite for {exact} images that are given back exactly; they are left out of its mean."
        )
    if np.isnan(values["ssim"]).all():
        caveats.append(f"ssim is not defined for images under {LEAST_SIDE} pixels a side.")
    metrics, interval = {}, {}
    for name, by_image in values.items():
        finite = by_image[np.isfinite(by_image)]
        metrics[name] = float(finite.mean()) if len(finite) else float("nan")
        interval[name] = bootstrap_mean(finite, rng(seed, "reconstruction/bootstrap", name))
    noise, passed = (np.concatenate(each) for each in zip(*norms, strict=True))
    metrics["noise_removed"] = noise_removed(noise, passed)
    interval["noise_removed"] = bootstrap(
        lambda drawn: noise_removed(noise[drawn], passed[drawn]),
        len(noise),
        rng(seed, "reconstruction/bootstrap noise"),
    )
    order = np.argsort(found.ids[positions])
    items = Items(found.ids[positions][order], {k: values[k][order] for k in ("mse", "ssim")})
    return Scores(metrics, interval, {split: len(positions), **fitted}, caveats, {}, items)
