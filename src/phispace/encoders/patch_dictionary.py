"""One layer of whitened patches against a dictionary, pooled over quadrants; what `patch-kmeans` sets."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from phispace.encoders.base import DEFAULT_LAYER, Encoder, Normalise
from phispace.encoders.options import Count, Epsilon
from phispace.errors import InputError

_CHUNK = 1 << 21
"""Values of the activation that are there at a time, where no gradient is wanted: 8 MB, about what a cache holds."""
_SMALLEST = 1e-6  # squared distance whose root still has a finite slope


class WhitenedPatches(nn.Module):
    """Every patch of an image with its contrast normalised, whitened: (B, C, H, W) -> (B, d, h, w).

        p' = (p - mean(p)) / sqrt(var(p) + contrast),   w = W (p' - m)

    over the d = C patch² values p of a patch in the order (C, patch, patch). It is one convolution with the filters
    W (I - 1 1ᵀ/d), since taking the mean away is linear, divided by each patch's deviation.

    Attributes:
        weight: W, (d, d); the identity until it is measured.
        mean: m, (d,).
    """

    weight: Tensor
    mean: Tensor

    def __init__(self, channels: int, patch: int, stride: int, contrast: float) -> None:
        super().__init__()
        self.channels = channels
        self.patch = patch
        self.stride = stride
        self.contrast = contrast
        d = channels * patch**2
        self.register_buffer("weight", torch.eye(d))
        self.register_buffer("mean", torch.zeros(d))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # whitening amplifies what 8 bits would round away
            x = x.float()
            d = len(self.mean)
            brightness = F.avg_pool2d(x.mean(1, keepdim=True), self.patch, self.stride)
            square = F.avg_pool2d(x.square().mean(1, keepdim=True), self.patch, self.stride)
            deviation = ((square - brightness.square()).clamp_min(0) + self.contrast).sqrt()
            centred = self.weight - self.weight.mean(1, keepdim=True)
            filters = centred.view(d, self.channels, self.patch, self.patch)
            shift = (self.weight @ self.mean).view(1, d, 1, 1)
            return F.conv2d(x, filters, stride=self.stride) / deviation - shift


def triangle(rows: Tensor, dictionary: Tensor) -> Tensor:
    """max(0, mean_j z_j - z_k) with z_k = ||row - word_k||: (P, d) and (K, d) -> (P, K).

    About half of the words are 0 for each row: those farther than the mean.

    Source: Coates, Lee and Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", AISTATS 2011,
    equation 3.
    """
    products = torch.mm(rows, dictionary.T).float()  # the one product, in the precision of the moment
    of_rows, of_words = rows.square().sum(1, keepdim=True), dictionary.square().sum(1)
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        z = (of_rows + of_words - 2 * products).clamp_min(_SMALLEST).sqrt()
        return (z.mean(1, keepdim=True) - z).relu()
    z = products.mul_(-2).add_(of_words).add_(of_rows).clamp_min_(_SMALLEST).sqrt_()
    return z.neg_().sub_(z.mean(1, keepdim=True)).relu_()


class Words(nn.Module):
    """The activation of each word at each patch: (B, d, h, w) -> (B, K, h, w).

    Attributes:
        dictionary: (K, d), one word a row; directions drawn at random until it is learnt.
    """

    def __init__(self, values: int, words: int) -> None:
        super().__init__()
        self.dictionary = nn.Parameter(F.normalize(torch.randn(words, values), dim=1))

    def forward(self, whitened: Tensor) -> Tensor:
        active = triangle(_rows(whitened), self.dictionary)
        b, _, h, w = whitened.shape
        return active.view(b, h, w, -1).permute(0, 3, 1, 2)


class PooledWords(nn.Module):
    """The mean activation of each word in each part of the image: (B, d, h, w) -> (B, K grid²), as (K, grid, grid).

    The activations, K h w values an image, are made and pooled for few images at a time, so that they are never in
    memory together; where a gradient is wanted, they are made again on the way back.
    """

    shares: Tensor

    def __init__(self, words: Words, side: int, grid: int) -> None:
        super().__init__()
        self.words = words
        ends = [round(side * i / grid) for i in range(grid + 1)]
        shares = torch.zeros(grid, grid, side, side)
        for i, (top, bottom) in enumerate(pairwise(ends)):
            for j, (left, right) in enumerate(pairwise(ends)):
                shares[i, j, top:bottom, left:right] = 1 / ((bottom - top) * (right - left))
        self.register_buffer("shares", shares.view(grid**2, side**2), persistent=False)

    def forward(self, whitened: Tensor) -> Tensor:
        places = self.shares.shape[1]
        dictionary = self.words.dictionary
        if torch.compiler.is_compiling():  # a program for any number of images has no loop over them
            return self._pooled(whitened, dictionary)
        count = max(1, _CHUNK // (places * len(dictionary)))
        parts = []
        for chunk in torch.split(whitened, count):
            if torch.is_grad_enabled():
                parts.append(checkpoint(self._pooled, chunk, dictionary, use_reentrant=False))
            else:
                parts.append(self._pooled(chunk, dictionary))
        return torch.cat(parts)

    def _pooled(self, whitened: Tensor, dictionary: Tensor) -> Tensor:
        active = triangle(_rows(whitened), dictionary)
        with torch.autocast(whitened.device.type, enabled=False):
            pooled = self.shares @ active.view(whitened.shape[0], -1, active.shape[1])
        return pooled.transpose(1, 2).flatten(1)


def _rows(whitened: Tensor) -> Tensor:
    """(B, d, h, w) -> (B h w, d)."""
    return whitened.permute(0, 2, 3, 1).reshape(-1, whitened.shape[1])


class PatchDictionary(Encoder):
    """Whitened patches against a dictionary of words, pooled over quadrants: a single layer, learnt without gradient.

        p' = (p - mean(p)) / sqrt(var(p) + contrast)    for every patch p of the normalised image
        w  = W (p' - m)                                 whitening
        f_k = max(0, mean_j z_j - z_k),  z_k = ||w - word_k||
        features = mean of f over each of grid x grid parts of the image

    The method `patch-kmeans` sets W, m and the words. Before that W is the identity and the words are random
    directions. The words are weights like others and can be fine-tuned by a gradient; the whitening is fixed.

    Layers: `whitened` (w, a map of d = C patch² channels), `activation` (f, a map of K channels: large), `features`
    (K grid² values). The activation is made for few images at a time unless it is asked for.

    Options:
        words: K, size of the dictionary.
        patch: side of a patch; on small images at most what leaves a place for each part.
        stride: pixels from one patch to the next.
        grid: parts of the image in each direction; 2 are quadrants.
        contrast: added to a patch's variance, so that flat patches stay flat. In units of the normalised images'
            variance: the published 10 on pixels of 0 to 255 with a deviation of 63 is 0.0025.

    Source: Coates, Lee and Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", AISTATS 2011.
    Departures: images are normalised by channel first; parts are averaged, not summed, which a probe on standardised
    features does not see.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        words: Count = 1600,
        patch: Count = 6,
        stride: Count = 1,
        grid: Count = 2,
        contrast: Epsilon = 2.5e-3,
    ) -> None:
        super().__init__(channels, size)
        patch = min(patch, size - (grid - 1) * stride)
        side = (size - patch) // stride + 1
        if patch < 2 or side < grid:
            raise InputError(
                f"Images of {size} pixels have no {grid} x {grid} parts of patches at a stride of {stride}; "
                "lower encoder.grid or encoder.stride."
            )
        words_of_patches = Words(channels * patch**2, words)
        self.stages["normalise"] = Normalise(channels)
        self.stages["whitened"] = WhitenedPatches(channels, patch, stride, contrast)
        self.stages[DEFAULT_LAYER] = PooledWords(words_of_patches, side, grid)

    @property
    def patches(self) -> WhitenedPatches:
        """What makes and whitens the patches."""
        found = self.stages["whitened"]
        if not isinstance(found, WhitenedPatches):
            raise TypeError("The stage 'whitened' was replaced.")
        return found

    @property
    def words(self) -> Words:
        """The dictionary."""
        return next(stage.words for stage in self.stages.values() if isinstance(stage, PooledWords))

    @property
    def layers(self) -> tuple[str, ...]:
        first, *rest = super().layers
        return (first, "activation", *rest)

    def _taps(self, x: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        """As of every encoder; `activation` is a branch off `whitened`."""
        rest = tuple(name for name in layers if name != "activation")
        if len(rest) == len(layers):
            return super()._taps(x, layers)
        found = super()._taps(x, tuple(dict.fromkeys((*rest, "whitened"))))
        found["activation"] = self.words(found["whitened"])
        return {name: found[name] for name in self.layers if name in layers}
