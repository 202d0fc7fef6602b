"""What cannot be decoded goes to the quarantine with a reason, and changes nothing for the other images."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from pictures import encode
from PIL import Image, ImageFile

from phispace.data import load_images
from phispace.data.decode import MAX_PIXELS, Unreadable, decode, read_image, strict_pillow
from phispace.errors import DataError

_FORMS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "BMP": "bmp", "TIFF": "tif", "WEBP": "webp", "PPM": "ppm"}


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, body: bytes, depth: int = 8, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _bomb(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("1", (width, height)).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def _float_tiff(value: float) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.array([[0.0, value], [1.0, 2.0]], np.float32)).save(stream, "TIFF")
    return stream.getvalue()


def _bad() -> dict[str, tuple[str, bytes]]:
    """Name -> (suffix, bytes)."""
    table: dict[str, tuple[str, bytes]] = {}
    for form, suffix in _FORMS.items():
        whole = encode(3, (32, 32), form=form)
        for share in (0.02, 0.1, 0.3, 0.6, 0.9):
            table[f"{form} cut at {share:.0%}"] = (suffix, whole[: max(1, int(share * len(whole)))])
        table[f"{form} with 64 bytes of its middle gone"] = (
            suffix,
            whole[: len(whole) // 2 - 32] + whole[len(whole) // 2 + 32 :],
        )
    for form in ("JPEG", "GIF", "TIFF", "WEBP"):
        # Bytes that go missing inside compressed data may go unnoticed: no format but PNG has a checksum.
        del table[f"{form} with 64 bytes of its middle gone"]
    png = encode(3, (32, 32))
    for place in (0, 9, 17, 45, len(png) // 2, len(png) - 20):
        table[f"PNG with byte {place} flipped"] = ("png", _flip(png, place))
    table |= {
        "empty": ("png", b""),
        "one byte": ("jpg", b"\xff"),
        "zeros": ("png", bytes(4096)),
        "text": ("jpg", b"This is not an image.\n" * 40),
        "html": ("png", b"<!doctype html><title>404</title>"),
        "svg": ("png", b"<svg xmlns='http://www.w3.org/2000/svg'><rect width='9' height='9'/></svg>"),
        "pdf": ("jpg", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
        "zip": ("png", b"PK\x05\x06" + bytes(18)),
        "postscript, a format that is not read": ("png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n"),
        "ico, a format that is not read": ("png", b"\0\0\1\0\1\0\1\1\0\0\1\0\x18\0\x30\0\0\0\x16\0\0\0" + bytes(48)),
        "PNG signature alone": ("png", b"\x89PNG\r\n\x1a\n"),
        "JPEG markers alone": ("jpg", b"\xff\xd8\xff\xd9"),
        "GIF header alone": ("gif", b"GIF89a"),
        "PNG of no width": ("png", _png(0, 4, zlib.compress(b""))),
        "PNG of no height": ("png", _png(4, 0, zlib.compress(b""))),
        "PNG without pixels": ("png", _png(4, 4, b"")),
        "PNG of too few pixels": ("png", _png(64, 64, zlib.compress(bytes(100)))),
        "PNG whose pixels are no zlib": ("png", _png(4, 4, b"nonsense nonsense")),
        "PNG of depth 3": ("png", _png(4, 4, zlib.compress(bytes(52)), depth=3)),
        "PNG header of 2 billion pixels a side": ("png", _png(2**31 - 1, 2**31 - 1, b"")),
        "PNG header of 50,000 a side": ("png", _png(50_000, 50_000, zlib.compress(bytes(10)))),
        "bomb of 4,097 x 4,096, which Pillow opens without a word": ("png", _bomb(4097, 4096)),
        "bomb of 10,000 x 10,000, of which Pillow warns": ("png", _bomb(10_000, 10_000)),
        "BMP header of 60,000 a side": (
            "bmp",
            b"BM"
            + struct.pack("<IHHI", 54, 0, 0, 54)
            + struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 24, *[0] * 6),
        ),
        "GIF header of 65,535 a side": ("gif", b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0;"),
        "PPM header of 10^9 pixels": ("ppm", b"P6 100000 10000 255\n" + bytes(100)),
        "PPM header without numbers": ("ppm", b"P6 wide high deep\n"),
        "TIFF without directory": ("tif", b"II*\0" + struct.pack("<I", 0xFFFFFFF0)),
        "TIFF with NaN": ("tif", _float_tiff(float("nan"))),
        "TIFF with infinity": ("tif", _float_tiff(float("inf"))),
        "PNG text chunk that inflates to 64 MB": (
            "png",
            b"\x89PNG\r\n\x1a\n"
            + _chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
            + _chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(64 * 2**20)))
            + _chunk(b"IDAT", zlib.compress(bytes(52)))
            + _chunk(b"IEND", b""),
        ),
    }
    return table


BAD = _bad()


def test_the_table_is_long_enough() -> None:
    assert len(BAD) >= 60


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_is_refused_with_a_reason(name: str) -> None:
    with strict_pillow(), pytest.raises(Unreadable) as caught:
        decode(BAD[name][1])
    reason = str(caught.value)
    assert reason
    assert "0x" not in reason  # no addresses: the same file has the same reason
    assert "\n" not in reason


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_changes_nothing_for_the_others(name: str, pets: Path) -> None:
    before = load_images(pets)
    suffix, data = BAD[name]
    (pets / "cat" / f"1a.{suffix}").write_bytes(data)
    after = load_images(pets)
    assert [q.id for q in after.quarantine] == [f"cat/1a.{suffix}"]
    assert after.ids.tolist() == before.ids.tolist()
    assert after.labels.tolist() == before.labels.tolist()
    assert after.split.tolist() == before.split.tolist()
    np.testing.assert_array_equal(after.images, before.images)
    assert after.fingerprint == before.fingerprint


def test_a_broken_colour_image_does_not_make_a_grey_set_coloured(tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(encode(i, (12, 12), "L"))
    (tmp_path / "bad.jpg").write_bytes(encode(9, (300, 200), "RGB", "JPEG")[:-2000])
    images = load_images(tmp_path)
    assert images.shape == (1, 12, 12)
    assert [q.id for q in images.quarantine] == ["bad.jpg"]


def test_more_than_half_bad_is_an_error_that_names_the_first(pets: Path) -> None:
    for i in range(7):
        (pets / "cat" / f"z{i}.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"7 of the 13 images .* cannot be used .* cat/z0\.jpg: not an image"):
        load_images(pets)
    assert len(load_images(pets, options={"max_bad": 0.9})) == 6


def test_all_bad_is_an_error_whatever_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1 of the 1 images"):
        load_images(tmp_path, options={"max_bad": 1})


def test_a_process_that_fills_up_truncated_files_still_gets_them_refused(
    pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    (pets / "cat" / "x.jpg").write_bytes(encode(1, (64, 64), form="JPEG")[:-400])
    assert [q.id for q in load_images(pets).quarantine] == ["cat/x.jpg"]
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_the_ceiling_admits_what_lies_below_it() -> None:
    with strict_pillow():
        assert decode(_bomb(4096, MAX_PIXELS // 4096)).size == (4096, 4096)


@pytest.mark.parametrize("data", [None, b"", b"text"], ids=["missing", "empty", "text"])
def test_a_single_bad_file_is_one_sentence(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "query.png"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DataError, match=r"query\.png"):
        read_image(path, 32, 3)
