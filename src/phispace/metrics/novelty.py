"""Is a point of a kind that was never seen? Two scores, larger = more novel.

    gaussian   min over classes c of the squared distance to the class's mean over its own mean squared deviation
    loop       local outlier probability: how much sparser a point's neighbourhood is than its neighbours' are

Sources: Socher et al., "Zero-Shot Learning Through Cross-Modal Transfer", NIPS 2013, section 5 (isotropic Gaussians
around the class vectors); Kriegel et al., "LoOP: Local Outlier Probabilities", CIKM 2009, eq. 1-6.
"""

from __future__ import annotations

import numpy as np

from phispace.errors import InputError

TINY = 1e-12


def gaussian_novelty(points: np.ndarray, seen: np.ndarray, labels: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Distance to the nearest class in units of that class's own scatter around its centre.

    Args:
        points: float (n, D).
        seen: float (m, D), training points.
        labels: int (m,), rows of `centres`.
        centres: float (C, D), one a class, for example its word vector.

    Returns:
        float64 (n,): min over c of |p - centre_c|² / mean over its points of |s - centre_c|².

    Raises:
        InputError: a class without a point.
    """
    scores = []
    for label, centre in enumerate(centres):
        mine = seen[labels == label]
        if not len(mine):
            raise InputError(f"Class {label} has no training point to measure its scatter on.")
        scatter = max(float(((mine - centre) ** 2).sum(1).mean()), TINY)
        scores.append(((points - centre) ** 2).sum(1) / scatter)
    return np.min(scores, axis=0)


def loop_novelty(points: np.ndarray, seen: np.ndarray, k: int = 20, strictness: float = 3.0) -> np.ndarray:
    """LoOP of each point with regard to `seen`.

        σ(o) = sqrt(mean of the squared distances to the k nearest), pdist = λ σ
        PLOF(o) = pdist(o) / mean over its k nearest s of pdist(s) - 1
        LoOP(o) = max(0, erf(PLOF / (λ sqrt(mean over seen of PLOF²) sqrt 2)))

    Args:
        points: float (n, D).
        seen: float (m, D), m > k.
        k: neighbours.
        strictness: λ; it cancels out of PLOF and scales the probability.

    Returns:
        float64 (n,) in [0, 1].

    Raises:
        InputError: not more than k points seen.
    """
    from scipy.special import erf
    from sklearn.neighbors import NearestNeighbors

    if len(seen) <= k:
        raise InputError(f"LoOP with {k} neighbours needs more than {k} seen points; got {len(seen)}.")
    index = NearestNeighbors(n_neighbors=k).fit(seen)
    distance, near = index.kneighbors()  # of the seen points themselves, each left out of its own neighbours
    sigma = np.maximum(np.sqrt((distance**2).mean(1)), TINY)
    own = sigma / sigma[near].mean(1) - 1
    scale = max(strictness * float(np.sqrt((own**2).mean())), TINY)
    distance, near = index.kneighbors(points)
    factor = np.sqrt((distance**2).mean(1)) / sigma[near].mean(1) - 1
    return np.maximum(0.0, erf(factor / (scale * np.sqrt(2))))
