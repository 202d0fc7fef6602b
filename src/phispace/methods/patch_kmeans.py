"""k-means over whitened patches: a dictionary learnt in minutes on a processor, without a gradient.

    1. patches p at random places of the normalised images, their contrast normalised: p'
    2. whitening w = W (p' - m), W = V diag(1 / sqrt(λ + ε)) Vᵀ from the covariance of the p'
    3. words by k-means over the w, one of Lloyd's iterations an epoch over newly drawn patches

The encoder `patch-dictionary` holds W, m and the words and makes the features of them: the triangle activation of each
word at every patch, pooled over quadrants. A slow method that does not beat this has learnt little.

Images go by in batches and leave sums, so memory holds a batch and the words, whatever the number of images.

Reference: Coates, Lee and Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", AISTATS 2011
(whitening, triangle, quadrants); Coates and Ng, "Learning Feature Representations with K-Means", 2012 (spherical).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from phispace.encoders.base import Encoder
from phispace.encoders.patch_dictionary import PatchDictionary, WhitenedPatches
from phispace.errors import InputError
from phispace.methods.base import Batch, Method, PassConfig, Task
from phispace.methods.patches import Moments, Sample, draw_patches, normalise_contrast, zca
from phispace.methods.streaming_kmeans import Update, nearest
from phispace.randomness import torch_rng


class PatchKMeansConfig(PassConfig):
    """Options of k-means over patches."""

    epochs: int = Field(10, ge=1, description="iterations of k-means, one a pass over the training images")
    patches: int = Field(10, ge=1, description="patches drawn of each image in a pass")
    dictionary: Literal["plain", "spherical"] = Field(
        "plain", description="words are means of their patches, or directions of length 1"
    )
    whitening: float = Field(0.1, gt=0, description="added to the variances before whitening divides by their roots")


class PatchKMeans(Method):
    """A dictionary of whitened patches. See the module."""

    title = "k-means over whitened patches"
    has_gradient = False
    reference = (
        "Coates, Lee and Ng, AISTATS 2011; Coates and Ng 2012; the iteration is checked against scikit-learn's KMeans, "
        "the features against a direct evaluation patch by patch"
    )
    experimental: ClassVar[str] = (
        "learnt words bring less than 10 points of linear probe over random ones on CIFAR-10: most of what the encoder "
        "tells comes of whitening, activation and pooling"
    )
    default_encoder = "patch-dictionary"
    Config = PatchKMeansConfig
    presets: ClassVar = {
        "coates-2011": {
            "encoder": {"name": "patch-dictionary", "words": 4000},
            "method": {"dictionary": "plain", "whitening": 0.1, "epochs": 50},
        },
    }

    config: PatchKMeansConfig
    passes: Tensor

    def __init__(self, encoder: Encoder, config: PatchKMeansConfig, task: Task) -> None:
        super().__init__(encoder, config, task)
        if not isinstance(encoder, PatchDictionary):
            raise InputError(
                f"The method 'patch-kmeans' sets the words of the encoder 'patch-dictionary'; {type(encoder).__name__} "
                "has none. Leave --encoder out."
            )
        if "code" in encoder.appended:
            raise InputError("The method 'patch-kmeans' learns no linear code; leave encoder.code out.")
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))

    @property
    def _words(self) -> nn.Parameter:
        """(K, d), in the encoder."""
        return self._network.words.dictionary

    @property
    def _whitening(self) -> WhitenedPatches:
        return self._network.patches

    @property
    def _network(self) -> PatchDictionary:
        encoder = self.encoder
        if not isinstance(encoder, PatchDictionary):
            raise TypeError("The encoder was replaced by another one.")
        return encoder

    def fit_without_gradient(self, images: Iterable[Batch]) -> dict[str, Tensor]:
        """One iteration of k-means, before the first one the whitening; `loss`, `error`, `empty`.

        `error` is the mean squared error of a whitened patch by its word, `loss` the same as a share of the patches'
        mean square, `empty` the number of words that no patch was nearest to; they begin anew at patches.
        """
        with torch.autocast(self.device.type, enabled=False):  # bf16 puts some patches to another word
            if not self.passes:
                self._measure(images)
            generator = self._rng("patches")
            words = self._words
            update = Update(words.data, self.config.dictionary == "spherical")
            spare = Sample(len(words), words.shape[1])
            for batch in images:
                rows = self._whitened(self._drawn(batch, generator))
                update.add(rows)
                spare.add(rows, generator)
            words.copy_(update.result(spare.rows))
            self.passes += 1
            count = int(update.count.sum())
            return _terms(update.error, update.square, count) | {"empty": torch.tensor(float(update.empty))}

    def _measure(self, images: Iterable[Batch]) -> None:
        """Set the whitening, and begin the words at patches, each drawn alike."""
        generator = self._rng("whitening")
        words = self._words
        moments, sample = Moments(words.shape[1]), Sample(len(words), words.shape[1])
        for batch in images:
            rows = self._drawn(batch, generator)
            moments.add(rows)
            sample.add(rows, generator)
        mean, covariance = moments.result()
        self._whitening.weight.copy_(zca(covariance, self.config.whitening))
        self._whitening.mean.copy_(mean)
        first = self._whitened(sample.rows.to(words.device))
        # Of fewer patches than words the last words stay as they were drawn.
        words[: len(first)] = F.normalize(first, dim=1) if self.config.dictionary == "spherical" else first

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss` and `error` of patches of these images, drawn at the same places each time."""
        with torch.autocast(self.device.type, enabled=False):  # bf16 puts some patches to another word
            seed = int(getattr(self, "run_seed", 0))
            rows = self._whitened(self._drawn(batch, torch_rng(seed, "method/places")))
            _, error = nearest(rows, self._words.detach(), self.config.dictionary == "spherical")
            return _terms(float(error.double().sum()), float(rows.double().square().sum()), len(rows))

    def _drawn(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Patches with their contrast normalised, (B patches, d)."""
        x = self.encoder.stages["normalise"](batch.views[0].to(self.device)).float()
        raw = draw_patches(x, self._whitening.patch, self.config.patches, generator)
        return normalise_contrast(raw, self._whitening.contrast)

    def _whitened(self, rows: Tensor) -> Tensor:
        return (rows - self._whitening.mean) @ self._whitening.weight.T

    def _rng(self, purpose: str) -> torch.Generator:
        """For a pass: a function of the seed and of the passes that are done."""
        return torch_rng(int(getattr(self, "run_seed", 0)), f"method/{purpose}", int(self.passes))


def _terms(error: float, square: float, count: int) -> dict[str, Tensor]:
    return {"loss": torch.tensor(error / max(square, 1e-12)), "error": torch.tensor(error / max(count, 1))}
