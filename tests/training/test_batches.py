"""Batches are functions of (seed, epoch, step)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phispace.data.batches import Order, Views, drops_last, gather, loader, steps_per_epoch
from phispace.data.imageset import ImageSet
from phispace.data.views import make_view
from phispace.errors import InputError


def read(order: Order, epoch: int) -> list[np.ndarray]:
    order.set_epoch(epoch)
    return [place.positions for place in order]


@given(
    items=st.integers(1, 200), batch=st.integers(1, 60), seed=st.integers(0, 99), epoch=st.integers(0, 9),
    drop=st.booleans(),
)  # fmt: skip
@settings(deadline=None)
def test_an_epoch_sees_every_image_once(items: int, batch: int, seed: int, epoch: int, drop: bool) -> None:
    drop = drop and items >= batch
    order = Order(np.arange(items) * 3, batch, seed, drop_last=drop)
    found = read(order, epoch)
    assert len(found) == len(order) == steps_per_epoch(items, batch, drop)
    whole = np.concatenate(found)
    assert len(np.unique(whole)) == len(whole) == (items // batch * batch if drop else items)
    assert set(whole) <= set(range(0, 3 * items, 3))
    assert all(len(b) == batch for b in found[:-1])


def test_epochs_and_seeds_differ_and_repeat() -> None:
    def first(seed: int, epoch: int) -> list[int]:
        return read(Order(np.arange(100), 10, seed, drop_last=False), epoch)[0].tolist()

    assert first(0, 0) == first(0, 0)
    assert len({tuple(first(s, e)) for s in range(3) for e in range(3)}) == 9


def test_a_cut_epoch_goes_on_where_it_was_and_the_next_is_whole() -> None:
    order = Order(np.arange(100), 10, 4, drop_last=False)
    whole = [read(order, 2), read(order, 3)]
    order.start_at(2, 6)
    assert [b.tolist() for b in read(order, 2)] == [b.tolist() for b in whole[0][6:]]
    assert [b.tolist() for b in read(order, 3)] == [b.tolist() for b in whole[1]]
    assert len(order) == 10, "Lightning counts whole epochs"


def test_the_epoch_may_be_set_after_the_iterator_is_made() -> None:
    order = Order(np.arange(40), 10, 0, drop_last=False)
    iterator = iter(order)
    order.set_epoch(5)
    assert next(iterator).epoch == 5


@given(items=st.integers(8, 120), share=st.integers(1, 8), world=st.integers(1, 4), drop=st.booleans())
@settings(deadline=None)
def test_processes_together_see_what_one_sees(items: int, share: int, world: int, drop: bool) -> None:
    batch = share * world
    if items < batch:
        return
    alone = read(Order(np.arange(items), batch, 1, drop_last=drop), 3)
    shares = [read(Order(np.arange(items), batch, 1, drop_last=drop, rank=r, world=world), 3) for r in range(world)]
    for step, whole in enumerate(alone):
        parts = [s[step] for s in shares]
        assert len({len(p) for p in parts}) == 1
        together = sorted(np.concatenate(parts).tolist())
        kept = whole[: len(whole) // world * world]
        assert together == sorted(kept.tolist())
        if len(whole) == batch:
            assert len(kept) == batch


@given(items=st.integers(1, 90), world=st.integers(1, 4))
@settings(deadline=None)
def test_validation_is_dealt_out_once(items: int, world: int) -> None:
    orders = [Order(np.arange(items), 8, 0, drop_last=False, shuffle=False, rank=r, world=world) for r in range(world)]
    parts = [read(order, 0) for order in orders]
    assert [len(order) for order in orders] == [len(p) for p in parts]
    assert sorted(i for part in parts for batch in part for i in batch) == list(range(items))


def test_what_cannot_be_batched_is_refused() -> None:
    with pytest.raises(InputError, match="10 images cannot be dealt out evenly among 3"):
        Order(np.arange(100), 10, 0, drop_last=False, world=3)
    with pytest.raises(InputError, match="no images"):
        Order(np.arange(0), 10, 0, drop_last=False)
    with pytest.raises(InputError, match="fewer than one batch"):
        Order(np.arange(5), 10, 0, drop_last=True)


@pytest.mark.parametrize(
    ("items", "batch", "drop"),
    [(45000, 32, True), (400, 256, False), (257, 256, True), (1, 1, False), (512, 256, True)],
)
def test_the_rest_is_dropped_where_it_is_little(items: int, batch: int, drop: bool) -> None:
    assert drops_last(items, batch) is drop


def test_a_batch_holds_the_pixels_labels_and_positions(images: ImageSet) -> None:
    order = Order(images.where("train"), 16, 0, drop_last=True)
    batch = next(iter(loader(order, Views(images, [make_view("none", 8)], 0))))
    index = batch.index.numpy()
    assert torch.equal(batch.labels, torch.from_numpy(images.labels[index]))
    expected = torch.from_numpy(images.images[index]).permute(0, 3, 1, 2).float() / 255
    assert torch.allclose(batch.views[0], expected)
    assert batch.views[0].is_contiguous(memory_format=torch.channels_last) or images.shape[0] == 1
    assert isinstance(batch.views, tuple)


def test_views_differ_by_view_epoch_and_step_and_repeat(images: ImageSet) -> None:
    from phispace.data.batches import Place

    view = make_view("shift-rotate", 8)
    made = Views(images, [view, view], 3)
    where = np.arange(10)
    one = made[Place(0, 0, where)]
    assert not torch.equal(one.views[0], one.views[1])
    assert torch.equal(one.views[0], made[Place(0, 0, where)].views[0])
    assert not torch.equal(one.views[0], made[Place(1, 0, where)].views[0])
    assert not torch.equal(one.views[0], made[Place(0, 1, where)].views[0])
    fixed = Views(images, [view], 3, by_epoch=False)
    assert torch.equal(fixed[Place(0, 2, where)].views[0], fixed[Place(7, 2, where)].views[0])


def test_rows_are_gathered_from_a_memory_map(tmp_path: object, images: ImageSet) -> None:
    path = tmp_path / "images.npy"  # type: ignore[operator]
    np.save(path, images.images)
    mapped = np.load(path, mmap_mode="r")
    index = np.array([5, 1, 1, 40])
    assert np.array_equal(gather(mapped, index).permute(0, 2, 3, 1).numpy(), images.images[index])
