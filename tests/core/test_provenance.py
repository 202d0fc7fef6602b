"""Where a result comes from, and what must not be told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from phispace import provenance


def test_provenance_is_json_and_complete() -> None:
    found = json.loads(json.dumps(provenance.provenance()))
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"torch", "numpy", "Pillow", "pytorch-lightning"} <= set(found["packages"])
    assert found["processors"] >= 1
    assert found["processor"]


def test_git_state_of_a_checkout(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(
            ["git", *identity, "-C", str(tmp_path), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    assert provenance.git_state(tmp_path) is None
    git("init", "-q")
    (tmp_path / "__init__.py").write_text("")
    assert provenance.git_state(tmp_path) is None, "a file that git does not track is no checkout of it"
    git("add", "__init__.py")
    git("commit", "-q", "-m", "one")
    assert provenance.git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "__init__.py").write_text("changed")
    state = provenance.git_state(tmp_path)
    assert state is not None
    assert state["dirty"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["phispace", "train", "--seed", "3"], ["phispace", "train", "--seed", "3"]),
        (["x", "--token", "abc", "--out", "r"], ["x", "--token", "***", "--out", "r"]),
        (["x", "--api-key=abc", "--set", "a=1"], ["x", "--api-key=***", "--set", "a=1"]),
        (["x", "https://me:pw@host/path"], ["x", "https://host/path"]),
        (["x", "--password", "--quiet"], ["x", "--password", "--quiet"]),
    ],
)
def test_secrets_are_not_recorded(monkeypatch: pytest.MonkeyPatch, words: list[str], expected: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", words)
    assert provenance.arguments() == expected


def test_threads_that_the_user_asked_for_are_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    everything = provenance.usable_processors()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert provenance.usable_processors() == 1
    for odd in ("", "0", "many", "4096"):
        monkeypatch.setenv("OMP_NUM_THREADS", odd)
        assert provenance.usable_processors() == everything
