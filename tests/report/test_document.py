"""The document: what goes in comes out, and what does not fit is refused in one sentence."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from phispace.errors import DataError
from phispace.report.document import (
    Column,
    Fact,
    Figure,
    Finding,
    Findings,
    Number,
    Provenance,
    Report,
    Row,
    Table,
    Text,
    parse,
)


def full_report() -> Report:
    table = Table(
        title="Scores",
        columns=(Column(title="accuracy", form="share", higher_is_better=True),),
        rows=(
            Row(label="features", cells=(Number(value=0.9, low=0.88, high=0.92, form="share", notes=("a caveat",)),)),
            Row(label="pixels", cells=(None,), baseline=True),
            Row(label="words", cells=("as text",)),
        ),
    )
    findings = Findings(findings=(Finding(claim="c", verdict="partly", answer="a"),))
    return Report(
        title="t", question="q?", answer="a.", sections=(Text(paragraphs=("p",)), table, findings),
        headline=(Fact(name="n", value=Number(value=1.0)), Fact(name="m", value="word")),
        provenance=Provenance(command="phispace train", sources=("run.json",)),
    )  # fmt: skip


def test_saved_and_opened_reports_are_equal(tmp_path: Path) -> None:
    report = full_report()
    assert Report.open(report.save(tmp_path / "report.json")) == report


def test_the_json_is_valid_and_says_what_it_is(tmp_path: Path) -> None:
    body = json.loads(full_report().save(tmp_path / "r.json").read_text())
    assert body["schema_version"] == 1
    assert body["format"] == "phispace.report"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_what_is_not_finite_is_undefined(value: float | None) -> None:
    assert Number(value=value, low=value).value is None


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x.png", "a/../../x.png", "", "C:\\x.png", "http://x/y.png", "data:x", "a\\b", "a\0b"]
)
def test_pictures_outside_the_report_are_refused(path: str) -> None:
    with pytest.raises(DataError, match="path inside the report"):
        parse(Figure, {"path": path, "alt": "x"}, "x")


def test_paths_with_odd_but_honest_names_pass() -> None:
    assert Figure(path="maps/a b#c?.png", alt="x").path == "maps/a b#c?.png"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"question": None}, "question"),
        ({"unheard_of": 1}, "unheard_of"),
        ({"sections": [{"kind": "spell"}]}, "sections.0"),
        ({"sections": [{"kind": "figure", "path": "/x", "alt": ""}]}, "sections.0"),
        ({"sections": [{"kind": "table", "columns": [], "rows": [{"label": "x", "cells": ["y"]}]}]}, "1 cells for 0"),
        ({"headline": [{"name": "n", "value": {"value": "many"}}]}, "headline.0"),
    ],
)
def test_damage_is_named(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = full_report().save(tmp_path / "r.json")
    body = json.loads(path.read_text()) | change
    path.write_text(json.dumps(body))
    with pytest.raises(DataError, match=said):
        Report.open(path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": "phispace.report"}', '{"title": "x"}', "\x00"])
def test_files_that_are_no_reports(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DataError):
        Report.open(tmp_path / "r.json")


def test_a_newer_schema_asks_for_an_upgrade(tmp_path: Path) -> None:
    path = full_report().save(tmp_path / "r.json")
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    with pytest.raises(DataError, match="Upgrade"):
        Report.open(path)


def test_hostile_labels_survive_the_round_trip(tmp_path: Path, hostile: str) -> None:
    report = Report(title=hostile, question=hostile, answer=hostile)
    again = Report.open(report.save(tmp_path / "r.json"))
    assert again == report
    assert not any(ord(c) < 32 and c not in "\n\t" for c in again.title)
    assert "\u202e" not in again.title
