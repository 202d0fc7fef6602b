"""Evaluations by name, the table of scores, the paired comparison."""

from __future__ import annotations

import json

import numpy as np
import pytest
from poor_stores import POOR, changed

from phispace.embeddings.baselines import pca
from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation import REGISTRY
from phispace.evaluation.base import Scores
from phispace.evaluation.compare import compare
from phispace.evaluation.evaluate import evaluate, score_table, wanted_variants
from phispace.progress import Progress
from phispace.run import Run


def test_all_of_them(digits: Embeddings) -> None:
    assert list(evaluate(digits, ["all"])) == REGISTRY.names()
    assert list(evaluate(digits, ["health", "knn", "health"])) == ["health", "knn"]


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (["knm"], None, "Did you mean knn"),
        ([], None, "No evaluation was named"),
        (["knn"], {"knn": {"neighbours": 3}}, "Its options: k, metric"),
        (["knn"], {"knn": {"k": 0}}, "Option 'k'"),
        (["linear"], {"linear": {"l2": []}}, "Option 'l2'"),
        (["linear"], {"linear": {"l2": [0.0]}}, "Option 'l2.0'"),
        (["knn"], {"linear": {}}, "Options are given for linear"),
    ],
)
def test_wrong_requests(digits: Embeddings, names: list[str], options: dict | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        evaluate(digits, names, options=options)


def test_a_missing_part_is_named(digits: Embeddings) -> None:
    with pytest.raises(InputError, match="needs items of split 'test'; this store has train, val"):
        evaluate(digits.part("train", "val"), ["knn"])
    with pytest.raises(InputError, match="all labels of this store are unknown"):
        evaluate(POOR["unlabelled"](digits), ["linear"])


def test_each_store_meets_its_own_variants(digits: Embeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, seen = REGISTRY.get("health"), []
    monkeypatch.setattr(kind, "variants", lambda self: {"shift/1,0": "test", "view/flip/0": "test+val"})
    monkeypatch.setattr(kind, "run", lambda self, store, *, others=None, seed=0: seen.append(others) or Scores({}))
    assert wanted_variants(["knn", "health"]) == {"shift/1,0": "test", "view/flip/0": "test+val"}
    assert wanted_variants(["knn"]) == {}
    others = {"mine": {"shift/1,0": digits.part("test")}}
    score_table({"mine": digits, "foreign": digits}, ["health"], others=others)
    assert seen == [others["mine"], {}]


def test_what_compares_meets_the_other_stores_and_not_the_variants(
    digits: Embeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[list[str]]] = {"health": [], "cka": []}
    for name, names in seen.items():
        kind = REGISTRY.get(name)

        def run(self, store, *, others=None, seed=0, names=names):
            names.append(sorted(others))
            return Scores({})

        monkeypatch.setattr(kind, "run", run)
    monkeypatch.setattr(REGISTRY.get("health"), "variants", lambda self: {"shift/1,0": "test"})
    given = {"a": {"shift/1,0": digits, "view": digits}}
    score_table({"a": digits, "b": digits}, ["health", "cka"], others=given)
    assert seen["health"] == [["shift/1,0", "view"], []]
    assert seen["cka"] == [["b", "view"], ["a"]]


def test_the_table_of_scores(digits: Embeddings, tmp_path) -> None:
    stores = {"pixels": digits, "pca": pca(digits, 20), "unlabelled": POOR["unlabelled"](digits)}
    rows = score_table(stores, ["linear", "knn", "health"], options={"knn": {"k": 5}})
    keys = [(row["evaluation"], row["store"]) for row in rows]
    assert keys == [
        *(("linear", s) for s in (*stores, "majority")),
        *(("knn", s) for s in (*stores, "majority")),
        *(("health", s) for s in stores),
    ]
    by_key = dict(zip(keys, rows, strict=True))
    json.dumps(rows, allow_nan=False)
    assert by_key["knn", "pixels"]["options"]["k"] == 5
    assert by_key["knn", "majority"]["options"] == by_key["knn", "pixels"]["options"]
    alone = evaluate(digits, ["linear"])["linear"]
    assert by_key["linear", "pixels"]["metrics"] == alone.metrics
    assert by_key["linear", "majority"]["metrics"]["accuracy"] == alone.metrics["majority"] < 0.2
    assert by_key["linear", "unlabelled"]["metrics"]["accuracy"] is None
    assert "all labels of this store are unknown" in by_key["linear", "unlabelled"]["caveats"][0]
    run = Run.create(tmp_path / "run", {}, {})
    run.add_scores(rows)
    run.add_scores(rows)
    assert Run.open(tmp_path / "run").scores() == json.loads(json.dumps(rows))


def test_progress_is_told(digits: Embeddings) -> None:
    class Counting(Progress):
        done = 0.0

        def task(self, title, total=None):  # type: ignore[no-untyped-def]
            import contextlib

            @contextlib.contextmanager
            def running():  # type: ignore[no-untyped-def]
                yield self

            self.total = total
            return running()

        def advance(self, amount: float = 1) -> None:
            self.done += amount

        def note(self, text: str) -> None:
            assert text

    counting = Counting()
    evaluate(digits, ["knn", "health"], progress=counting)
    assert counting.done == counting.total == 2


def test_two_stores_on_the_same_images(digits: Embeddings) -> None:
    worse = changed(digits, vectors=np.asarray(digits.vectors) + np.random.default_rng(0).normal(size=(500, 64)))
    found = compare(digits, worse, "linear")
    accuracies = [evaluate(s, ["linear"])["linear"].metrics["accuracy"] for s in (digits, worse)]
    assert found.difference == pytest.approx(accuracies[0] - accuracies[1])
    assert found.interval[0] > 0
    assert found.p_value < 0.05
    assert compare(digits, digits.take(np.arange(500)[::-1]), "knn").difference == 0


def test_two_stores_of_other_images(digits: Embeddings) -> None:
    with pytest.raises(InputError, match="they must be the same"):
        compare(digits, digits.take(np.arange(400)))
    labels = np.where(digits.splits == "test", (digits.labels + 1) % 10, digits.labels)
    with pytest.raises(InputError, match="different labels"):
        compare(digits, changed(digits, labels=labels), "knn")
    with pytest.raises(InputError, match="predicts no classes"):
        compare(digits, digits, "health")
