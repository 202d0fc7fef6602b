"""Names, paths and options that do not fit: one clear sentence each. And what importing costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from phispace.data import load_images
from phispace.errors import DataError, InputError


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digit", "Did you mean digits"),
        ("cifar-10", "Did you mean cifar10"),
        ("MNIST", "no image named 'MNIST'"),
        ("", "have no name"),
        ("  ", "have no name"),
        ("completely-unknown-name", "no image named"),
        ("os.system", "does not exist"),
        ("phispace.data.digits:Digits", "no image named|does not exist"),
        ("../../etc/nothing", "does not exist"),
        ("nul\0byte", "no image named|does not exist"),
    ],
)
def test_unknown_names(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_images(spec, download=False)


def test_a_missing_path_names_what_is_near(pets: Path) -> None:
    with pytest.raises(InputError, match=r"pest does not exist\. Did you mean .*pets"):
        load_images(pets.parent / "pest")
    with pytest.raises(InputError, match=r"cta/1\.png does not exist\. Did you mean .*cat"):
        load_images(pets / "cta" / "1.png")


@pytest.mark.parametrize("name", ["notes.txt", "table.csv", "model.safetensors", "noname"])
def test_a_file_of_another_kind(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(InputError, match="no kind of file that images are read from"):
        load_images(tmp_path / name)


def test_a_device_is_not_read() -> None:
    with pytest.raises(InputError, match="neither a file nor a folder"):
        load_images(Path("/dev/zero"))


@pytest.mark.parametrize("size", [0, -3, 3, 1025, 10**9])
def test_sizes_out_of_bounds(size: int) -> None:
    with pytest.raises(InputError, match="between 4 and 1024"):
        load_images("digits", size=size)


@pytest.mark.parametrize(
    "options",
    [
        {"channels": 2},
        {"channels": "three"},
        {"background": "pink"},
        {"per_class": 0},
        {"max_bad": 1.5},
        {"unknown": 1},
        {"images": 3},
        {"__class__": "x"},
    ],
)
def test_options_that_do_not_fit(pets: Path, options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"does not fit.*Its options are: channels"):
        load_images(pets, options=options)


def test_a_data_dir_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_images("mnist", data_dir=tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="no folder"):
        load_images("mnist", data_dir=tmp_path / "file")


def test_the_environment_names_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_idx import write_mnist

    write_mnist(tmp_path / "mnist")
    monkeypatch.setenv("PHISPACE_DATA", str(tmp_path))
    assert len(load_images("mnist", download=False)) == 40


def test_val_does_not_depend_on_other_items(pets: Path) -> None:
    """An item's place among its class decides with its id alone; nothing is drawn."""
    first = load_images(pets)
    again = load_images(pets, size=10)
    assert first.split.tolist() == again.split.tolist()


def test_a_damaged_named_set_is_an_error_not_a_download(tmp_path: Path) -> None:
    (tmp_path / "cifar10.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"cifar10\.zip"):
        load_images("cifar10", data_dir=tmp_path)


def test_digits_are_the_real_ones() -> None:
    images = load_images("digits")
    assert images.images.shape == (1797, 8, 8, 1)
    assert images.images.max() == 255
    assert np.bincount(images.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert images.images[0, 0, :, 0].tolist() == [round(v * 255 / 16) for v in (0, 0, 5, 13, 9, 1, 0, 0)]


def test_importing_the_room_loads_nothing_heavy() -> None:
    code = (
        "import sys, phispace.data\n"
        "heavy = {'torch', 'numpy', 'PIL', 'sklearn', 'scipy', 'pyarrow', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "import phispace.data.loading\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'pyarrow', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
