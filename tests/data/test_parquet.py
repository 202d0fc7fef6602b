"""One Parquet file of images, as the Hugging Face hub stores it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import encode

from phispace.data import load_images
from phispace.errors import DataError, InputError, PhispaceError

_BYTES = [encode(i, (12, 12)) for i in range(20)]
_LABELS = [i % 2 for i in range(20)]
_STRUCT = pa.array([{"bytes": b, "path": f"{i}.png"} for i, b in enumerate(_BYTES)])


def _names(*names: str, column: str = "label") -> dict[bytes, bytes]:
    features = {column: {"names": list(names), "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


def _write(path: Path, columns: dict[str, object], metadata: dict[bytes, bytes] | None = None, **options) -> Path:
    table = pa.table(columns).replace_schema_metadata(metadata)
    pq.write_table(table, path / "train-00000-of-00001.parquet", **options)
    return path / "train-00000-of-00001.parquet"


def test_struct_and_class_names(tmp_path: Path) -> None:
    path = _write(tmp_path, {"image": _STRUCT, "label": _LABELS}, _names("dog", "cat"), row_group_size=7)
    images = load_images(path)
    assert images.classes == ("dog", "cat")
    assert images.labels.tolist() == _LABELS
    assert images.ids[3] == "image/000003"
    assert images.shape == (3, 12, 12)
    assert images.source["formats"] == {"PNG": 20}


def test_plain_binary_and_text_labels(tmp_path: Path) -> None:
    path = _write(tmp_path, {"img": _BYTES, "label": [["x", "a"][v] for v in _LABELS]})
    images = load_images(path)
    assert images.classes == ("a", "x")
    assert images.labels.tolist() == [1 - v for v in _LABELS]


def test_columns_to_choose(tmp_path: Path) -> None:
    path = _write(tmp_path, {"left": _BYTES, "right": _BYTES[::-1], "coarse": _LABELS, "fine": list(range(20))})
    with pytest.raises(InputError, match="images=COLUMN"):
        load_images(path)
    images = load_images(path, options={"images": "right", "labels": "fine"})
    assert len(images.classes) == 20
    assert images.ids[0] == "right/000000"
    for options in ({"images": "up"}, {"images": "coarse"}, {"images": "left", "labels": "nothing"}):
        with pytest.raises(InputError):
            load_images(path, options=options)


def test_unknown_labels_and_no_labels(tmp_path: Path) -> None:
    labels = pa.array([None, -1, *_LABELS[2:]], pa.int64())
    assert load_images(_write(tmp_path, {"image": _STRUCT, "label": labels})).labels[:3].tolist() == [-1, -1, 0]
    assert load_images(_write(tmp_path, {"image": _STRUCT})).classes == ()


def test_a_split_column(tmp_path: Path) -> None:
    split = ["train"] * 10 + ["validation"] * 5 + ["test"] * 5
    images = load_images(_write(tmp_path, {"image": _STRUCT, "label": _LABELS, "split": split}))
    assert images.split.tolist() == ["train"] * 10 + ["val"] * 5 + ["test"] * 5
    with pytest.raises(DataError, match="holdout"):
        load_images(_write(tmp_path, {"image": _STRUCT, "split": ["holdout"] * 20}))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no image"),
        ({"bytes": None, "path": "/etc/passwd"}, "path and no bytes"),
        ({"bytes": b"", "path": None}, "empty"),
        ({"bytes": b"text", "path": "x.png"}, "not an image"),
        ({"bytes": _BYTES[0][:50], "path": None}, "cannot be decoded"),
    ],
)
def test_a_bad_row_is_quarantined(tmp_path: Path, value: object, reason: str) -> None:
    rows = _STRUCT.to_pylist()
    rows[4] = value
    images = load_images(_write(tmp_path, {"image": pa.array(rows, _STRUCT.type), "label": _LABELS}))
    assert len(images) == 19
    assert [q.id for q in images.quarantine] == ["image/000004"]
    assert reason in images.quarantine[0].reason
    assert images.labels.tolist() == [v for i, v in enumerate(_LABELS) if i != 4]


@pytest.mark.parametrize(
    "metadata",
    [
        {b"huggingface": b"no json"},
        {b"huggingface": b"[]"},
        {b"huggingface": b'{"info": null}'},
        {b"huggingface": b"[" * 5000},
        _names("a", "b", column="other"),
        {b"huggingface": json.dumps({"info": {"features": {"label": {"names": [1, 2]}}}}).encode()},
    ],
)
def test_odd_metadata_is_passed_over(tmp_path: Path, metadata: dict[bytes, bytes]) -> None:
    assert load_images(_write(tmp_path, {"image": _STRUCT, "label": _LABELS}, metadata)).classes == ("0", "1")


BAD_TABLES = {
    "names that do not reach": ({"image": _STRUCT, "label": [5] * 20}, _names("a", "b")),
    "labels below -1": ({"image": _STRUCT, "label": [-5] * 20}, None),
    "no image column": ({"label": _LABELS}, None),
    "no rows": ({"image": pa.array([], _STRUCT.type), "label": pa.array([], pa.int64())}, None),
    "images that are lists": ({"image": [[1, 2], [3]] * 10}, None),
    "images that are text": ({"image": ["a.png"] * 20}, None),
    "no columns": ({}, None),
    "a struct without bytes": ({"image": pa.array([{"path": "a"}] * 20)}, None),
    "all rows null": ({"image": pa.array([None] * 20, pa.binary())}, None),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_table_that_does_not_fit(tmp_path: Path, name: str) -> None:
    with pytest.raises(PhispaceError, match=r"\.parquet"):
        load_images(_write(tmp_path, *BAD_TABLES[name]))


@pytest.mark.parametrize(
    "data", [b"", b"PAR1", b"PAR1PAR1", b"PAR1" + bytes(100) + b"PAR1", b"text", b"PAR1\xff\xff\xff\x7fPAR1"]
)
def test_what_is_no_parquet(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(data)
    with pytest.raises(DataError, match=r"x\.parquet"):
        load_images(tmp_path / "x.parquet")


@pytest.mark.parametrize("step", range(10))
def test_a_cut_file(tmp_path: Path, step: int) -> None:
    path = _write(tmp_path, {"image": _STRUCT, "label": _LABELS})
    data = path.read_bytes()
    path.write_bytes(data[: step * len(data) // 10])
    with pytest.raises(DataError):
        load_images(path)


@pytest.mark.parametrize("step", range(40))
def test_a_flipped_byte_is_an_error_a_quarantine_or_harmless(tmp_path: Path, step: int) -> None:
    path = _write(tmp_path, {"image": _STRUCT, "label": _LABELS}, compression="snappy")
    whole = load_images(path)
    data = bytearray(path.read_bytes())
    data[4 + step * (len(data) - 8) // 40] ^= 0x55
    path.write_bytes(data)
    try:
        images = load_images(path)
    except PhispaceError:
        return
    kept = np.isin(whole.ids, images.ids)
    if images.images.shape[1:] == whole.images.shape[1:]:
        np.testing.assert_array_equal(images.images, whole.images[kept])
