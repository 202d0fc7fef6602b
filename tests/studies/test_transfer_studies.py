"""The studies of transfer, whole, on real digits, and what their tables and verdicts say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from phispace.data.loading import load_images
from phispace.encoders import lite0
from phispace.report.document import Report
from phispace.studies.estimates import accuracy_of, bounds, difference_of
from phispace.studies.runner import run_study
from phispace.studies.steps.backbone_resolutions import with_train
from phispace.studies.steps.transfer_costs import TransferCostsOptions, _goal
from phispace.studies.study import load

ALONE = {"threads": 1, "precision": "float32", "tensorboard": False}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHISPACE_CACHE", str(tmp_path / "cache"))


@pytest.mark.slow
def test_fashion_to_mnist_has_three_trainings_in_both_directions(tmp_path: Path) -> None:
    study = replace(load("fashion-to-mnist"), images="digits", others={"fashion": "digits"}, size=8)
    page, answers = run_study(study, out=tmp_path / "s", scale="smoke", training=ALONE)
    assert page.stat().st_size > 50_000
    assert len(answers) == 3
    steps = json.loads((tmp_path / "s" / "study.json").read_text())["steps"]
    for name in ("to-digits", "to-clothes"):
        result = steps[name]["result"]
        assert set(result["accuracy"]) == {"frozen", "random", "whole"}
        assert set(result["accuracy"]["whole"]) == {"50", "all 300"}
        trained = result["trained_parameters"]
        assert trained["frozen"] == trained["random"] < trained["whole"]
    runs = tmp_path / "s" / "runs"
    frozen, random, whole = (
        json.loads((runs / f"to-digits-{key}-50-00" / "run.json").read_text()) for key in ("frozen", "random", "whole")
    )
    assert frozen["began_with"]["run"].endswith("clothes")
    assert "began_with" not in random
    assert random["config"]["method"]["freeze"] == "all"
    assert whole["config"]["method"]["freeze"] == "none"
    assert frozen["config"]["method"]["dense"] == [16]
    steps_taken = {r["result"]["steps"] for r in (frozen, random, whole)}
    assert len(steps_taken) == 1
    found = next(s for s in Report.open(tmp_path / "s" / "report.json").sections if s.kind == "findings")
    assert [f.claim for f in found.findings] == list(study.guesses.values())
    again = json.loads((tmp_path / "s" / "study.json").read_text())
    run_study(study, out=tmp_path / "s", scale="smoke", training=ALONE)
    assert json.loads((tmp_path / "s" / "study.json").read_text()) == again


@pytest.mark.slow
@pytest.mark.skipif(not lite0.installed(), reason=f"needs the package {lite0.PACKAGE}")
def test_imagenet_transfer_sets_accuracy_against_cost(tmp_path: Path) -> None:
    study = replace(load("imagenet-transfer"), images="digits", size=8)
    run_study(study, out=tmp_path / "s", scale="smoke", training=ALONE)
    steps = json.loads((tmp_path / "s" / "study.json").read_text())["steps"]
    rows = steps["frozen"]["result"]["rows"]
    assert [row["resolution"] for row in rows] == [32, 64]
    assert [row["n_train"] for row in rows] == [200, 300]
    assert rows[0]["multiply_adds"] < rows[1]["multiply_adds"]
    assert all(row["accuracy"] > 0.6 for row in rows), "ten classes: a tenth by chance"
    assert all(set(row["few"]) == {"2", "10"} for row in rows)
    costs = steps["costs"]["result"]["rows"]
    assert len(costs) == 5
    assert [row["cpu_minutes"] for row in costs] == sorted(row["cpu_minutes"] for row in costs)
    own = json.loads((tmp_path / "s" / "runs" / "own" / "run.json").read_text())
    assert own["config"]["method"]["epochs"] <= 2
    for key in ("cpu_minutes", "multiply_adds"):
        assert (tmp_path / "s" / "figures" / f"costs-{key}.png").stat().st_size > 10_000
    borrowed = json.loads(
        (tmp_path / "s/runs/frozen-EfficientNet-Lite0-64/checkpoints/last/checkpoint.json").read_text()
    )
    assert borrowed["borrowed"]["tensors"] > 200


@pytest.mark.parametrize("name", ["fashion-to-mnist", "imagenet-transfer"])
@pytest.mark.parametrize("scale", ["smoke", "cpu", "paper"])
def test_every_scale_is_a_study(name: str, scale: str) -> None:
    from phispace.studies.steps import get_step

    study = load(name)
    tables = study.at(scale)
    known = set()
    for table in tables:
        options = get_step(table["do"]).parse({k: v for k, v in table.items() if k not in ("do", "id")}, table["id"])
        for field in ("runs", "frozen"):
            assert set(getattr(options, field, ())) <= known | {""}, f"{table['id']} refers to a step of another scale"
        known.add(table["id"])


def row(label: str, accuracy: float, minutes: float, low: float = 0.0) -> dict:
    return {"label": label, "accuracy": accuracy, "interval": [low, 1.0], "cpu_minutes": minutes}


def test_the_goal_is_reached_by_the_cheapest_that_reaches_it() -> None:
    options = TransferCostsOptions(goal=0.9, claim="?")
    finding, text = _goal([row("a", 0.95, 9), row("b", 0.91, 3, 0.905), row("c", 0.8, 1)], options)
    assert finding.verdict == "yes"
    assert text.startswith("b reaches 91.0%")
    finding, _ = _goal([row("b", 0.91, 3, 0.89)], options)
    assert finding.verdict == "partly"
    finding, text = _goal([row("a", 0.7, 9), row("c", 0.8, 1)], options)
    assert finding.verdict == "no"
    assert "the best is c, 80.0%" in text


def test_estimates_of_one_and_of_several_trainings() -> None:
    rng = np.random.default_rng(0)
    good, poor = (rng.random((3, 400)) < p for p in (0.9, 0.6))
    one = accuracy_of(good[:1].astype(float))
    assert one.seeds == (1,)
    assert one.interval[0] < good[0].mean() < one.interval[1]
    several = accuracy_of(good.astype(float))
    assert several.seeds == (3,)
    assert bounds(several)[1] <= 1
    for count in (1, 3):
        found = difference_of(good[:count].astype(float), poor[:count].astype(float), seed=0)
        assert found.value == pytest.approx(good[:count].mean() - poor[:count].mean())
        assert found.interval[0] < found.value < found.interval[1]


def test_fewer_training_images_keep_all_others() -> None:
    images = load_images("digits")
    part = with_train(images, 100)
    assert (part.split == "train").sum() == 100
    for split in ("val", "test"):
        assert (part.split == split).sum() == (images.split == split).sum()
