"""Arrays of images: `.npz`, `.npy`, a folder of `.npy`; their roles, shapes, values and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pictures import encode

from phispace.data import load_images
from phispace.errors import DataError, InputError

_RNG = np.random.default_rng(0)
_GREY = _RNG.integers(0, 256, (20, 12, 12), dtype=np.uint8)
_COLOUR = _RNG.integers(0, 256, (20, 12, 12, 3), dtype=np.uint8)
_LABELS = np.arange(20) % 4


def _npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path / "set.npz", **arrays)
    return path / "set.npz"


@pytest.mark.parametrize(
    "keys",
    [
        ("images", "labels"),
        ("x", "y"),
        ("X", "Y"),
        ("data", "target"),
        ("arr_0", "arr_1"),
        ("x_train", "y_train"),
        ("train_images", "train_labels"),
        ("labelled", "labels"),
        ("labeled", "labels"),
        ("pictures", "labels"),
    ],
)
def test_usual_keys_are_understood(tmp_path: Path, keys: tuple[str, str]) -> None:
    images = load_images(_npz(tmp_path, **{keys[0]: _GREY, keys[1]: _LABELS}))
    np.testing.assert_array_equal(images.images[..., 0], _GREY)
    assert images.labels.tolist() == _LABELS.tolist()
    assert images.classes == ("0", "1", "2", "3")
    assert images.ids[3] == f"{keys[0]}/000003"


def test_train_val_and_test(tmp_path: Path) -> None:
    arrays = {
        f"{part}_{what}": v for part in ("train", "val", "test") for what, v in (("images", _GREY), ("labels", _LABELS))
    }
    images = load_images(_npz(tmp_path, **arrays))
    assert {k: int((images.split == k).sum()) for k in ("train", "val", "test")} == {"train": 20, "val": 20, "test": 20}


def test_labelled_labels_unlabelled(tmp_path: Path) -> None:
    more = _RNG.integers(0, 256, (33, 12, 12), dtype=np.uint8)
    images = load_images(_npz(tmp_path, labelled=_GREY, labels=_LABELS, unlabelled=more))
    assert (images.split == "unlabelled").sum() == 33
    assert (images.labels[images.split == "unlabelled"] == -1).all()
    assert (images.labels[images.split != "unlabelled"] >= 0).all()
    assert images.ids[20] == "unlabelled/000000"


def test_keys_to_choose(tmp_path: Path) -> None:
    path = _npz(tmp_path, first=_GREY, second=_GREY[::-1], kind=_LABELS, other=_LABELS[::-1])
    with pytest.raises(InputError, match="first, second, kind, other"):
        load_images(path)
    images = load_images(path, options={"images": "second", "labels": "other"})
    np.testing.assert_array_equal(images.images[..., 0], _GREY[::-1])
    assert images.labels.tolist() == _LABELS[::-1].tolist()
    with pytest.raises(InputError, match="no array 'third'"):
        load_images(path, options={"images": "third"})
    with pytest.raises(InputError, match="images=KEY"):
        load_images(path, options={"labels": "kind"})


def test_no_labels_at_all(tmp_path: Path) -> None:
    images = load_images(_npz(tmp_path, images=_GREY))
    assert images.classes == ()
    assert {str(s) for s in images.split} == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("labels", "expected", "classes"),
    [
        (_LABELS[:, None], _LABELS, "0123"),
        (np.eye(4)[_LABELS], _LABELS, "0123"),
        (_LABELS.astype(float), _LABELS, "0123"),
        (_LABELS.astype(np.uint8), _LABELS, "0123"),
        (_LABELS * 10 + 5, _LABELS, ("5", "15", "25", "35")),
        (np.where(_LABELS == 3, -1, _LABELS), np.where(_LABELS == 3, -1, _LABELS), "012"),
        (np.where(_LABELS == 3, np.nan, _LABELS), np.where(_LABELS == 3, -1, _LABELS), "012"),
        (np.array(["d", "c", "b", "a"])[_LABELS], 3 - _LABELS, "abcd"),
        (np.array([b"d", b"c", b"b", b"a"])[_LABELS], 3 - _LABELS, "abcd"),
        (np.array(["", "c", "b", "a"])[_LABELS], np.array([-1, 2, 1, 0])[_LABELS], "abc"),
        (_LABELS > 1, (_LABELS > 1).astype(int), "01"),
        (np.full(20, -1), np.full(20, -1), ""),
    ],
)
def test_labels_in_many_forms(tmp_path: Path, labels: np.ndarray, expected: np.ndarray, classes: str) -> None:
    images = load_images(_npz(tmp_path, images=_GREY, labels=labels))
    assert images.labels.tolist() == np.asarray(expected).tolist()
    assert images.classes == tuple(classes)


def test_names_of_classes(tmp_path: Path) -> None:
    names = np.array(["zebra", "ant", "bee", "cow"])
    assert load_images(_npz(tmp_path, images=_GREY, labels=_LABELS, classes=names)).classes == tuple(names)
    with pytest.raises(DataError, match="label 3 and 2 class names"):
        load_images(_npz(tmp_path, images=_GREY, labels=_LABELS, classes=names[:2]))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (_COLOUR, _COLOUR),
        (_COLOUR.transpose(0, 3, 1, 2), _COLOUR),
        (_GREY[..., None], _GREY[..., None]),
        (_GREY[:, None], _GREY[..., None]),
        (_GREY.reshape(20, 144), _GREY[..., None]),
        (np.asfortranarray(_GREY), _GREY[..., None]),
        (_GREY.astype(np.int64), _GREY[..., None]),
        (_GREY.astype(">i4"), _GREY[..., None]),
        (_GREY.astype(np.float64), _GREY[..., None]),
        ((_GREY / 255).astype(np.float32), _GREY[..., None]),
        ((_GREY / 255 * 2 - 1).astype(np.float32), _GREY[..., None]),
        (_GREY > 127, np.where(_GREY > 127, 255, 0)[..., None]),
        ((_GREY > 127).astype(np.uint8), np.where(_GREY > 127, 255, 0)[..., None]),
        (np.concatenate([_COLOUR, np.full((20, 12, 12, 1), 255, np.uint8)], axis=3), _COLOUR),
        (np.concatenate([_COLOUR, np.zeros((20, 12, 12, 1), np.uint8)], axis=3), np.full_like(_COLOUR, 255)),
    ],
)
def test_shapes_and_values(tmp_path: Path, array: np.ndarray, expected: np.ndarray) -> None:
    images = load_images(_npz(tmp_path, images=array))
    np.testing.assert_array_equal(images.images, expected)


def test_16_bits_lie_on_one_range_for_all_parts(tmp_path: Path) -> None:
    train = _RNG.integers(100, 4000, (30, 10, 10)).astype(np.uint16)
    test = _RNG.integers(2000, 4095, (10, 10, 10)).astype(np.uint16)
    images = load_images(_npz(tmp_path, x_train=train, x_test=test))
    record = images.source["range"]
    values = np.concatenate([train.ravel(), test.ravel()])
    assert abs(record["low"] - np.percentile(values, 0.1)) < 5
    assert abs(record["high"] - np.percentile(values, 99.9)) < 5
    assert images.images[:30].min() == 0
    assert images.images[30:].min() > 100


def test_an_image_with_nan_is_quarantined(tmp_path: Path) -> None:
    array = _GREY.astype(np.float32) / 255
    array[7, 3, 3] = np.nan
    array[9, 0, 0] = np.inf
    images = load_images(_npz(tmp_path, images=array, labels=_LABELS))
    assert [q.id for q in images.quarantine] == ["images/000007", "images/000009"]
    assert len(images) == 18
    assert "images/000008" in images.ids
    np.testing.assert_array_equal(images.images[0, ..., 0], _GREY[0])


def test_large_arrays_are_resized(tmp_path: Path) -> None:
    array = np.zeros((6, 100, 50), np.uint8)
    array[:] = 200
    images = load_images(_npz(tmp_path, images=array))
    assert images.shape == (1, 64, 64)
    assert images.source["sizes"] == {"50x100": 6}
    assert load_images(_npz(tmp_path, images=array), size=100).images[0, :, 25:75].min() == 200


def test_other_arrays_are_not_touched(tmp_path: Path) -> None:
    path = _npz(tmp_path, images=_GREY, labels=_LABELS, history=np.array([{"a": 1}], dtype=object))
    assert len(load_images(path)) == 20


class TestFolderOfArrays:
    def test_one_array_a_class(self, tmp_path: Path) -> None:
        for name, count in (("full_numpy_bitmap_zebra", 6), ("ant", 4)):
            np.save(tmp_path / f"{name}.npy", _GREY[:count].reshape(count, 144))
        images = load_images(tmp_path)
        assert images.classes == ("ant", "zebra")
        assert images.shape == (1, 12, 12)
        assert images.ids[[0, 4]].tolist() == ["ant/000000", "zebra/000000"]
        assert images.labels.tolist() == [0] * 4 + [1] * 6
        np.testing.assert_array_equal(images.images[4:, ..., 0], _GREY[:6])

    def test_an_array_beside_image_folders_is_no_class(self, tmp_path: Path) -> None:
        for name in "ab":
            (tmp_path / name).mkdir()
            (tmp_path / name / "1.png").write_bytes(encode(1))
        np.save(tmp_path / "features.npy", _GREY)
        assert load_images(tmp_path).classes == ("a", "b")

    def test_some_of_each_class(self, tmp_path: Path) -> None:
        for name in "ab":
            np.save(tmp_path / f"{name}.npy", _GREY)
        assert len(load_images(tmp_path, options={"per_class": 3})) == 6

    def test_a_change_is_seen(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", _GREY)
        np.save(tmp_path / "b.npy", _GREY)
        before = load_images(tmp_path).fingerprint
        np.save(tmp_path / "b.npy", _GREY[:10])
        assert load_images(tmp_path).fingerprint != before

    @pytest.mark.parametrize(
        "array", [np.zeros(5, np.uint8), np.zeros((3, 7), np.uint8), np.zeros((0, 144), np.uint8), np.array(["a"])]
    )
    def test_an_array_that_is_no_images(self, tmp_path: Path, array: np.ndarray) -> None:
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(DataError):
            load_images(tmp_path)


def test_a_single_array(tmp_path: Path) -> None:
    np.save(tmp_path / "crops.npy", _COLOUR)
    images = load_images(tmp_path / "crops.npy")
    assert images.shape == (3, 12, 12)
    assert images.ids[0] == "crops/000000"
