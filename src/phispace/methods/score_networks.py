"""Networks that score pairs of features and codes: T(m, y) for the estimates of mutual information.

    encode-and-dot          T = a(m) · b(y)           local: two layers beside a linear shortcut, layer normalisation
                                                      global: a copy of the encoder's upper layers, and a linear layer
    linear                  T = (A m + a) · (B y + b)
    concat-and-convolve     T = g([m, y])             g: dense 512, 512, 1

The local objective scores each of the L locations of a map, the global one the whole map at once (L = 1).

Where the score is a product of two vectors all N x N pairs of a batch are one matrix product. Where it is a network on
the pair each pair needs a pass of its own, so a code meets the images of its few neighbours in the batch. (A linear
function of [m, y] is a sum of one of m and one of y, which no pairing changes: it knows nothing of the information.)

Source: Hjelm et al., ICLR 2019 (arXiv 1808.06670), section 3 and appendix A.2; sizes and initial weights from its
code, github.com/rdevon/DIM, cortex_DIM/nn_modules/mi_networks.py and models/dim.py; concat-and-convolve from DIM.py of
the first release.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from phispace.encoders.base import Encoder
from phispace.encoders.norm import BatchNorm2d
from phispace.methods.information import Scores, all_pairs
from phispace.methods.upper_layers import upper_copy

Kind = Literal["encode-and-dot", "concat-and-convolve", "linear"]
EPSILON, MOMENTUM = 1e-5, 0.1  # torch's, of batch normalisation


class Encode(nn.Module):
    """(N, L, C) -> (N, L, U): LayerNorm( W₂ relu(BN(W₁ x)) + W₃ x ), the same at each location.

    W₃ begins near the identity where U >= C, so that a score begins as a product of what it is given.

    Args:
        inputs: C.
        width: U.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, width, bias=False)
        self.norm = BatchNorm2d(width, EPSILON, MOMENTUM)
        self.second = nn.Linear(width, width)
        self.shortcut = nn.Linear(inputs, width, bias=False)
        if width >= inputs:
            with torch.no_grad():
                self.shortcut.weight.uniform_(-0.01, 0.01).fill_diagonal_(1.0)
        self.last = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        # As a map (N, U, L, 1) that lies channels_last by its strides too: batch normalisation is fastest on such maps,
        # and its gradient five times slower where the stride of the single column does not say so.
        hidden = self.norm(self.first(x).unsqueeze(2).permute(0, 3, 1, 2)).relu_().permute(0, 2, 3, 1).squeeze(2)
        encoded: Tensor = self.last(self.second(hidden) + self.shortcut(x))
        return encoded


class Products(nn.Module):
    """T = s a(m) · b(y) of all pairs of a batch, in float32 whatever the autocast.

    Args:
        scale: s.
        features: a, from (N, L, C) to (N, L, U), or from (N, ...) to (N, U) where L = 1.
        codes: b, from (N, D) to (N, U), or from (N, 1, D) to (N, 1, U).
    """

    def __init__(self, features: nn.Module, codes: nn.Module, scale: float = 1.0) -> None:
        super().__init__()
        self.features = features
        self.codes = codes
        self.scale = scale

    def forward(self, features: Tensor, codes: Tensor) -> Scores:
        a, b = self.features(features), self.codes(codes)
        with torch.autocast(a.device.type, enabled=False):
            scores = (self.scale * b.float().flatten(0, -2)) @ a.float().flatten(0, -2).t()
            return all_pairs(scores.view(len(codes), len(features), -1))


class Concatenate(nn.Module):
    """T = W₃ relu(W₂ relu(W₁ [m, y])), for each code's own image and the next few of the batch.

    W₁ [m, y] is the sum of a part of m and one of y, each made once and not for each pair.

    Args:
        features, code: values of a feature and of a code.
        width: of both hidden layers; 512 as published.
        negatives: other images that each code is paired with.
    """

    def __init__(self, features: int, code: int, width: int, negatives: int) -> None:
        super().__init__()
        self.features = nn.Linear(features, width)
        self.codes = nn.Linear(code, width, bias=False)
        self.rest = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(width, width), nn.ReLU())
        self.last = nn.Linear(width, 1)
        self.negatives = negatives

    def forward(self, features: Tensor, codes: Tensor) -> Scores:
        """features (N, L, C), codes (N, 1, D)."""
        own, code = self.features(features), self.codes(codes)
        others = min(self.negatives, len(codes) - 1)
        scores = [self._score(own.roll(-shift, 0) + code) for shift in range(1 + others)]
        return Scores(scores[0], torch.stack(scores, 1)[:, 1:], others)

    def _score(self, pairs: Tensor) -> Tensor:
        """(N, L, width) -> (N, L), in float32 whatever the autocast."""
        hidden = self.rest(pairs)
        with torch.autocast(hidden.device.type, enabled=False):
            score: Tensor = self.last(hidden.float()).squeeze(2)
        return score


class LocalScores(nn.Module):
    """Scores of the local objective: each location of a map with each code.

    Args:
        kind: of the network.
        channels, code: values of a location and of a code.
        width: U, or the hidden layers' of concat-and-convolve.
        negatives: see `Concatenate`.
        scale: see `Products`.
    """

    def __init__(
        self, kind: Kind, channels: int, code: int, width: int, *, negatives: int = 1, scale: float = 1.0
    ) -> None:
        super().__init__()
        if kind == "encode-and-dot":
            self.network: nn.Module = Products(Encode(channels, width), Encode(code, width), scale)
        elif kind == "linear":
            self.network = Products(nn.Linear(channels, width), nn.Linear(code, width), scale)
        else:
            self.network = Concatenate(channels, code, width, negatives)

    def forward(self, places: Tensor, codes: Tensor) -> Scores:
        """places (N, L, C), codes (N, D) -> scores with L locations."""
        scores: Scores = self.network(places, codes[:, None])
        return scores


class GlobalScores(nn.Module):
    """Scores of the global objective: each whole map with each code.

    Args:
        kind, width, negatives, scale: as of `LocalScores`.
        encoder, layer: whose map it is.
    """

    def __init__(
        self, kind: Kind, encoder: Encoder, layer: str, width: int, *, negatives: int = 1, scale: float = 1.0
    ) -> None:
        super().__init__()
        code, values = encoder.width(), encoder.width(layer)
        self.whole = kind == "encode-and-dot"
        if kind == "encode-and-dot":
            self.network: nn.Module = Products(upper_copy(encoder, layer, width), nn.Linear(code, width), scale)
        elif kind == "linear":
            self.network = Products(nn.Linear(values, width), nn.Linear(code, width), scale)
        else:
            self.network = Concatenate(values, code, width, negatives)

    def forward(self, features: Tensor, codes: Tensor) -> Scores:
        """features (N, C, h, w) or (N, C), codes (N, D) -> scores with one location."""
        if not self.whole:
            features, codes = features.flatten(1)[:, None], codes[:, None]
        scores: Scores = self.network(features, codes)
        return scores


def locations(features: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, h w, C), without a copy of what lies channels_last; (N, C) -> (N, 1, C)."""
    if features.ndim == 2:
        return features[:, None]
    return features.permute(0, 2, 3, 1).flatten(1, 2)


def draw_locations(places: Tensor, count: int, rng: torch.Generator, alike: bool = False) -> Tensor:
    """Some of the locations, (N, L, C) -> (N, count, C): for each image its own, or all `alike`; none twice."""
    n, total, _ = places.shape
    chosen = torch.rand((1 if alike else n, total), generator=rng).topk(count, dim=1).indices.to(places.device)
    chosen = chosen.expand(n, -1)
    return places.gather(1, chosen[:, :, None].expand(-1, -1, places.shape[2]))
