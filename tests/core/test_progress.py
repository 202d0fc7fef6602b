"""Progress in a log: what is done and what is left, not too often."""

from __future__ import annotations

import pytest

from phispace import progress


def test_lines_say_how_long_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, said = [0.0], []
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    lines = progress._Lines(said.append, "Scoring", 10)
    lines.note("kNN of pixels")
    for _ in range(10):
        clock[0] += 20
        lines.advance()
    assert said[0] == "Scoring: 2 of 10, about 3 min left (kNN of pixels)"
    assert said[-1] == "Scoring: 8 of 10, about 40 s left (kNN of pixels)"
    assert len(said) == 4


def test_work_of_unknown_length_and_quick_work_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, said = [0.0], []
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    endless = progress._Lines(said.append, "Reading", None)
    quick = progress._Lines(said.append, "Reading", 100)
    for _ in range(5):
        clock[0] += 5
        quick.advance()
    clock[0] += 100
    endless.advance()
    assert said == []
