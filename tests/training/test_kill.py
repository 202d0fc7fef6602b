"""A run that is killed and resumed ends bit for bit as one never interrupted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).parent / "kill_child.py"
KILLS = int(os.environ.get("PHISPACE_TEST_KILLS", "5"))


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("--staged",)], ids=["one objective", "stages"])
def test_sigkill_at_random_moments_and_resume(tmp_path: Path, words: tuple[str, ...]) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    seed = os.environ.get("PHISPACE_TEST_SEED", "0")
    done = subprocess.run(
        [sys.executable, str(CHILD), str(tmp_path), str(KILLS), seed, *words],
        capture_output=True, text=True, env=environment, timeout=60 + 60 * KILLS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] == KILLS
    assert found["files"] >= 5, "metrics.csv, the state and several checkpoints are compared"
    assert max(found["steps"]) > 0, "at least one kill came after a checkpoint"
    assert found["wrong"] == []
