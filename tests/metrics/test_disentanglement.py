"""Scores of disentanglement: against the published definitions written out, and on codes whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phispace.errors import InputError
from phispace.metrics.disentanglement import completeness, dci, disentanglement, mig, sap
from phispace.metrics.factor_votes import factor_votes
from phispace.metrics.mutual_information import as_factors, binned, entropies, mutual_informations, top_two_gap

COUNTS = (3, 4, 5)


def factors(n: int, seed: int = 0, counts: tuple[int, ...] = COUNTS) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, c, n) for c in counts], axis=1)


def code(kind: str, f: np.ndarray) -> np.ndarray:
    """A code of the factors: each in a dimension of its own, permuted with signs, rotated, or unrelated noise."""
    rng = np.random.default_rng(1)
    own = ((f - f.mean(0)) / f.std(0)).astype(np.float32)
    if kind == "perfect":
        return own
    if kind == "permuted":
        return own[:, ::-1] * np.array([-1, 2, 1], np.float32)
    if kind == "rotated":
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        return (own @ turn).astype(np.float32)
    return rng.normal(size=(len(f), 4)).astype(np.float32)


# -- mutual information


def information_by_hand(x: np.ndarray, y: np.ndarray) -> float:
    total = 0.0
    for a in np.unique(x):
        for b in np.unique(y):
            joint = np.mean((x == a) & (y == b))
            if joint > 0:
                total += joint * math.log(joint / (np.mean(x == a) * np.mean(y == b)))
    return total


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 60), values=st.integers(1, 6), seed=st.integers(0, 999))
def test_mutual_information_and_entropy_are_the_sums(n, values, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, values, (n, 2)), rng.integers(0, 3, (n, 1))
    y = as_factors(y, n)
    found = mutual_informations(x, y)
    assert found.shape == (2, 1)
    for d in range(2):
        assert found[d, 0] == pytest.approx(information_by_hand(x[:, d], y[:, 0]), abs=1e-9)
    assert entropies(y)[0] == pytest.approx(information_by_hand(y[:, 0], y[:, 0]), abs=1e-9)


def test_bins_are_of_equal_width_and_the_largest_value_is_in_the_last():
    x = np.array([[0.0], [0.049], [0.051], [0.5], [0.999], [1.0]])
    assert binned(x, 20)[:, 0].tolist() == [0, 0, 1, 10, 19, 19]
    reference = np.digitize(x[:, 0], np.histogram(x[:, 0], 20)[1][:-1]) - 1
    assert binned(x, 20)[:, 0].tolist() == reference.tolist()
    assert (binned(np.full((4, 1), 3.0)) == binned(np.full((4, 1), 3.0))[0]).all()


def test_factors_are_numbered_and_refused_where_they_cannot_be():
    assert as_factors(np.array([[0.5, 3], [2.5, -1], [0.5, 3]]), 3).tolist() == [[0, 1], [1, 0], [0, 1]]
    with pytest.raises(InputError, match="one row for each item"):
        as_factors(np.zeros((3, 2)), 4)
    with pytest.raises(InputError, match="finite"):
        as_factors(np.array([[np.nan]]), 1)


def test_the_gap_of_a_single_dimension_is_its_score():
    assert top_two_gap(np.array([[0.3, 0.9]])).tolist() == [0.3, 0.9]
    assert top_two_gap(np.array([[0.3, 0.9], [0.8, 0.2], [0.1, 0.7]])).tolist() == pytest.approx([0.5, 0.2])


# -- MIG


@pytest.mark.parametrize("kind", ["perfect", "permuted", "rotated", "noise"])
def test_mig_is_its_definition(kind):
    f = factors(500)
    x = code(kind, f)
    gaps = []
    for k in range(3):
        cut = [np.digitize(c, np.histogram(c, 20)[1][:-1]) for c in x.T]
        information = sorted((information_by_hand(c, f[:, k]) for c in cut), reverse=True)
        gaps.append((information[0] - information[1]) / information_by_hand(f[:, k], f[:, k]))
    assert mig(x, f).score == pytest.approx(np.mean(gaps), abs=1e-9)


def test_mig_knows_good_codes_from_bad_ones():
    f = factors(3000)
    found = {kind: mig(code(kind, f), f).score for kind in ("perfect", "permuted", "rotated", "noise")}
    assert found["perfect"] > 0.99
    assert found["permuted"] == pytest.approx(found["perfect"], abs=1e-9)
    assert found["rotated"] < 0.5
    assert found["noise"] < 0.02
    twice = np.concatenate([code("perfect", f), code("perfect", f)], axis=1)
    assert mig(twice, f).score == pytest.approx(0, abs=1e-9), "each factor is in two dimensions"


# -- SAP


def test_sap_is_its_definition():
    from sklearn.svm import LinearSVC

    f, x = factors(400), code("rotated", factors(400))
    f_test, x_test = factors(200, 5), code("rotated", factors(200, 5))
    table = np.zeros((3, 3))
    for d in range(3):
        for k in range(3):
            machine = LinearSVC(C=0.01, class_weight="balanced", random_state=0).fit(x[:, [d]], f[:, k])
            table[d, k] = np.mean(machine.predict(x_test[:, [d]]) == f_test[:, k])
    ordered = np.sort(table, axis=0)
    found = sap(x, f, x_test, f_test)
    np.testing.assert_allclose(found.table, table, atol=1e-12)
    assert found.score == pytest.approx((ordered[-1] - ordered[-2]).mean())
    squared = sap(x, f, x_test, f_test, continuous=True).table
    for d in range(3):
        for k in range(3):
            assert squared[d, k] == pytest.approx(np.corrcoef(x[:, d], f[:, k])[0, 1] ** 2, abs=1e-6)


def test_sap_knows_good_codes_from_bad_ones():
    """Two values a factor, which a linear machine can tell from one dimension."""
    f, f_test = factors(800, 0, (2, 2, 2)), factors(400, 1, (2, 2, 2))
    found = {}
    for kind in ("perfect", "permuted", "rotated", "noise"):
        both = code(kind, np.concatenate([f, f_test]))
        found[kind] = sap(both[:800], f, both[800:], f_test).score
    assert found["perfect"] > 0.4  # from 1 to about a half, the best that an unrelated dimension can do
    assert found["permuted"] == pytest.approx(found["perfect"], abs=0.05)
    assert found["rotated"] < found["perfect"]
    assert found["noise"] < 0.1
    constant = np.zeros((800, 2), np.float32)
    assert sap(constant, f, constant[:400], f_test, continuous=True).score == 0


# -- DCI


def one_sided_by_hand(rows: np.ndarray) -> float:
    total = 0.0
    for row in rows:
        share = [(v + 1e-11) / sum(w + 1e-11 for w in row) for v in row]
        entropy = -sum(p * math.log(p, len(row)) for p in share)
        total += sum(row) / rows.sum() * (1 - entropy)
    return total


@settings(max_examples=40, deadline=None)
@given(d=st.integers(1, 5), k=st.integers(2, 5), seed=st.integers(0, 999))
def test_disentanglement_and_completeness_are_their_formulas(d, k, seed):
    rows = np.random.default_rng(seed).random((d, k)) * (np.random.default_rng(seed + 1).random((d, k)) < 0.6)
    if rows.sum() == 0:
        assert math.isnan(disentanglement(rows))
        return
    assert disentanglement(rows) == pytest.approx(one_sided_by_hand(rows), abs=1e-9)
    if d > 1:
        assert completeness(rows) == pytest.approx(one_sided_by_hand(rows.T), abs=1e-9)


def test_dci_of_known_importances():
    assert disentanglement(np.eye(3)) == pytest.approx(1, abs=1e-6)
    assert completeness(np.eye(3)) == pytest.approx(1, abs=1e-6)
    assert disentanglement(np.ones((3, 3))) == pytest.approx(0, abs=1e-6)
    assert disentanglement(np.array([[1.0, 0], [1, 0], [0, 1]])) == pytest.approx(1, abs=1e-6)
    assert completeness(np.array([[1.0, 0], [1, 0], [0, 1]])) < 0.8


def test_dci_knows_good_codes_from_bad_ones():
    f = factors(900)
    found = {}
    for kind in ("perfect", "permuted", "rotated", "noise"):
        x = code(kind, f)
        found[kind] = dci(x[:600], f[:600], x[600:], f[600:], trees=20)
    for kind in ("perfect", "permuted"):
        assert found[kind].disentanglement > 0.98
        assert found[kind].completeness > 0.98
        assert found[kind].informativeness > 0.98
    assert found["rotated"].disentanglement < 0.6
    assert found["rotated"].informativeness > 0.8, "nothing is lost by a rotation"
    assert found["noise"].disentanglement < 0.1
    assert found["noise"].informativeness < 0.45


def test_dci_of_a_code_that_does_not_vary_has_no_importances():
    f = factors(60)
    x = np.zeros((60, 2), np.float32)
    found = dci(x[:40], f[:40], x[40:], f[40:], trees=3)
    assert math.isnan(found.disentanglement)
    assert math.isnan(found.completeness)


# -- FactorVAE


def votes_by_hand(x: np.ndarray, f: np.ndarray, seed: int, count: int) -> float:
    """The published score with a loop, items drawn one vote at a time."""
    rng = np.random.default_rng(seed)
    spread = x.var(axis=0, ddof=1)
    votes = np.zeros((2, x.shape[1], f.shape[1]))
    for side in range(2):
        for _ in range(count):
            k = rng.integers(f.shape[1])
            value = f[rng.integers(len(f)), k]
            chosen = x[rng.choice(np.flatnonzero(f[:, k] == value), 64, replace=False)]
            votes[side, (chosen.var(axis=0, ddof=1) / spread).argmin(), k] += 1
    return float(votes[1, np.arange(x.shape[1]), votes[0].argmax(1)].sum() / count)


@pytest.mark.parametrize("kind", ["perfect", "rotated", "noise"])
def test_factor_votes_are_those_of_a_loop(kind):
    f = factors(1500)
    x = code(kind, f)
    found = factor_votes(x, f, np.random.default_rng(0), n_train=3000, n_test=3000)
    assert found.votes.sum() == 3000
    assert found.test == pytest.approx(votes_by_hand(x, f, 1, 1500), abs=0.05)


def test_factor_votes_know_good_codes_from_bad_ones():
    f = factors(2000)
    found = {
        kind: factor_votes(code(kind, f), f, np.random.default_rng(0), n_train=1000, n_test=1000).test
        for kind in ("perfect", "permuted", "noise")
    }
    assert found["perfect"] == found["permuted"] == 1
    assert found["noise"] == pytest.approx(1 / 3, abs=0.08)


def test_dimensions_that_hardly_vary_do_not_vote():
    f = factors(500)
    x = np.concatenate([code("perfect", f), np.random.default_rng(0).normal(size=(500, 2)) * 0.01], axis=1)
    found = factor_votes(x, f, np.random.default_rng(0), n_train=300, n_test=300)
    assert found.active.tolist() == [True, True, True, False, False]
    assert found.votes[3:].sum() == 0
    assert found.test == 1
    asleep = factor_votes(0.001 * x, f, np.random.default_rng(0), n_train=30, n_test=30)
    assert math.isnan(asleep.test)


def test_values_with_too_few_items_are_not_drawn():
    f = factors(500)
    f[:, 0] = np.arange(500)  # no value twice
    found = factor_votes(code("noise", f), f, np.random.default_rng(0), n_train=300, n_test=300)
    assert found.drawn.tolist() == [False, True, True]
    assert found.votes[:, 0].sum() == 0
    few = factor_votes(code("noise", f[:20]), f[:20], np.random.default_rng(0), n_train=30, n_test=30)
    assert not few.drawn.any()
    assert math.isnan(few.train)
