"""Whatever the bytes are: images, a quarantine, or a PhispaceError. Never another exception."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes
from pictures import encode

from phispace.data import load_images
from phispace.data.arrays import as_images, range_of
from phispace.data.cifar_pickles import read_batch
from phispace.data.decode import Decoded, Unreadable, decode, finish, strict_pillow
from phispace.data.idx import read_idx
from phispace.data.imageset import ImageSet
from phispace.data.labels import encode as encode_labels
from phispace.data.layout import arrange
from phispace.data.names import escape, hidden, is_image_name, order, plain, refusal
from phispace.errors import DataError, PhispaceError

_QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(4):
            archive.writestr(f"{'ab'[i % 2]}/{i}.png", encode(i, (9, 9)))
    return stream.getvalue()


def _tar(mode: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for i in range(4):
            info = tarfile.TarInfo(f"{'ab'[i % 2]}/{i}.png")
            data = encode(i, (9, 9))
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def _npz() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(
        stream, images=np.random.default_rng(0).integers(0, 256, (8, 6, 6), np.uint8), labels=np.arange(8) % 2
    )
    return stream.getvalue()


def _npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.random.default_rng(0).integers(0, 256, (8, 6, 6), np.uint8))
    return stream.getvalue()


def _parquet() -> bytes:
    stream = io.BytesIO()
    rows = pa.array([{"bytes": encode(i, (9, 9)), "path": None} for i in range(8)])
    pq.write_table(pa.table({"image": rows, "label": [i % 2 for i in range(8)]}), stream)
    return stream.getvalue()


_WHOLE = {
    "zip": _zip(),
    "tar": _tar("w:"),
    "tar.gz": _tar("w:gz"),
    "npz": _npz(),
    "npy": _npy(),
    "parquet": _parquet(),
}
_FORMS = {form: encode(5, (24, 20), form=form) for form in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")}


@st.composite
def spoilt(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with a few pieces overwritten, removed, repeated or cut."""
    out = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        if not out:
            break
        place = draw(st.integers(0, len(out) - 1))
        kind = draw(st.sampled_from(["overwrite", "remove", "repeat", "cut", "insert"]))
        if kind == "overwrite":
            piece = draw(st.binary(min_size=1, max_size=8))
            out[place : place + len(piece)] = piece
        elif kind == "remove":
            del out[place : place + draw(st.integers(1, 40))]
        elif kind == "repeat":
            out[place:place] = out[place : place + 40]
        elif kind == "cut":
            del out[place:]
        else:
            out[place:place] = draw(st.binary(max_size=20))
    return bytes(out)


def _attempt(action: Callable[[], object]) -> object:
    """The result, or the error where it is one of ours; any other goes through and fails the test."""
    try:
        return action()
    except PhispaceError as error:
        return error


def _sound(found: object) -> None:
    if isinstance(found, PhispaceError):
        assert str(found)
        assert "\n" not in str(found)
    else:
        assert isinstance(found, ImageSet)
        assert len(found) > 0
        assert len(found.quarantine) <= len(found)


@pytest.mark.parametrize("suffix", _WHOLE)
@_QUICK
@given(data=st.data())
def test_a_spoilt_file(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(data.draw(spoilt(_WHOLE[suffix])))
    _sound(_attempt(lambda: load_images(path)))


@pytest.mark.parametrize("suffix", _WHOLE)
@_QUICK
@given(data=st.binary(max_size=600))
def test_any_file(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(data)
    _sound(_attempt(lambda: load_images(path)))


@pytest.mark.parametrize("form", _FORMS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_spoilt_image(form: str, data: st.DataObject) -> None:
    with strict_pillow():
        found = _attempt(lambda: decode(data.draw(spoilt(_FORMS[form])), enough=16))
    if isinstance(found, Decoded):
        for channels in (1, 3):
            assert finish(found.pixels, 16, channels, None).shape == (16, 16, channels)
    else:
        assert isinstance(found, Unreadable)
        assert "\n" not in str(found)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([data[:24] for data in _FORMS.values()]))
def test_any_image(data: bytes, start: bytes) -> None:
    with strict_pillow():
        for content in (data, start + data):
            assert isinstance(_attempt(lambda content=content: decode(content)), (Decoded, Unreadable))


@_QUICK
@given(data=st.one_of(st.binary(max_size=100), spoilt(b"\0\0\x08\3" + b"\0\0\0\2" * 3 + bytes(8))))
@example(data=b"\0\0\x08\3" + bytes(4) + b"\x85\0\0\0\xf6\x60\x3d\x99")
def test_any_idx(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    found = _attempt(lambda: read_idx(tmp_path / "x"))
    assert isinstance(found, np.ndarray) or str(tmp_path) in str(found)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120))
def test_any_pickle(data: bytes) -> None:
    with pytest.raises(DataError):
        read_batch(data, "labels", "it")


@settings(max_examples=150, deadline=None)
@given(arrays(scalar_dtypes(), array_shapes(min_dims=0, max_dims=5, max_side=6)))
def test_any_array_is_images_or_refused(array: np.ndarray) -> None:
    try:
        images = as_images(array, "it")
    except DataError:
        return
    assert images.ndim in (3, 4)
    assert len(images) == len(array)
    found = range_of([images])
    if found is not None and np.isfinite(images.astype(float)).all():
        pixels = found.to_uint8(images)
        assert pixels.dtype == np.uint8
        assert pixels[images == images.min()].max() == 0 or found.low < images.min()


@settings(max_examples=150, deadline=None)
@given(
    arrays(
        st.one_of(scalar_dtypes(), st.just(np.dtype("U3")), st.just(np.dtype("S3"))),
        array_shapes(min_dims=0, max_dims=3, max_side=5),
        elements=None,
    )
)
def test_any_labels_are_encoded_or_refused(labels: np.ndarray) -> None:
    count = labels.shape[0] if labels.ndim else 1
    try:
        [codes], classes = encode_labels([labels], [count])
    except DataError:
        return
    assert codes.dtype == np.int64
    assert codes.shape == (count,)
    assert codes.min() >= -1
    assert codes.max() < max(1, len(classes))


_NAME = st.text(st.characters(), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.lists(_NAME, min_size=2, max_size=6, unique=True))
def test_ids_are_printable_and_apart(names: list[str]) -> None:
    ids = [escape(name) for name in names]
    assert len(set(ids)) == len(names)
    assert all(i.isprintable() for i in ids)
    for name in names:
        order(name)
        hidden(name)
        is_image_name(name)
        refusal(name)
        plain(name)


_PART = st.sampled_from(["train", "test", "val", "unlabelled", "a", "b", "1", "10", "é", "Train"])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(_PART, min_size=0, max_size=3).map(lambda p: "/".join([*p, "x.png"])), unique=True, max_size=12)
)
def test_any_folders_are_arranged(ids: list[str]) -> None:
    found = arrange(ids)
    assert found.labels.shape == found.split.shape == (len(ids),)
    if ids:
        assert found.labels.max(initial=-1) < max(1, len(found.classes))
    assert set(found.split.tolist()) <= {"train", "val", "test", "unlabelled"}
    assert (found.labels[found.split == "unlabelled"] == -1).all()
