"""What inspection says, and the contact sheet."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pictures import encode
from PIL import Image

from phispace.data import load_images
from phispace.data.inspect import channel_values, contact_sheet, inspect_images
from phispace.errors import InputError


def test_facts_of_a_mixed_folder(pets: Path) -> None:
    (pets / "cat" / "grey.png").write_bytes(encode(1, (30, 30), "L"))
    (pets / "cat" / "clear.png").write_bytes(encode(1, (20, 16), "RGBA"))
    (pets / "dog" / "broken.jpg").write_bytes(b"no")
    (pets / "dog" / "README").write_text("x")
    facts = inspect_images(load_images(pets))
    assert facts["n"] == 8
    assert facts["shape"] == [3, 20, 20]
    assert facts["sizes"] == {"20x16": 7, "30x30": 1}
    assert facts["modes"] == {"RGB": 6, "L": 1, "RGBA": 1}
    assert facts["formats"] == {"PNG": 8}
    assert sum(sum(row.values()) for row in facts["counts"].values()) == 8
    assert facts["quarantine"] == [{"id": "dog/broken.jpg", "reason": facts["quarantine"][0]["reason"]}]
    assert any("1 files" in note for note in facts["notes"])
    assert json.loads(json.dumps(facts)) == facts


def test_channel_values_are_exact() -> None:
    pixels = np.random.default_rng(0).integers(3, 200, (5000, 4, 4, 3), dtype=np.uint8)
    for channel, row in enumerate(channel_values(pixels)):
        values = pixels[..., channel].astype(float)
        assert (row["min"], row["max"]) == (values.min(), values.max())
        assert abs(row["mean"] - values.mean()) < 1e-3
        assert abs(row["std"] - values.std()) < 1e-3


def test_the_range_of_16_bits_is_shown(tmp_path: Path) -> None:
    array = np.arange(144, dtype=np.uint16).reshape(12, 12) * 100
    Image.fromarray(array).save(tmp_path / "1.png")
    assert "percentile" in inspect_images(load_images(tmp_path))["range"]["rule"]


def test_factors_are_counted() -> None:
    assert inspect_images(load_images("sprites", options={"n": 200}))["factors"]["shape"] == 4


def test_the_sheet_shows_a_row_a_class(tmp_path: Path) -> None:
    images = load_images("digits")
    path = contact_sheet(images, tmp_path / "sheet.png", columns=5)
    with Image.open(path) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    assert pixels.shape[0] == 2 * 12 + 10 * 36
    first = np.flatnonzero(images.labels == 0)[0]
    tile = np.kron(images.images[first, ..., 0], np.ones((4, 4), np.uint8))
    left = pixels.shape[1] - 12 - 5 * 36
    np.testing.assert_array_equal(pixels[12 : 12 + 32, left : left + 32, 0], tile)
    assert contact_sheet(images, tmp_path / "again.png", columns=5).read_bytes() == path.read_bytes()


def test_the_sheet_of_a_set_without_classes(tmp_path: Path) -> None:
    for i in range(30):
        (tmp_path / f"{i:02d}.png").write_bytes(encode(i, (70, 70)))
    path = contact_sheet(load_images(tmp_path), tmp_path / "out" / "sheet.png", columns=10, tile=20)
    with Image.open(path) as sheet:
        assert sheet.size[1] == 2 * 12 + 3 * 24


def test_names_of_classes_are_only_text(tmp_path: Path) -> None:
    for name in ("a\nb", "<b>", "é" * 80, "日本"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(encode(1))
    assert contact_sheet(load_images(tmp_path), tmp_path / "sheet.png").is_file()


@pytest.mark.parametrize("options", [{"columns": 0}, {"tile": 1}, {"tile": 5000}])
def test_sheets_out_of_bounds(tmp_path: Path, options: dict[str, int]) -> None:
    with pytest.raises(InputError):
        contact_sheet(load_images("digits"), tmp_path / "sheet.png", **options)
