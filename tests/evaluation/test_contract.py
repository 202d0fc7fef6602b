"""What every registered evaluation must keep to, on good, odd and poor stores."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from changed_stores import OPTIONS, changed_stores, without
from poor_stores import changed

from phispace.embeddings.store import Embeddings
from phispace.errors import PhispaceError
from phispace.evaluation import REGISTRY
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.evaluate import make_evaluation as make

NAMES = REGISTRY.names()
every = pytest.mark.parametrize("name", NAMES)


def make_evaluation(name: str) -> Evaluation:
    """With the options without which it would have nothing to say about digits."""
    return make(name, OPTIONS.get(name))


def run(name: str, store: Embeddings, seed: int = 0) -> Scores:
    """With the further stores that it asks for."""
    evaluation = make_evaluation(name)
    return evaluation.run(store, others=changed_stores(evaluation, store), seed=seed)


def check(scores: Scores, evaluation: Evaluation) -> None:
    """What holds for all scores."""
    assert evaluation.primary in scores.metrics
    assert all(isinstance(v, float) for v in scores.metrics.values())
    assert all(isinstance(v, int) and v >= 0 for v in scores.n.values())
    assert all(isinstance(c, str) and c.endswith(".") for c in scores.caveats)
    if any(math.isnan(v) for v in scores.metrics.values()):
        assert any("ndefined" in c for c in scores.caveats), "an undefined score needs its reason"
    assert not any(math.isinf(v) for v in scores.metrics.values())
    for metric, (low, high) in scores.interval.items():
        value = scores.metrics[metric]
        assert math.isnan(value) or low - 1e-9 <= value <= high + 1e-9, metric
    for metric, value in scores.metrics.items():
        if "accuracy" in metric or metric in ("ece", "majority"):
            assert math.isnan(value) or 0 <= value <= 1
    text = json.dumps(scores.as_dict(), allow_nan=False)
    assert set(json.loads(text)) == {"metrics", "interval", "n", "caveats", "details"}


@every
def test_is_declared(name: str) -> None:
    kind = REGISTRY.get(name)
    assert issubclass(kind, Evaluation)
    assert kind.name == name
    assert kind.title
    assert kind.reference
    assert kind.needs <= {"train", "val", "test", "labels", "factors", "others"}
    assert issubclass(kind.Config, EvaluationConfig)
    assert all(f.description for f in kind.Config.model_fields.values()), "every option says what it is"


@every
def test_digits(name: str, digits: Embeddings) -> None:
    evaluation = make_evaluation(name)
    scores = run(name, digits)
    check(scores, evaluation)
    assert math.isfinite(scores.metrics[evaluation.primary])


@every
def test_odd_stores(name: str, odd: Embeddings) -> None:
    evaluation = make_evaluation(name)
    check(run(name, odd), evaluation)


@every
def test_further_stores_that_are_missing_are_a_reason_not_a_crash(name: str, digits: Embeddings) -> None:
    evaluation = make_evaluation(name)
    check(evaluation.run(digits), evaluation)
    others = changed_stores(evaluation, digits)
    check(evaluation.run(digits, others=without(others, 1)), evaluation)
    few = {key: store.take(np.arange(len(store)) % 3 == 0) for key, store in others.items()}
    check(evaluation.run(digits, others=few), evaluation)


@every
def test_the_order_of_further_stores_does_not_matter(name: str, digits: Embeddings) -> None:
    evaluation = make_evaluation(name)
    others = changed_stores(evaluation, digits)
    turned = {key: store.take(np.arange(len(store))[::-1]) for key, store in others.items()}
    assert evaluation.run(digits, others=turned) == evaluation.run(digits, others=others)


@every
def test_poor_stores_give_a_reason_or_a_clear_error(name: str, poor: Embeddings) -> None:
    evaluation = make_evaluation(name)
    try:
        scores = run(name, poor)
    except PhispaceError as error:
        message = str(error)
    else:
        check(scores, evaluation)
        assert not evaluation.needs >= {"train", "test", "labels"} or math.isnan(scores.metrics[evaluation.primary])
        return
    assert message.endswith(".")


@every
def test_the_same_again(name: str, digits: Embeddings) -> None:
    first, second = (run(name, digits, seed=3) for _ in range(2))
    assert first == second


@every
def test_the_order_of_rows_does_not_matter(name: str, digits: Embeddings) -> None:
    shuffled = digits.take(np.random.default_rng(1).permutation(len(digits)))
    assert run(name, shuffled) == run(name, digits)


@every
def test_a_stored_store_gives_the_same(name: str, digits: Embeddings, tmp_path) -> None:
    digits.save(tmp_path / "store")
    assert run(name, Embeddings.open(tmp_path / "store")) == run(name, digits)


@every
def test_labels_of_test_choose_nothing(name: str, digits: Embeddings) -> None:
    labels = digits.labels.copy()
    test = np.flatnonzero(digits.splits == "test")
    labels[test] = np.random.default_rng(2).permutation(labels[test])
    other = changed(digits, labels=labels)
    mine, theirs = run(name, digits), run(name, other)
    assert mine.details.get("chosen") == theirs.details.get("chosen")
    assert mine.details.get("curve") == theirs.details.get("curve")


@every
def test_the_store_is_left_as_it_was(name: str, digits: Embeddings) -> None:
    before = np.array(digits.vectors), digits.labels.copy()
    run(name, digits)
    np.testing.assert_array_equal(digits.vectors, before[0])
    np.testing.assert_array_equal(digits.labels, before[1])
