"""The encoder leaves the house: plain PyTorch without phispace, ONNX, and back; damaged exports are refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_run import digits, make_run

from phispace import storage
from phispace.encoders import REGISTRY
from phispace.encoders.base import Encoder
from phispace.encoders.build import build_encoder
from phispace.errors import DataError, InputError, MissingDependencyError, StorageError
from phispace.export import FORMATS, Origin, export_encoder, export_run, load_encoder
from phispace.run import Run
from phispace.training.restore import load_method

IMAGES = digits(400)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs") / "r", IMAGES)


@pytest.fixture(scope="module")
def exported(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exports") / "e"
    files = export_run(run, out)
    assert sorted(f.name for f in files) == sorted(p.name for p in out.iterdir())
    return out


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    target = tmp_path / "copy"
    target.mkdir()
    for file in exported.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def batch(n: int) -> torch.Tensor:
    return torch.from_numpy(IMAGES.images[:n]).permute(0, 3, 1, 2).float() / 255


def expected(run: Run, n: int, layer: str = "features") -> np.ndarray:
    with torch.no_grad():
        return load_method(run).encoder(batch(n), layer).numpy()


def three_lines(exported: Path) -> str:
    """The code of the README's first block, which is what a reader copies."""
    block = re.search(r"without phispace\n\n```python\n(.*?)```", (exported / "README.md").read_text(), re.S)
    assert block is not None
    return block.group(1)


def test_three_lines_of_plain_pytorch_where_phispace_cannot_be_imported(
    exported: Path, run: Run, tmp_path: Path
) -> None:
    code = three_lines(exported)
    assert len(code.strip().splitlines()) == 3
    np.save(tmp_path / "x.npy", batch(5).numpy())
    program = "\n".join(
        [
            "import sys, numpy",
            "sys.modules['phispace'] = None",
            "import torch as t",
            f"images = t.from_numpy(numpy.load({str(tmp_path / 'x.npy')!r}))",
            code,
            "one = encoder(images[:1])",
            "assert not any(name.startswith('phispace.') for name in sys.modules)",
            f"numpy.savez({str(tmp_path / 'y.npz')!r}, five=features.detach().numpy(), one=one.detach().numpy())",
        ]
    )
    subprocess.run([sys.executable, "-c", program], cwd=exported, check=True, timeout=300)
    with np.load(tmp_path / "y.npz") as found:
        np.testing.assert_allclose(found["five"], expected(run, 5), atol=1e-6)
        np.testing.assert_allclose(found["one"], expected(run, 1), atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 37])
def test_onnx_gives_pytorchs_output_for_any_batch(exported: Path, run: Run, n: int) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(exported / "encoder.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(["features"], {"images": batch(n).numpy()})
    np.testing.assert_allclose(found, expected(run, n), atol=1e-4)
    assert [i.name for i in session.get_inputs()] == ["images"]
    assert session.get_inputs()[0].shape[1:] == [1, 8, 8]
    assert not isinstance(session.get_inputs()[0].shape[0], int)


def test_the_record_says_what_it_is_and_how_it_was_checked(exported: Path, run: Run) -> None:
    record = json.loads((exported / "encoder.json").read_text())
    assert (record["name"], record["channels"], record["size"], record["layer"]) == ("convnet4", 1, 8, "features")
    assert record["options"] == {"width": 8, "dense": 32}
    assert record["classes"] == list(IMAGES.classes)
    assert record["checks"]["onnx"]["max_difference"] <= 1e-4
    assert record["provenance"]["run"] == "r"
    assert record["provenance"]["checkpoint"] == "epoch=003"
    assert record["provenance"]["images"]["fingerprint"] == IMAGES.fingerprint
    normalise = load_method(run).encoder.stages["normalise"]
    assert record["normalisation"]["mean"] == pytest.approx(normalise.mean.flatten().tolist())
    for name, file in record["files"].items():
        assert storage.sha256_file(exported / name) == file["sha256"]
        assert (exported / name).stat().st_size == file["bytes"]


def test_it_comes_back_with_every_layer(exported: Path, run: Run) -> None:
    state = torch.random.get_rng_state()
    encoder = load_encoder(exported)
    assert torch.equal(state, torch.random.get_rng_state()), "loading draws nothing from the caller's generator"
    assert not encoder.training
    with torch.no_grad():
        for layer in encoder.layers:
            np.testing.assert_array_equal(encoder(batch(9), layer).numpy(), expected(run, 9, layer))
    assert load_encoder(exported / "encoder.json").layers == encoder.layers


def test_another_layer_and_fewer_formats(run: Run, tmp_path: Path) -> None:
    files = export_run(run, tmp_path / "e", formats=("pt2",), layer="block2", checkpoint="epoch=000")
    assert sorted(f.name for f in files) == ["README.md", "encoder.json", "encoder.pt2", "encoder.safetensors"]
    program = torch.export.load(tmp_path / "e" / "encoder.pt2").module()
    with torch.no_grad():
        maps = load_method(run, "epoch=000").encoder(batch(3), "block2").numpy()
    np.testing.assert_allclose(program(batch(3)).detach().numpy(), maps, atol=1e-6)
    assert "onnx" not in (tmp_path / "e" / "README.md").read_text().lower()


def test_a_reading_of_a_layer(run: Run, tmp_path: Path) -> None:
    """ONNX and PyTorch's program take the plain image and do the rest themselves."""
    layer = "block2+mirror+12px+2x2,features"
    export_run(run, tmp_path / "e", formats=("pt2", "onnx"), layer=layer)
    with torch.no_grad():
        maps = load_method(run).encoder(batch(3), layer).numpy()
    program = torch.export.load(tmp_path / "e" / "encoder.pt2").module()
    np.testing.assert_allclose(program(batch(3)).detach().numpy(), maps, atol=1e-5)


def test_an_earlier_export_is_replaced_anything_else_is_not(run: Run, tmp_path: Path) -> None:
    export_run(run, tmp_path / "e", formats=("safetensors",), checkpoint="epoch=000")
    export_run(run, tmp_path / "e", formats=("safetensors",))
    assert json.loads((tmp_path / "e" / "encoder.json").read_text())["provenance"]["checkpoint"] == "epoch=003"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("mine")
    with pytest.raises(InputError, match="not an export"):
        export_run(run, tmp_path / "mine")
    with pytest.raises(InputError, match="tflite"):
        export_run(run, tmp_path / "f", formats=("tflite",))
    with pytest.raises(InputError, match="fc9"):
        export_run(run, tmp_path / "f", layer="fc9")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e", "mine"]


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_without_the_extra_it_says_what_to_install(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"{package}.*phispace\[onnx\]"):
        export_run(run, tmp_path / "e")
    assert list(tmp_path.iterdir()) == []
    export_run(run, tmp_path / "e", formats=("safetensors",))


def test_an_onnx_file_that_differs_is_not_given_out(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from phispace import export_onnx

    written = export_onnx.write_onnx

    def other(program, *arguments):
        import copy

        changed = copy.deepcopy(program)
        with torch.no_grad():
            next(changed.parameters()).mul_(1.01)
        return written(changed, *arguments)

    monkeypatch.setattr(export_onnx, "write_onnx", other)
    with pytest.raises(DataError, match="differs from PyTorch by"):
        export_run(run, tmp_path / "e")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", range(0, 100, 9))
def test_a_flipped_bit_anywhere_in_the_weights_is_noticed(copy: Path, where: int) -> None:
    file = copy / "encoder.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) * where // 100] ^= 4
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"encoder\.safetensors has changed or is damaged"):
        load_encoder(copy)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "encoder.safetensors").unlink(), "encoder.safetensors"),
        (lambda d: (d / "encoder.safetensors").write_bytes(b""), "damaged"),
        (lambda d: (d / "encoder.json").unlink(), "not an exported encoder"),
        (lambda d: (d / "encoder.json").write_text("{"), "cannot be read as JSON"),
        (lambda d: (d / "encoder.json").write_text("{}"), "not the record of an encoder"),
        (lambda d: (d / "encoder.json").write_text("[]"), "an object is expected"),
        (lambda d: edit(d, schema_version=99), "Upgrade"),
        (lambda d: edit(d, channels="one"), "not the record"),
    ],
)
def test_damaged_exports_are_refused_in_words(copy: Path, damage, message: str) -> None:
    damage(copy)
    with pytest.raises(DataError, match=message):
        load_encoder(copy)


def edit(folder: Path, **fields: object) -> None:
    record = json.loads((folder / "encoder.json").read_text())
    (folder / "encoder.json").write_text(json.dumps({**record, **fields}))


def test_an_encoder_or_option_that_is_not_here(copy: Path) -> None:
    edit(copy, name="os.system")
    with pytest.raises(InputError, match="no encoder named"):
        load_encoder(copy)
    edit(copy, name="convnet4", options={"wings": 2})
    with pytest.raises(InputError, match="wings"):
        load_encoder(copy)


def test_weights_that_do_not_fit_are_listed_by_name(copy: Path) -> None:
    tensors = load_file(copy / "encoder.safetensors")
    name = next(n for n in tensors if n.startswith("stages.conv2"))
    tensors["stages.extra.weight"] = torch.zeros(3)
    tensors["stages.conv1.weight"] = torch.zeros(8, 1, 5, 5)
    del tensors[name]
    save_file(tensors, copy / "encoder.safetensors")
    record = json.loads((copy / "encoder.json").read_text())
    record["files"]["encoder.safetensors"]["sha256"] = storage.sha256_file(copy / "encoder.safetensors")
    (copy / "encoder.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="does not fit") as caught:
        load_encoder(copy)
    text = str(caught.value)
    assert f"{name} is missing" in text
    assert "stages.extra.weight is not known" in text
    assert "stages.conv1.weight is (8, 1, 5, 5), (8, 1, 3, 3) is expected" in text


def test_a_foreign_file_in_place_of_the_weights(copy: Path) -> None:
    torch.save({"a": torch.zeros(2)}, copy / "encoder.safetensors")
    record = json.loads((copy / "encoder.json").read_text())
    record["files"]["encoder.safetensors"]["sha256"] = storage.sha256_file(copy / "encoder.safetensors")
    (copy / "encoder.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="cannot be read"):
        load_encoder(copy)


def test_a_full_disk_leaves_the_earlier_export(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_run(run, tmp_path / "e", formats=("safetensors",), checkpoint="epoch=000")

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "write_bytes", full)
    with pytest.raises(StorageError, match="full"):
        export_run(run, tmp_path / "e", formats=("safetensors",))
    monkeypatch.undo()
    assert json.loads((tmp_path / "e" / "encoder.json").read_text())["provenance"]["checkpoint"] == "epoch=000"
    assert [p.name for p in tmp_path.iterdir()] == ["e"]
    load_encoder(tmp_path / "e")


@pytest.mark.slow
@pytest.mark.parametrize("name", REGISTRY.names())
def test_every_registered_encoder_leaves(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder: Encoder = build_encoder(name, 3, 32)
    for module in encoder.modules():  # statistics that are not those of a fresh network
        if isinstance(getattr(module, "running_mean", None), torch.Tensor):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    encoder.eval()
    export_encoder(encoder, tmp_path / "e", Origin(name, {}), formats=FORMATS)
    x = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        wanted = encoder(x)
        torch.testing.assert_close(load_encoder(tmp_path / "e")(x), wanted)
        torch.testing.assert_close(torch.export.load(tmp_path / "e" / "encoder.pt2").module()(x), wanted)
