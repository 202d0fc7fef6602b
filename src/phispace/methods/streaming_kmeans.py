"""k-means over rows that come in blocks: Lloyd's iteration, plain and on the sphere, in memory for the words alone.

scikit-learn's `MiniBatchKMeans` streams, but its state lies in private attributes and a pickle, it has no spherical
form, and faiss wants all rows in memory; an exact pass over a stream is two sums, which a checkpoint holds.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def nearest(rows: Tensor, dictionary: Tensor, spherical: bool) -> tuple[Tensor, Tensor]:
    """The word of each row and what the word does not explain of it.

        plain      argmin_k ||x - d_k||²,   error ||x - d_k||²
        spherical  argmax_k d_kᵀx,          error ||x - (d_kᵀx) d_k||² = ||x||² - (d_kᵀx)²

    Args:
        rows: x, (P, d).
        dictionary: d, (K, d); of length 1 where spherical.

    Returns:
        int64 (P,) and float32 (P,), not negative.
    """
    products = torch.mm(rows, dictionary.T)
    squares = rows.square().sum(1)
    if spherical:
        best, word = products.max(1)
        return word, (squares - best.square()).clamp_min(0)
    halves, word = (products - dictionary.square().sum(1) / 2).max(1)
    return word, (squares - 2 * halves).clamp_min(0)


class Update:
    """One iteration: rows are added in blocks, `result` gives the next dictionary.

        plain      d_k = mean of its rows
        spherical  d_k = v / ||v||,   v = d_k + Σ over its rows of (d_kᵀx) x

    Args:
        dictionary: (K, d).
        spherical: see above.

    Source of the spherical update: Coates and Ng, "Learning Feature Representations with K-Means", 2012, section 3
    and algorithm in figure 1 (their damped form). There a row may belong to a word by a negative product too, since
    their features keep both signs; the features here keep the near side only, so a row belongs to its nearest word.
    """

    def __init__(self, dictionary: Tensor, spherical: bool) -> None:
        self.dictionary = dictionary
        self.spherical = spherical
        self.count = torch.zeros(len(dictionary), dtype=torch.int64)
        self.error = 0.0
        self.square = 0.0
        self._sum = torch.zeros(dictionary.shape, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Rows (P, d)."""
        word, error = nearest(rows, self.dictionary, self.spherical)
        weighted = rows
        if self.spherical:
            weighted = rows * (rows * self.dictionary[word]).sum(1, keepdim=True)
        self._sum.index_add_(0, word.cpu(), weighted.cpu().double())
        self.count += torch.bincount(word.cpu(), minlength=len(self.count))
        self.error += float(error.double().sum())
        self.square += float(rows.double().square().sum())

    @property
    def empty(self) -> int:
        """Words without a row."""
        return int((self.count == 0).sum())

    def result(self, spare: Tensor) -> Tensor:
        """The next dictionary, float32 (K, d). Words without a row become spare rows (any number, d), as far as they
        last; the rest stays as it is."""
        lonely = (self.count == 0).nonzero().flatten()
        new = self.dictionary.cpu().double()
        if self.spherical:
            new = F.normalize(new + self._sum, dim=1)
        else:
            used = self.count > 0
            new[used] = self._sum[used] / self.count[used, None]
        taken = spare[: len(lonely)].double()
        new[lonely[: len(taken)]] = F.normalize(taken, dim=1) if self.spherical else taken
        return new.float()
