"""Leaderboards: seeds are counted, spreads are honest, and no format lets a name become markup or a formula."""

from __future__ import annotations

import csv
import io
import statistics
from pathlib import Path
from typing import Any

import pytest
from example import CONFIG, RECORD, score

from phispace.errors import DataError, InputError
from phispace.report.document import Number, Table, parse
from phispace.report.leaderboard import find_runs, leaderboard, to_csv, to_markdown, write_leaderboard
from phispace.run import Run
from phispace.storage import read_json


def run(folder: Path, name: str, accuracy: float | None, *, seed: int = 0, **record: Any) -> Run:
    config = {**CONFIG, "training": {**CONFIG["training"], "seed": seed}, **record.pop("config", {})}
    made = Run.create(folder / name, {**RECORD, **record}, config)
    if accuracy is not None:
        made.add_scores([score("linear", "features @ best", {"accuracy": accuracy})])
        made.add_scores([score("linear", "untrained", {"accuracy": 0.99})])
    return made


def numbers(table: Table, row: int = 0) -> list[Number]:
    return [c for c in table.rows[row].cells if isinstance(c, Number)]


def test_seeds_share_a_row_with_mean_and_spread(tmp_path: Path) -> None:
    values = [0.80, 0.82, 0.87]
    table = leaderboard([run(tmp_path, f"r{i}", v, seed=i) for i, v in enumerate(values)], evaluations=("linear",))
    assert len(table.rows) == 1
    seeds, accuracy = numbers(table)[:2]
    assert seeds.value == 3
    assert accuracy.value == pytest.approx(statistics.mean(values))
    assert accuracy.spread == pytest.approx(statistics.stdev(values))


def test_one_seed_has_no_spread_but_its_interval(tmp_path: Path) -> None:
    accuracy = numbers(leaderboard([run(tmp_path, "r", 0.8)]))[1]
    assert accuracy.spread is None
    assert accuracy.interval is not None


def test_other_settings_are_another_row_and_the_better_one_comes_first(tmp_path: Path) -> None:
    other = {"method": {**CONFIG["method"], "learning_rate": 0.1}}
    table = leaderboard([run(tmp_path, "a", 0.5), run(tmp_path, "b", 0.9, config=other)])
    assert len(table.rows) == 2
    assert numbers(table, 0)[1].value == 0.9
    assert numbers(table, 0)[1].best


def test_other_images_are_another_row(tmp_path: Path) -> None:
    changed = {**RECORD["images"], "fingerprint": "other"}
    assert len(leaderboard([run(tmp_path, "a", 0.5), run(tmp_path, "b", 0.5, images=changed)]).rows) == 2


def test_baselines_do_not_compete(tmp_path: Path) -> None:
    assert numbers(leaderboard([run(tmp_path, "a", 0.5)]))[1].value == 0.5


def test_missing_scores_are_told(tmp_path: Path) -> None:
    table = leaderboard([run(tmp_path, "a", None), run(tmp_path, "b", 0.7, seed=1)], evaluations=("linear", "knn"))
    accuracy, knn = numbers(table)[1:3]
    assert accuracy.value == 0.7
    assert "1 of 2 runs" in " ".join(accuracy.notes)
    assert knn.value is None
    assert "Not scored" in knn.reason


def test_unfinished_runs_are_named(tmp_path: Path) -> None:
    assert "r9" in leaderboard([run(tmp_path, "r9", 0.5, status="interrupted")]).rows[0].note


def test_costs(tmp_path: Path) -> None:
    table = leaderboard([run(tmp_path, "a", 0.5)])
    shown = {c.title: n.value for c, n in zip(table.columns, numbers(table), strict=True)}
    assert shown["minutes"] == 9.21
    assert shown["parameters"] == 1_676_266
    assert shown["images seen"] == 540_000


def test_markdown_and_csv_hold_the_numbers(tmp_path: Path) -> None:
    table = leaderboard([run(tmp_path, "a", 0.5)], evaluations=("linear",))
    assert "| supervised, convnet4 | 1 | 50.0\u202f% [49.0, 51.0] |" in to_markdown(table)
    rows = list(csv.reader(io.StringIO(to_csv(table))))
    assert len({len(r) for r in rows}) == 1
    assert rows[1][rows[0].index("Linear probe: accuracy")] == "0.5"


@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0", "+1", "-1", "@x", "a|b", "**x**", "<b>", "[x](javascript:1)", "a\nb"]
)
def test_names_are_neither_formulas_nor_markup(tmp_path: Path, name: str) -> None:
    table = leaderboard([run(tmp_path, "a", 0.5)])
    table = table.model_copy(update={"rows": (table.rows[0].model_copy(update={"label": name}),)})
    cell = list(csv.reader(io.StringIO(to_csv(table))))[1][0]
    assert cell[0] not in "=+-@"
    line = to_markdown(table).splitlines()[2]
    from markdown_it import MarkdownIt

    page = MarkdownIt("commonmark").enable("table").render(to_markdown(table))
    assert line.count("|") - line.count("\\|") == len(table.columns) + 2
    assert not {"<b>", "<strong>x", "href"} & {t for t in ("<b>", "<strong>x", "href") if t in page}


@pytest.mark.parametrize("suffix", [".md", ".csv", ".json", ".html"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    table = leaderboard([run(tmp_path, "a", 0.5)])
    path = write_leaderboard(table, tmp_path / f"board{suffix}")
    assert "convnet4" in path.read_text(encoding="utf-8")
    if suffix == ".json":
        body = {k: v for k, v in read_json(path).items() if k != "schema_version"}
        assert parse(Table, body, "x") == table


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one run"):
        leaderboard([])
    with pytest.raises(DataError, match="not a run"):
        leaderboard([tmp_path])
    with pytest.raises(DataError, match="no run below"):
        find_runs(tmp_path)
    board = leaderboard([run(tmp_path, "a", 0.5)])
    with pytest.raises(InputError, match=r"\.md, \.csv"):
        write_leaderboard(board, tmp_path / "x.xlsx")
    assert [r.name for r in find_runs(tmp_path)] == ["a"]
