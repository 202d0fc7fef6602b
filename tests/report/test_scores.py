"""Stored scores as tables: who is a baseline, what is missing, which options differ."""

from __future__ import annotations

from typing import Any

import pytest
from example import score

from phispace.registry import registry
from phispace.report.document import Number, Table
from phispace.report.scores import (
    all_metrics,
    best_facts,
    evaluation_title,
    form_of,
    is_baseline,
    number_of,
    primary_facts,
    primary_of,
    rival_label,
    score_section,
    score_table,
    short_name,
    store_name,
)


def cell(table: Table, row: int, column: int) -> Any:
    return table.rows[row].cells[column]


@pytest.mark.parametrize("store", ["pixels", "PCA", "pca @ best", "untrained@epoch=000", "Majority"])
def test_baselines_by_their_labels(store: str) -> None:
    assert is_baseline(store)


@pytest.mark.parametrize("store", ["features @ best", "fc1", "pixelsnail", "<b>", ""])
def test_results_by_their_labels(store: str) -> None:
    assert not is_baseline(store)


def test_with_main_named_all_others_are_baselines() -> None:
    assert not is_baseline("fc1 @ best", ["fc1"])
    assert is_baseline("fc10 @ best", ["fc1"])
    assert is_baseline("features", ["fc1"])


def test_forms() -> None:
    assert form_of("accuracy_k200_t0.07") == "share"
    assert form_of("balanced_accuracy") == "share"
    assert form_of("rankme") == "number"
    assert form_of("silhouette") == "number"


def test_the_primary_metric_is_the_evaluations_own() -> None:
    assert primary_of({"evaluation": "health", "metrics": {"spread": 1.0, "rankme": 3.0}}) == "rankme"
    assert primary_of({"evaluation": "unheard-of", "metrics": {"x": 1.0}}) == "x"
    assert primary_of({"evaluation": "linear", "metrics": {}}) is None
    assert evaluation_title("unheard-of") == "Unheard-of"


def test_options_stand_in_the_head_only_where_they_differ() -> None:
    one = score("knn", "fc1", {"accuracy": 0.5}, options={"k": 20, "metric": "cosine"})
    other = score("knn", "fc1", {"accuracy": 0.6}, options={"k": 200, "metric": "cosine"})
    table = score_table([one, other])
    assert [c.title for c in table.columns] == [
        "k nearest neighbours: accuracy (k 20)",
        "k nearest neighbours: accuracy (k 200)",
    ]
    assert len(table.rows) == 1


def test_a_score_that_nobody_took_says_so() -> None:
    rows = [score("linear", "fc1", {"accuracy": 0.5}), score("knn", "pixels", {"accuracy": 0.5})]
    table = score_table([*rows, score("linear", "majority", {"accuracy": 0.1})])
    assert "was not run on fc1" in cell(table, 0, 1).reason
    assert cell(table, 2, 1) is None


def test_undefined_numbers_take_the_reason_that_names_them() -> None:
    entry = score("x", "s", {"a": float("nan")}, caveats=["Something else.", "a is undefined: one class."])
    assert number_of(entry, "a").reason == "a is undefined: one class."
    entry = score("x", "s", {"a": None}, caveats=["Only one class."])
    assert number_of(entry, "a").reason == "Only one class."
    assert "not measured" in number_of(score("x", "s", {}), "a").reason


def test_a_broken_interval_is_no_interval() -> None:
    entry = score("x", "s", {"accuracy": 0.5}, interval={"accuracy": [None, None]})
    assert number_of(entry, "accuracy").interval is None


def test_all_metrics_lists_everything_once() -> None:
    rows = [score("knn", "fc1", {"accuracy": 0.5, "b": 1.0}), score("knn", "pixels", {"accuracy": 0.4})]
    table = all_metrics(rows)
    assert [r.label for r in table.rows] == ["knn.accuracy", "knn.b"]
    assert [c.title for c in table.columns] == ["fc1", "raw pixels"]
    assert table.folded


def test_nothing_scored_is_no_section() -> None:
    assert score_section([]) == ()
    assert score_section([score("knn", "fc1", {})]) == ()


def test_headline_numbers_name_their_rivals() -> None:
    rows = [score("linear", s, {"accuracy": a}) for s, a in (("fc1 @ best", 0.9), ("pixels", 0.4), ("untrained", 0.5))]
    facts = primary_facts(rows, "fc1")
    assert len(facts) == 1
    assert isinstance(facts[0].value, Number)
    assert facts[0].value.value == 0.9
    assert "raw pixels 40.0" in facts[0].note
    assert "untrained 50.0" in facts[0].note


def test_each_layer_is_held_against_its_own_untrained_one() -> None:
    accuracy = {"block1 @ best": 0.9, "block2 @ best": 0.8, "features @ best": 0.7, "pixels": 0.4}
    accuracy |= {"untrained block1": 0.85, "untrained block2": 0.5, "pca block2": 0.45}
    rows = [score("linear", s, {"accuracy": v}) for s, v in accuracy.items()]
    for layer, said in (("block1", "85.0"), ("block2", "50.0")):
        (fact,) = primary_facts(rows, layer)
        assert f"untrained, {layer} {said}" in fact.note
    (fact,) = primary_facts(rows, "features")
    assert "untrained" not in fact.note, "it was not scored for this layer"
    assert store_name("pca block2") == "PCA of the pixels, as wide as block2"
    assert short_name("untrained block2") == "untrained encoder, block2"
    assert rival_label(rows, "pca", "block2") == "pca block2"
    assert rival_label([score("linear", "untrained", {})], "untrained", "fc1") == "untrained", "of an earlier file"


def test_of_several_the_best_is_the_headline_and_the_best_baseline_stands_beside() -> None:
    accuracy = {"a": 0.6, "b": 0.9, "PCA 3 components": 0.7, "untrained a": 0.5, "pixels": 0.4, "majority": 0.95}
    rows = [score("linear", s, {"accuracy": v}) for s, v in accuracy.items()]
    rows += [score("clusters", s, {}) for s in ("a", "b")]
    (fact,) = best_facts(rows, ["a", "b"])
    assert isinstance(fact.value, Number)
    assert fact.value.value == 0.9
    said = "b, the best of 2 (down to 60.0 %, a); best baseline: PCA of the pixels, 3 components, 70.0 %"
    assert fact.note.replace("\u202f", " ").replace("\xa0", " ") == said


def test_a_headline_can_name_another_metric_than_the_first() -> None:
    rows = [score("few-labels", s, {"linear_20": v, "linear_1": 1 - v}) for s, v in (("a", 0.6), ("b", 0.9))]
    (fact,) = best_facts(rows, ["a", "b"])
    (named,) = best_facts(rows, ["a", "b"], {"few-labels": "linear_1"})
    assert isinstance(fact.value, Number)
    assert isinstance(named.value, Number)
    assert fact.value.value == 0.9
    assert named.value.value == 0.4
    assert named.note.startswith("a, the best of 2")
    for name, value in (("linear_1", 0.4), ("linear_20", 0.6)):
        (one,) = primary_facts(rows, "a", {"few-labels": name})
        assert isinstance(one.value, Number)
        assert one.value.value == value
    assert primary_facts(rows, "a", {"few-labels": "unknown"}) == primary_facts(rows, "a")
    assert best_facts(rows, ["a", "b"], {"few-labels": "unknown"}) == [fact]


def test_where_less_is_better_the_least_is_the_best() -> None:
    primary = registry("evaluations").get("drift").primary
    rows = [score("drift", s, {primary: v}) for s, v in (("a", 0.3), ("b", 0.1), ("pca", 0.2))]
    rows += [score("health", s, {"effective_rank": 3.0}) for s in ("a", "b")]  # a rank has no best
    (fact,) = best_facts(rows, ["a", "b"])
    assert fact.note.startswith("b, the best of 2")
    assert "0.2" in fact.note.partition("best baseline")[2]
