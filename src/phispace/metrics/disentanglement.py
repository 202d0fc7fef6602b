"""Does each dimension of a code follow one factor? Scores from codes and factors, as disentanglement_lib has them.

Codes are (N, D), factors whole numbers (N, K) numbered from 0 (`as_factors`). A factor that does not vary says nothing;
the caller leaves it out. All scores lie between 0 and 1.

Sources: MIG, Chen et al., NeurIPS 2018; DCI, Eastwood and Williams, ICLR 2018; SAP, Kumar et al., ICLR 2018;
their details as in Locatello et al., ICML 2019, code disentanglement_lib.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from phispace.metrics.mutual_information import BINS, binned, entropies, mutual_informations, top_two_gap

_EPSILON = 1e-11


@dataclass(frozen=True)
class Gaps:
    """A score by the gap between the two best dimensions of each factor.

    Attributes:
        by_factor: (K,).
        table: what was compared, (D, K).
    """

    by_factor: np.ndarray
    table: np.ndarray

    @property
    def score(self) -> float:
        """Mean over the factors."""
        return float(self.by_factor.mean())


def mig(codes: np.ndarray, factors: np.ndarray, bins: int = BINS) -> Gaps:
    """Mutual information gap: (I of the best dimension - I of the second) / entropy of the factor."""
    information = mutual_informations(binned(codes, bins), factors)
    return Gaps(top_two_gap(information) / entropies(factors), information)


def sap(
    train: np.ndarray,
    train_factors: np.ndarray,
    test: np.ndarray,
    test_factors: np.ndarray,
    *,
    continuous: bool = False,
) -> Gaps:
    """Separated attribute predictability: the gap of the two dimensions that alone predict a factor best.

    A factor of values is predicted by scikit-learn's `LinearSVC(C=0.01, class_weight="balanced")`, scored by accuracy
    on test; with `continuous` the squared correlation on train is compared instead, 0 where a variance is under 1e-12.
    """
    table = np.zeros((train.shape[1], train_factors.shape[1]))
    for k in range(table.shape[1]):
        for d in range(table.shape[0]):
            if continuous:
                table[d, k] = _squared_correlation(train[:, d], train_factors[:, k])
            else:
                table[d, k] = _svc_accuracy(
                    train[:, d : d + 1], train_factors[:, k], test[:, d : d + 1], test_factors[:, k]
                )
    return Gaps(top_two_gap(table), table)


def _svc_accuracy(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray) -> float:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the published score stops there too
        return float(LinearSVC(C=0.01, class_weight="balanced", random_state=0).fit(x, y).score(x_test, y_test))


def _squared_correlation(x: np.ndarray, y: np.ndarray) -> float:
    covariance = np.cov(x.astype(np.float64), y.astype(np.float64), ddof=1)
    if covariance[0, 0] <= 1e-12 or covariance[1, 1] <= 1e-12:
        return 0.0
    return float(covariance[0, 1] ** 2 / (covariance[0, 0] * covariance[1, 1]))


@dataclass(frozen=True)
class DCI:
    """Attributes:
    disentanglement: 1 where each dimension matters for one factor only.
    completeness: 1 where each factor is read from one dimension only.
    informativeness: mean accuracy on test of predicting the factors from all dimensions.
    informativeness_train: the same on train.
    accuracy: of each factor on test, (K,).
    importance: of each dimension for each factor, (D, K); columns sum to 1.
    """

    disentanglement: float
    completeness: float
    informativeness: float
    informativeness_train: float
    accuracy: np.ndarray
    importance: np.ndarray


def dci(
    train: np.ndarray, train_factors: np.ndarray, test: np.ndarray, test_factors: np.ndarray, *, trees: int = 100
) -> DCI:
    """Disentanglement, completeness, informativeness by gradient boosted trees, one model a factor over all dimensions.

    Args:
        trees: boosting rounds; 100 is scikit-learn's own and the reference's.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    count = train_factors.shape[1]
    importance = np.zeros((train.shape[1], count))
    accuracy = np.zeros((2, count))
    for k in range(count):
        model = GradientBoostingClassifier(n_estimators=trees, random_state=0).fit(train, train_factors[:, k])
        importance[:, k] = np.abs(model.feature_importances_)
        accuracy[:, k] = model.score(train, train_factors[:, k]), model.score(test, test_factors[:, k])
    return DCI(
        disentanglement(importance), completeness(importance), float(accuracy[1].mean()), float(accuracy[0].mean()),
        accuracy[1], importance,
    )  # fmt: skip


def disentanglement(importance: np.ndarray) -> float:
    """Σ_d ρ_d (1 - H_K(row d)) of importances (D, K): H_K the entropy of the row's shares to the base K, ρ the row's
    share of all. `nan` if nothing matters; 1 for one factor."""
    return _one_sided(importance)


def completeness(importance: np.ndarray) -> float:
    """`disentanglement` with the roles of dimensions and factors exchanged."""
    return _one_sided(importance.T)


def _one_sided(rows: np.ndarray) -> float:
    total = float(rows.sum())
    if total <= 0:
        return float("nan")
    if rows.shape[1] == 1:
        return 1.0
    # 1e-11 stands in the reference, so that a row without any importance has the largest entropy.
    share = rows + _EPSILON
    share = share / share.sum(axis=1, keepdims=True)
    entropy = -(share * np.log(share)).sum(axis=1) / np.log(rows.shape[1])
    weight = rows.sum(axis=1) / total
    return float((weight * (1 - entropy)).sum())
