"""How many nats two variables share: estimates of mutual information from the scores of pairs.

A score T(m, y) says how well a local feature m and a code y go together. Of N codes each is scored with the L local
features of its own image (positive pairs, drawn from the joint distribution) and with those of K other images
(negative pairs, drawn from the product of the marginals). All three estimates are to be maximised:

    dv        1/L Σ_l ( E_positive T - log E_negative exp T )       the expectations at each location l apart
    jsd       E_positive( log 2 - softplus(-T) ) - E_negative( softplus(T) - log 2 )
    infonce   E_positive( T - log( (exp T + Σ exp T') / (1 + K L) ) )       T' of the K L negative pairs of this code

`infonce` bounds the information from below and cannot exceed log(1 + K L). `dv` is a bound for a T that was not fitted
to these pairs, in the limit of many of them; there is no such ceiling, and its variance grows with exp of the
information. `jsd` is no bound of the information but at most twice the Jensen-Shannon divergence between positive and
negative pairs, hence at most 2 log 2; it is largest at T = log p(m, y) / p(m) p(y), the score that makes `dv` tight.

Sources: Hjelm et al., ICLR 2019 (arXiv 1808.06670), equations 4 to 6 and 8; Donsker and Varadhan, 1983; the constants
of `jsd` from Nowozin et al., "f-GAN", 2016, as in the authors' code; van den Oord et al., arXiv 1807.03748.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

Estimator = Literal["dv", "jsd", "infonce"]


class Scores(NamedTuple):
    """Scores of pairs, float32.

    positive: (N, L), of each code with the local features of its image.
    negative: (N, K', L), with those of other images; -inf takes a pair out.
    others: K, how many of the K' images each code is really paired with.
    """

    positive: Tensor
    negative: Tensor
    others: int


def all_pairs(scores: Tensor) -> Scores:
    """Of scores (N, N, L), entry [j, i] for code j and image i, the diagonal is positive and all else negative."""
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    return Scores(scores.diagonal(dim1=0, dim2=1).t(), scores.masked_fill(own[:, :, None], -math.inf), len(scores) - 1)


def donsker_varadhan(scores: Scores) -> Tensor:
    """Nats, a scalar; 0 where there is no other image. See the module."""
    positive, negative, others = scores
    if others == 0:
        return positive.sum() * 0
    pairs = len(positive) * others
    return (positive.mean(0) - negative.logsumexp((0, 1))).mean() + math.log(pairs)


def jensen_shannon(scores: Scores) -> Tensor:
    """Nats, a scalar, at most 2 log 2; 0 where there is no other image. See the module."""
    positive, negative, others = scores
    if others == 0:
        return positive.sum() * 0
    pairs = positive.numel() * others
    return 2 * math.log(2) - F.softplus(-positive).mean() - F.softplus(negative).sum() / pairs  # softplus(-inf) = 0


def infonce(scores: Scores) -> Tensor:
    """Nats, a scalar, at most log(1 + K L); 0 where there is no other image. See the module."""
    positive, negative, others = scores
    if others == 0:
        return positive.sum() * 0
    rest = negative.flatten(1).logsumexp(1, keepdim=True)
    # T - log(exp T + exp rest), without the overflow of either exponential
    return math.log1p(others * positive.shape[1]) - F.softplus(rest - positive).mean()


ESTIMATORS: dict[Estimator, Callable[[Scores], Tensor]] = {
    "dv": donsker_varadhan,
    "jsd": jensen_shannon,
    "infonce": infonce,
}
