"""Fixtures of the tests of image sources."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from pictures import encode


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A folder of two classes with three images of 20 x 16 pixels each."""
    root = tmp_path / "pets"
    for label, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for i in range(3):
            (root / name / f"{i}.png").write_bytes(encode(10 * label + i))
    return root


@pytest.fixture(autouse=True)
def _no_other_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named sets are looked for only where a test says."""
    monkeypatch.delenv("PHISPACE_DATA", raising=False)
