"""Downloads, against a server on the loopback."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from phispace.data import load_images
from phispace.data.download import Remote, check, fetch
from phispace.data.mnist import Mnist
from phispace.errors import DataError, InputError

_BODY = bytes(range(256)) * 2000


class _Handler(http.server.BaseHTTPRequestHandler):
    files: dict[str, bytes]

    def do_GET(self) -> None:
        name = self.path.removeprefix("/")
        if name == "error":
            self.send_error(500)
        elif name == "moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.end_headers()
        elif name == "elsewhere":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        elif name not in self.files:
            self.send_error(404)
        else:
            body = self.files[name]
            self.send_response(200)
            if name != "endless":
                self.send_header("Content-Length", str(2 * len(body) if name == "cut" else len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *arguments) -> None:
        return None


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """Its address, and the files that it serves."""
    files = {"file": _BODY, "cut": _BODY, "endless": _BODY}
    handler = type("Handler", (_Handler,), {"files": files})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/", files
        running.shutdown()
        thread.join()


def _remote(*urls: str, checksum: str | None = None, largest: int = 10**7) -> Remote:
    return Remote("data.bin", urls, checksum or f"sha256:{hashlib.sha256(_BODY).hexdigest()}", largest)


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
@pytest.mark.parametrize("name", ["file", "moved", "endless"])
def test_the_right_file(tmp_path: Path, server, algorithm: str, name: str) -> None:
    remote = _remote(server[0] + name, checksum=f"{algorithm}:{hashlib.new(algorithm, _BODY).hexdigest()}")
    path = fetch(remote, tmp_path / "new")
    assert path.read_bytes() == _BODY
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["data.bin"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("missing", {}, "404"),
        ("error", {}, "500"),
        ("cut", {}, "broke off"),
        ("file", {"checksum": "sha256:" + "0" * 64}, "not the expected file"),
        ("file", {"checksum": "md5:" + "0" * 32}, "not the expected file"),
        ("file", {"largest": 1000}, "at most 1,000"),
        ("endless", {"largest": 1000}, "goes on past 1,000"),
        ("elsewhere", {}, "data.bin"),
    ],
)
def test_a_wrong_file_is_not_kept(tmp_path: Path, server, name: str, options: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fetch(_remote(server[0] + name, **options), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_second_address_is_tried(tmp_path: Path, server) -> None:
    assert fetch(_remote(server[0] + "missing", server[0] + "file"), tmp_path).read_bytes() == _BODY


def test_a_file_that_is_there_is_checked_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(_BODY)
    assert fetch(_remote("http://127.0.0.1:9/"), tmp_path) == tmp_path / "data.bin"
    (tmp_path / "data.bin").write_bytes(_BODY[:-1])
    with pytest.raises(DataError, match="Remove it"):
        fetch(_remote("http://127.0.0.1:9/"), tmp_path)


def test_without_a_network_the_error_says_what_to_do(tmp_path: Path, server) -> None:
    with pytest.raises(DataError, match=r"data\.bin could not be downloaded .*--data-dir or PHISPACE_DATA"):
        fetch(_remote("http://127.0.0.1:9/data.bin"), tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/etc/passwd"])
def test_other_addresses_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match="no http address"):
        fetch(_remote(url), tmp_path)


@pytest.mark.parametrize("checksum", ["", "md5:", "crc32:00", "0123"])
def test_a_checksum_says_its_algorithm(tmp_path: Path, checksum: str) -> None:
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(InputError, match="checksum"):
        check(tmp_path / "x", checksum)


def test_mnist_is_fetched_whole(tmp_path: Path, server, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_idx import write_mnist

    write_mnist(tmp_path / "published")
    published = sorted(
        (tmp_path / "published").iterdir(), key=lambda p: (p.name[0] == "t" and p.name[1] == "1", "label" in p.name)
    )
    for path in published:
        server[1][path.name] = path.read_bytes()
    names = [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ]
    sums = tuple(f"md5:{hashlib.md5(server[1][name]).hexdigest()}" for name in names)
    monkeypatch.setattr(Mnist, "mirrors", (server[0],))
    monkeypatch.setattr(Mnist, "checksums", sums)
    images = load_images("mnist", cache_dir=tmp_path / "cache")
    assert len(images) == 40
    server[1].clear()
    assert len(load_images("mnist", cache_dir=tmp_path / "cache")) == 40  # now from the downloads


def test_a_name_that_may_not_be_fetched_says_where_it_looked(tmp_path: Path) -> None:
    for name in ("mnist", "cifar10", "cifar100", "stl10", "svhn"):
        with pytest.raises(DataError, match=r"looked in .*downloads"):
            load_images(name, cache_dir=tmp_path, download=False)
