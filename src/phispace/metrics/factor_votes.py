"""The FactorVAE score: under a fixed factor, does always the same dimension of the code vary least?

Source: Kim and Mnih, "Disentangling by Factorising", ICML 2018, section 4; details as in Locatello et al., ICML 2019,
code disentanglement_lib.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST_DEVIATION = 0.05
_DRAWS = 2_000_000  # random numbers at a time


@dataclass(frozen=True)
class FactorVotes:
    """What the votes were.

    Attributes:
        train, test: accuracy of the majority vote; `nan` where no dimension is left or nothing can be drawn.
        votes: how often each dimension varied least under each fixed factor, int64 (D, K), of the training votes.
        active: dimensions that are left, bool (D,).
        drawn: factors that have a value with enough items, bool (K,).
    """

    train: float
    test: float
    votes: np.ndarray
    active: np.ndarray
    drawn: np.ndarray


def factor_votes(
    codes: np.ndarray,
    factors: np.ndarray,
    rng: np.random.Generator,
    *,
    batch: int = 64,
    n_train: int = 10_000,
    n_test: int = 5_000,
    least_deviation: float = LEAST_DEVIATION,
) -> FactorVotes:
    """See the module.

    A vote draws a factor, one of its values, and `batch` items that share it; it names the dimension whose variance
    among them, relative to its variance over all items, is least. The classifier takes for each dimension the factor
    that named it most often on the training votes. Dimensions of a deviation under `least_deviation` are left out.

    Args:
        codes: (N, D), N > 1.
        factors: whole numbers (N, K).
        rng: for the draws.
        batch: items of a vote.
        n_train, n_test: votes to learn from and votes to score.

    Departures: the published score draws images of a fixed factor from a generator; here they are drawn from the stored
    items, without repetition, and a value with fewer than `batch` items is not drawn. disentanglement_lib counts all
    dimensions as active in what it reports; here the ones that are left are counted.
    """
    codes = np.asarray(codes, np.float64)
    spread = codes.var(axis=0, ddof=1)
    active = np.sqrt(spread) >= least_deviation
    groups = [[np.flatnonzero(column == value) for value in np.unique(column)] for column in factors.T]
    groups = [[group for group in values if len(group) >= batch] for values in groups]
    drawn = np.array([bool(values) for values in groups])
    votes = np.zeros((2, codes.shape[1], factors.shape[1]), np.int64)
    if active.any() and drawn.any():
        places = np.flatnonzero(active)
        z = codes[:, active] / np.sqrt(spread[active])
        for side, count in enumerate((n_train, n_test)):
            by_factor = rng.multinomial(count, drawn / drawn.sum())
            for k in np.flatnonzero(drawn):
                # A value is as likely as it is among the items, as it would be for an item drawn at random.
                sizes = np.array([len(group) for group in groups[k]])
                by_value = rng.multinomial(by_factor[k], sizes / sizes.sum())
                for group, times in zip(groups[k], by_value, strict=True):
                    named = places[_least_varying(z[group], int(times), batch, rng)]
                    votes[side, :, k] += np.bincount(named, minlength=codes.shape[1])
    answer = votes[0].argmax(axis=1)
    right = votes[:, np.arange(len(answer)), answer].sum(axis=1)
    totals = votes.sum(axis=(1, 2))
    train, test = (float(r / t) if t else float("nan") for r, t in zip(right, totals, strict=True))
    return FactorVotes(train, test, votes[0], active, drawn)


def _least_varying(z: np.ndarray, times: int, batch: int, rng: np.random.Generator) -> np.ndarray:
    """Dimension of least variance among `batch` rows of z drawn without repetition, `times` times: int64 (times,)."""
    found = []
    each = max(1, _DRAWS // max(len(z), batch * z.shape[1]))
    for start in range(0, times, each):
        keys = rng.random((min(each, times - start), len(z)))
        rows = keys.argpartition(batch - 1, axis=1)[:, :batch]
        found.append(z[rows].var(axis=1, ddof=1).argmin(axis=1))
    return np.concatenate(found) if found else np.zeros(0, np.int64)
