"""Whatever the bytes of a file are, reading it ends in a store or in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from phispace.embeddings.foreign import load_embeddings
from phispace.errors import PhispaceError

X = np.arange(24, dtype=np.float32).reshape(8, 3)
Y = np.arange(8) % 2
QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


def whole(folder: Path) -> dict[str, bytes]:
    from safetensors.numpy import save_file

    np.save(folder / "a.npy", X)
    np.savez(folder / "a.npz", vectors=X, labels=Y)
    pq.write_table(pa.table({"vector": list(X), "label": Y}), folder / "a.parquet")
    save_file({"vectors": X, "labels": Y}, folder / "a.safetensors")
    lines = ["label,f0,f1,f2", *(f"{y},{a},{b},{c}" for y, (a, b, c) in zip(Y, X, strict=True))]
    (folder / "a.csv").write_text("\n".join(lines))
    return {p.suffix: p.read_bytes() for p in folder.glob("a.*")}


def read(path: Path) -> None:
    store, said = None, ""
    try:
        store = load_embeddings(path)
    except PhispaceError as error:
        said = str(error)
    if store is None:
        assert path.name in said
        assert "\n" not in said
    else:
        assert np.isfinite(store.vectors).all()


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet", ".safetensors", ".csv"])
@QUICK
@given(data=st.data())
def test_changed_and_cut_files(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    body = bytearray(whole(tmp_path)[suffix])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    path = tmp_path / f"b{suffix}"
    path.write_bytes(bytes(body[: cut if data.draw(st.booleans()) else len(body)]))
    read(path)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet", ".safetensors", ".csv"])
@QUICK
@given(body=st.binary(max_size=400))
def test_any_bytes(tmp_path: Path, suffix: str, body: bytes) -> None:
    path = tmp_path / f"b{suffix}"
    path.write_bytes(body)
    read(path)


@QUICK
@given(text=st.text(max_size=300))
def test_any_text_as_csv(tmp_path: Path, text: str) -> None:
    path = tmp_path / "b.csv"
    path.write_text(text, encoding="utf-8", errors="replace")
    read(path)


ARRAYS = st.one_of(
    hnp.arrays(st.sampled_from([np.float16, np.float32, np.float64]), hnp.array_shapes(max_dims=3, max_side=6)),
    hnp.arrays(st.sampled_from([np.int8, np.int64, np.uint64, np.bool_]), hnp.array_shapes(max_dims=3, max_side=6)),
    hnp.arrays("U3", hnp.array_shapes(max_dims=2, max_side=6)),
    hnp.arrays("S3", hnp.array_shapes(max_dims=2, max_side=6)),
)


@QUICK
@given(arrays=st.dictionaries(st.sampled_from(["vectors", "labels", "ids", "split", "classes", "other"]), ARRAYS))
def test_any_arrays(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    path = tmp_path / "b.npz"
    np.savez(path, **arrays)
    read(path)
