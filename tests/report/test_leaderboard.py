"""Leaderboards: seeds are counted, intervals are honest, and no format lets a name become markup or a formula."""

from __future__ import annotations

import csv
import io
import json
import re
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example import CONFIG, RECORD, score
from scipy import stats

from phispace.errors import DataError, InputError
from phispace.evaluation.items import Items
from phispace.report.document import Code, Number, Table
from phispace.report.entrants import entrants, find_runs
from phispace.report.leaderboard import Board, boards
from phispace.report.leaderboard_page import Leaderboard
from phispace.report.plain import to_csv, to_markdown
from phispace.run import Run
from phispace.storage import read_json

N = 400


def run(folder: Path, name: str, accuracy: float | None, *, seed: int = 0, **record: Any) -> Run:
    config = {**CONFIG, "training": {**CONFIG["training"], "seed": seed}, **record.pop("config", {})}
    made = Run.create(folder / name, {**RECORD, **record}, config)
    if accuracy is not None:
        made.add_scores([score("linear", "features @ best", {"accuracy": accuracy})])
        made.add_scores([score("linear", "untrained", {"accuracy": 0.99})])
    return made


def answered(folder: Path, name: str, right: np.ndarray, *, seed: int = 0, **record: Any) -> Run:
    """A run whose score has its items."""
    made = run(folder, name, None, seed=seed, **record)
    items = Items(np.array([f"i{k:04d}" for k in range(len(right))]), {"accuracy": right.astype(float)})
    items.save(made.path / "scores" / "linear.parquet")
    entry = score("linear", "features @ best", {"accuracy": float(right.mean())})
    made.add_scores([{**entry, "items": {"path": "scores/linear.parquet", "sha256": ""}}])
    return made


def board(runs: list[Run], **options: Any) -> Board:
    (found,) = boards(runs, **options)
    return found


def numbers(table: Table, row: int = 0) -> list[Number]:
    return [c for c in table.rows[row].cells if isinstance(c, Number)]


def other(rate: float = 0.1) -> dict[str, Any]:
    return {"method": {**CONFIG["method"], "learning_rate": rate}}


def test_seeds_share_a_row_with_mean_spread_and_interval(tmp_path: Path) -> None:
    values = [0.80, 0.82, 0.87]
    table = board([run(tmp_path, f"r{i}", v, seed=i) for i, v in enumerate(values)]).table()
    assert [r.label for r in table.rows] == ["supervised, convnet4", "convnet4, untrained"]
    seeds, accuracy = numbers(table)[:2]
    assert seeds.value == 3
    assert accuracy.value == pytest.approx(statistics.mean(values))
    assert accuracy.spread == pytest.approx(statistics.stdev(values))
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert accuracy.interval == pytest.approx(tuple(expected))


def test_the_interval_of_a_share_ends_at_all_of_it(tmp_path: Path) -> None:
    table = board([run(tmp_path, "a", 0.95), run(tmp_path, "b", 0.99, seed=1)]).table()
    low, high = numbers(table)[1].interval or (0.0, 0.0)
    assert high == 1.0
    assert low == pytest.approx(stats.ttest_1samp([0.95, 0.99], 0).confidence_interval().low)


def test_how_a_run_was_watched_makes_no_other_row(tmp_path: Path) -> None:
    watched = {"training": {**CONFIG["training"], "seed": 1, "tensorboard": False, "health_every": 0}}
    table = board([run(tmp_path, "a", 0.8), run(tmp_path, "b", 0.9, config=watched)]).table()
    assert numbers(table)[0].value == 2


def test_one_seed_has_no_spread_but_its_interval(tmp_path: Path) -> None:
    accuracy = numbers(board([run(tmp_path, "r", 0.8)]).table())[1]
    assert accuracy.spread is None
    assert accuracy.interval is not None


def test_other_settings_are_another_row_and_the_better_one_comes_first(tmp_path: Path) -> None:
    table = board([run(tmp_path, "a", 0.5), run(tmp_path, "b", 0.9, config=other())], baselines=False).table()
    assert [r.label for r in table.rows] == [
        "supervised, convnet4 (learning_rate 0.1)", "supervised, convnet4 (learning_rate 0.001)",
    ]  # fmt: skip
    assert numbers(table, 0)[1].value == 0.9
    assert numbers(table, 0)[1].best


def test_other_images_are_another_board(tmp_path: Path) -> None:
    changed = {**RECORD["images"], "fingerprint": "other"}
    found = boards([run(tmp_path, "a", 0.5), run(tmp_path, "b", 0.5, images=changed)])
    assert [len([e for e in b.entrants if not e.baseline]) for b in found] == [1, 1]
    assert len({b.images for b in found}) == 2


def test_baselines_stand_below_and_do_not_compete(tmp_path: Path) -> None:
    table = board([run(tmp_path, "a", 0.5)]).table()
    assert numbers(table)[1].value == 0.5
    assert table.rows[1].baseline


def test_missing_scores_are_told(tmp_path: Path) -> None:
    found = board([run(tmp_path, "a", None), run(tmp_path, "b", 0.7, seed=1)], evaluations=("linear", "knn"))
    accuracy, knn = numbers(found.table())[1:3]
    assert accuracy.value == 0.7
    assert "1 of 2 runs" in " ".join(accuracy.notes)
    assert knn.value is None
    assert "phispace evaluate a --with knn" in knn.reason
    with pytest.raises(InputError, match="no evaluation named 'nix'"):
        boards([run(tmp_path, "c", 0.5)], evaluations=("nix",))


def test_like_is_compared_with_like(tmp_path: Path) -> None:
    """A score under other options is another score; the usual one counts."""
    runs = [run(tmp_path, f"r{i}", None, config=other(0.1 * i)) for i in range(3)]
    for i, r in enumerate(runs):
        r.add_scores([score("knn", "features @ best", {"accuracy": 0.5 + i / 10}, options={"k": 20})])
    runs[0].add_scores([score("knn", "features @ best", {"accuracy": 0.99}, options={"k": 1})])
    found = board(runs)
    assert [s.options for s in found.scores] == ['{"k": 20}']
    assert max(n.value or 0 for i in range(3) for n in numbers(found.table(), i)[1:2]) == 0.7


def test_unfinished_runs_are_named(tmp_path: Path) -> None:
    assert "r9" in board([run(tmp_path, "r9", 0.5, status="interrupted")]).table().rows[0].note


def test_costs(tmp_path: Path) -> None:
    table = board([run(tmp_path, "a", 0.5)]).table()
    shown = {c.title: cell for c, cell in zip(table.columns, table.rows[0].cells, strict=True)}
    assert [shown[k].value for k in ("minutes", "parameters", "images seen", "multiply-adds an image")] == [
        9.21, 1_676_266, 540_000, 21_300_000,
    ]  # fmt: skip
    assert shown["precision, threads"] == "bf16-mixed, 2"
    assert "Example CPU" in table.caption
    slower = {**RECORD["provenance"], "processor": "Another CPU"}
    both = board([run(tmp_path, "b", 0.5), run(tmp_path, "c", 0.5, seed=1, provenance=slower)]).table()
    assert "do not compare" in both.caption


def test_one_seed_each_is_the_paired_test_over_items(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a = rng.random(N) < 0.8
    b = a & (rng.random(N) < 0.9)
    found = board([answered(tmp_path, "a", a), answered(tmp_path, "b", b, config=other())], baselines=False)
    (pair,) = found.pairs["linear.accuracy"]
    assert pair.a.label.endswith("(learning_rate 0.001)")
    assert pair.estimate.value == pytest.approx(a.mean() - b.mean())
    only_a = int((a & ~b).sum())
    assert pair.estimate.p_value == pytest.approx(stats.binomtest(only_a, only_a).pvalue)
    assert pair.estimate.interval[0] > 0
    assert "McNemar" in pair.estimate.test


def test_several_seeds_are_tested_over_seeds_and_items(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    hard = rng.random(N)
    runs = [answered(tmp_path, f"a{s}", hard < 0.8 + 0.01 * s, seed=s) for s in range(3)]
    runs += [answered(tmp_path, f"b{s}", hard < 0.6 + 0.01 * s, seed=s, config=other()) for s in range(2)]
    found = board(runs, baselines=False)
    (pair,) = found.pairs["linear.accuracy"]
    assert pair.estimate.seeds == (3, 2)
    assert pair.estimate.test == "t over seeds and items"
    assert pair.corrected < 0.05
    assert "more than chance" in Leaderboard((found,)).report(tmp_path, None).answer


def test_other_items_are_not_paired(tmp_path: Path) -> None:
    runs = [answered(tmp_path, "a", np.ones(9, bool)), answered(tmp_path, "b", np.zeros(8, bool), config=other())]
    (pair,) = board(runs, baselines=False).pairs["linear.accuracy"]
    assert pair.estimate.value == 1.0
    assert np.isnan(pair.estimate.p_value)
    assert "test items differ" in pair.estimate.test


def test_without_items_and_with_one_seed_there_is_no_test(tmp_path: Path) -> None:
    runs = [run(tmp_path, "a", 0.8), run(tmp_path, "b", 0.7, config=other())]
    (pair,) = board(runs, baselines=False).pairs["linear.accuracy"]
    assert np.isnan(pair.estimate.interval[0])
    assert "there is no test" in Leaderboard((board(runs, baselines=False),)).report(tmp_path, None).answer


def test_metrics_that_agree_on_the_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    linear, knn = rng.random(6), rng.random(6)
    runs = []
    for i in range(6):
        runs.append(run(tmp_path, f"r{i}", float(linear[i]), config=other(0.1 * (i + 1))))
        runs[-1].add_scores([score("knn", "features @ best", {"accuracy": float(knn[i])})])
    (found,) = board(runs).correlations
    expected: Any = stats.spearmanr(linear, knn)
    assert found.rho == pytest.approx(expected.statistic)
    assert (found.a.key, found.b.key, found.n) == ("linear.accuracy", "knn.accuracy", 6)
    (few,) = board(runs[:2]).correlations
    assert np.isnan(few.rho)
    assert few.n == 2


def test_markdown_and_csv_hold_the_numbers(tmp_path: Path) -> None:
    table = board([run(tmp_path, "a", 0.5)]).table()
    assert "| supervised, convnet4 | 1 | 50.0\u202f% [49.0, 51.0] |" in to_markdown(table)
    rows = list(csv.reader(io.StringIO(to_csv(table))))
    assert len({len(r) for r in rows}) == 1
    assert rows[1][rows[0].index("Linear probe: accuracy")] == "0.5"


@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0", "+1", "-1", "@x", "a|b", "**x**", "<b>", "[x](javascript:1)", "a\nb"]
)
def test_names_are_neither_formulas_nor_markup(tmp_path: Path, name: str) -> None:
    table = board([run(tmp_path, "a", 0.5)]).table()
    table = table.model_copy(update={"rows": (table.rows[0].model_copy(update={"label": name}),)})
    cell = list(csv.reader(io.StringIO(to_csv(table))))[1][0]
    assert cell[0] not in "=+-@"
    line = to_markdown(table).splitlines()[2]
    from markdown_it import MarkdownIt

    page = MarkdownIt("commonmark").enable("table").render(to_markdown(table))
    assert line.count("|") - line.count("\\|") == len(table.columns) + 2
    assert not {"<b>", "<strong>x", "href"} & {t for t in ("<b>", "<strong>x", "href") if t in page}


def test_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    hard = rng.random(N)
    runs = [answered(tmp_path / "runs", f"a{s}", hard < 0.7 + s / 50, seed=s) for s in range(2)]
    runs.append(answered(tmp_path / "runs", "b", hard < 0.5, config=other()))
    page = Leaderboard(tuple(boards([tmp_path / "runs"], among="all")))
    files = page.save(tmp_path / "out")
    assert [f.name for f in files] == [f"leaderboard{s}" for s in (".html", ".md", ".csv", ".json")]
    body = read_json(files[3])
    entrant = body["boards"][0]["entrants"][0]
    assert len(entrant["runs"]) == 2
    assert entrant["scores"]["linear.accuracy"]["mean"] == pytest.approx(page.boards[0].measured[
        entrant["label"], "linear.accuracy"].value)  # fmt: skip
    assert body["boards"][0]["differences"][0]["seeds"] == [2, 1]
    assert json.loads(json.dumps(page.as_dict(), allow_nan=False))
    rows = list(csv.DictReader(files[2].open()))
    assert rows[0]["images"] == "cifar10"
    assert rows[0]["runs"].split() == entrant["runs"]
    html = files[0].read_text(encoding="utf-8")
    anchors, targets = set(re.findall(r'id="(run-\d+)"', html)), set(re.findall(r'href="#(run-\d+)"', html))
    assert anchors == {"run-1", "run-2", "run-3"}
    assert targets <= anchors
    assert targets
    for address in re.findall(r'href="\./([^"]+)"', html):
        assert (tmp_path / "out" / address).exists(), address
    assert "phispace rerun" in html
    assert "--with linear" in html
    assert (tmp_path / "out" / "leaderboard-figures" / "cost-cifar10.png").stat().st_size > 3000
    for pattern in ("javascript:", "http-equiv=refresh"):
        assert pattern not in html.replace('http-equiv="Content-Security-Policy"', "")
    assert "t over seeds and items" in files[1].read_text(encoding="utf-8")


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one run"):
        boards([])
    with pytest.raises(DataError, match="no run below"):
        find_runs(tmp_path)
    with pytest.raises(DataError, match="it does not exist"):
        boards([tmp_path / "nowhere"])
    found = board([run(tmp_path, "a", 0.5)])
    with pytest.raises(InputError, match=r"\.html, \.md"):
        Leaderboard((found,)).save(tmp_path / "x.xlsx")
    assert [r.name for r in find_runs(tmp_path)] == ["a"]
    assert [e.label for e in entrants(find_runs(tmp_path), baselines=False)] == ["supervised, convnet4"]
    unscored = Leaderboard(tuple(boards([run(tmp_path / "u", "u", None)])))
    assert "scored yet" in unscored.report(tmp_path, None).answer
    assert unscored.lines()


def test_baselines_of_a_reconstruction_and_of_each_layer_stand_on_the_board(tmp_path: Path) -> None:
    made = run(tmp_path, "a", 0.7)
    made.add_scores(
        [score("reconstruction", s, {"mse": v}) for s, v in (("features @ best", 0.1), ("mean-image", 0.3))]
    )
    made.add_scores([score("linear", "untrained block2", {"accuracy": 0.5})])
    rows = entrants([made])
    assert {"mean-image", "untrained", "untrained block2"} <= {e.store for e in rows if e.baseline}
    labels = [e.label for e in rows if e.baseline]
    assert len(labels) == len(set(labels))
    page = Leaderboard((board([made]),)).report(tmp_path, None)
    (commands,) = [s.text for s in page.sections if isinstance(s, Code)]
    assert f"phispace evaluate {made.path} --with linear" in commands
    assert "--with reconstruction" not in commands
    alone = run(tmp_path, "b", None)
    alone.add_scores([score("reconstruction", "features @ best", {"mse": 0.1})])
    page = Leaderboard((board([alone]),)).report(tmp_path, None)
    (commands,) = [s.text for s in page.sections if isinstance(s, Code)]
    assert commands.endswith(f"phispace reconstruct {alone.path}")


def test_the_headline_says_what_the_best_baseline_has(tmp_path: Path) -> None:
    low = Leaderboard((board([run(tmp_path / "low", "a", 0.7)]),)).report(tmp_path, None).answer
    high = Leaderboard((board([run(tmp_path / "high", "a", 0.995)]),)).report(tmp_path, None).answer
    assert "not above the best baseline" in low
    assert "The best baseline" in high
