"""The store: what goes in comes out, and what is damaged is refused by name."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phispace import storage
from phispace.embeddings.store import Embeddings, is_store
from phispace.errors import DataError, InputError, StorageError

FILES = ("vectors.npy", "items.parquet", "manifest.json")


def small(n: int = 12, d: int = 3, seed: int = 0, **more) -> Embeddings:
    rng = np.random.default_rng(seed)
    splits = np.array(["train", "val", "test", "unlabelled"])[np.arange(n) % 4]
    labels = np.where(splits == "unlabelled", -1, np.arange(n) % 2)
    return Embeddings.build(
        rng.normal(size=(n, d)), [f"é/{i} x.png" for i in range(n)], labels, splits, ["a", "b"], **more
    )


def same(a: Embeddings, b: Embeddings) -> None:
    np.testing.assert_array_equal(np.asarray(a.vectors), np.asarray(b.vectors))
    assert a.vectors.dtype == b.vectors.dtype
    assert a.items.equals(b.items)
    assert a.classes == b.classes
    for name in ("ids", "labels", "splits"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_round_trip(tmp_path: Path) -> None:
    store = small(columns={"image": np.arange(12), "confidence": np.linspace(0, 1, 12)}, layer="fc1", run="runs/a")
    assert store.digest is None
    store.save(tmp_path / "epoch=07" / "fc1")
    assert is_store(tmp_path / "epoch=07" / "fc1")
    again = Embeddings.open(tmp_path / "epoch=07" / "fc1")
    same(store, again)
    assert again.manifest["layer"] == "fc1"
    assert again.manifest["run"] == "runs/a"
    assert again.digest == storage.sha256_file(tmp_path / "epoch=07" / "fc1" / "vectors.npy")
    assert isinstance(again.vectors, np.memmap)
    assert not again.vectors.flags.writeable
    np.testing.assert_array_equal(again.column("image"), np.arange(12))
    assert again.column("x") is None
    assert sorted(p.name for p in (tmp_path / "epoch=07" / "fc1").iterdir()) == sorted(FILES)


def test_half_precision_stays(tmp_path: Path) -> None:
    store = small()
    half = Embeddings.build(np.asarray(store.vectors, np.float16), store.ids, store.labels, store.splits)
    half.save(tmp_path)
    same(half, Embeddings.open(tmp_path))
    for other in (np.float64, np.int32, np.uint8):
        assert Embeddings.build(np.ones((2, 2), other), ["a", "b"]).vectors.dtype == np.float32


ids = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12), unique=True, max_size=15)


@settings(max_examples=40, deadline=None)
@given(ids, st.integers(1, 5), st.sampled_from([np.float16, np.float32]), st.integers(0, 1000))
def test_any_store_comes_back(names: list[str], d: int, kind: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = len(names)
    vectors = (rng.normal(size=(n, d)) * 10.0 ** rng.integers(-4, 4)).astype(kind)
    splits = rng.choice(["train", "val", "test", "unlabelled"], n)
    store = Embeddings.build(vectors, names, rng.integers(-1, 3, n), splits, ["a", "", "ç"])
    with tempfile.TemporaryDirectory() as folder:
        store.save(Path(folder) / "s")
        again = Embeddings.open(Path(folder) / "s")
        same(store, again)
        assert again.ids.tolist() == names
        again.save(Path(folder) / "s")  # over the very file that it is mapped from
        same(store, Embeddings.open(Path(folder) / "s"))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "flipped", "text"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, damage: str) -> None:
    small(200, 8).save(tmp_path)
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "flipped":
        data[len(data) // 2] ^= 1
    if damage != "missing":
        path.write_bytes({"empty": b"", "text": b"hello", "truncated": data[:-7]}.get(damage, bytes(data)))
    if name == "manifest.json" and damage == "flipped":
        # A flipped bit in a text may leave valid JSON; whatever it hits, nothing but a DataError leaves.
        for position in range(0, len(data), 7):
            changed = bytearray(data)
            changed[position] ^= 1
            path.write_bytes(bytes(changed))
            try:
                Embeddings.open(tmp_path)
            except DataError:
                continue
        return
    with pytest.raises(DataError, match=name):
        Embeddings.open(tmp_path)
    if name != "manifest.json" and damage in ("missing", "empty", "truncated", "text"):
        with pytest.raises(DataError, match=name):
            Embeddings.open(tmp_path, verify=False)


@pytest.mark.parametrize("position", range(0, 1000, 90))
def test_every_flipped_bit_of_the_vectors_is_seen(tmp_path: Path, position: int) -> None:
    small(60, 4).save(tmp_path)
    data = bytearray((tmp_path / "vectors.npy").read_bytes())
    data[position] ^= 4
    (tmp_path / "vectors.npy").write_bytes(data)
    with pytest.raises(DataError, match="has changed or is damaged"):
        Embeddings.open(tmp_path)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((11, 3), np.float32), "its manifest says"),
        (np.zeros((12, 3), np.float16), "its manifest says"),
        (np.zeros((12, 3)), "its manifest says"),
        (np.array([None, "x"], dtype=object), "cannot be read"),
    ],
)
def test_other_vectors_under_the_same_manifest(tmp_path: Path, array: np.ndarray, words: str) -> None:
    small().save(tmp_path)
    np.save(tmp_path / "vectors.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=words):
        Embeddings.open(tmp_path, verify=False)


def test_an_archive_in_the_place_of_the_vectors(tmp_path: Path) -> None:
    small().save(tmp_path)
    with (tmp_path / "vectors.npy").open("wb") as stream:
        np.savez(stream, a=np.zeros(3))
    with pytest.raises(DataError, match=r"vectors\.npy is an archive"):
        Embeddings.open(tmp_path, verify=False)


def test_a_store_without_its_manifest_is_not_one_and_may_be_written_again(tmp_path: Path) -> None:
    small().save(tmp_path / "s")
    (tmp_path / "s" / "manifest.json").unlink()
    assert not is_store(tmp_path / "s")
    with pytest.raises(DataError, match="not a whole embeddings store"):
        Embeddings.open(tmp_path / "s")
    small(seed=1).save(tmp_path / "s")
    same(small(seed=1), Embeddings.open(tmp_path / "s"))


def test_what_is_not_a_store_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(InputError, match="not an embeddings store"):
            small().save(path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(DataError, match="not a whole embeddings store"):
        Embeddings.open(tmp_path / "nowhere")


@pytest.mark.parametrize("failing", ["np.save", "pq.write_table"])
def test_a_full_disk_leaves_the_old_store(tmp_path: Path, failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small().save(tmp_path / "s")

    def full(*_args, **_more) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"phispace.embeddings.store.{failing}", full)
    with pytest.raises(StorageError, match="the disk is full"):
        small(seed=1).save(tmp_path / "s")
    monkeypatch.undo()
    same(small(), Embeddings.open(tmp_path / "s"))
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == sorted(FILES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"vectors": np.zeros(4)}, r"numbers \(N, D\)"),
        ({"vectors": np.float32(1)}, r"numbers \(N, D\)"),
        ({"vectors": np.zeros((2, 0))}, "D > 0"),
        ({"vectors": np.zeros((2, 2), complex)}, "must be numbers"),
        ({"vectors": np.array([["a", "b"], ["c", "d"]])}, "must be numbers"),
        ({"vectors": np.array([[1, np.nan], [0, 0]])}, "vector of 'a' has values that are not finite"),
        ({"vectors": np.array([[1, 2], [np.inf, 0]])}, "vector of 'b'"),
        ({"vectors": np.array([[1, 2], [1e300, 0]])}, "vector of 'b'"),
        ({"ids": ["a"]}, "1 ids"),
        ({"ids": ["a", "a"]}, "Ids must be unique"),
        ({"labels": np.array([0, 1, 0])}, "3 labels"),
        ({"labels": np.array([0.0, 1.5])}, "Labels must be integers"),
        ({"labels": np.array([0, -2])}, "-1 .unknown. to"),
        ({"labels": np.array([0, 5]), "classes": ["a", "b"]}, "-1 .unknown. to 1"),
        ({"split": "dev"}, "Unknown splits"),
        ({"split": np.array(["train"])}, "1 splits"),
        ({"columns": {"x": np.zeros(3)}}, "column 'x'"),
        ({"columns": {"id": np.zeros(2)}}, "column 'id'"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict, words: str) -> None:
    good = {"vectors": np.ones((2, 2)), "ids": ["a", "b"]}
    with pytest.raises(DataError, match=words):
        Embeddings.build(**(good | arguments))


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("label", pa.array([0, None], pa.int64()), "'label' must hold integers"),
        ("label", pa.array([0.0, 1.0]), "'label' must hold integers"),
        ("id", pa.array([1, 2]), "'id' must hold text"),
        ("id", pa.array(["a", None]), "'id' must hold text"),
        ("split", pa.array(["train", None]), "'split' must hold text"),
    ],
)
def test_an_items_table_that_does_not_fit(column: str, values: pa.Array, words: str) -> None:
    items = small().take(np.arange(2)).items
    items = items.set_column(items.column_names.index(column), column, values)
    with pytest.raises(DataError, match=words):
        Embeddings(np.ones((2, 2), np.float32), items, {"classes": ["a", "b"]})
    with pytest.raises(DataError, match=f"lacks {column}"):
        Embeddings(np.ones((2, 2), np.float32), items.drop_columns([column]), {})


def test_parts() -> None:
    store = small()
    assert len(store.part("train", "val")) == 6
    assert set(store.part("unlabelled").labels) == {-1}
    assert len(store.part(labelled=True)) == 9
    assert store.part() is store
    picked = store.take(np.array([3, 1]))
    assert picked.ids.tolist() == store.ids[[3, 1]].tolist()
    np.testing.assert_array_equal(picked.vectors, store.vectors[[3, 1]])
    with pytest.raises(InputError, match="Unknown splits"):
        store.part("tests")


def test_a_part_can_be_stored(tmp_path: Path) -> None:
    small().save(tmp_path / "whole")
    part = Embeddings.open(tmp_path / "whole").part("test")
    part.save(tmp_path / "part")
    again = Embeddings.open(tmp_path / "part")
    same(part, again)
    assert again.digest != Embeddings.open(tmp_path / "whole").digest


def test_one_parquet_file_for_others(tmp_path: Path) -> None:
    store = small(columns={"class": np.arange(12), "x": np.arange(12.0)})
    store.to_parquet(tmp_path / "all.parquet")
    table = pq.read_table(tmp_path / "all.parquet")
    assert sorted(table.column_names) == ["class", "id", "label", "split", "vector", "x"]
    assert table["vector"].type == pa.list_(pa.float32(), 3)
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), store.vectors)
    assert table["class"].to_pylist() == [(*store.classes, "(unknown)")[k] for k in store.labels]
    unknown = ds.dataset(tmp_path / "all.parquet").to_table(filter=ds.field("class") == "(unknown)")
    assert unknown["id"].to_pylist() == store.part("unlabelled").ids.tolist()


def test_an_empty_store(tmp_path: Path) -> None:
    empty = Embeddings.build(np.zeros((0, 4)), [])
    empty.save(tmp_path / "s")
    again = Embeddings.open(tmp_path / "s")
    assert len(again) == 0
    assert again.dim == 4
    again.to_parquet(tmp_path / "e.parquet")
    assert pq.read_table(tmp_path / "e.parquet").num_rows == 0
