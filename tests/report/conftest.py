from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from example import HOSTILE


@pytest.fixture(params=HOSTILE, ids=[f"label{i}" for i in range(len(HOSTILE))])
def hostile(request: pytest.FixtureRequest) -> str:
    return str(request.param)
