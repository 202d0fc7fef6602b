"""Embeddings of other tools: every format gives the same store, and what does not fit is one clear sentence."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phispace.embeddings.foreign import describe, is_embeddings, load_embeddings
from phispace.embeddings.store import Embeddings
from phispace.errors import DataError, InputError
from phispace.metrics.holdout import hold_out

N, D = 60, 5
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(N, D)).astype(np.float32)
LABELS = np.arange(N) % 3
IDS = np.array([f"item-{i:03d}" for i in range(N)])
SPLIT = np.where(np.arange(N) % 5 == 0, "test", np.where(np.arange(N) % 5 == 1, "val", "train"))
TEXT = np.array(["cat", "dog", "emu"])[LABELS]
Arrays = dict[str, np.ndarray]


def npz(path: Path, arrays: Arrays) -> Path:
    np.savez(path.with_suffix(".npz"), **arrays)
    return path.with_suffix(".npz")


def parquet(path: Path, arrays: Arrays) -> Path:
    columns = {k: pa.array(list(v)) if v.ndim == 2 else pa.array(v) for k, v in arrays.items()}
    pq.write_table(pa.table(columns), path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def spread(arrays: Arrays) -> Arrays:
    """As columns f0, f1 ... in place of one column of lists."""
    rest = {k: v for k, v in arrays.items() if k != "vectors"}
    return rest | {f"f{j}": arrays["vectors"][:, j] for j in range(arrays["vectors"].shape[1])}


def wide(path: Path, arrays: Arrays) -> Path:
    return parquet(path, spread(arrays))


def table(path: Path, arrays: Arrays) -> Path:
    columns = spread(arrays)
    lines = [",".join(columns), *(",".join(f'"{v}"' if isinstance(v, str) else repr(v.item()) if hasattr(v, "item") else str(v) for v in row) for row in zip(*columns.values(), strict=True))]  # fmt: skip  # noqa: E501
    path.with_suffix(".csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path.with_suffix(".csv")


def tensors(path: Path, arrays: Arrays) -> Path:
    from safetensors.numpy import save_file

    numbers = {k: np.ascontiguousarray(v) for k, v in arrays.items() if v.dtype.kind != "U"}
    save_file(numbers, path.with_suffix(".safetensors"), metadata={"classes": json.dumps(["cat", "dog", "emu"])})
    return path.with_suffix(".safetensors")


WRITERS: dict[str, Callable[[Path, Arrays], Path]] = {"npz": npz, "parquet": parquet, "wide": wide, "csv": table}
WHOLE = {"vectors": VECTORS, "labels": LABELS, "ids": IDS, "split": SPLIT}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_store(tmp_path: Path, kind: str) -> None:
    path = WRITERS[kind](tmp_path / "mine", WHOLE)
    store = load_embeddings(path)
    assert is_embeddings(path)
    np.testing.assert_array_equal(store.vectors, VECTORS)
    assert (store.labels == LABELS).all()
    assert (store.ids == IDS).all()
    assert (store.splits == SPLIT).all()
    assert store.classes == ("0", "1", "2")
    assert store.manifest["caveats"] == []
    assert "36 train, 12 val, 12 test; 5 dimensions" in describe(store)


def test_safetensors_bring_the_names_of_classes_and_any_float(tmp_path: Path) -> None:
    store = load_embeddings(tensors(tmp_path / "mine", WHOLE))
    assert store.classes == ("cat", "dog", "emu")
    np.testing.assert_array_equal(store.vectors, VECTORS)
    import torch
    from safetensors.torch import save_file

    save_file({"vectors": torch.from_numpy(VECTORS).bfloat16()}, tmp_path / "b.safetensors")
    store = load_embeddings(tmp_path / "b.safetensors")
    assert store.vectors.dtype == np.float32
    np.testing.assert_array_equal(store.vectors, torch.from_numpy(VECTORS).bfloat16().float().numpy())


def test_an_array_alone_is_a_store_without_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VECTORS)
    store = load_embeddings(tmp_path / "a.npy")
    assert (store.labels == -1).all()
    assert store.ids[3] == "000003"
    assert set(store.splits) == {"train", "val", "test"}


def test_our_own_parquet_comes_back(tmp_path: Path) -> None:
    mine = Embeddings.build(VECTORS, IDS, LABELS, SPLIT, ["cat", "dog", "emu"], columns={"image": np.arange(N)})
    mine.to_parquet(tmp_path / "own.parquet")
    store = load_embeddings(tmp_path / "own.parquet")
    np.testing.assert_array_equal(store.vectors, mine.vectors)
    assert store.classes == mine.classes
    assert (store.labels == mine.labels).all()
    assert (store.ids == mine.ids).all()
    mine.save(tmp_path / "store")
    assert load_embeddings(tmp_path / "store").classes == mine.classes
    with pytest.raises(InputError, match="leave out labels"):
        load_embeddings(tmp_path / "store", labels="y")


@pytest.mark.parametrize("kind", WRITERS)
def test_train_and_test_files(tmp_path: Path, kind: str) -> None:
    train = WRITERS[kind](tmp_path / "train", {"vectors": VECTORS, "labels": TEXT})
    test = WRITERS[kind](tmp_path / "test", {"vectors": VECTORS[:9] + 1, "labels": TEXT[:9]})
    store = load_embeddings(train, test=test)
    assert store.classes == ("cat", "dog", "emu")
    assert (store.splits == "test").sum() == 9
    assert store.ids[-1] == "test/000008"
    np.testing.assert_array_equal(store.part("test").vectors, VECTORS[:9] + 1)
    away = hold_out(store.ids[:N], store.labels[:N], 0.1, "val-split-0")
    assert (store.splits[:N] == np.where(away, "val", "train")).all()
    assert "tenth" in store.manifest["caveats"][0]
    assert len(store.manifest["foreign"]["files"][1]["sha256"]) == 64


def test_what_is_missing_is_set_aside_by_hash_whatever_the_order(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(N)
    a = load_embeddings(npz(tmp_path / "a", {"vectors": VECTORS, "labels": LABELS, "ids": IDS}))
    b = load_embeddings(npz(tmp_path / "b", {"vectors": VECTORS[order], "labels": LABELS[order], "ids": IDS[order]}))
    assert dict(zip(a.ids, a.splits, strict=True)) == dict(zip(b.ids, b.splits, strict=True))
    assert (a.splits == "test").sum() == 12
    assert (a.splits == "val").sum() == 6  # a tenth of 16 in each class, rounded
    assert len(a.manifest["caveats"]) == 2


def test_parts_named_by_their_arrays(tmp_path: Path) -> None:
    arrays = {"x_train": VECTORS, "y_train": LABELS, "x_test": VECTORS[:7], "y_test": LABELS[:7]}
    store = load_embeddings(npz(tmp_path / "a", arrays))
    assert (store.splits == "test").sum() == 7
    assert (store.part("test").labels == LABELS[:7]).all()


def test_keys_can_be_said(tmp_path: Path) -> None:
    arrays = {"fc1": VECTORS, "fc2": VECTORS[:, :2], "kind": TEXT, "stain": LABELS, "who": IDS, "part": SPLIT}
    path = npz(tmp_path / "a", arrays)
    store = load_embeddings(path, vectors="fc2", labels="kind", ids="who", split="part")
    assert store.dim == 2
    assert store.classes == ("cat", "dog", "emu")
    assert store.ids[0] == "item-000"
    assert (store.splits == SPLIT).all()
    wide_path = wide(tmp_path / "w", {"vectors": VECTORS, "stain": LABELS, "note": TEXT})
    store = load_embeddings(wide_path, vectors="f*", labels="stain")
    np.testing.assert_array_equal(store.vectors, VECTORS)
    assert store.manifest["foreign"]["columns"] == "5 columns, f0 to f4"
    assert load_embeddings(npz(tmp_path / "i", WHOLE), ids="-").ids[2] == "000002"


@pytest.mark.parametrize(
    "labels",
    [LABELS.astype(np.float64), LABELS.astype(np.uint8), np.eye(3)[LABELS], LABELS[:, None], LABELS.astype(str), TEXT],
    ids=["floats", "bytes", "one-hot", "column", "digits as text", "names"],
)
def test_labels_in_many_dresses(tmp_path: Path, labels: np.ndarray) -> None:
    store = load_embeddings(npz(tmp_path / "a", {"vectors": VECTORS, "labels": labels}))
    assert (store.labels == LABELS).all()


def test_unknown_labels(tmp_path: Path) -> None:
    floats = LABELS.astype(np.float64)
    floats[4] = np.nan
    store = load_embeddings(npz(tmp_path / "a", {"vectors": VECTORS, "labels": floats}))
    assert store.labels[4] == -1
    texts = TEXT.copy()
    texts[5] = ""
    assert load_embeddings(npz(tmp_path / "b", {"vectors": VECTORS, "labels": texts})).labels[5] == -1


def test_columns_in_another_order_are_put_right(tmp_path: Path) -> None:
    train = table(tmp_path / "train", {"vectors": VECTORS, "labels": LABELS})
    columns = spread({"vectors": VECTORS[:6], "labels": LABELS[:6]})
    shuffled = {k: columns[k] for k in ("f3", "labels", "f0", "f4", "f1", "f2")}
    pq.write_table(pa.table({k: pa.array(v) for k, v in shuffled.items()}), tmp_path / "test.parquet")
    store = load_embeddings(train, test=tmp_path / "test.parquet")
    np.testing.assert_array_equal(store.part("test").vectors, VECTORS[:6])


def test_ids_of_a_csv_keep_their_zeros(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,label,f0\n007,a,1\n7,b,2\n", encoding="utf-8")
    assert load_embeddings(tmp_path / "a.csv").ids.tolist() == ["007", "7"]


def _bad(name: str, words: str, kind: type[Exception] = DataError, **arrays: Any) -> Any:
    keys = arrays.pop("keys", {})
    body = {k: v for k, v in {"vectors": VECTORS, "labels": LABELS, **arrays}.items() if v is not None}
    return pytest.param(body, keys, kind, words, id=name)


BROKEN = VECTORS.copy()
BROKEN[7, 2] = np.nan


@pytest.mark.parametrize(
    ("arrays", "keys", "kind", "words"),
    [
        _bad("pickled labels", "pickled Python objects", labels=np.array([{}] * N, dtype=object)),
        _bad("pickled vectors", "pickled Python objects", vectors=np.array([[1, "a"]] * N, dtype=object)),
        _bad("too few labels", "60 vectors and 59 labels", labels=LABELS[:-1]),
        _bad("too few ids", "60 vectors and 3 ids", ids=IDS[:3]),
        _bad("a single label", "a single value for the labels", labels=np.array(3)),
        _bad("NaN", "'000007' has values that are not finite", vectors=BROKEN),
        _bad("too large for float32", "not finite", vectors=VECTORS.astype(np.float64) * 1e300),
        _bad("1-D", r"\(60,\); vectors are \(N, D\)", vectors=VECTORS[:, 0]),
        _bad("3-D", "Flatten maps", vectors=VECTORS[:, :, None]),
        _bad("no dimensions", r"\(60, 0\)", vectors=VECTORS[:, :0]),
        _bad("no rows", "no rows", vectors=VECTORS[:0], labels=LABELS[:0]),
        _bad("text vectors", "vectors are numbers", vectors=VECTORS.astype(str)),
        _bad("complex", "numbers or text|numbers", vectors=VECTORS.astype(np.complex64)),
        _bad("fractions", "fractions", labels=LABELS + 0.5),
        _bad("very negative", "down to -7", labels=LABELS - 7),
        _bad("duplicate ids", "'item-004' stands twice", ids=np.where(np.arange(N) == 9, "item-004", IDS)),
        _bad("float ids", "ids of .* are float64", ids=np.arange(N) / 2),
        _bad("unknown split", "the split 'holdout'", split=np.where(LABELS == 0, "holdout", "train")),
        _bad("test class unseen", r"without a training item \('2'\)", split=np.where(LABELS == 2, "test", "train")),
        _bad("no such key", "no array 'fc9' for the vectors; it has vectors", InputError, keys={"vectors": "fc9"}),
        _bad("no such labels", "no array 'y' for the labels", InputError, keys={"labels": "y"}),
        _bad("nothing like vectors", "Name it with --vectors", InputError, vectors=None, p=VECTORS, q=VECTORS),
        _bad("too few class names", "the names do not reach", classes=np.array(["a", "b"])),
    ],
)
def test_bad_arrays(tmp_path: Path, arrays: Arrays, keys: dict[str, str], kind: type[Exception], words: str) -> None:
    np.savez(tmp_path / "bad.npz", allow_pickle=True, **arrays)
    with pytest.raises(kind, match=words) as caught:
        load_embeddings(tmp_path / "bad.npz", **keys)
    assert "bad" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ({"vectors": VECTORS[:4, :3], "labels": LABELS[:4]}, "3 dimensions and .* of 5"),
        ({"vectors": VECTORS[:4], "labels": LABELS[:4] + 5}, "4 of 4 test items .* without a training item"),
        ({"vectors": VECTORS[:4], "labels": TEXT[:4]}, "names in one part and numbers in another"),
        ({"vectors": VECTORS[:4], "labels": LABELS[:4], "ids": IDS[:4]}, "'item-000' stands twice in both"),
    ],
)
def test_test_files_that_do_not_fit(tmp_path: Path, test: Arrays, words: str) -> None:
    train = npz(tmp_path / "train", {"vectors": VECTORS, "labels": LABELS, "ids": IDS})
    with pytest.raises(DataError, match=words):
        load_embeddings(train, test=npz(tmp_path / "test", test))


def test_two_test_parts(tmp_path: Path) -> None:
    both = npz(tmp_path / "both", WHOLE)
    with pytest.raises(InputError, match="a test part of its own"):
        load_embeddings(both, test=npz(tmp_path / "more", {"vectors": VECTORS}))


def test_files_that_are_not_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(InputError, match="can run code"):
        load_embeddings(tmp_path / "a.pt")
    with pytest.raises(InputError, match="no file of embeddings"):
        load_embeddings(tmp_path / "a.xlsx")
    for suffix in (".npy", ".npz", ".parquet", ".safetensors", ".csv"):
        path = tmp_path / f"b{suffix}"
        with pytest.raises(InputError, match="does not exist"):
            load_embeddings(path)
        for body in (b"", b"\x00\xff nonsense", b"PK\x03\x04", np.random.default_rng(0).bytes(300)):
            path.write_bytes(body)
            with pytest.raises((DataError, InputError)) as caught:
                load_embeddings(path)
            assert f"b{suffix}" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("1.0,2.0\n3.0,4.0\n", "must name the columns"),
        ("label,f0,f0\n1,2,3\n", "two columns named 'f0'"),
        ("label,f0,f1\na,1,2\nb,3\n", "cannot be read as csv"),
        ("label,f0,f1\na,1,2\nb,3,\n", "not finite"),
        ("label,f0,f1\na,1,2\nb,3,oops\n", "'f1' .* holds no single numbers"),
        ("label,name\na,1\nb,3\n", "Name it with --vectors"),
    ],
)
def test_bad_csv(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.csv").write_text(text, encoding="utf-8")
    with pytest.raises((DataError, InputError), match=words):
        load_embeddings(tmp_path / "bad.csv")


def test_lists_of_unequal_length(tmp_path: Path) -> None:
    pq.write_table(pa.table({"vector": [[1.0, 2.0], [3.0]], "label": [0, 1]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="lists of 1 to 2 numbers"):
        load_embeddings(tmp_path / "a.parquet")
    pq.write_table(pa.table({"vector": [[1.0, 2.0], None], "label": [0, 1]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="an empty row"):
        load_embeddings(tmp_path / "a.parquet")
