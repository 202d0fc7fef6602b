"""Images out of the ordinary that are sound: what becomes of each is defined."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from pictures import encode
from PIL import Image

from phispace.data import load_images
from phispace.data.decode import Decoded, Unreadable, decode, finish, read_image, strict_pillow


def _saved(image: Image.Image, form: str, **save) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **save)
    return stream.getvalue()


def _decoded(data: bytes, **options) -> Decoded:
    with strict_pillow():
        return decode(data, **options)


_RAMP = np.linspace(0, 255, 12 * 10).reshape(10, 12).astype(np.uint8)


def test_grey_and_colour_come_as_they_are() -> None:
    assert _decoded(_saved(Image.fromarray(_RAMP), "PNG")).pixels.tolist() == _RAMP.tolist()
    colour = np.stack([_RAMP, _RAMP[::-1], _RAMP.T.reshape(10, 12)], axis=2)
    assert _decoded(_saved(Image.fromarray(colour), "PNG")).pixels.tolist() == colour.tolist()


def test_one_bit_becomes_black_and_white() -> None:
    image = Image.fromarray(_RAMP > 100)
    assert image.mode == "1"
    for form in ("PNG", "TIFF", "BMP", "PPM", "GIF"):
        pixels = _decoded(_saved(image, form)).pixels
        assert pixels.shape == (10, 12)
        np.testing.assert_array_equal(pixels, np.where(_RAMP > 100, 255, 0))


def test_cmyk_becomes_colour() -> None:
    red = Image.new("CMYK", (9, 7), (0, 255, 255, 0))
    for form in ("JPEG", "TIFF"):
        pixels = _decoded(_saved(red, form)).pixels
        assert pixels.shape == (7, 9, 3)
        assert pixels[..., 0].min() > 245
        assert pixels[..., 1:].max() < 10


def test_a_palette_is_resolved() -> None:
    colour = Image.new("RGB", (8, 8), (200, 30, 60))
    pixels = _decoded(_saved(colour.quantize(4), "PNG")).pixels
    assert pixels[3, 3].tolist() == [200, 30, 60]


def test_a_palette_of_greys_is_grey() -> None:
    image = Image.fromarray(_RAMP).convert("P")
    decoded = _decoded(_saved(image, "PNG"))
    assert decoded.pixels.shape == (10, 12)
    np.testing.assert_array_equal(decoded.pixels, _RAMP)


@pytest.mark.parametrize(("background", "expected"), [("white", [255, 127, 127]), ("black", [128, 0, 0])])
def test_transparency_is_composited(background: str, expected: list[int]) -> None:
    half = Image.new("RGBA", (6, 6), (255, 0, 0, 128))
    for form in ("PNG", "TIFF", "WEBP"):
        options = {"lossless": True} if form == "WEBP" else {}
        decoded = _decoded(_saved(half, form, **options), background=background)
        np.testing.assert_allclose(decoded.pixels[2, 2], expected, atol=1)
        assert any("transparency" in note for note in decoded.notes)


def test_grey_with_alpha_stays_grey() -> None:
    clear = Image.new("LA", (6, 6), (0, 0))
    decoded = _decoded(_saved(clear, "PNG"))
    assert decoded.pixels.shape == (6, 6)
    assert decoded.pixels.min() == 255


def test_transparent_palette_and_transparent_colour() -> None:
    image = Image.new("P", (6, 6), 0)
    image.putpalette([10, 20, 30, 200, 210, 220])
    image.putpixel((1, 1), 1)
    for form in ("GIF", "PNG"):
        pixels = _decoded(_saved(image, form, transparency=0)).pixels
        assert pixels[0, 0].tolist() == [255, 255, 255]
        assert pixels[1, 1].tolist() == [200, 210, 220]
    plain = Image.new("RGB", (6, 6), (1, 2, 3))
    assert _decoded(_saved(plain, "PNG", transparency=(1, 2, 3))).pixels[0, 0].tolist() == [255, 255, 255]
    grey = Image.new("L", (6, 6), 7)
    assert _decoded(_saved(grey, "PNG", transparency=7)).pixels.tolist() == [[255] * 6] * 6


def test_opaque_alpha_is_dropped_without_a_note() -> None:
    image = Image.fromarray(np.dstack([_RAMP, _RAMP, 255 - _RAMP, np.full_like(_RAMP, 255)]))
    decoded = _decoded(_saved(image, "PNG"))
    np.testing.assert_array_equal(decoded.pixels, np.asarray(image)[..., :3])
    assert decoded.notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(orientation: int, form: str) -> None:
    upright = np.zeros((24, 32), np.uint8)
    upright[:8, :8] = 255  # a mark in the upper left corner
    back = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.T,
        6: lambda a: np.rot90(a),
        7: lambda a: a[::-1, ::-1].T,
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    options = {"quality": 95} if form == "JPEG" else {"lossless": True} if form == "WEBP" else {}
    stored = Image.fromarray(np.ascontiguousarray(back(upright))).convert("RGB")
    decoded = _decoded(_saved(stored, form, exif=exif, **options))
    assert decoded.size == (32, 24)
    assert np.abs(decoded.pixels[..., 0].astype(int) - upright).mean() < 4


def test_damaged_exif_refuses_the_image_because_nobody_knows_where_up_is() -> None:
    data = _saved(Image.fromarray(_RAMP), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(7))
    with pytest.raises(Unreadable, match="EXIF"):
        _decoded(data)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    options = {"lossless": True} if form == "WEBP" else {}
    decoded = _decoded(_saved(frames[0], form, save_all=True, append_images=frames[1:], **options))
    np.testing.assert_allclose(decoded.pixels[4, 4], [250, 0, 0], atol=2)
    assert "first frame of several" in decoded.notes


def test_a_large_photograph_is_scaled_and_its_true_size_recorded(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(encode(1, (1600, 1200), form="JPEG"))
    (tmp_path / "other.jpg").write_bytes(encode(2, (1600, 1200), form="JPEG"))
    images = load_images(tmp_path)
    assert images.shape == (3, 64, 64)
    assert images.source["sizes"] == {"1600x1200": 2}
    exact = Image.open(tmp_path / "other.jpg").resize((64, 48), Image.Resampling.BICUBIC)
    inner = images.images[list(images.ids).index("other.jpg"), 8:56]
    assert np.abs(inner.astype(int) - np.asarray(exact)).mean() < 2
    assert images.images[0, :8].max() == 0
    assert images.images[0, 56:].max() == 0


@pytest.mark.parametrize("size", [(40, 10), (10, 40), (10, 10), (1, 30), (300, 7)])
def test_nothing_is_distorted(tmp_path: Path, size: tuple[int, int]) -> None:
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(_saved(Image.new("L", size, 255), "PNG"))
    images = load_images(tmp_path, size=20)
    filled = np.argwhere(images.images[0, :, :, 0] > 128)
    height, width = np.ptp(filled, axis=0) + 1
    scale = 20 / max(size)
    assert abs(width - max(1, size[0] * scale)) <= 1
    assert abs(height - max(1, size[1] * scale)) <= 1


def test_the_commonest_size_wins(tmp_path: Path) -> None:
    for i, side in enumerate((12, 12, 12, 30, 30, 50)):
        (tmp_path / f"{i}.png").write_bytes(encode(i, (side, side)))
    assert load_images(tmp_path).shape == (3, 12, 12)
    assert load_images(tmp_path, size=24).shape == (3, 24, 24)


def test_one_colour_image_makes_the_set_coloured(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(encode(i, (12, 12), "L"))
    assert load_images(tmp_path).shape == (1, 12, 12)
    (tmp_path / "3.png").write_bytes(encode(3, (12, 12)))
    images = load_images(tmp_path)
    assert images.shape == (3, 12, 12)
    assert (images.images[0, ..., 0] == images.images[0, ..., 2]).all()
    assert load_images(tmp_path, options={"channels": 1}).shape == (1, 12, 12)


def test_the_first_images_may_be_unlike_the_rest(tmp_path: Path) -> None:
    """The plan is made from a look at the first 256; what it guessed wrong is put right."""
    for i in range(300):
        colour = i >= 280
        data = encode(i, (9, 9) if i < 100 else (11, 11), "RGB" if colour else "L", "PPM")
        (tmp_path / f"{i:03d}.ppm").write_bytes(data)
    images = load_images(tmp_path)
    assert images.shape == (3, 11, 11)
    exact = np.asarray(Image.open(tmp_path / "290.ppm"))
    np.testing.assert_array_equal(images.images[290], exact)


class TestDeep:
    """16-bit and floating-point images, on one range for the whole set."""

    def _write(self, root: Path, arrays: list[np.ndarray], form: str, suffix: str) -> None:
        for i, array in enumerate(arrays):
            (root / f"{i}.{suffix}").write_bytes(_saved(Image.fromarray(array), form))

    @pytest.mark.parametrize(("form", "suffix"), [("PNG", "png"), ("TIFF", "tif")])
    def test_16_bits_lie_on_the_percentiles_of_the_set(self, tmp_path: Path, form: str, suffix: str) -> None:
        generator = np.random.default_rng(0)
        arrays = [generator.integers(1000, 5000, (20, 20)).astype(np.uint16) for _ in range(5)]
        arrays[2][0, 0] = 65535  # a hot pixel must not make the others black
        self._write(tmp_path, arrays, form, suffix)
        images = load_images(tmp_path)
        record = images.source["range"]
        values = np.stack(arrays)
        low, high = np.percentile(values, [0.1, 99.9])
        assert abs(record["low"] - low) < 10
        assert abs(record["high"] - high) < 10
        assert "percentile" in record["rule"]
        expected = np.clip((values - record["low"]) / (record["high"] - record["low"]), 0, 1) * 255
        order = [int(i.split(".")[0]) for i in images.ids]
        assert np.abs(images.images[..., 0] - expected[order]).max() <= 0.51
        assert images.images.max() == 255
        assert np.ptp(images.images) > 250

    def test_the_range_is_the_sets_not_the_images(self, tmp_path: Path) -> None:
        dark, bright = np.full((8, 8), 1000, np.uint16), np.full((8, 8), 3000, np.uint16)
        self._write(tmp_path, [dark, bright], "PNG", "png")
        images = load_images(tmp_path)
        assert images.images[0].max() == 0
        assert images.images[1].min() == 255

    def test_a_broken_16_bit_image_does_not_move_the_range(self, tmp_path: Path) -> None:
        generator = np.random.default_rng(1)
        arrays = [generator.integers(0, 900, (16, 16)).astype(np.uint16) for _ in range(3)]
        self._write(tmp_path, arrays, "TIFF", "tif")
        before = load_images(tmp_path)
        broken = _saved(Image.fromarray(np.full((64, 64), 60000, np.uint16)), "TIFF")
        (tmp_path / "9.tif").write_bytes(broken[:3000])
        after = load_images(tmp_path)
        assert after.source["range"] == before.source["range"]
        assert after.fingerprint == before.fingerprint

    def test_constant_images(self, tmp_path: Path) -> None:
        self._write(tmp_path, [np.full((6, 6), 500, np.uint16)] * 2, "PNG", "png")
        assert (load_images(tmp_path).images == 0).all()

    @pytest.mark.parametrize(
        ("low", "high", "expected"),
        [(0.0, 1.0, (0, 1)), (0.0, 200.0, (0, 255)), (-1.0, 1.0, (-1, 1)), (-50.0, 7000.0, (-50, 7000))],
    )
    def test_floats(self, tmp_path: Path, low: float, high: float, expected: tuple[float, float]) -> None:
        array = np.linspace(low, high, 64, dtype=np.float32).reshape(8, 8)
        self._write(tmp_path, [array, array], "TIFF", "tif")
        images = load_images(tmp_path)
        assert (images.source["range"]["low"], images.source["range"]["high"]) == expected
        exact = (array - expected[0]) / (expected[1] - expected[0]) * 255
        assert np.abs(images.images[0, ..., 0] - exact).max() <= 0.51

    def test_8_and_16_bits_mixed(self, tmp_path: Path) -> None:
        deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
        self._write(tmp_path, [deep, deep], "PNG", "png")
        (tmp_path / "2.png").write_bytes(_saved(Image.fromarray(np.full((8, 8), 77, np.uint8)), "PNG"))
        images = load_images(tmp_path)
        assert (images.images[2] == 77).all()
        assert images.images[0].max() == 255

    def test_wide_integers(self, tmp_path: Path) -> None:
        array = np.linspace(-4000, 200_000, 64).astype(np.int32).reshape(8, 8)
        self._write(tmp_path, [array], "TIFF", "tif")
        images = load_images(tmp_path)
        assert images.source["range"]["low"] == -4000
        assert images.images.max() == 255


def test_a_single_file_as_a_set_would_hold_it(pets: Path) -> None:
    images = load_images(pets, size=24)
    for position, name in enumerate(images.ids):
        np.testing.assert_array_equal(read_image(pets / name, 24, 3), images.images[position])
    assert read_image(pets / "cat" / "0.png", 16, 1).shape == (16, 16, 1)


def test_finish_makes_grey_of_colour_by_luma() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[..., 1] = 200
    assert finish(pixels, 8, 1, None).max() == round(200 * 0.587)
