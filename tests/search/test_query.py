"""Queries, answers, the contact sheet and the search in a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_run import digits, make_run

from phispace.embeddings.baselines import pixels
from phispace.embeddings.extract import embed_pixels, extract_run
from phispace.embeddings.store import Embeddings
from phispace.errors import DataError, InputError
from phispace.run import Run
from phispace.search.index import Index
from phispace.search.query import Query, by_class, by_id, by_vector, find, picture, precision_at_k
from phispace.search.run import search_run
from phispace.search.sheet import draw_sheet

IMAGES = digits(400)
STORE = pixels(IMAGES)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs") / "r", IMAGES)


def network(run: Run):
    return lambda pixels: embed_pixels(run, pixels)


def save(position: int, path: Path) -> Path:
    Image.fromarray(IMAGES.images[position, :, :, 0]).save(path)
    return path


def test_an_item_is_not_its_own_neighbour() -> None:
    (answer,) = find(Index.build(STORE), STORE, [by_id(STORE, "digits/0042")], 5)
    assert 42 not in answer.position
    assert len(answer.position) == 5
    assert answer.notices == []


def test_json_says_what_was_found() -> None:
    (answer,) = find(Index.build(STORE, metric="euclidean"), STORE, [by_id(STORE, "digits/0042")], 3)
    found = json.loads(json.dumps(answer.as_json(STORE, "euclidean")))
    assert found["query"] == {"kind": "id", "name": "digits/0042", "class": IMAGES.classes[IMAGES.labels[42]]}
    first = found["neighbours"][0]
    expected = np.linalg.norm(STORE.vectors[first["position"]] - STORE.vectors[42])
    assert first["distance"] == pytest.approx(expected, rel=1e-5)
    assert first["id"] == f"digits/{first['position']:04d}"
    assert first["same_class"] == (IMAGES.labels[first["position"]] == IMAGES.labels[42])
    assert [n["rank"] for n in found["neighbours"]] == [1, 2, 3]


def test_a_class_mean_finds_its_class() -> None:
    index = Index.build(STORE)
    answers = find(index, STORE, [by_class(STORE, name) for name in STORE.classes], 5)
    assert np.mean([np.mean(a.agrees(STORE)) for a in answers]) > 0.9
    members = np.flatnonzero((STORE.labels == 3) & (STORE.splits == "train"))
    np.testing.assert_allclose(by_class(STORE, "3").vector, STORE.vectors[members].mean(0), rtol=1e-5)


def test_too_many_neighbours_are_clipped_with_a_notice() -> None:
    small = STORE.take(np.arange(4))
    (answer,) = find(Index.build(small), small, [by_id(small, "digits/0001")], 10)
    assert sorted(answer.position.tolist()) == [0, 2, 3]
    assert "10 neighbours" in answer.notices[0]
    (answer,) = find(Index.build(small), small, [by_vector(small.vectors[1])], 10)
    assert len(answer.position) == 4


def test_unknown_labels_neither_agree_nor_differ() -> None:
    labels = np.where(np.arange(len(STORE)) % 2, STORE.labels, -1)
    part = Embeddings.build(STORE.vectors, STORE.ids, labels, "train", STORE.classes)
    (answer,) = find(Index.build(part), part, [by_id(part, "digits/0041")], 8)
    for position, same in zip(answer.position.tolist(), answer.agrees(part), strict=True):
        assert (same is None) == (labels[position] == -1)
    (blind,) = find(Index.build(part), part, [by_id(part, "digits/0040")], 3)
    assert blind.agrees(part) == [None] * 3


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="digits/0042"):
        by_id(STORE, "digit/0042")
    with pytest.raises(InputError, match="zebra"):
        by_class(STORE, "zebra")
    with pytest.raises(InputError, match="at least one query"):
        find(Index.build(STORE), STORE, [])
    with pytest.raises(InputError, match="other items"):
        find(Index.build(STORE.take(np.arange(5))), STORE, [by_id(STORE, "digits/0001")])
    moved = replace(IMAGES, ids=IMAGES.ids[::-1].copy())
    with pytest.raises(InputError, match="not those of the store"):
        picture(moved, STORE, 3)


@pytest.mark.parametrize("same", [True, False])
def test_precision_at_k_is_counted(same: bool) -> None:
    gallery = "test" if same else "train"
    table = precision_at_k(STORE, 5, queries="test", gallery=gallery)
    asked, held = STORE.part("test"), STORE.part(gallery)
    a = asked.vectors / np.linalg.norm(asked.vectors, axis=1, keepdims=True)
    b = held.vectors / np.linalg.norm(held.vectors, axis=1, keepdims=True)
    similarity = a.astype(np.float64) @ b.T.astype(np.float64)
    if same:
        np.fill_diagonal(similarity, -2)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :5]
    share = (held.labels[nearest] == asked.labels[:, None]).mean(1)
    for label, name in enumerate(STORE.classes):
        assert table[name] == pytest.approx(share[asked.labels == label].mean())
    assert table["mean"] == pytest.approx(np.mean([table[c] for c in STORE.classes]))


def test_precision_needs_labelled_items_of_both_splits() -> None:
    with pytest.raises(InputError, match="unlabelled"):
        precision_at_k(STORE, 5, queries="unlabelled")
    with pytest.raises(InputError, match="k must be"):
        precision_at_k(STORE, 5000)


def test_a_search_in_a_run_by_file_item_and_class(run: Run, tmp_path: Path) -> None:
    store = extract_run(run, IMAGES)["features"]
    file = save(17, tmp_path / "query.png")
    results = search_run(
        run,
        store,
        IMAGES,
        queries=[file],
        ids=["digits/0017"],
        classes=["7"],
        k=6,
        sheet=tmp_path / "sheet.png",
        embed=network(run),
    )
    by_item, by_mean, by_file = results
    # the file is item 17: it is recognised, left out, and finds what the item finds
    assert [n["id"] for n in by_file["neighbours"]] == [n["id"] for n in by_item["neighbours"]]
    assert "digits/0017" not in [n["id"] for n in by_file["neighbours"]]
    assert any("digits/0017" in notice for notice in by_file["notices"])
    assert by_file["query"]["class"] == IMAGES.classes[IMAGES.labels[17]]
    assert by_mean["query"] == {"kind": "class", "name": "7", "class": "7"}
    assert by_item["store"] == store.digest
    assert by_item["checkpoint"] == "epoch=003"
    assert json.loads((tmp_path / "sheet.json").read_text())["results"] == results
    with Image.open(tmp_path / "sheet.png") as sheet:
        sheet.load()
        assert sheet.width >= 640


def test_a_new_file_of_another_size_is_resized(run: Run, tmp_path: Path) -> None:
    store = extract_run(run, IMAGES)["features"]
    big = Image.fromarray(IMAGES.images[33, :, :, 0]).resize((80, 80), Image.Resampling.NEAREST).convert("RGB")
    big.save(tmp_path / "big.png")
    (result,) = search_run(run, store, IMAGES, queries=[tmp_path / "big.png"], k=5, embed=network(run))
    assert len(result["neighbours"]) == 5
    same = [n["class"] == IMAGES.classes[IMAGES.labels[33]] for n in result["neighbours"]]
    assert np.mean(same) >= 0.6


def test_files_that_are_no_images_and_stores_of_other_weights(run: Run, tmp_path: Path) -> None:
    store = extract_run(run, IMAGES)["features"]
    (tmp_path / "no.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    with pytest.raises(DataError, match=r"no\.png"):
        search_run(run, store, IMAGES, queries=[tmp_path / "no.png"], embed=network(run))
    with pytest.raises(DataError, match=r"absent\.png"):
        search_run(run, store, IMAGES, queries=[tmp_path / "absent.png"], embed=network(run))
    foreign = Embeddings(store.vectors, store.items, {**store.manifest, "weights_sha256": "0" * 64})
    with pytest.raises(DataError, match="other weights"):
        search_run(run, foreign, IMAGES, queries=[save(3, tmp_path / "q.png")], embed=network(run))
    with pytest.raises(InputError, match="embed"):
        search_run(run, store, IMAGES, queries=[tmp_path / "q.png"])


HOSTILE = ["$\\frac$ <script>", "line\nbreak\x1b[31m", "مرحبا", "長い" * 60, "", "\ud800", "../../etc/passwd", "=1+1"]


def test_hostile_names_are_drawn_as_text(tmp_path: Path) -> None:
    names = tuple(f"{i}{name}" for i, name in enumerate(HOSTILE))
    part = STORE.take(np.arange(40))
    named = Embeddings(part.vectors, part.items, {**part.manifest, "classes": [*names, "x", "y"]}, check=False)
    queries = [Query("image", name, STORE.vectors[i], i, pixels=IMAGES.images[i]) for i, name in enumerate(HOSTILE)]
    answers = find(Index.build(named), named, queries, 3)
    draw_sheet(answers, named, IMAGES, tmp_path / "s.png", title="\n".join(HOSTILE))
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.format == "PNG"


def test_a_sheet_without_images_and_its_limits(tmp_path: Path) -> None:
    (answer,) = find(Index.build(STORE), STORE, [by_vector(STORE.vectors[0])], 23)
    draw_sheet([answer], STORE, None, tmp_path / "s.png")
    draw_sheet([answer], STORE, IMAGES, tmp_path / "t.png", per_row=4)
    with Image.open(tmp_path / "s.png") as wide, Image.open(tmp_path / "t.png") as tall:
        assert tall.height > wide.height
    with pytest.raises(InputError, match="nothing to draw"):
        draw_sheet([], STORE, IMAGES, tmp_path / "u.png")
    with pytest.raises(InputError, match="at most"):
        draw_sheet([answer] * 100, STORE, IMAGES, tmp_path / "u.png")
    assert not (tmp_path / "u.png").exists()


def test_colours_say_agreement(tmp_path: Path) -> None:
    (answer,) = find(Index.build(STORE), STORE, [by_id(STORE, "digits/0005")], 10)
    draw_sheet([answer], STORE, IMAGES, tmp_path / "s.png")
    with Image.open(tmp_path / "s.png") as sheet:
        colours = {c for _, c in sheet.convert("RGB").getcolors(maxcolors=1 << 20)}
    same = set(answer.agrees(STORE))
    assert ((22, 125, 72) in colours) == (True in same)
    assert ((192, 57, 43) in colours) == (False in same)
