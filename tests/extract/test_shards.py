"""Shards: parts made by separate processes are, put together, the bytes of one extraction."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_run import digits

from phispace.embeddings.extract import extract
from phispace.embeddings.shards import merge_shards, shard_path, shard_rows
from phispace.embeddings.store import Embeddings
from phispace.encoders.base import Encoder
from phispace.encoders.build import build_encoder
from phispace.errors import DataError, InputError

IMAGES = digits(230)
LAYERS = ("block2", "features")

PROCESS = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from small_run import digits
from phispace.embeddings.extract import extract
from phispace.encoders.build import build_encoder
torch.set_num_threads(1)
torch.manual_seed(0)
encoder = build_encoder("convnet4", 1, 8, width=4, dense=16)
extract(encoder, digits(230), ("block2", "features"), batch_size=32, out=sys.argv[2], shard=(int(sys.argv[3]), 2),
        predict=encoder)
"""


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return build_encoder("convnet4", 1, 8, width=4, dense=16)


def test_two_processes_give_the_bytes_of_one(encoder: Encoder, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        extract(encoder, IMAGES, LAYERS, batch_size=32, out=tmp_path / "one", predict=encoder)
    finally:
        torch.set_num_threads(threads)
    arguments = [str(Path(__file__).parents[1]), str(tmp_path / "two")]
    single = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROCESS, *arguments]
    processes = [subprocess.Popen([*command, str(rank)], env=single) for rank in (0, 1)]
    assert [process.wait() for process in processes] == [0, 0]
    for layer in LAYERS:
        merged, whole = merge_shards(tmp_path / "two" / layer), Embeddings.open(tmp_path / "one" / layer)
        assert merged.manifest["sha256"] == whole.manifest["sha256"]
        one, two = dict(whole.manifest), dict(merged.manifest)
        for spent in ("seconds", "cpu_seconds"):
            one.pop(spent), two.pop(spent)
        assert one == two
        assert merged.ids.tolist() == IMAGES.ids.tolist()
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == ["block2", "features"]


@pytest.mark.parametrize("n", [1, 7, 32, 33, 230])
@pytest.mark.parametrize("world", [1, 2, 3, 9])
def test_rows_are_divided_without_gap_or_overlap_at_batch_borders(n: int, world: int) -> None:
    spans = [shard_rows(n, 32, (rank, world)) for rank in range(world)]
    assert [i for a, b in spans for i in range(a, b)] == list(range(n))
    assert all(a % 32 == 0 or a == n for a, _ in spans)


def test_more_shards_than_batches_leave_some_empty(encoder: Encoder, tmp_path: Path) -> None:
    for rank in range(5):
        extract(encoder, IMAGES, batch_size=100, out=tmp_path / "s", shard=(rank, 5))
    sizes = [len(Embeddings.open(shard_path(tmp_path / "s", (rank, 5)))) for rank in range(5)]
    assert sizes.count(0) == 2
    assert len(merge_shards(tmp_path / "s", keep=True)) == len(IMAGES)
    assert shard_path(tmp_path / "s", (4, 5)).is_dir()


def test_missing_parts_are_named(encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none"):
        merge_shards(tmp_path / "s")
    for rank in (0, 2):
        extract(encoder, IMAGES, batch_size=32, out=tmp_path / "s", shard=(rank, 3))
    with pytest.raises(DataError, match="lacks the shards 1 of 3"):
        merge_shards(tmp_path / "s")
    extract(encoder, IMAGES, batch_size=32, out=tmp_path / "s", shard=(0, 2))
    with pytest.raises(DataError, match="divisions into 2, 3"):
        merge_shards(tmp_path / "s")


def test_parts_of_other_weights_or_damaged_ones_are_refused(encoder: Encoder, tmp_path: Path) -> None:
    torch.manual_seed(5)
    other = build_encoder("convnet4", 1, 8, width=4, dense=16)
    extract(encoder, IMAGES, batch_size=32, out=tmp_path / "s", shard=(0, 2))
    extract(other, IMAGES, batch_size=32, out=tmp_path / "s", shard=(1, 2))
    with pytest.raises(DataError, match="weights_sha256"):
        merge_shards(tmp_path / "s")
    extract(encoder, IMAGES, batch_size=32, out=tmp_path / "s", shard=(1, 2))
    file = shard_path(tmp_path / "s", (1, 2)) / "vectors.npy"
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match="changed or is damaged"):
        merge_shards(tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_shard_is_rank_and_world() -> None:
    for wrong in ((-1, 2), (2, 2), (0, 0)):
        with pytest.raises(InputError, match="rank, world"):
            shard_path("s", wrong)


def test_empty_part_is_a_readable_store(encoder: Encoder, tmp_path: Path) -> None:
    extract(encoder, IMAGES, batch_size=1000, out=tmp_path / "s", shard=(0, 2))
    store = Embeddings.open(shard_path(tmp_path / "s", (0, 2)))
    assert store.vectors.shape == (0, 16)
    assert np.asarray(store.ids).size == 0
